"""What a student learns from: a dataset's lessons, or the source written down by reference."""

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cotforge.errors import PipelineError, SourceError
from cotforge.images import Images, PictureStore
from cotforge.images.refs import FileRef
from cotforge.plan import Eval
from cotforge.records import Fault, Sample
from cotforge.train.data.lessons import decode_picture, find_lessons, write_source
from tests.squares import PROMPT, prefer, square, write


def test_lessons_come_row_by_row_and_at_any_row(tmp_path: Path) -> None:
    lessons = find_lessons(write(tmp_path / "dataset", 25), cache=tmp_path / "cache")
    rows = list(lessons.rows(["id", "answer", "images"]))
    assert (len(lessons), len(rows)) == (25, 25)
    assert rows[7]["id"] == "row-7"
    there = lessons.dataset()
    assert there[7]["prompt"] == [{"role": "user", "content": PROMPT}]
    assert there[7]["images"][0].tobytes() == decode_picture(rows[7]["images"][0]).tobytes()
    assert there[7]["images"][0].mode == "RGB"
    assert lessons.dataset(["answer"]).column_names == ["answer"]


def test_a_picture_of_a_batch_is_decoded_once_and_as_datasets_does(tmp_path: Path) -> None:
    lessons = find_lessons(write(tmp_path / "dataset", 8), cache=tmp_path / "cache")
    seen, rows = lessons.seen(["id", "images"]), lessons.dataset(["id", "images"])
    batch = seen.__getitems__([3, 5, 3])
    assert [row["id"] for row in batch] == ["row-3", "row-5", "row-3"]
    assert batch[0]["images"][0] is batch[2]["images"][0]
    for row, number in zip(batch, (3, 5, 3), strict=True):
        assert row["images"][0].mode == "RGB"
        assert row["images"][0].tobytes() == rows[number]["images"][0].tobytes()
    assert list(seen["id"]) == list(rows["id"])


def test_the_digest_follows_the_files(tmp_path: Path) -> None:
    one = find_lessons(write(tmp_path / "a", 8), cache=tmp_path / "cache")
    same = find_lessons(write(tmp_path / "b", 8), cache=tmp_path / "cache")
    other = find_lessons(write(tmp_path / "c", 9), cache=tmp_path / "cache")
    assert one.digest == same.digest != other.digest


def test_a_split_can_be_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", 8)
    (folder / "data" / "test-00000-x.parquet").write_bytes((folder / "data" / "train-00000-abc.parquet").read_bytes())
    assert len(find_lessons(folder, cache=tmp_path)) == 16
    assert len(find_lessons(folder, cache=tmp_path, without="test")) == 8


def test_a_split_is_left_out_of_the_pairs_too_and_by_the_name_that_its_files_have(tmp_path: Path) -> None:
    folder = prefer(write(tmp_path / "dataset", 8), 4)
    for part in ("data", "preference"):
        written = folder / part / "train-00000-abc.parquet"
        (folder / part / "test_of_may-00000-x.parquet").write_bytes(written.read_bytes())
    found = find_lessons(folder, cache=tmp_path, without="test-of-may")
    assert (len(found), len(found.pairs())) == (8, 4)


def test_no_lessons_and_columns_that_are_missing_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match="holds no lessons; `cotforge build` makes them"):
        find_lessons(tmp_path / "empty", cache=tmp_path)
    with pytest.raises(PipelineError, match="'nobody/nothing' is no folder, and no dataset that the Hub gives"):
        find_lessons("nobody/nothing", cache=tmp_path)
    (tmp_path / "other").mkdir()
    pq.write_table(pa.table({"id": [1], "images": [1], "prompt": ["a"]}), tmp_path / "other" / "a.parquet")
    with pytest.raises(PipelineError, match="has no column 'completion'; lessons have id, images, prompt, completion, answer"):
        find_lessons(tmp_path / "other", cache=tmp_path)
    flat = {"id": ["a"], "images": [["a"]], "prompt": ["Which?"], "completion": ["red"], "answer": ["red"]}
    pq.write_table(pa.table(flat), tmp_path / "other" / "a.parquet")
    with pytest.raises(PipelineError, match="the column 'prompt' is of string; it has to be a list of messages, as cotforge build writes"):
        find_lessons(tmp_path / "other", cache=tmp_path)


