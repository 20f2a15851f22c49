"""Shards of img2dataset, and shards that are compressed."""

import gzip
import json
from pathlib import Path

import pytest
from PIL import Image

from cotforge.records import Fault
from tests.test_sources import QUESTION, Desk, photo, shard


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def downloaded(key: str, caption: str) -> bytes:
    told = {"caption": caption, "url": "https://h/a.jpg", "key": key, "status": "success", "error_message": None, "width": 32, "exif": "{}"}
    return json.dumps(told).encode()


def test_the_caption_of_img2dataset_is_meta_and_no_question_unless_a_column_says_so(desk: Desk) -> None:
    members = [("0.jpg", photo(0)), ("0.txt", b"a red fox"), ("0.json", downloaded("0", "a red fox")), ("1.jpg", photo(1)), ("1.txt", b"")]
    shard(desk.folder / "a.tar", *members, ("1.json", downloaded("1", "")))
    one, two = desk.sound("webdataset", "a.tar")
    assert (one.question, one.meta, two.question) == (QUESTION, {"caption": "a red fox"}, QUESTION)
    one, _ = desk.sound("webdataset", "a.tar", columns={"question": "caption"})
    assert (one.question, one.meta) == ("a red fox", {})
    one, _ = desk.sound("webdataset", "a.tar", columns={"meta": ["caption", "url"]})
    assert one.meta == {"caption": "a red fox", "url": "https://h/a.jpg"}


def test_compressed_shards_are_told(desk: Desk) -> None:
    shard(desk.folder / "data" / "0.tar", ("0.jfif", photo(0)))
    desk.put("data/1.tar.gz", gzip.compress((desk.folder / "data/0.tar").read_bytes()))
    desk.put("more/2.tgz", b"x")
    assert len(desk.sound("webdataset", "data")) == 1
    assert desk.counts.notes() == ["1 file in the source is not used: '1.tar.gz'"]
    for path in ("data/1.tar.gz", "more", "more/*.tgz"):
        assert "a compressed tar; shards are read as plain .tar: decompress it first" in desk.error("webdataset", path)


def test_text_tables_beside_parquet_files_are_not_used(desk: Desk) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (desk.folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([{"image": {"bytes": photo(), "path": None}, "label": "cat"}]), desk.folder / "data" / "a.parquet")
    desk.put("data/b.csv", "image,label\n")
    desk.put("data/README.md", "about")
    assert len(desk.sound("table", "data")) == 1
    assert desk.counts.notes() == ["1 file in the source is not used: 'b.csv'"]


def test_pictures_that_would_be_one_colour_are_counted_in_every_reading(desk: Desk) -> None:
    drawing = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    drawing.putpixel((3, 3), (255, 255, 255, 255))
    (desk.folder / "data" / "cat").mkdir(parents=True)
    drawing.save(desk.folder / "data" / "cat" / "a.png")
    desk.photos("data/cat/b.jpg")
    for _ in range(2):
        assert not [item for item in desk.read("imagefolder", "data") if isinstance(item, Fault)]
        assert desk.counts.notes() == ["1 sample has a picture that would be one colour: it is scaled by its own range, or put on black"]
