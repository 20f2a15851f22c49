"""Text tables as programs and spreadsheets write them: delimiters, encodings, lists of JSON objects."""

import base64
import csv
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cotforge.records import Fault
from cotforge.sources.csv_files import LONGEST_QUOTED
from cotforge.sources.text_files import text_records
from tests.test_sources import Desk, photo

TABLE = 'id,image,label\nr0,img/0.jpg,cat\nr1,"img/1.jpg",dog\n'
ROWS = [{"id": "r0", "image": "img/0.jpg", "label": "cat"}, {"id": "r1", "image": "img/1.jpg", "label": "dog"}]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.photos("img/0.jpg", "img/1.jpg")
    return desk


def labels(found: Sequence[Any]) -> list[str | None]:
    return [sample.label for sample in found]


@pytest.mark.parametrize(("name", "data"), [
    ("semicolons.csv", TABLE.replace(",", ";").encode()),
    ("tabs.csv", TABLE.replace(",", "\t").encode()),
    ("bars.csv", TABLE.replace(",", "|").encode()),
    ("commas.tsv", TABLE.encode()),
    ("told.csv", b"\xef\xbb\xbfsep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n").encode()),
    ("told_in_quotes.csv", b'"sep=;"\n' + TABLE.replace(",", ";").encode()),
    ("blank_first.csv", b"\r\n  \n" + TABLE.encode()),
    ("utf16.csv", TABLE.encode("utf-16")),
    ("utf16.tsv", TABLE.replace(",", "\t").encode("utf-16")),
    ("big_endian.csv", b"\xfe\xff" + TABLE.encode("utf-16-be")),
    ("windows.csv", TABLE.replace("img/", "img\\").encode()),
    ("utf16.jsonl", "\n".join(map(json.dumps, ROWS)).encode("utf-16")),
])  # fmt: skip
def test_what_spreadsheets_write_is_read(desk: Desk, name: str, data: bytes) -> None:
    desk.put(name, data)
    assert labels(desk.sound("table", name)) == ["cat", "dog"]


