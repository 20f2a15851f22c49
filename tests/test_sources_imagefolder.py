"""Folders of images: what is taken for an image, and what is told of the other files."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cotforge.answers.task import Task
from cotforge.images.signatures import LONGEST, begins_image
from cotforge.records import Fault
from cotforge.sources.files import listed_files
from tests.test_sources import Desk, photo

TASK = Task(kind="classify", question="q", labels=("cat", "dog"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"])
def test_an_image_of_every_kind_is_known_by_its_first_bytes(kind: str) -> None:
    out = BytesIO()
    Image.new("RGB", (3, 2), "red").save(out, kind)
    assert begins_image(out.getvalue()[:LONGEST])


@pytest.mark.parametrize("head", [b"", b"BM is short for bookmark", b"RIFF....WAVEfmt ", b"....ftypisom", b"<svg", b"%PDF-1.7"])
def test_other_bytes_are_no_image(head: bytes) -> None:
    assert not begins_image(head)


def test_a_file_without_an_image_ending_is_judged_by_its_content(desk: Desk) -> None:
    desk.photos(*(f"data/cat/{name}" for name in ("0.jpg", "1.jfif", "2.jpe", "3", "4.dat", "5.JFIF")))
    desk.put("data/cat/6.tif", photo(6, "TIFF"))
    desk.put("data/cat/7", photo(7, "TIFF"))
    desk.put("data/cat/8.heic", b"\0\0\0\x18ftypheic")
    assert desk.reasons("imagefolder", "data", task=TASK) == ["ok"] * 6 + ["image_not_an_image"] * 3
    assert desk.counts.notes() == []


def test_files_that_are_not_used_are_counted_in_one_line_with_the_first_names(desk: Desk) -> None:
    desk.photos("data/cat/a.jpg", "data/dog/b.jpg")
    for name in ("readme.txt", "cat/a.txt", "cat/a.xml", "dog/\u202eb.json", "notes", "z.pdf", ".hidden"):
        desk.put(f"data/{name}", "BM text")
    assert desk.reasons("imagefolder", "data", task=TASK) == ["ok", "ok"]
    assert desk.counts.notes() == ["6 files in the source are not used: 'cat/a.txt', 'cat/a.xml', 'dog/b.json', 'notes', 'readme.txt', ..."]
    assert desk.counts.rows == 2


def test_a_run_folder_among_the_images_is_no_class(desk: Desk) -> None:
    desk.photos("data/cat/a.jpg", "data/runs/cats/dataset/assets/lesson.jpg", "data/runs/cats/cache/sent/b.jpg")
    desk.put("data/runs/cats/journal.sqlite", "")
    desk.put("data/runs/cats/dataset/data/train.csv", "image,label\nx.jpg,cat\n")
    desk.put("data/cat/rows.csv", "image,label\na.jpg,cat\n")
    assert [sample.label for sample in desk.sound("imagefolder", "data", task=TASK)] == ["cat"]
    assert desk.counts.notes() == ["1 file in the source is not used: 'cat/rows.csv'"]
    assert listed_files(desk.folder, "data", (".csv",), within=(".csv",)) == [desk.folder / "data/cat/rows.csv"]


def test_images_that_the_metadata_does_not_name_and_a_second_metadata_file_are_not_used(desk: Desk) -> None:
    desk.photos("data/a.jpg", "data/deep/b.jpg", "data/deep/c.jpg")
    desk.put("data/metadata.csv", "file_name,label\ndeep/b.jpg,cat\n")
    desk.put("data/metadata.parquet", "x")
    (sample,) = desk.sound("imagefolder", "data", task=TASK)
    assert sample.label == "cat"
    assert desk.counts.notes() == ["3 files in the source are not used: 'a.jpg', 'deep/c.jpg', 'metadata.parquet'"]


def test_what_lies_beside_the_folders_of_splits_is_not_used(desk: Desk) -> None:
    desk.photos("data/train/cat/a.jpg", "data/test/dog/b.jpg", "data/more/c.jpg")
    desk.put("data/LICENSE", "free")
    assert desk.reasons("imagefolder", "data", task=TASK) == ["ok"]
    assert desk.counts.notes() == ["2 files in the source are not used: 'LICENSE', 'more/'"]


def test_metadata_above_the_folders_of_splits_is_read_for_each(desk: Desk) -> None:
    desk.photos("data/train/a.jpg", "data/train/b.jpg", "data/test/cat/c.jpg", "data/train/cat/d.jpg")
    desk.put("data/metadata.csv", "file_name,label\ntrain/a.jpg,dog\ntest/cat/c.jpg,dog\ntrain/cat/d.jpg,cat\n")
    assert [sample.label for sample in desk.sound("imagefolder", "data", task=TASK)] == ["dog", "cat"]
    assert desk.counts.notes() == ["1 file in the source is not used: 'train/b.jpg'"]
    both = desk.sound("imagefolder", "data", task=TASK, split=["train", "test"])
    assert sorted((sample.split, sample.label) for sample in both) == [("test", "dog"), ("train", "cat"), ("train", "dog")]
    desk.put("data/train/metadata.jsonl", '{"file_name": "b.jpg", "label": "cat"}')
    assert [sample.label for sample in desk.sound("imagefolder", "data", task=TASK)] == ["cat"]
    assert (
        desk.counts.notes()[0].startswith("4 files in the source are not used: 'train/a.jpg', 'train/cat/d.jpg', 'metadata.csv'") is False
    )


def test_a_broken_metadata_parquet_is_one_fault(desk: Desk) -> None:
    desk.photos("data/train/a.jpg", "data/test/b.jpg")
    desk.put("data/train/metadata.parquet", "PAR1 and no more")
    assert "not a whole parquet file" in desk.error("imagefolder", "data")
    assert not [item for item in desk.read("imagefolder", "data", split="test") if isinstance(item, Fault)]


def test_a_folder_without_an_image_names_what_is_there(desk: Desk) -> None:
    desk.put("data/cat/a.mp4", "....ftypisom")
    assert "'data' has no row; 1 file in the source is not used: 'cat/a.mp4'; at least one row is needed" in desk.error(
        "imagefolder", "data"
    )


# ids


def ids(desk: Desk, **keys: object) -> list[str]:
    return [sample.id for sample in desk.sound("imagefolder", "data", task=TASK, **keys)]


def test_ids_are_the_paths_below_the_folder_with_the_split_where_there_is_one(desk: Desk) -> None:
    desk.photos("data/train/cat/a.jpg", "data/train/dog/deep/dog/b.jpg", "data/test/cat/a.jpg", "data/train/cat/é ü.jpg")
    assert ids(desk) == ["train/cat/a.jpg", "train/cat/é ü.jpg", "train/dog/deep/dog/b.jpg"]
    assert set(ids(desk, split=["train", "test"])) == {*ids(desk), "test/cat/a.jpg"}


def test_a_photo_that_lies_there_twice_is_two_samples_with_one_picture(desk: Desk) -> None:
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/a.jpg"):
        desk.put(f"data/{name}", photo(1))
    found = desk.sound("imagefolder", "data", task=TASK)
    assert [(sample.id, sample.label) for sample in found] == [("cat/a.jpg", "cat"), ("cat/b.jpg", "cat"), ("dog/a.jpg", "dog")]
    assert len({sample.pictures[0].digest for sample in found}) == 1
    assert desk.counts.duplicates == 0


def test_with_metadata_the_paths_are_the_ids_unless_a_column_holds_some(desk: Desk) -> None:
    desk.photos("data/train/a.jpg", "data/train/b.jpg")
    desk.put("data/train/metadata.csv", "file_name,label\na.jpg,cat\nb.jpg,dog\n")
    assert ids(desk) == ["train/a.jpg", "train/b.jpg"]
    desk.put("data/train/metadata.csv", "file_name,label,id\na.jpg,cat,7\nb.jpg,dog,8\n")
    assert ids(desk) == ["7", "8"]
    assert ids(desk, columns={"id": "file_name"}) == ["a.jpg", "b.jpg"], "as it always was"


def test_rows_that_ask_different_things_about_one_photo_have_different_ids(desk: Desk) -> None:
    desk.photos("data/a.jpg", "data/b.jpg")
    desk.put("data/metadata.csv", "file_name,label,question\na.jpg,cat,Which?\na.jpg,dog,What else?\nb.jpg,dog,\n")
    first, second, third = ids(desk)
    assert len({first, second, third}) == 3
    assert first.startswith("a.jpg#")
    assert second.startswith("a.jpg#")
    assert third == "b.jpg"


def test_by_content_ids_are_those_of_earlier_versions(desk: Desk) -> None:
    desk.photos("data/cat/a.jpg")
    sample = desk.sound("imagefolder", "data", task=TASK)[0]
    assert ids(desk, ids="content") == [sha256(f"{sample.pictures[0].digest}\nq".encode()).hexdigest()[:32]]


def test_a_row_that_is_no_sample_is_lost_under_its_path(desk: Desk) -> None:
    desk.put("data/cat/a.jpg", b"no image")
    desk.photos("data/cat/b.jpg")
    (fault,) = (item for item in desk.read("imagefolder", "data", task=TASK) if isinstance(item, Fault))
    assert fault.id == "cat/a.jpg"
