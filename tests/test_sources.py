"""Sources: how rows of every layout become Samples, and what is counted instead."""

import json
import os
import random
import resource
import sys
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from cotforge.answers.task import Task
from cotforge.errors import SourceError
from cotforge.images import Images, PictureStore
from cotforge.records import Fault, Sample
from cotforge.sources import Counts, Source, read_samples
from cotforge.sources.values import clean_value, named_label, plain_value, value_text

QUESTION = "Which one is it?"
LABELS = ("cat", "dog", "owl")


def photo(seed: int = 0, kind: str = "JPEG") -> bytes:
    """A small picture, another one for every seed."""
    image = Image.frombytes("RGB", (4, 4), random.Random(seed).randbytes(48)).resize((32, 24))
    out = BytesIO()
    image.save(out, kind)
    return out.getvalue()


class Desk:
    """A folder with raw data, read through the public door."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = Counts()

    def put(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def photos(self, *names: str) -> None:
        for seed, name in enumerate(names):
            self.put(name, photo(seed))

    def lines(self, name: str, *records: Any) -> Path:
        return self.put(name, "".join(json.dumps(record) + "\n" for record in records))

    def read(self, kind: str, path: str, *, task: Task | None = None, limit: int | None = None, **keys: Any) -> list[Sample | Fault]:
        source: Any = TypeAdapter(Source).validate_python({"kind": kind, "path": path, **keys})
        store = PictureStore(self.folder / "run", Images())
        self.counts = Counts()
        try:
            task = task or Task(kind="classify", question=QUESTION, labels=LABELS)
            return list(read_samples(source, task, store, root=self.folder, limit=limit, counts=self.counts))
        finally:
            store.close()

    def sound(self, kind: str, path: str, **keys: Any) -> list[Sample]:
        found = self.read(kind, path, **keys)
        assert not [str(fault) for fault in found if isinstance(fault, Fault)]
        return [item for item in found if isinstance(item, Sample)]

    def reasons(self, kind: str, path: str, **keys: Any) -> list[str]:
        """`ok`, or the fault's reason, row by row."""
        return [item.reason if isinstance(item, Fault) else "ok" for item in self.read(kind, path, **keys)]

    def error(self, kind: str, path: str, **keys: Any) -> str:
        with pytest.raises(SourceError) as caught:
            self.read(kind, path, **keys)
        assert "\n" not in "".join(caught.value.faults)
        return str(caught.value)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# Text tables


def test_json_lines_become_samples_in_their_order(desk: Desk) -> None:
    desk.photos("img/a.jpg", "img/b.jpg")
    desk.lines("rows.jsonl", {"id": "x", "image": "img/b.jpg", "label": "Dog", "note": 3}, {"id": 7, "image": "img/a.jpg", "label": None})
    one, two = desk.sound("table", "rows.jsonl", columns={"meta": ["note"]})
    assert (one.id, one.question, one.options, one.label, one.split) == ("x", QUESTION, LABELS, "dog", "train")
    assert (one.meta, one.where) == ({"note": 3}, "rows.jsonl:1")
    assert [picture.load() for picture in (*one.pictures, *two.pictures)] == [photo(1), photo(0)]
    assert (two.id, two.label) == ("7", None)
    assert (desk.counts.rows, desk.counts.labels_missing, desk.counts.labels_unknown) == (2, 1, 0)


@pytest.mark.parametrize(("name", "text"), [
    ("rows.csv", '\ufeffid,image,label,question\r\n1,a.jpg,cat,"Who, or\r\nwhat?"\r\n\r\n2,b.jpg,,\r\n'),
    ("rows.tsv", "id\timage\tlabel\tquestion\n1\ta.jpg\tcat\t\"Who, or\nwhat?\"\n2\tb.jpg\t\t\n"),
])  # fmt: skip
def test_csv_and_tsv_keep_commas_line_ends_and_blanks_apart(desk: Desk, name: str, text: str) -> None:
    desk.photos("a.jpg", "b.jpg")
    desk.put(name, text)
    one, two = desk.sound("table", name)
    assert (one.id, one.label, one.question.replace("\r", "")) == ("1", "cat", "Who, or\nwhat?")
    assert (two.id, two.label, two.question) == ("2", None, QUESTION)
    assert one.where == f"{name}:3"


