"""Bad input through the command: a wrong file is one line and exit 2, a bad row is counted with its place and the run goes on."""

import io
import json
import os
import re
import sqlite3
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.project import LABELS, files, ran, replay, said, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher


def refused(folder: Path, *arguments: str) -> list[str]:
    """The lines of a command that ends with 2 and prints nothing else."""
    ended = ran(*(arguments or ("build", "pipeline.yaml")), cwd=folder)
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()


def write(folder: Path, rows: int = 3, **sections: Any) -> Path:
    """A pipeline whose two teachers have said awe of everything."""
    write_rows(folder, rows)
    replies = {f"row-{number}": said("awe") for number in range(rows)}
    return write_pipeline(folder, replay(folder, "one", dict(replies)), replay(folder, "two", dict(replies)), **sections)


# The file, the source, the folder


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"consensu": {}}, "pipeline.yaml: no key named 'consensu'; did you mean 'consensus'?"),
        ({"table": {}}, "pipeline.yaml: no key named 'table'; there are budget, consensus, "),
        ({"source": {"kind": "table", "path": "rows.jsonl", "a key of words": 1}}, "pipeline.yaml: source: no key named 'a key of words'"),
        ({"select": {"per_sample": "many"}}, "pipeline.yaml: select.per_sample: 'many': "),
        ({"select": {"per_sample": 0}}, "pipeline.yaml: select.per_sample: 0: "),
        ({"images": {"max_pixels": "${NO_SUCH_SIZE}"}}, "pipeline.yaml: images.max_pixels: the environment has no variable 'NO_SUCH_SIZE'"),
        ({"task": {"kind": "classify", "labels": LABELS}}, "task.question"),
        ({"task": {"kind": "classify", "question": "Which?", "labels": ["awe", "Awe"]}}, "pipeline.yaml: task"),
        ({"source": {"kind": "table", "path": "no/such.jsonl"}}, "'no/such.jsonl' is not there; in "),
        ({"source": {"kind": "tabel", "path": "rows.jsonl"}}, "pipeline.yaml: source"),
        ({"source": {"kind": "table", "path": "rows.jsonl", "split": "test"}}, "rows.jsonl: no split 'test'"),
        ({"source": {"kind": "table", "path": "rows.jsonl", "columns": {"image": "imgae"}}}, "no column 'imgae'"),
        ({"source": {"kind": "imagefolder", "path": "rows.jsonl"}}, "rows.jsonl"),
        ({"prompts": {"solve": "no/such.jinja"}}, "no/such.jinja"),
        ({"filters": [{"measure": "own.py:nothing", "min": 1}]}, "pipeline.yaml: filters[0].measure: "),
        ({"name": "../elsewhere"}, "pipeline.yaml: name: '../elsewhere' cannot name a folder"),
    ],
)
@pytest.mark.parametrize("command", ["check", "build"])
def test_a_wrong_file_is_one_line_that_names_the_place(tmp_path: Path, command: str, sections: dict[str, Any], line: str) -> None:
    write(tmp_path, **sections)
    (told,) = refused(tmp_path, command, "pipeline.yaml")
    assert line in told, told


@pytest.mark.parametrize("text", ["", "\n\n", "[]\n", '{"id": "1"}\n{"id": "2"}\n'])
def test_a_source_without_a_sound_row_is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / "rows.jsonl").write_text(text)
    (told,) = refused(tmp_path)
    assert "rows.jsonl" in told


def test_labels_of_which_none_is_in_the_set_end_the_run_before_anything_is_asked(tmp_path: Path) -> None:
    write(tmp_path, task={"kind": "classify", "question": "Which?", "labels": ["cat", "dog"]})
    with Teacher() as server:
        (told,) = refused(tmp_path, "build", "pipeline.yaml", "--set", f"teachers.0={json.dumps(teacher(server))}")
        assert not server.ledger
    assert "none of the first 3 labels is in the set; seen: 'amusement', 'awe', 'fear'; the set: 'cat', 'dog'" in told
    (word,) = re.findall(r"if these labels are right, give every label of the data: --set '(task\.labels=.*)'$", told)
    assert word == 'task.labels=["amusement", "awe", "fear"]'
    done = ran("check", "pipeline.yaml", "--offline", "--set", word, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_prompt_that_wants_what_no_row_has_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "ask.jinja").write_text("{{ question }} Its place is {{ meta.place }}.")
    write(tmp_path, prompts={"solve": "ask.jinja"})
    for command in ("check", "build"):
        (told,) = refused(tmp_path, command, "pipeline.yaml")
        assert "place" in told


def test_a_prompt_that_asks_for_the_label_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "ask.jinja").write_text("{{ question }}\nIt is {{ label }}.")
    write(tmp_path, prompts={"solve": "ask.jinja"})
    (told,) = refused(tmp_path)
    assert "ask.jinja" in told
    assert "'label'" in told


