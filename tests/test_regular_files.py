"""Opening files: only regular ones, without following a link, and without having changed what is not one."""

import os
from pathlib import Path

import pytest

from cotforge.regular_files import demand_regular, open_new, open_regular, read_regular


def test_a_file_is_made_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        with open(open_regular(tmp_path / "a", os.O_WRONLY | os.O_CREAT), "wb") as file:
            file.write(b"text")
    finally:
        os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert read_regular(tmp_path / "a", most=4) == b"text"
    with pytest.raises(OSError, match="has more than 3 bytes"):
        read_regular(tmp_path / "a", most=3)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "folder", "device"])
def test_what_is_no_file_is_said_in_words(tmp_path: Path, kind: str, flags: int) -> None:
    place, said = tmp_path / "place", kind.split()[0]
    if said == "link":
        place.symlink_to(tmp_path / "target")
        (tmp_path / "target").write_bytes(b"precious" if kind == "link" else b"")
        if kind != "link":
            (tmp_path / "target").unlink()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place = Path("/dev/null")
    with pytest.raises(OSError, match=f"is a {said}"):
        open_regular(place, flags)
    with pytest.raises(OSError, match=f"is a {said}"):
        demand_regular(place)
    assert not (tmp_path / "target").exists() or (tmp_path / "target").read_bytes() == b"precious"


def test_a_second_name_is_refused_only_where_a_file_is_changed_in_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    os.link(tmp_path / "a", tmp_path / "b")
    assert demand_regular(tmp_path / "a")
    assert read_regular(tmp_path / "a", most=9) == b"text"
    with pytest.raises(OSError, match="has a second name"):
        demand_regular(tmp_path / "a", alone=True)
    with pytest.raises(OSError, match="has a second name"):
        open_regular(tmp_path / "a", os.O_RDWR, alone=True)


def test_nothing_is_no_fault_until_it_is_opened(tmp_path: Path) -> None:
    assert not demand_regular(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "a")


def test_a_new_file_takes_the_place_of_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "a").symlink_to(tmp_path / "target")
    with open(open_new(tmp_path / "a"), "wb") as file:
        file.write(b"new")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "a").is_symlink()) == (b"new", False)
    assert (tmp_path / "target").read_bytes() == b"precious"
