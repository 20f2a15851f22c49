"""What nobody sees is shown: on the terminal, on the pages and in the files that spreadsheets open."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.gold.csv_cells import guard_cell, unguard_cell
from cotforge.visible import show_invisible, spell_text, unspell_text
from tests.project import ran, replay, said, write_pipeline, write_rows

HIDDEN = {
    "\U000e0041": r"\U000e0041",  # a tag: an A that nobody sees
    "\u200b": r"\u200b",
    "\u200d": r"\u200d",
    "\u2060": r"\u2060",
    "\ufeff": r"\ufeff",
    "\u00ad": r"\xad",
    "\u202e": r"\u202e",
    "\u2066": r"\u2066",
    "\x1b": r"\x1b",
    "\x9b": r"\x9b",
    "\x00": r"\x00",
    "\u2028": r"\u2028",
    "\u3164": r"\u3164",
    "\u2800": r"\u2800",
    "\ue000": r"\ue000",
    "\ud800": r"\ud800",
    "\U000e0101": r"\U000e0101",
    "\ufe01": r"\ufe01",
}


@pytest.mark.parametrize("character", HIDDEN, ids=ascii)
def test_a_character_that_nobody_sees_is_an_escape(character: str) -> None:
    assert show_invisible(f"a{character}b") == f"a{HIDDEN[character]}b"


@pytest.mark.parametrize("text", ["plain", "ä 漢字 العربية", "a\u00a0b\u3000c\u2009d", "one\ntwo\tthree", "❤\ufe0f", "x\\u200by", ""])
def test_all_that_is_seen_stays(text: str) -> None:
    assert show_invisible(text) == text


@given(st.text(st.characters(codec=None) | st.sampled_from([*HIDDEN, "\\", "u", "0"])) | st.just("\\u200b \\x5c \\U000e0041 \\Uffffffff"))
def test_a_spelled_text_hides_nothing_and_is_found_again(text: str) -> None:
    shown = spell_text(text)
    assert unspell_text(shown) == text
    assert show_invisible(shown, keep="\n\t\r") == shown
    assert unguard_cell(guard_cell(text)) == text


def test_report_gold_sheet_what_if_and_lines_show_what_a_text_hides(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    secret = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {"id": row["id"] + "\u200b", "question": f"What is it?{secret}"}
    rows[0]["label"] = f"joy{secret}"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    thought = said("awe").replace("The picture", f"The\u200b pic{secret}ture")
    write_pipeline(tmp_path, replay(tmp_path, "one", {row["id"]: thought for row in rows}), consensus={"label": "ignore"})
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    ran("gold", "runs/feelings", cwd=tmp_path)
    ran("curate", "runs/feelings", "--what-if", cwd=tmp_path)
    run = tmp_path / "runs/feelings"
    pages = {name: (run / name).read_text() for name in ("report.html", "gold.html", "what-if.html", "gold-to-fill.csv")}
    for name, text in (*pages.items(), ("said", ended.stdout + ended.stderr)):
        assert not [hidden for hidden in HIDDEN if hidden in text], name
    assert r"\U000e006f" in pages["report.html"]
    assert r"\U000e006f" in ended.stdout
    assert r"row-0\u200b" in pages["gold-to-fill.csv"]
    filled = pages["gold-to-fill.csv"].replace(",\n", ",awe\n")
    (tmp_path / "filled.csv").write_text(filled)
    taken = ran("gold", "runs/feelings", "--read", "filled.csv", cwd=tmp_path)
    assert taken.returncode == 0, taken.stderr
    assert "4 answers to 4 samples" in taken.stdout