@pytest.mark.parametrize(("name", "data", "said"), [
    ("header.csv", "größe,image\n1,a.jpg\n".encode("cp1252"), "header.csv:1: not UTF-8 from byte 2; save the file as UTF-8"),
    ("cells.csv", "id,image\nä,img/0.jpg\n".encode("cp1252"), "cp1252"),
    ("no_mark.csv", TABLE.encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ("cut.csv", TABLE.encode("utf-16")[:9], "the rest is not read; save the file as UTF-8"),
    ("old_mac.csv", TABLE.replace("\n", "\r").encode(), "end in CR alone"),
    ("two_names.csv", "a;image,b\n1,2\n", "no column 'image' or 'images'; there: 'a;image', 'b'"),
])  # fmt: skip
def test_what_cannot_be_read_is_one_line_with_its_likely_cause(desk: Desk, name: str, data: bytes | str, said: str) -> None:
    desk.put(name, data)
    assert said in desk.error("table", name)


def test_a_quote_that_is_not_closed_costs_a_bounded_part_of_the_file(desk: Desk) -> None:
    line = "r{n},img/0.jpg,cat," + "x" * 90
    rows = [line.format(n=n) for n in range(4_000)]
    rows[100] = rows[100].replace("img", '"img')
    desk.put("rows.csv", "id,image,label,note\n" + "\n".join(rows) + "\n")
    found = [record for _, record in text_records(desk.folder / "rows.csv")]
    (fault,) = (record for record in found if isinstance(record, Fault))
    assert fault.reason == "line_broken"
    assert "is a quote not closed?" in fault.detail
    assert len(found) > 4_000 - 2 * LONGEST_QUOTED // 100


@given(
    st.text(max_size=60), st.sampled_from([".csv", ".tsv", ".json", ".jsonl"]), st.sampled_from(["utf-8", "utf-16", "utf-16-le", "latin-1"])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_records_and_faults(tmp_path: Path, text: str, ending: str, encoding: str) -> None:
    path = tmp_path / f"any{ending}"
    path.write_bytes(text.encode(encoding, errors="replace"))
    assert all(number >= 1 and isinstance(record, dict | Fault) for number, record in text_records(path))


# Lists of JSON objects


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize("indent", [None, 0, 4])
def test_a_list_of_objects_is_read_item_by_item_with_the_line_of_each(desk: Desk, name: str, indent: int | None) -> None:
    desk.put(name, "\ufeff" + json.dumps(ROWS, indent=indent))
    found = desk.sound("table", name)
    assert labels(found) == ["cat", "dog"]
    assert [sample.where for sample in found] == [f"{name}:1", f"{name}:1"] if indent is None else [f"{name}:2", f"{name}:7"]


def test_a_json_file_of_json_lines_is_read_as_these(desk: Desk) -> None:
    desk.lines("rows.json", *ROWS)
    assert labels(desk.sound("table", "rows.json")) == ["cat", "dog"]


@pytest.mark.parametrize(("tail", "said"), [
    ("", "the file ends before its list does"),
    (', {"image": "im', "Unterminated string"),
    (", {]", "Expecting property name"),
    (", " + "[" * 100_000, "recursion"),
    ("] [{}]", "more follows after the end of the list"),
])  # fmt: skip
def test_a_list_that_breaks_off_keeps_what_stood_before(desk: Desk, tail: str, said: str) -> None:
    desk.put("rows.json", json.dumps(ROWS)[:-1] + tail)
    *sound, fault = desk.read("table", "rows.json")
    assert labels(sound) == ["cat", "dog"]
    assert isinstance(fault, Fault)
    assert fault.reason == "line_not_json"
    assert said in fault.detail


def test_items_that_are_no_objects_are_faults_of_their_own(desk: Desk) -> None:
    desk.put("rows.json", json.dumps([ROWS[0], 12, "text", None, [ROWS[0]], ROWS[1]]))
    assert desk.reasons("table", "rows.json") == ["ok", *["line_not_an_object"] * 4, "ok"]


def test_one_object_of_lists_is_told_from_rows(desk: Desk) -> None:
    coco = {"info": {"year": 2017}, "images": [{"id": 1, "file_name": "img/0.jpg"}], "annotations": [{"image_id": 1, "caption": "a cat"}]}
    desk.put("coco.json", json.dumps(coco))
    assert "one object that holds others ('info', 'images', 'annotations'), as COCO's files" in desk.error("table", "coco.json")
    desk.put("pretty.json", json.dumps(coco, indent=2))
    assert "JSON lines hold one object per line" in desk.error("table", "pretty.json")


@pytest.mark.parametrize("value", [
    {"image": ["img/0.jpg", "img/1.jpg"], "label": ["cat", "dog"]},
    {"image": {"0": "img/0.jpg"}, "label": {"0": "cat"}},
    {"r0": ROWS[0], "r1": ROWS[1]},
    {"task": "vqa", "questions": [{"question": "Which?", "image_id": 1}]},
])  # fmt: skip
def test_columns_and_rows_by_id_are_told_from_rows(desk: Desk, value: Any) -> None:
    desk.put("rows.json", json.dumps(value))
    assert "wanted: JSON lines, one object per row, or a list of these" in desk.error("table", "rows.json")


def test_a_json_file_of_one_row_is_read(desk: Desk) -> None:
    desk.put("rows.json", json.dumps(ROWS[0] | {"conversations": [{"from": "human", "value": "Which?"}]}))
    assert labels(desk.sound("table", "rows.json")) == ["cat"]


def test_a_long_list_is_never_held_whole(tmp_path: Path) -> None:
    rows = [{"id": number, "image": "img/0.jpg", "note": "x" * 1_000} for number in range(20_000)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    del rows
    tracemalloc.start()
    try:
        assert sum(1 for _ in text_records(tmp_path / "rows.json")) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


# Images in base64


def coded(seed: int = 0, kind: str = "JPEG") -> str:
    return base64.b64encode(photo(seed, kind)).decode()


@pytest.mark.parametrize("form", [
    lambda text: text,
    lambda text: text.rstrip("="),
    lambda text: f"data:image/jpeg;base64,{text}",
    lambda text: f"b'{text}'",
    lambda text: "\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
])  # fmt: skip
def test_images_in_base64_are_read_from_any_text_table(desk: Desk, form: Any) -> None:
    with open(desk.folder / "rows.tsv", "w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["index", "image", "answer"], [0, form(coded(7)), "cat"], [1, "img/1.jpg", "dog"]])
    found = desk.sound("table", "rows.tsv", columns={"id": "index", "label": "answer"})
    assert labels(found) == ["cat", "dog"]
    assert [sample.pictures[0].load() for sample in found] == [photo(7), photo(1)]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WEBP"])
def test_every_kind_of_image_is_known_in_base64(desk: Desk, kind: str) -> None:
    desk.lines("rows.jsonl", {"image": [coded(1, kind), coded(2, kind)], "label": "cat"})
    (sample,) = desk.sound("table", "rows.jsonl")
    assert len(sample.pictures) == 2


def test_cells_longer_than_the_limit_of_the_csv_module_are_read(desk: Desk) -> None:
    data = photo() + bytes(600_000)
    desk.put("rows.tsv", f"index\timage\tlabel\n0\t{base64.b64encode(data).decode()}\tcat\n")
    assert labels(desk.sound("table", "rows.tsv")) == ["cat"]


def test_broken_base64_is_a_short_fault(desk: Desk) -> None:
    desk.put("rows.csv", f"image,label\n{coded()[:-9]}!{coded()},cat\nimg/0.jpg,cat\n")
    fault, _ = desk.read("table", "rows.csv")
    assert isinstance(fault, Fault)
    assert fault.reason == "image_broken"
    assert "base64" in fault.detail
    assert len(fault.detail) < 200


def test_a_row_may_name_the_index_of_an_earlier_row_or_list_its_images(desk: Desk) -> None:
    rows = f"index\timage\tlabel\n7\t{coded(7)}\tcat\n8\t7\tdog\n9\t['{coded(8)}', '{coded(9)}']\towl\n10\t9\tcat\n11\t12\tcat\n"
    desk.put("rows.tsv", rows)
    found = desk.read("table", "rows.tsv", columns={"id": "index"})
    assert isinstance(found[-1], Fault)
    assert found[-1].reason == "image_missing"
    loaded = [[picture.load() for picture in sample.pictures] for sample in found[:-1] if not isinstance(sample, Fault)]
    assert loaded == [[photo(7)], [photo(7)], [photo(8), photo(9)], [photo(8), photo(9)]]


def test_a_table_without_a_header_is_no_wall_of_base64(desk: Desk) -> None:
    desk.put("rows.tsv", f"0\t{coded(1)}\tcat\n1\t{coded(2)}\tdog\n")
    said = desk.error("table", "rows.tsv")
    assert "no column 'image' or 'images'; there: '0', '/9j/" in said
    assert len(said) < 300


def test_options_may_stand_in_a_column_each(desk: Desk) -> None:
    cells = [f"0 {coded(1)} Which? cat dog owl B", "1 0 Is? yes no  B", "2 0 Who?    cat"]
    rows = "\n".join(["index image question A B C answer", *cells]).replace(" ", "\t")
    desk.put("rows.tsv", rows)
    columns = {"id": "index", "options": ["A", "B", "C"], "label": "answer"}
    one, two, three = desk.sound("table", "rows.tsv", columns=columns)
    assert (one.options, one.label) == (("cat", "dog", "owl"), "dog")
    assert (two.options, two.label) == (("yes", "no"), "no")
    assert (three.options, three.label) == (("cat", "dog", "owl"), "cat")


# Conversations


@pytest.mark.parametrize(("who", "what"), [("from", "value"), ("role", "content")])
def test_a_conversation_gives_its_first_question_and_answer_where_columns_say_so(desk: Desk, who: str, what: str) -> None:
    names = ("human", "gpt") if who == "from" else ("user", "assistant")
    turns = [{who: "system", what: "Be brief."}, {who: names[0], what: "<image>\nWhich animal?"}, {who: names[1], what: "Cat"}]
    row = {"image": "img/0.jpg", "conversations": [*turns, {who: names[0], what: "And now?"}]}
    desk.put("llava.json", json.dumps([row]))
    (sample,) = desk.sound("table", "llava.json", columns={"question": "conversations", "label": "conversations"})
    assert (sample.question, sample.label) == ("Which animal?", "cat")
    (sample,) = desk.sound("table", "llava.json")
    assert (sample.question, sample.label) == ("Which one is it?", None)