@pytest.mark.parametrize("strange", ["pipe", "link", "damaged"])
def test_a_file_of_lessons_that_is_none_is_one_line(tmp_path: Path, strange: str) -> None:
    write(tmp_path / "data", 2)
    (other,) = write(tmp_path / "other", 2).rglob("*.parquet")
    place = tmp_path / "data" / "train-1.parquet"
    if strange == "pipe":
        os.mkfifo(place)
    elif strange == "link":
        place.symlink_to(other)
    else:
        place.write_bytes(b"PAR1")
    with pytest.raises(PipelineError, match={"pipe": "is a pipe", "link": "is a link", "damaged": "cannot be read"}[strange]) as caught:
        find_lessons(tmp_path / "data", cache=tmp_path / "cache")
    assert len(caught.value.faults) == 1


def samples(folder: Path, count: int) -> list[Sample | Fault]:
    store = PictureStore(folder / "run", Images())
    found: list[Sample | Fault] = [Fault("image_missing")]
    for number in range(count):
        file = folder / f"{number}.png"
        file.write_bytes(square(["red", "green", "blue", "white"][number % 4], 10 + number))
        label = None if number == 3 else "red"
        found.append(Sample(f"s{number}", (store.picture(FileRef(str(file), file.name)),), "?", ("red", "blue"), label))
    store.close()
    return found


def written(folder: Path, read: list[Sample | Fault], key: str = "k", held_out: Eval | None = None) -> list[dict[str, object]]:
    lessons = write_source(
        read, folder / "source.parquet", key=key, prompt=lambda sample: f"Ask {sample.id}", completion=str.upper, held_out=held_out
    )
    return list(lessons.rows())


def test_the_source_is_written_once_by_reference(tmp_path: Path) -> None:
    read = samples(tmp_path, 6)
    rows = written(tmp_path, read)
    assert [row["id"] for row in rows] == ["s0", "s1", "s2", "s4", "s5"]
    assert rows[0]["images"] == [{"bytes": None, "path": str(tmp_path / "0.png")}]
    assert (rows[0]["question"], rows[0]["options"]) == ("?", ["red", "blue"])
    assert (rows[0]["prompt"], rows[0]["completion"], rows[0]["answer"]) == (
        [{"role": "user", "content": "Ask s0"}],
        [{"role": "assistant", "content": "RED"}],
        "red",
    )
    there = write_source([], tmp_path / "source.parquet", key="k", prompt=str, completion=str).dataset()
    assert there[1]["images"][0].size == (11, 11)
    assert len(written(tmp_path, read[:3], key="another")) == 2
    with pytest.raises(SourceError, match="no sample has a label"):
        written(tmp_path, read[:1], key="a third")


def test_a_source_that_was_written_without_its_questions_is_written_again(tmp_path: Path) -> None:
    read = samples(tmp_path, 6)
    written(tmp_path, read)
    file = tmp_path / "source.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["question", "options"]), file)
    assert written(tmp_path, read)[0]["options"] == ["red", "blue"]


def test_what_is_held_out_is_not_written(tmp_path: Path) -> None:
    read = samples(tmp_path, 12)
    kept = {row["id"] for row in written(tmp_path, read, held_out=Eval(share=0.5))}
    assert 0 < len(kept) < 11
    for sample in read[1:]:
        assert isinstance(sample, Sample)
        assert sample.label is None or (sample.id in kept) == (not Eval(share=0.5).holds(sample))


def test_a_held_out_split_that_the_source_has_too_is_not_written(tmp_path: Path) -> None:
    first, *others = [each for each in samples(tmp_path, 8) if isinstance(each, Sample) and each.label is not None]
    kept = written(tmp_path, [replace(first, split="test"), *others], held_out=Eval(split="test"))
    assert [row["id"] for row in kept] == [each.id for each in others]