def test_broken_lines_are_counted_with_their_place_and_the_run_goes_on(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    good = b'{"image": "a.jpg", "label": "cat"}\n'
    long = b'{"image": "' + b"x" * (17 << 20) + b'"}'
    bad = [b"{not json", b"[1, 2]", b'{"image": "\xff\xfe"}', b"[" * 100_000, long, b'{"label": "cat"}']
    desk.put("rows.jsonl", good + b"\n".join(bad) + b"\n" + b'{"image": "b.jpg", "label": "dog"}')
    found = desk.read("table", "rows.jsonl")
    reasons = [item.reason if isinstance(item, Fault) else "ok" for item in found]
    assert reasons == ["ok", "line_not_json", "line_not_an_object", "line_not_utf8", "line_not_json", "line_too_long", "no_image", "ok"]
    assert [item.where for item in found] == [f"rows.jsonl:{number}" for number in range(1, 9)]
    assert desk.counts.rows == 8


def test_a_csv_row_with_other_cells_than_the_header_is_a_fault(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    desk.put("rows.csv", 'image,label\na.jpg,cat\nb.jpg\n"a.jpg"x,dog\nb.jpg,dog,more\nb.jpg,dog\n')
    assert desk.reasons("table", "rows.csv") == ["ok", "line_broken", "line_broken", "line_broken", "ok"]


def test_broken_images_are_counted_and_the_run_goes_on(desk: Desk) -> None:
    desk.put("a.jpg", photo())
    desk.put("short.jpg", photo()[:-40])
    desk.put("empty.jpg", b"")
    desk.put("text.jpg", "hello")
    files = ["a.jpg", "short.jpg", "empty.jpg", "text.jpg", "none.jpg", "a\0.jpg", "\ud800.jpg", "x" * 5_000]
    names = [*files, "http://h/a.jpg", 5, {"path": "a.jpg"}]
    desk.lines("rows.jsonl", *({"id": i, "image": name, "label": "cat"} for i, name in enumerate(names)))
    expected = ["ok", "image_truncated", "image_empty", "image_not_an_image", "image_missing", "image_missing", "image_missing"]
    assert desk.reasons("table", "rows.jsonl") == [*expected, "image_unreadable", "image_url", "no_image", "ok"]
    assert desk.reasons("table", "rows.jsonl") == [*expected, "image_unreadable", "image_url", "no_image", "ok"]


def test_a_path_that_leaves_the_folder_is_refused(desk: Desk) -> None:
    desk.photos("data/a.jpg", "secret/b.jpg", "data/sub/c.jpg")
    os.symlink(desk.folder / "secret" / "b.jpg", desk.folder / "data" / "link.jpg")
    os.symlink(desk.folder / "secret", desk.folder / "data" / "folder")
    os.symlink("a.jpg", desk.folder / "data" / "inside.jpg")
    names = ["../secret/b.jpg", str(desk.folder / "secret" / "b.jpg"), "link.jpg", "folder/b.jpg", "sub/../../secret/b.jpg", ".."]
    allowed = ["a.jpg", "sub/../a.jpg", str(desk.folder / "data" / "a.jpg"), "inside.jpg"]
    desk.lines("data/rows.jsonl", *({"id": i, "image": name, "label": "cat"} for i, name in enumerate([*names, *allowed])))
    assert desk.reasons("table", "data/rows.jsonl") == ["path_outside"] * len(names) + ["ok"] * len(allowed)


def test_several_images_keep_their_order(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    desk.lines("rows.jsonl", {"images": ["b.jpg", "a.jpg"], "label": "cat"})
    (sample,) = desk.sound("table", "rows.jsonl")
    assert [picture.load() for picture in sample.pictures] == [photo(1), photo(0)]


def test_options_and_question_of_a_row_win(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    own = {"image": "a.jpg", "question": "Up\u202eor\x1b[0m?", "options": ["up", "down"], "label": "UP"}
    desk.lines("rows.jsonl", own, {"image": "b.jpg", "label": "owl"})
    one, two = desk.sound("table", "rows.jsonl")
    assert (one.question, one.options, one.label) == ("Upor[0m?", ("up", "down"), "up")
    assert (two.question, two.options, two.label) == (QUESTION, LABELS, "owl")


def test_broken_options_and_a_missing_question_are_faults_of_the_row(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    own = {"image": "a.jpg", "question": "q", "options": ["up"], "label": "up"}
    desk.lines("rows.jsonl", own, {"image": "b.jpg"}, {"image": "b.jpg", "question": "q"})
    task = Task(kind="classify", labels=LABELS)
    assert desk.reasons("table", "rows.jsonl", task=task) == ["options_broken", "no_question", "ok"]


def test_other_column_names_are_found_and_misspelt_ones_are_named(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", {"file": "a.jpg", "emotion": "cat"})
    (sample,) = desk.sound("table", "rows.jsonl", columns={"image": "file", "label": "emotion"})
    assert sample.label == "cat"
    assert "did you mean 'emotion'?" in desk.error("table", "rows.jsonl", columns={"image": "file", "label": "emotoin"})
    assert "there: 'file', 'emotion'" in desk.error("table", "rows.jsonl")


def test_integers_are_named_by_label_names(desk: Desk) -> None:
    desk.photos(*(f"{n}.jpg" for n in range(6)))
    labels = [0, "2", 1.0, -1, 9, "cat"]
    desk.lines("rows.jsonl", *({"image": f"{n}.jpg", "label": label} for n, label in enumerate(labels)))
    found = desk.sound("table", "rows.jsonl", label_names=["owl", "dog", "cat"])
    assert [sample.label for sample in found] == ["owl", "cat", "dog", None, None, "cat"]
    assert (desk.counts.labels_missing, desk.counts.labels_unknown) == (1, 1)


# Labels, ids, limits


def test_a_label_outside_the_set_becomes_null_and_is_counted(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg", "c.jpg")
    desk.lines("rows.jsonl", *({"image": f"{n}.jpg", "label": label} for n, label in zip("abc", ["elk", "cat", float("nan")], strict=True)))
    assert [sample.label for sample in desk.sound("table", "rows.jsonl")] == [None, "cat", None]
    assert (desk.counts.labels_unknown, desk.counts.labels_missing) == (1, 1)


def test_nothing_is_handed_out_while_every_label_is_outside_the_set(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", *({"id": n, "image": "a.jpg", "label": f"elk {n}"} for n in range(1_200)))
    message = desk.error("table", "rows.jsonl")
    assert "none of the first 1,000 labels" in message
    assert "'elk 0'" in message
    assert "'cat', 'dog', 'owl'" in message
    assert desk.counts.rows <= 1_100


def test_a_thousand_stray_labels_do_not_stop_a_source_that_began_well(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", *({"id": n, "image": "a.jpg", "label": "elk" if n else "cat"} for n in range(1_100)))
    assert len(desk.sound("table", "rows.jsonl")) == 1_100


def test_samples_held_back_keep_their_order(desk: Desk) -> None:
    desk.photos("a.jpg")
    rows = [{"id": n, "image": "a.jpg" if n != 2 else "no.jpg", "label": "cat" if n == 4 else "elk"} for n in range(6)]
    desk.lines("rows.jsonl", *rows)
    found = desk.read("table", "rows.jsonl")
    assert [item.id if isinstance(item, Sample) else "fault" for item in found] == ["0", "1", "fault", "3", "4", "5"]


def test_ids_follow_from_image_and_question_where_there_is_no_column(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    desk.put("copy.jpg", photo(0))
    row = {"image": "a.jpg", "label": "cat"}
    desk.lines("one.jsonl", row, {**row, "image": "b.jpg"}, {**row, "question": "Why?"})
    desk.lines("two.jsonl", {"image": "copy.jpg", "label": "cat"})
    ids = [sample.id for sample in desk.sound("table", "one.jsonl")]
    assert len(set(ids)) == 3
    assert [len(id) for id in ids] == [32] * 3
    assert desk.sound("table", "two.jsonl")[0].id == ids[0]


def test_equal_rows_are_one_sample_and_equal_ids_of_other_content_a_fault(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg")
    row = {"id": "x", "image": "a.jpg", "label": "cat"}
    desk.lines("rows.jsonl", row, row, {**row, "image": "b.jpg"}, {**row, "label": "dog"}, {**row, "id": "y"}, row)
    found = desk.read("table", "rows.jsonl")
    assert [item.reason if isinstance(item, Fault) else item.id for item in found] == ["x", "duplicate_id", "duplicate_id", "y"]
    assert (desk.counts.duplicates, desk.counts.rows) == (2, 6)


def test_the_limit_counts_sound_samples(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", *({"id": n, "image": "no.jpg" if n < 3 else "a.jpg", "label": "cat"} for n in range(10)))
    assert desk.reasons("table", "rows.jsonl", limit=2) == ["image_missing"] * 3 + ["ok"] * 2
    source: Any = TypeAdapter(Source).validate_python({"kind": "table", "path": "rows.jsonl", "limit": 4})
    store = PictureStore(desk.folder / "run", Images())
    found = list(read_samples(source, Task(kind="classify", question="q", labels=LABELS), store, root=desk.folder, limit=6))
    assert sum(isinstance(item, Sample) for item in found) == 4


def test_the_first_sample_comes_before_the_rest_is_read(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", *({"id": n, "image": "a.jpg", "label": "cat"} for n in range(500)))
    counts, store = Counts(), PictureStore(desk.folder / "run", Images())
    source: Any = TypeAdapter(Source).validate_python({"kind": "table", "path": "rows.jsonl"})
    stream = read_samples(source, Task(kind="classify", question="q", labels=LABELS), store, root=desk.folder, counts=counts)
    assert isinstance(next(stream), Sample)
    assert counts.rows == 1


def test_a_free_answer_is_brought_into_its_comparable_form(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", {"image": "a.jpg", "label": 3.0, "question": "How many?"})
    (sample,) = desk.sound("table", "rows.jsonl", task=Task(kind="answer", verifier="number"))
    assert (sample.label, sample.options) == ("3", ())


# What is wrong with the whole


@pytest.mark.parametrize(("path", "said"), [
    ("none.jsonl", "is not there; in"),
    ("folder", "holds no .parquet file"),
    ("*.csv", "holds no"),
    ("notes.txt", "holds no"),
    ("empty.jsonl", "is empty"),
    ("bad.jsonl", "'line_not_json', the first: bad.jsonl:1: not JSON"),
    ("broken.parquet", "'file_unreadable', the first: broken.parquet: not a whole parquet file"),
])  # fmt: skip
def test_a_source_without_a_sound_row_is_one_line(desk: Desk, path: str, said: str) -> None:
    (desk.folder / "folder").mkdir()
    for name, text in (("notes.txt", "x"), ("empty.jsonl", "\n"), ("bad.jsonl", "{\n{\n"), ("broken.parquet", "PAR1 and no more")):
        desk.put(name, text)
    assert said in desk.error("table", path)


def test_an_unknown_kind_key_or_both_image_columns_are_refused() -> None:
    for wrong in ({"kind": "tabel"}, {"kind": "table", "pth": "x"}, {"kind": "table", "columns": {"image": "a", "images": "b"}}):
        with pytest.raises(ValidationError):
            TypeAdapter(Source).validate_python({"path": "x", **wrong})


# Splits


def test_a_split_column_chooses_the_rows(desk: Desk) -> None:
    desk.photos("a.jpg", "b.jpg", "c.jpg")
    splits = {"a": "train", "b": "validation", "c": "test"}
    desk.lines("rows.jsonl", *({"image": f"{n}.jpg", "label": "cat", "split": split} for n, split in splits.items()))
    assert [sample.split for sample in desk.sound("table", "rows.jsonl")] == ["train"]
    assert [sample.split for sample in desk.sound("table", "rows.jsonl", split=["val", "test"])] == ["val", "test"]
    assert "no split 'extra'; there: 'train', 'validation', 'test'" in desk.error("table", "rows.jsonl", split="extra")


def test_a_table_without_splits_has_only_train(desk: Desk) -> None:
    desk.photos("a.jpg")
    desk.lines("rows.jsonl", {"image": "a.jpg", "label": "cat"})
    assert "no split 'test'" in desk.error("table", "rows.jsonl", split="test")
    assert [sample.split for sample in desk.sound("table", "rows.jsonl", split=["test", "train"])] == ["train"]


def test_the_names_of_files_tell_their_splits(desk: Desk) -> None:
    for seed, name in enumerate(["train-00000-of-00001", "test-00000-of-00001", "notes"]):
        table(desk.folder / "data" / f"{name}.parquet", image=[photo(seed)], label=["cat"])
    (sample,) = desk.sound("table", "data", split="test")
    assert (sample.pictures[0].load(), sample.split) == (photo(1), "test")
    assert len(desk.sound("table", "data/t*.parquet", split=["train", "test"])) == 2


# Parquet


def table(path: Path, *, metadata: Any = None, rows: int = 4, kind: Any = None, **columns: Sequence[Any]) -> None:
    """A parquet file; `kind` is the Arrow type of `image`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: pa.array(values, kind if name == "image" else None) for name, values in columns.items()}
    written = pa.table(arrays)
    pq.write_table(written.replace_schema_metadata({"huggingface": json.dumps(metadata)} if metadata else None), path, row_group_size=rows)


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_parquet_bytes_structs_lists_and_paths_are_all_images(desk: Desk) -> None:
    data = [photo(seed) for seed in range(6)]
    desk.photos(*(f"{seed}.jpg" for seed in range(6)))
    cells = [{"bytes": one, "path": None} for one in data]
    forms: dict[str, tuple[Sequence[Any], Any]] = {
        "bytes": (data, pa.binary()),
        "large": (data, pa.large_binary()),
        "struct": (cells, STRUCT),
        "lists": ([[cell] for cell in cells], pa.list_(STRUCT)),
        "byte_lists": ([[one] for one in data], pa.list_(pa.binary())),
        "paths": ([f"{seed}.jpg" for seed in range(6)], pa.string()),
        "path_lists": ([[f"{seed}.jpg"] for seed in range(6)], pa.list_(pa.string())),
        "struct_paths": ([{"bytes": None, "path": f"{seed}.jpg"} for seed in range(6)], STRUCT),
    }
    for name, (values, kind) in forms.items():
        table(desk.folder / f"{name}.parquet", image=values, label=["cat"] * 6, kind=kind)
        found = desk.sound("table", f"{name}.parquet")
        assert [sample.pictures[0].load() for sample in found] == data, name
        assert found[5].where == f"{name}.parquet:6"


def test_lists_of_different_lengths_keep_their_images_apart(desk: Desk) -> None:
    lengths = [2, 0, 3, 1, None, 2, 1]
    seeds = iter(range(100))
    cells: list[Any] = [None if n is None else [{"bytes": photo(next(seeds)), "path": f"{i}.jpg"} for i in range(n)] for n in lengths]
    bare: list[Any] = [cell and [one["bytes"] for one in cell] for cell in cells]
    for kind, values in ((pa.list_(STRUCT), cells), (pa.list_(pa.binary()), bare)):
        table(desk.folder / "a.parquet", image=values, label=["cat"] * 7, kind=kind, rows=3)
        found = desk.read("table", "a.parquet")
        expected = [[one["bytes"] for one in cell] if cell else "no_image" for cell in cells]
        assert [item.reason if isinstance(item, Fault) else [p.load() for p in item.pictures] for item in found] == expected


def test_a_missing_cell_is_a_fault_of_its_row(desk: Desk) -> None:
    values = [None if cell is None else dict(zip(("bytes", "path"), cell, strict=True)) for cell in (
        (photo(), None), None, (None, None), (photo(1), "../x.jpg"), (None, "../x.jpg"),
    )]  # fmt: skip
    table(desk.folder / "a.parquet", image=values, label=["cat"] * 5, kind=STRUCT)
    assert desk.reasons("table", "a.parquet") == ["ok", "no_image", "no_image", "ok", "path_outside"]


def test_class_names_written_by_datasets_name_the_labels(desk: Desk) -> None:
    features = {"info": {"features": {"label": {"names": ["owl", "cat"], "_type": "ClassLabel"}}}}
    table(desk.folder / "a.parquet", image=[photo(0), photo(1), photo(2)], label=[0, 1, None], metadata=features)
    assert [sample.label for sample in desk.sound("table", "a.parquet")] == ["owl", "cat", None]
    assert [sample.label for sample in desk.sound("table", "a.parquet", label_names=["dog", "owl"])] == ["dog", "owl", None]


def test_the_column_with_bytes_is_found_by_its_type(desk: Desk) -> None:
    table(desk.folder / "a.parquet", number=[1], jpg=[photo()], label=["cat"])
    assert desk.sound("table", "a.parquet")[0].pictures[0].load() == photo()
    table(desk.folder / "b.parquet", image=[1], label=["cat"])
    assert "column 'image' holds no images" in desk.error("table", "b.parquet")


def test_a_parquet_file_with_only_images_is_read(desk: Desk) -> None:
    table(desk.folder / "a.parquet", image=[photo(0), photo(1)])
    assert len(desk.sound("table", "a.parquet")) == 2


def test_one_broken_file_among_several_is_counted(desk: Desk) -> None:
    table(desk.folder / "data" / "a.parquet", image=[photo()], label=["cat"])
    desk.put("data/b.parquet", (desk.folder / "data" / "a.parquet").read_bytes()[:-30])
    assert desk.reasons("table", "data") == ["ok", "file_unreadable"]


# Other layouts


def test_folders_are_classes_and_files_come_sorted(desk: Desk) -> None:
    names = ["owl/b.jpg", "cat/z.jpg", "cat/a.png", "top.jpg", ".hidden/x.jpg", "dog/deep/c.JPG"]
    desk.photos(*(f"data/{name}" for name in names))
    desk.put("data/readme.txt", "who took them")
    found = desk.sound("imagefolder", "data", task=Task(kind="classify", question="q", labels=("cat", "owl", "deep")))
    assert [(sample.where, sample.label) for sample in found] == [
        ("data/cat/a.png", "cat"),
        ("data/cat/z.jpg", "cat"),
        ("data/dog/deep/c.JPG", "deep"),
        ("data/owl/b.jpg", "owl"),
        ("data/top.jpg", None),
    ]


def test_split_folders_are_told_from_classes(desk: Desk) -> None:
    desk.photos("data/train/cat/a.jpg", "data/train/dog/b.jpg", "data/test/cat/c.jpg", "data/extra/d.jpg")
    assert [sample.where for sample in desk.sound("imagefolder", "data")] == ["data/train/cat/a.jpg", "data/train/dog/b.jpg"]
    assert [sample.split for sample in desk.sound("imagefolder", "data", split="test")] == ["test"]
    assert "no split 'validation'; there: 'test', 'train'" in desk.error("imagefolder", "data", split="validation")
    desk.photos("things/train/a.jpg", "things/plane/b.jpg")
    vehicles = Task(kind="classify", question="q", labels=("train", "plane"))
    assert [sample.label for sample in desk.sound("imagefolder", "things", task=vehicles)] == ["plane", "train"]


def test_a_linked_file_that_leads_outside_and_a_linked_folder_are_faults(desk: Desk) -> None:
    desk.photos("data/cat/a.jpg", "secret/b.jpg")
    os.symlink(desk.folder / "secret" / "b.jpg", desk.folder / "data" / "cat" / "b.jpg")
    os.symlink(desk.folder / "data", desk.folder / "data" / "circle")
    assert desk.reasons("imagefolder", "data") == ["ok", "path_outside", "path_outside"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_a_metadata_file_says_what_counts(desk: Desk, name: str) -> None:
    desk.photos("data/train/a.jpg", "data/train/b.jpg", "data/train/c.jpg", "data/test/d.jpg")
    if name.endswith("csv"):
        desk.put(f"data/train/{name}", "file_name,label\nb.jpg,owl\na.jpg,\nnone.jpg,cat\n")
    else:
        rows: list[Any] = [{"file_name": "b.jpg", "label": "owl"}, {"file_name": "a.jpg"}, {"file_name": "none.jpg", "label": "cat"}]
        if name.endswith("jsonl"):
            desk.lines(f"data/train/{name}", *rows)
        else:
            pq.write_table(pa.Table.from_pylist(rows), desk.folder / "data/train" / name)
    found = desk.read("imagefolder", "data")
    assert [item.reason if isinstance(item, Fault) else item.label for item in found] == ["owl", None, "image_missing"]


def emoset(desk: Desk) -> None:
    entries: list[list[Any]] = []
    for n, emotion in enumerate(("awe", "fear", "anger")):
        id = f"{emotion}_{n}"
        entries.append([emotion, id, f"image/{emotion}/{id}.jpg", f"annotation/{emotion}/{id}.json"])
        desk.put(f"emo/image/{emotion}/{id}.jpg", photo(n))
    told = {"image_id": "x", "brightness": 0.30000000000000004, "colorfulness": 1, "object": ["Tree", "Sky"], "scene": "forest"}
    desk.put("emo/annotation/awe/awe_0.json", json.dumps(told))
    desk.put("emo/annotation/fear/fear_1.json", "{broken")
    entries += [["awe", "outside", "../x.jpg", "../x.json"], ["awe", 5], ["awe", "gone", "image/gone.jpg", "annotation/gone.json"]]
    desk.put("emo/train.json", json.dumps(entries, indent=1))
    desk.put("emo/test.json", json.dumps(entries[:1]))
    desk.put("emo/info.json", "{}")


MOODS = Task(kind="classify", question="Which emotion?", labels=("awe", "fear", "anger"))


def test_emoset_gives_labels_ids_and_attributes(desk: Desk) -> None:
    emoset(desk)
    found = desk.read("emoset", "emo", task=MOODS)
    good = [item for item in found if isinstance(item, Sample)]
    assert [(sample.id, sample.label) for sample in good] == [("awe_0", "awe"), ("fear_1", "fear"), ("anger_2", "anger")]
    assert good[0].meta == {"brightness": 0.3, "colorfulness": 1.0, "object": ["Tree", "Sky"], "scene": "forest"}
    assert (good[1].meta, good[2].meta) == ({}, {})
    assert [item.reason for item in found if isinstance(item, Fault)] == ["path_outside", "line_broken", "image_missing"]
    assert [sample.split for sample in desk.sound("emoset", "emo", task=MOODS, split="test")] == ["test"]


def test_an_emoset_list_that_breaks_off_keeps_what_stood_before(desk: Desk) -> None:
    emoset(desk)
    whole = (desk.folder / "emo" / "train.json").read_text()
    desk.put("emo/train.json", whole[: whole.index('"anger"')])
    assert desk.reasons("emoset", "emo", task=MOODS) == ["ok", "ok", "line_not_json"]
    assert "no train.json" in desk.error("emoset", "emo/image", task=MOODS)


def shard(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                header = tarfile.TarInfo(member[0])
                header.size = len(member[1])
                tar.addfile(header, BytesIO(member[1]))


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def test_members_of_one_key_are_one_sample(desk: Desk) -> None:
    shard(
        desk.folder / "data" / "0.tar",
        ("d/000.jpg", photo(0)), ("d/000.cls", b"1\n"), ("._junk.jpg", b"x"),
        ("d/001.0.png", photo(1, "PNG")), ("d/001.1.jpg", photo(2)), ("d/001.cls", b"cat"), ("d/001.txt", b"Why?"),
        ("d/002.jpg", photo(3)), ("d/002.json", b'{"label": "dog", "mood": [1]}'),
    )  # fmt: skip
    shard(desk.folder / "data" / "1.tar", ("d/000.jpg", photo(4)), ("d/000.cls", b"cat"))
    one, two, three, four = desk.sound("webdataset", "data", label_names=["cat", "owl"])
    assert [sample.label for sample in (one, two, three, four)] == ["owl", "cat", "dog", "cat"]
    assert [picture.load() for picture in two.pictures] == [photo(1, "PNG"), photo(2)]
    assert (two.question, three.pictures[0].load(), four.where) == ("Why?", photo(3), "data/1.tar:d/000")
    ids = [sample.id for sample in desk.sound("webdataset", "data/0.tar", columns={"id": "__key__"}, label_names=["cat", "owl"])]
    assert ids == ["d/000", "d/001", "d/002"]


def test_links_devices_paths_outside_and_broken_texts_are_faults_of_their_sample(desk: Desk) -> None:
    shard(
        desk.folder / "a.tar",
        ("0.jpg", photo(0)), ("0.cls", b"cat"),
        link("1.jpg", tarfile.SYMTYPE), link("2.jpg", tarfile.LNKTYPE), link("3.jpg", tarfile.CHRTYPE),
        ("../4.jpg", photo(1)), ("/5.jpg", photo(2)), ("6.jpg", photo(3)), ("6.json", b"{"), ("7.jpg", photo(4)), ("7.txt", b"\xff"),
        ("8.pkl", b"cos\nsystem\n(S'exit 1'\ntR."), ("9.jpg", photo(5)),
    )  # fmt: skip
    expected = ["ok", *["tar_member"] * 3, *["path_outside"] * 2, "line_not_json", "line_not_utf8", "no_image", "ok"]
    assert desk.reasons("webdataset", "a.tar") == expected


def test_a_tar_cut_anywhere_keeps_the_samples_before_and_says_so(desk: Desk) -> None:
    shard(desk.folder / "whole.tar", *((f"{n}.{end}", photo(n) if end == "jpg" else b"cat") for n in range(4) for end in ("jpg", "cls")))
    whole = (desk.folder / "whole.tar").read_bytes()
    with tarfile.open(desk.folder / "whole.tar") as tar:
        offsets = [member.offset for member in tar.getmembers()]
        end = tar.getmembers()[-1].offset_data + 512
    assert desk.reasons("webdataset", "whole.tar") == ["ok"] * 4
    inside = [offsets[4] + 5, offsets[4] + 600, offsets[5] - 1, offsets[5], offsets[5] + 513]
    for cut, good in (*((at, 2) for at in inside), (offsets[6], 3), (offsets[7], 3), (end, 4), (end + 100, 4)):
        desk.put("cut.tar", whole[:cut])
        assert desk.reasons("webdataset", "cut.tar") == ["ok"] * good + ["tar_truncated"], cut
    desk.put("none.tar", b"")
    assert "tar_truncated" in desk.error("webdataset", "none.tar")


# Values


@given(st.text())
def test_clean_text_can_be_written_anywhere_and_cleaning_again_changes_nothing(text: str) -> None:
    once = clean_value(text)
    once.encode()
    assert clean_value(once) == once
    assert not any(ord(char) < 32 and char not in "\t\n" for char in once)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_value_of_the_data_is_taken_without_an_error(value: Any) -> None:
    json.dumps(plain_value(value), allow_nan=False).encode()
    assert value_text(value) is None or isinstance(value_text(value), str)
    named_label(value, ("a", "b"))


# Cost


def test_what_is_known_is_not_read_again_and_rows_cost_little(desk: Desk) -> None:
    desk.photos(*(f"img/{n}.jpg" for n in range(50)))
    desk.lines("rows.jsonl", *({"id": n, "image": f"img/{n % 50}.jpg", "label": "cat"} for n in range(2_000)))
    desk.sound("table", "rows.jsonl", limit=60)
    before = resource.getrusage(resource.RUSAGE_SELF)
    assert len(desk.sound("table", "rows.jsonl")) == 2_000
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent / 2_000 < 0.0005


def test_text_tables_load_no_heavy_library(desk: Desk) -> None:
    import subprocess

    desk.photos("a.jpg")
    desk.lines("rows.jsonl", {"image": "a.jpg", "label": "cat"})
    program = f"""
import sys
from pathlib import Path
from cotforge.answers.task import Task
from cotforge.images import Images, PictureStore
from cotforge.sources import TableSource, read_samples
root = Path({str(desk.folder)!r})
store = PictureStore(root / "run", Images())
task = Task(kind="classify", question="q", labels=["cat", "dog"])
assert len(list(read_samples(TableSource(path="rows.jsonl"), task, store, root=root))) == 1
assert not {{"pyarrow", "datasets", "pandas", "numpy", "polars"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_number_of_rows_to_come_is_told_without_reading_them(desk: Desk) -> None:
    emoset(desk)
    desk.photos("data/cat/a.jpg", "data/dog/b.jpg", "data/dog/c.jpg")
    records = [{"id": str(number), "image": "data/cat/a.jpg", "label": "cat"} for number in range(5)]
    desk.lines("rows.jsonl", *records)
    pq.write_table(pa.Table.from_pylist(records), desk.folder / "rows.parquet")

    def size(kind: str, path: str) -> int | None:
        source: Any = TypeAdapter(Source).validate_python({"kind": kind, "path": path})
        found: int | None = source.size(desk.folder)
        return found

    assert size("imagefolder", "data") == 3
    assert size("table", "rows.jsonl") == size("table", "rows.parquet") == 5
    assert size("emoset", "emo") == len(desk.read("emoset", "emo", task=MOODS))
    assert size("hf", "nobody/nothing") is None, "counting what lies elsewhere would fetch it"


def test_a_class_that_no_sample_has_is_told_with_what_was_meant() -> None:
    counts = Counts(classes={"knited": 0, "lace": 40})
    assert counts.notes() == ["no sample that was read is labelled 'knited'"]
    counts.stray("knitted")
    assert any(line.endswith("labelled 'knited'; did you mean 'knitted'?") for line in counts.notes())
    assert Counts(classes={"a": 0, "b": 0}).notes() == Counts(classes={"a": 0, "b": 39}).notes() == []
