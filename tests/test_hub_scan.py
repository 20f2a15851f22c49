"""What should not be published is found wherever it stands, named so that it can be allowed, and never shown."""

import base64
import hashlib
import html
import json
import random
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.hub.detector import LeakDetector, leak_name
from cotforge.hub.machine import PERSONAL, Machine, mask_places
from cotforge.hub.scan import LAP, WINDOW, Leak, find_leaks
from cotforge.hub.secret_rules import RULES

ANNA = Machine(users=frozenset({"annagram"}), hosts=frozenset({"bluebox"}), folders=frozenset({"/raid/annas/run"}))
LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def token(prefix: str, length: int, alphabet: str = LETTERS) -> str:
    """A token that nobody has: the same one every time."""
    return prefix + "".join(random.Random(prefix).choices(alphabet, k=length))


PLANTED = {
    "anthropic-key": token("sk-ant-" + "api03-", 93),
    "openai-key": token("sk-" + "proj-", 64),
    "hugging-face-token": token("hf" + "_", 34),
    "nvidia-key": token("nvapi" + "-", 64),
    "groq-key": token("gsk" + "_", 52),
    "perplexity-key": token("pplx" + "-", 48),
    "xai-key": token("xai" + "-", 80),
    "google-key": token("AI" + "za", 35),
    "google-oauth-secret": token("GOC" + "SPX-", 28),
    "aws-key-id": token("AK" + "IA", 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "azure-client-secret": token("aB3" + "8Q~", 34),
    "azure-storage-key": "AccountKey=" + token("Zx9", 83) + "==",
    "databricks-token": token("da" + "pi", 32, "0123456789abcdef"),
    "digitalocean-token": token("dop" + "_v1_", 64, "0123456789abcdef"),
    "github-token": token("gh" + "p_", 36),
    "gitlab-token": token("glp" + "at-", 20),
    "npm-token": token("np" + "m_", 36),
    "pypi-token": token("pypi-" + "AgE", 80),
    "docker-token": token("dckr" + "_pat_", 27),
    "slack-token": token("xox" + "b-", 40, "0123456789abcdef"),
    "stripe-key": token("sk_" + "live_", 24),
    "sendgrid-key": token("SG" + ".", 22) + "." + token("b", 42),
    "telegram-bot-token": "123456789:" + token("AA", 33),
    "private-key": "-----BEGIN RSA " + "PRIVATE KEY-----\n" + token("MII", 60),
    "json-web-token": token("ey", 30) + "." + token("eyJ", 40) + "." + token("s", 42),
    "authorization": "Authorization: Bearer " + token("q", 40),
    "password-in-url": "postgres://db:" + token("p", 12) + "@example.org/x",
    "named-secret": 'client_secret = "' + token("v", 32) + '"',
    "password": "password: " + token("w", 11) + "7",
    "local-path": "/home/annagram/pictures/emotions",
    "user-name": "written by annagram on Monday",
    "host-name": "bluebox said",
}
"""A planted text of each kind; the credentials have prefixes in two parts, because they look real to scanners of repositories."""


def write_parquet(path: Path, texts: list[str]) -> None:
    """A row for each text, as lessons and traces have them: within lists of records, beside bytes of pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "id": [f"row-{place}" for place in range(len(texts))],
            "images": [[{"bytes": b"\x89PNG sk-" + bytes(40), "path": "0.png"}] for _ in texts],
            "completion": [[{"role": "assistant", "content": text}] for text in texts],
            "teacher": pa.array(["one"] * len(texts)).dictionary_encode(),
            "note": pa.array([None] * len(texts), pa.large_string()),
        }
    )
    pq.write_table(table, path, row_group_size=7)


def told(leaks: list[Leak]) -> set[tuple[str, str, str]]:
    return {(leak.kind, leak.file, leak.place) for leak in leaks}


def test_every_planted_secret_path_and_name_is_found_in_tables_cards_and_pages_with_its_place(tmp_path: Path) -> None:
    texts = [f"The picture shows a dog. {planted} So the answer is awe." for planted in PLANTED.values()]
    write_parquet(tmp_path / "data" / "train.parquet", texts)
    write_parquet(tmp_path / "traces" / "train.parquet", ["Nothing at all."] * 300 + texts)
    (tmp_path / "README.md").write_text("# Lessons\n" + "\n".join(text.replace("\n", " ") for text in texts))
    (tmp_path / "report.html").write_text("\n".join(f"<p>{html.escape(text)}</p>" for text in texts))
    leaks = find_leaks(tmp_path, machine=ANNA)
    for number, kind in enumerate(PLANTED, start=1):
        assert (kind, "data/train.parquet", f"row {number} of completion.content") in told(leaks)
        assert (kind, "traces/train.parquet", f"row {300 + number} of completion.content") in told(leaks)
        assert (kind, "README.md", f"line {number + 1}") in told(leaks)
        assert any((leak.kind, leak.file) == (kind, "report.html") for leak in leaks)


def test_nothing_that_is_found_is_shown_and_all_of_it_can_be_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(" and ".join(PLANTED.values()))
    leaks = find_leaks(tmp_path, machine=ANNA)
    assert len(leaks) >= len(PLANTED)
    for leak in leaks:
        for planted in PLANTED.values():
            assert all(
                part not in str(leak) for part in planted.split() if len(part) > 10 and part.isascii() and any(map(str.isdigit, part))
            )
        assert "***" in leak.excerpt
        assert "\n" not in str(leak)
    assert find_leaks(tmp_path, machine=ANNA, allow={leak.name for leak in leaks}) == []
    kinds = {leak.kind for leak in find_leaks(tmp_path, machine=ANNA, allow=PERSONAL)}
    assert kinds == PLANTED.keys() - PERSONAL
    assert find_leaks(tmp_path, machine=ANNA, allow={"github-token"}) == leaks


def test_a_key_of_this_process_is_found_in_every_spelling_and_named_by_nothing_but_a_hash(tmp_path: Path) -> None:
    key = "Tr0ub4dor-and-3-more-words"
    spelt = base64.b64encode(f"user:{key}".encode()).decode()
    write_parquet(tmp_path / "data.parquet", ["fine", f"see {key}!", "fine", f"curl -H '{spelt}'"])
    (tmp_path / "card.json").write_text(json.dumps({"a": "\n".join(key)}))
    leaks = find_leaks(tmp_path, secrets=[key], machine=ANNA)
    assert told(leaks) == {
        ("known-key", "data.parquet", "row 2 of completion.content"), ("known-key", "card.json", "line 1"),
    }  # fmt: skip
    assert {leak.name for leak in leaks} == {f"known-key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"}
    assert [leak.count for leak in leaks if leak.file == "data.parquet"] == [2]
    assert key not in "".join(map(str, leaks))
    assert find_leaks(tmp_path, secrets=[key], machine=ANNA, allow={leak_name("known-key", key)}) == []


@pytest.mark.parametrize("place", [0, WINDOW - 20, WINDOW - LAP - 20, WINDOW - 1, 2 * WINDOW - LAP, 2 * WINDOW + 99])
def test_what_stands_across_two_windows_of_a_long_file_is_told_once_with_its_line(tmp_path: Path, place: int) -> None:
    text = ("x" * 99 + "\n") * (place // 100) + "y" * (place % 100)
    secret = PLANTED["github-token"]
    (tmp_path / "long.json").write_text(f"{text} {secret}\n" + "z" * 2 * WINDOW)
    (leak,) = find_leaks(tmp_path, machine=ANNA)
    assert (leak.place, leak.count, leak.name) == (f"line {place // 100 + 1:,}", 1, leak_name("github-token", secret))


def test_escapes_of_markdown_json_and_html_hide_no_path(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(r"see /home/anna\_gram/data and http&#58;//gpu7:8000/v1")
    (tmp_path / "config.json").write_text(json.dumps({"path": "/home/anna/x"}).replace("/", r"\/"))
    write_parquet(tmp_path / "data.parquet", [r"C:\\Users\\anna\\x", r"\/Users\/anna\/x"])
    assert sorted((leak.kind, leak.file) for leak in find_leaks(tmp_path, machine=Machine())) == [
        ("host-name", "README.md"), ("local-path", "README.md"), ("local-path", "config.json"), ("local-path", "data.parquet"),
    ]  # fmt: skip


def test_weights_are_scanned_by_what_their_header_says_and_names_of_files_too(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"format": "pt", "from": "/home/annagram/model"}, "w": {"dtype": "F32"}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + PLANTED["github-token"].encode())
    (tmp_path / "annagram.txt").write_text("nothing")
    assert told(find_leaks(tmp_path, machine=ANNA)) == {
        ("local-path", "model.safetensors", "its header"), ("user-name", "annagram.txt", "its name"),
    }  # fmt: skip


def test_only_the_files_that_leave_are_scanned_and_a_broken_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in.md").write_text(PLANTED["github-token"])
    (tmp_path / "out.md").write_text(PLANTED["npm-token"])
    assert [leak.file for leak in find_leaks(tmp_path, files=[Path("in.md")], machine=ANNA)] == ["in.md"]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(OSError, match=r"bad\.parquet: is not a parquet file"):
        find_leaks(tmp_path, files=[tmp_path / "bad.parquet"], machine=ANNA)


ORDINARY = [
    "The key elements are: a dog, which looks at the token of its owner's love.",
    "In short: key = sky, token: small; secret: none. Its password is not to be seen.",
    "Step 3/4: 3:2, risk-averse people; sk-learn would say so. https://example.org/a/b?c=d#e",
    "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    r"\frac{1}{2} \text{ of } \angle ABC = 37^\circ, and /or/ so, AKIA, hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "url: http://127.0.0.1:8000/v1, http://localhost:8000, https://user:${PASSWORD}@api.example.com/v1, key_env: OPENAI_API_KEY",
    "the bus to /home and /Users are signs; and/or/nor balance; ${HOME}/x, ~/y, .../emotions, pipelines/emotion.yaml",
    '{"eos_token": "<|im_end|>", "pad_token_id": 151643, "max_tokens": 2048, "tokenizer_class": "Qwen2TokenizerFast"}',
    "Bearer of bad news; basic understanding-of-this-picture2; a Basic-looking room.",
]


def test_ordinary_texts_hold_nothing(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data.parquet", ORDINARY)
    (tmp_path / "README.md").write_text("\n".join(ORDINARY))
    assert find_leaks(tmp_path, machine=ANNA) == []


@given(st.sampled_from([kind for kind in PLANTED if kind not in PERSONAL]), st.text(max_size=40), st.text(max_size=40))
def test_a_secret_is_found_between_any_other_texts_and_every_hint_stands_in_what_its_rule_finds(kind: str, before: str, after: str) -> None:
    text = f"{before} {PLANTED[kind]} {after}"
    found = DETECTOR.sightings(text)
    assert kind in {sighting.kind for sighting in found}
    assert pa.compute.match_substring_regex(pa.array([text.encode("utf-8", "replace").decode()]), DETECTOR.hints).to_pylist() == [True]
    assert not any(sighting.value in DETECTOR.excerpt(text, sighting) for sighting in found)


DETECTOR = LeakDetector([], ANNA)


def test_every_rule_has_a_word_in_small_letters_and_every_kind_is_planted_or_alike() -> None:
    assert all(word == word.lower() and word for rule in RULES for word in rule.words)
    assert {rule.kind for rule in RULES} >= PLANTED.keys() - PERSONAL


def test_names_that_everybody_has_are_no_leaks(tmp_path: Path) -> None:
    here = Machine.here(tmp_path / "some" / "run")
    assert not {"root", "localhost", "runner"} & (here.users | here.hosts)
    assert str(tmp_path / "some" / "run") in here.folders
    (tmp_path / "a.txt").write_text("/home/ubuntu/x, /Users/runner/y, http://server:8000")
    assert find_leaks(tmp_path, machine=Machine()) == []


def test_a_path_that_leads_to_something_on_this_machine_is_local_wherever_it_lies(tmp_path: Path) -> None:
    place = tmp_path / "raid" / "faces.csv"
    place.parent.mkdir()
    place.write_text("")
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "a.md").write_text(f"from {place} and {place}.gone, by /usr/bin/env and /etc/passwd, or/and /x/y")
    (leak,) = find_leaks(tmp_path / "sent", machine=Machine(is_here=True))
    assert (leak.kind, leak.name) == ("local-path", leak_name("local-path", str(place)))
    assert find_leaks(tmp_path / "sent", machine=Machine()) == []


def test_places_are_masked_and_the_rest_of_a_text_stays() -> None:
    assert mask_places("path: /raid/anna/emotions\nurl: http://gpu1:8000/v1") == "path: .../emotions\nurl: http://host:8000/v1"
    assert mask_places(r"path: C:\Users\anna\faces") == "path: .../faces"
    same = "url: https://api.openai.com/v1/chat\npath: data/rows.csv  # a/b, 1/2, ../prompts/solve.jinja, ${DIR}/x/y"
    assert mask_places(same) == same
