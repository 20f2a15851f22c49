"""Pictures of every sort through the whole command: what reaches a teacher, what never does, what is asked once, and both ways to send."""

import base64
import io
import json
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from tests.project import cotforge, ran, said, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher
from tests.test_images import RECODED, SECRET, WITH_METADATA, chunk, distance, drawn, encoded, exif, pixels, sixteen_bit

VOTES = {"label": "ignore"}


def write(folder: Path, pictures: dict[str, bytes], labels: dict[str, str] | None = None) -> None:
    """Each picture as a file of its name, and `rows.jsonl` with one row for each."""
    (folder / "images").mkdir()
    with (folder / "rows.jsonl").open("w") as rows:
        for name, data in pictures.items():
            (folder / "images" / name).write_bytes(data)
            rows.write(json.dumps({"id": name, "image": f"images/{name}", "label": (labels or {}).get(name, "awe")}) + "\n")


class Gallery:
    """Remembers every URL of a picture that a teacher was sent."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def __call__(self, body: dict[str, Any]) -> str:
        self.urls += [part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"]
        return said("awe")

    def shown(self) -> list[bytes]:
        return [base64.b64decode(url.partition(",")[2], validate=True) for url in self.urls]


def huge() -> bytes:
    """A sound PNG of 20,000 x 20,000 pixels, black or white, in some kilobytes."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 20_000 // 8) * 20_000, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated() -> bytes:
    frames = [drawn(seed=1), drawn(seed=2), drawn(seed=3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


ROTATED = encoded(drawn(size=(90, 40)), "JPEG", quality=95, subsampling=0, exif=exif(6))

ODD = {
    "animated.gif": (animated(), drawn(seed=1)),
    "cmyk.jpg": (RECODED["cmyk"][0], pixels(RECODED["cmyk"][0])),
    "sixteen.png": (sixteen_bit("grey"), Image.linear_gradient("L").rotate(90).crop((0, 0, 256, 4))),
    "rotated.jpg": (ROTATED, ImageOps.exif_transpose(Image.open(io.BytesIO(ROTATED)))),
}
"""Pictures that not every server reads, and how they should look."""


def test_odd_pictures_reach_the_teacher_as_what_they_show_in_a_form_that_everyone_reads(tmp_path: Path) -> None:
    write(tmp_path, {name: data for name, (data, _) in ODD.items()})
    gallery = Gallery()
    with Teacher(gallery) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=1), consensus=VOTES)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    for sent, (name, (_, wanted)) in zip(gallery.shown(), ODD.items(), strict=True):
        image = Image.open(io.BytesIO(sent))
        assert (image.format in ("JPEG", "PNG"), image.mode in ("RGB", "L"), getattr(image, "n_frames", 1)) == (True, True, 1), name
        assert image.size == wanted.size, name
        assert distance(image, wanted) < 8, name
        assert not image.getexif(), name
    lessons = {lesson["id"]: lesson["images"][0]["bytes"] for lesson in table(tmp_path / "runs/feelings", "data")}
    assert [lessons[name] for name in ODD] == gallery.shown()


def test_what_is_no_whole_picture_is_listed_with_its_reason_and_never_sent(tmp_path: Path) -> None:
    good = encoded(drawn(), "JPEG")
    bad = {
        "cut.jpg": (good[:-200], "image_truncated"),
        "empty.jpg": (b"", "image_empty"),
        "text.jpg": (b"this is no picture, whatever it is called", "image_not_an_image"),
        "huge.png": (huge(), "image_too_many_pixels"),
    }
    write(tmp_path, {"good.jpg": good} | {name: data for name, (data, _) in bad.items()})
    gallery = Gallery()
    with Teacher(gallery) as server:
        write_pipeline(tmp_path, teacher(server), consensus=VOTES)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert gallery.shown() == [good]
    run = tmp_path / "runs/feelings"
    assert summary(run)["rejected"] == Counter(f"source:{reason}" for _, reason in bad.values())
    losses = {loss["id"]: (loss["stage"], loss["reason"], loss["detail"]) for loss in table(run, "losses")}
    assert {name: loss[:2] for name, loss in losses.items()} == {name: ("source", reason) for name, (_, reason) in bad.items()}
    assert losses["huge.png"][2].endswith("has more than 50,000,000 pixels")


@pytest.mark.parametrize("label", ["ignore", "vote"])
def test_one_picture_under_two_ids_with_two_labels_is_asked_once_and_the_conflict_is_told(tmp_path: Path, label: str) -> None:
    data = encoded(drawn(), "JPEG")
    write(tmp_path, {"a.jpg": data, "b.jpg": data}, {"a.jpg": "awe", "b.jpg": "fear"})
    gallery = Gallery()
    with Teacher(gallery, latency=0.05) as server:
        write_pipeline(tmp_path, *(teacher(server, name) for name in ("one", "two", "three")), consensus={"label": label})
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert Counter(entry.model for entry in server.ledger) == {"model-one": 1, "model-two": 1, "model-three": 1}
    run = tmp_path / "runs/feelings"
    lessons = {lesson["id"]: (lesson["answer"], lesson["label"], lesson["label_conflict"]) for lesson in table(run, "data")}
    assert lessons == {"a.jpg": ("awe", "awe", False), "b.jpg": ("awe", "fear", True)}
    told = summary(run)
    assert (told["samples"], told["calls"], told["calls_total"], told["label_conflicts"]) == (2, 3, 3, 1)


def test_by_file_a_server_on_this_disk_reads_the_same_bytes_and_a_run_may_go_on_by_data(tmp_path: Path) -> None:
    pictures = {
        "plain with blanks, ü & 100%.jpg": encoded(drawn(seed=1), "JPEG"),
        "metadata.jpg": WITH_METADATA["jpeg"],
        **{name: data for name, (data, _) in ODD.items()},
    }
    write(tmp_path, pictures)
    gallery = Gallery()
    with Teacher(gallery) as server:
        write_pipeline(tmp_path, teacher(server), consensus=VOTES, images={"via": "file"})
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(gallery.urls) == len(pictures)
        assert all(url.startswith("file:///") for url in gallery.urls)
        read = Counter(digest for entry in server.ledger for digest in entry.images)
    run = tmp_path / "runs/feelings"
    before = [lesson["id"] for lesson in table(run, "data")]
    assert before == list(pictures)
    assert not [path for path in (run / "cache/sent").iterdir() if SECRET in path.read_bytes()]
    with Teacher(gallery) as server:
        again = ran("build", "pipeline.yaml", "--set", f"teachers.0.url={server.url}", "--set", "images.via=data", cwd=tmp_path)
        assert (again.returncode, server.ledger) == (0, [])
        ran("build", "pipeline.yaml", "--set", f"teachers.0.url={server.url}", "--set", "images.via=data", "--refresh", "one", cwd=tmp_path)
        assert Counter(digest for entry in server.ledger for digest in entry.images) == read


def test_a_picture_that_goes_between_two_attempts_at_the_last_call_ends_the_run(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)

    def fail(body: dict[str, Any]) -> int | None:
        (tmp_path / "images" / "0.jpg").unlink(missing_ok=True)
        for copy in (tmp_path / "runs").rglob("cache/sent/*"):
            copy.unlink()
        return 500

    with Teacher(fail=fail) as server:
        write_pipeline(tmp_path, teacher(server), images={"via": "file"})
        built = cotforge("build", "pipeline.yaml", cwd=tmp_path)
        assert (len(server.ledger), "Traceback" in built.stderr) == (1, False), built.stderr