def test_two_teachers_whose_calls_coincide_are_told_through_the_command(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace("model-two", "model-one"))
    (told,) = refused(tmp_path)
    assert "'one' and 'two' ask the same Calls" in told


def test_replies_that_cannot_be_read_are_told_with_file_and_line(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / "one.jsonl").open("a") as file:
        file.write('{"content": "whose?"}\nnot json\n')
    lines = refused(tmp_path)
    assert [line.partition("one.jsonl:")[2].partition(":")[0] for line in lines] == ["4", "5"]
    (tmp_path / "one.jsonl").unlink()
    (told,) = refused(tmp_path)
    assert "one.jsonl" in told


def test_a_run_folder_of_another_pipeline_is_left_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    before = files(tmp_path / "runs/feelings")
    path.write_text(path.read_text().replace("name: feelings", "name: others"))
    (told,) = refused(tmp_path, "build", "pipeline.yaml", "--out", "runs/feelings")
    assert "belongs to the pipeline 'feelings', not to 'others'" in told
    assert files(tmp_path / "runs/feelings") | {"lock": ""} == before | {"lock": ""}


def test_a_journal_from_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    journal = tmp_path / "runs/feelings/journal.sqlite"
    with sqlite3.connect(journal) as opened:
        opened.execute("PRAGMA user_version = 99")
    opened.close()
    before = journal.read_bytes()
    for command in ("build", "curate"):
        (told,) = refused(tmp_path, command, "pipeline.yaml" if command == "build" else "runs/feelings")
        assert "journal.sqlite: written by a newer cotforge" in told
    assert journal.read_bytes() == before


@pytest.mark.parametrize("rubbish", [b"", b"not a database at all, but a text of some length", b"SQLite format 3\0" + bytes(100)])
def test_a_journal_that_is_none_is_told_or_empty_and_never_a_traceback(tmp_path: Path, rubbish: bytes) -> None:
    write(tmp_path)
    run = tmp_path / "runs/feelings"
    run.mkdir(parents=True)
    (run / "journal.sqlite").write_bytes(rubbish)
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    if rubbish:
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
        assert "journal.sqlite" in ended.stderr
        assert (run / "journal.sqlite").read_bytes() == rubbish
    else:
        assert ended.returncode == 0


