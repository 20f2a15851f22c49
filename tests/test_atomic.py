"""Files and folders that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from cotforge.atomic import replace_file, replace_folder, write_whole


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_is_replaced_once_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    with replace_file(file) as passing:
        passing.write_text("new")
        assert file.read_text() == "old"
    assert (file.read_text(), names(tmp_path)) == ("new", ["a.json"])


def test_after_an_error_the_old_file_stands_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    with pytest.raises(FileNotFoundError), replace_file(file) as passing:
        passing.with_name("gone").rename(passing)
    with pytest.raises(OSError, match="Not a directory"), replace_file(tmp_path / "a.json" / "b") as passing:
        passing.write_text("below a file")
    assert (file.read_text(), names(tmp_path)) == ("old", ["a.json"])


@pytest.mark.parametrize("shared", [False, True])
def test_bytes_and_texts_are_written_whole_and_for_their_owner_alone(tmp_path: Path, shared: bool) -> None:
    for data in ("té\ud800\r\n", b"\x00\xff"):
        path = write_whole(tmp_path / "a", data, durable=True, shared=shared)
        assert path.read_bytes() == (data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
        assert path.stat().st_mode & 0o777 == 0o600
    assert write_whole(tmp_path / "b", b"", mode=0o644).stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["a", "b"]


def test_a_link_in_the_place_of_what_is_being_written_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / ".a.new").symlink_to(tmp_path / "elsewhere")
    write_whole(tmp_path / "a", "new")
    assert ((tmp_path / "elsewhere").read_text(), (tmp_path / "a").read_text()) == ("mine", "new")


def test_a_folder_is_replaced_once_it_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(FileNotFoundError), replace_folder(folder) as passing:
        (passing / "gone").rename(passing / "half")
    assert names(folder) == ["old"]
    with replace_folder(folder) as passing:
        (passing / "new").touch()
    assert (names(folder), names(tmp_path)) == (["new"], ["weights"])
