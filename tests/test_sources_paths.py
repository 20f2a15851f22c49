"""Image paths: links, Unicode forms and Windows' separators."""

import os
from pathlib import Path
from unicodedata import normalize

import pytest

from cotforge.records import Fault
from tests.test_sources import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_data", ["NFC", "NFD"])
def test_a_name_is_found_whatever_its_unicode_form(desk: Desk, on_disk: str, in_data: str) -> None:
    names = ["café.jpg", "été/Ärger.jpg", "plain.jpg", "\uff46\uff55.jpg", "한국/그림.jpg"]
    desk.photos(*(normalize(on_disk, name) for name in names))
    desk.lines("rows.jsonl", *({"id": name, "image": normalize(in_data, name), "label": "cat"} for name in names))
    assert len(desk.sound("table", "rows.jsonl")) == len(names)


def test_the_form_that_is_written_wins_where_both_are_there(desk: Desk) -> None:
    desk.photos(normalize("NFC", "é.jpg"), normalize("NFD", "é.jpg"))
    desk.lines("rows.jsonl", *({"image": normalize(form, "é.jpg"), "label": "cat"} for form in ("NFC", "NFD")))
    one, two = desk.sound("table", "rows.jsonl")
    assert one.pictures[0].digest != two.pictures[0].digest


def test_backslashes_are_separators_only_where_no_such_name_is_there(desk: Desk) -> None:
    desk.photos("img/a.jpg", "img\\a.jpg", "été/b.jpg")
    names = ["img\\a.jpg", "img/a.jpg", "e\u0301te\u0301\\b.jpg", "..\\..\\etc\\passwd", "..\\secret.jpg", "C:\\img\\a.jpg"]
    desk.lines("rows.jsonl", *({"id": name, "image": name, "label": "cat"} for name in names))
    assert desk.reasons("table", "rows.jsonl")[:3] == ["ok"] * 3
    assert set(desk.reasons("table", "rows.jsonl")[3:]) <= {"path_outside", "image_missing"}


def cache(desk: Desk, *names: str) -> Path:
    """A snapshot in the Hub's cache: its names are links to blobs."""
    snapshot = desk.folder / "hub" / "datasets--a--b" / "snapshots" / "abc"
    desk.photos(*(f"hub/datasets--a--b/blobs/{number:064x}" for number in range(len(names))))
    for number, name in enumerate(names):
        path = snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(desk.folder / f"hub/datasets--a--b/blobs/{number:064x}", path.parent))
    return snapshot


def test_links_of_a_snapshot_are_followed_to_its_blobs(desk: Desk) -> None:
    snapshot = cache(desk, "cat/a.jpg", "dog/b.jpg")
    assert [sample.label for sample in desk.sound("imagefolder", str(snapshot))] == ["cat", "dog"]
    (snapshot / "rows.jsonl").write_text('{"image": "cat/a.jpg", "label": "cat"}')
    assert len(desk.sound("table", str(snapshot / "rows.jsonl"))) == 1


def test_a_snapshot_leads_nowhere_but_to_its_own_blobs_and_only_by_links(desk: Desk) -> None:
    snapshot = cache(desk, "cat/a.jpg")
    desk.photos("hub/datasets--c--d/blobs/1", "hub/datasets--a--b/blobs/deep/2", "secret.jpg")
    for number, target in enumerate(["hub/datasets--c--d/blobs/1", "hub/datasets--a--b/blobs/deep/2", "secret.jpg", "hub/datasets--a--b"]):
        (snapshot / f"{number}.jpg").symlink_to(desk.folder / target)
    names = ["cat/a.jpg", *(f"{number}.jpg" for number in range(4)), f"../../blobs/{0:064x}"]
    (snapshot / "rows.csv").write_text("image,label\n" + "".join(f"{name},cat\n" for name in names))
    assert desk.reasons("table", str(snapshot / "rows.csv")) == ["ok", *["path_outside"] * 5]


def test_a_link_that_leads_outside_is_told_as_a_link(desk: Desk) -> None:
    desk.photos("data/a.jpg", "secret/b.jpg")
    (desk.folder / "data" / "link.jpg").symlink_to(desk.folder / "secret" / "b.jpg")
    desk.put("data/rows.csv", "image,label\nlink.jpg,cat\n../secret/b.jpg,cat\na.jpg,cat\n")
    link, path, _ = desk.read("table", "data/rows.csv")
    assert isinstance(link, Fault)
    assert "is a link that leads out of the folder of the data; put a copy in its place" in link.detail
    assert isinstance(path, Fault)
    assert "link" not in path.detail


def test_a_linked_class_folder_is_told_as_a_link(desk: Desk) -> None:
    desk.photos("data/cat/a.jpg", "photos/dog/b.jpg")
    (desk.folder / "data" / "dog").symlink_to(desk.folder / "photos" / "dog")
    (desk.folder / "data" / "owl").symlink_to("cat")
    _, *faults = desk.read("imagefolder", "data")
    assert [fault.detail for fault in faults if isinstance(fault, Fault)] == [
        f"image: {name!r} is a link to a folder, which is not followed; put a copy in its place" for name in ("dog", "owl")
    ]
