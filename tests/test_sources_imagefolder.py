"""Folders of images: what is taken for an image, and what is told of the other files."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cotforge.answers.task import Task
from cotforge.images.signatures import LONGEST, begins_image
from cotforge.records import Fault
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