def test_an_out_that_cannot_be_a_folder_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "taken").write_text("a file")
    assert "taken" in refused(tmp_path, "build", "pipeline.yaml", "--out", "taken")[-1]
    assert "taken" in refused(tmp_path, "build", "pipeline.yaml", "--out", "taken/below")[-1]
    assert (tmp_path / "taken").read_text() == "a file"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "pipeline.yaml").write_text("name: [\n"),
        lambda folder: (folder / "rows.jsonl").unlink(),
        lambda folder: (folder / "rows.jsonl").write_text(""),
        lambda folder: [path.unlink() for path in (folder / "images").iterdir()],
        lambda folder: (folder / "one.jsonl").write_text("broken\n"),
    ],
    ids=["file", "source", "rows", "images", "replies"],
)
def test_whatever_goes_wrong_a_dataset_that_is_there_stays(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    write(tmp_path)
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    before = files(tmp_path / "runs/feelings/dataset")
    spoil(tmp_path)
    refused(tmp_path, "build", "pipeline.yaml", "--refresh", "one")
    assert files(tmp_path / "runs/feelings/dataset") == before


# Rows


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_every_kind_of_bad_row_is_counted_and_listed_with_its_line_and_the_others_arrive(tmp_path: Path) -> None:
    write(tmp_path, rows=4)
    images = tmp_path / "images"
    (images / "cut.jpg").write_bytes((images / "1.jpg").read_bytes()[:-60])
    (images / "empty.jpg").write_bytes(b"")
    (images / "text.jpg").write_text("this is no picture, whatever it is called")
    (images / "bomb.png").write_bytes(bomb())
    (images / "folder.jpg").mkdir()
    outside = tmp_path.parent / f"{tmp_path.name}-outside.jpg"
    outside.write_bytes((images / "1.jpg").read_bytes())
    os.symlink(outside, images / "link.jpg")
    bad = [
        ('{"id": "a", "image": "images/cut.jpg", "label": "awe"}', "image_truncated"),
        ('{"id": "b", "image": "images/empty.jpg", "label": "awe"}', "image_empty"),
        ('{"id": "c", "image": "images/text.jpg", "label": "awe"}', "image_not_an_image"),
        ('{"id": "d", "image": "images/bomb.png", "label": "awe"}', "image_too_many_pixels"),
        ('{"id": "e", "image": "images/none.jpg", "label": "awe"}', "image_missing"),
        ('{"id": "f", "image": "images/folder.jpg", "label": "awe"}', "image_not_an_image"),
        ('{"id": "g", "image": "../' + outside.name + '", "label": "awe"}', "path_outside"),
        ('{"id": "h", "image": "/etc/passwd", "label": "awe"}', "path_outside"),
        ('{"id": "i", "image": "images/link.jpg", "label": "awe"}', "path_outside"),
        ('{"id": "j", "image": "http://127.0.0.1:1/x.jpg", "label": "awe"}', "image_url"),
        ('{"id": "k", "image": 7, "label": "awe"}', "no_image"),
        ('{"id": "l", "label": "awe"}', "no_image"),
        ('{"id": "m", "image": "images/1.jp', "line_not_json"),
        ("[1, 2]", "line_not_an_object"),
        ('{"id": "row-0", "image": "images/1.jpg", "label": "awe"}', "duplicate_id"),
    ]
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write("".join(line + "\n" for line, _ in bad))
        rows.write('{"id": "z", "image": "images/3.jpg", "label": "not in the set"}\n')
    with (tmp_path / "rows.jsonl").open("ab") as rows:
        rows.write(b'{"id": "\xff\xfe"}\n')
    for name in ("one", "two"):
        with (tmp_path / f"{name}.jsonl").open("a") as replies:
            replies.write(json.dumps({"id": "z", "content": said("awe")}) + "\n")

    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs/feelings"
    reasons = [*(reason for _, reason in bad), "line_not_utf8"]
    told = summary(run)
    assert told["rejected"] == {f"source:{reason}": reasons.count(reason) for reason in reasons}
    assert (told["samples"], told["accepted"], told["labels_unknown"]) == (5, 5, 1)
    assert [lesson["label"] for lesson in table(run, "data") if lesson["id"] == "z"] == [None]

    places = [*range(5, 5 + len(bad)), 5 + len(bad) + 1]
    losses = table(run, "losses")
    assert [(loss["stage"], loss["reason"], loss["teacher"], loss["call"]) for loss in losses] == [
        ("source", reason, None, None) for reason in reasons
    ]
    assert [loss["detail"].startswith(f"rows.jsonl:{place}:") for loss, place in zip(losses, places, strict=True)] == [True] * len(places)
    assert [loss["id"] for loss in losses] == [*"abcdefghijkl", None, None, "row-0", None]
    assert "/etc/passwd" not in "".join(row["completion"][0]["content"] for row in table(run, "data"))


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_broken_lines_of_a_csv_are_counted_with_their_place(tmp_path: Path, ending: str) -> None:
    write(tmp_path, source={"kind": "table", "path": f"rows.{ending}"})
    comma = "\t" if ending == "tsv" else ","
    lines = ["id,image,label", "row-0,images/0.jpg,awe", "row-1,images/1.jpg", "row-2,images/2.jpg,awe,more", "row-1,images/1.jpg,fear"]
    (tmp_path / f"rows.{ending}").write_text("\n".join(lines).replace(",", comma) + "\n")
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    run = tmp_path / "runs/feelings"
    assert summary(run)["rejected"] == {"source:line_broken": 2}
    assert [loss["detail"].split(":")[:2] for loss in table(run, "losses")] == [[f"rows.{ending}", "3"], [f"rows.{ending}", "4"]]
    assert [lesson["id"] for lesson in table(run, "data")] == ["row-0", "row-1"]


def test_a_tar_cut_short_keeps_what_stands_before_the_cut(tmp_path: Path) -> None:
    write(tmp_path, source={"kind": "webdataset", "path": "shard.tar", "columns": {"id": "__key__"}})
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for number in range(3):
            tar.add(tmp_path / f"images/{number}.jpg", f"row-{number}.jpg")
            member = tarfile.TarInfo(f"row-{number}.cls")
            member.size = len(LABELS[number])
            tar.addfile(member, io.BytesIO(LABELS[number].encode()))
    whole = (tmp_path / "shard.tar").read_bytes()
    third = whole.index(b"row-2.jpg")
    (tmp_path / "shard.tar").write_bytes(whole[: third + 512 + 100])
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs/feelings"
    assert [lesson["id"] for lesson in table(run, "data")] == ["row-0", "row-1"]
    assert summary(run)["rejected"] == {"source:tar_truncated": 1}
    (loss,) = table(run, "losses")
    assert loss["detail"].startswith("shard.tar")


def test_a_picture_that_changes_under_a_run_costs_its_row_alone(tmp_path: Path) -> None:
    write(tmp_path)
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    (tmp_path / "images/1.jpg").write_bytes((tmp_path / "images/1.jpg").read_bytes()[:100])
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    run = tmp_path / "runs/feelings"
    assert summary(run)["rejected"] == {"source:image_truncated": 1}
    assert [lesson["id"] for lesson in table(run, "data")] == ["row-0", "row-2"]
