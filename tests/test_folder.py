"""The run folder: one process at a time, one pipeline for ever, and files that are whole or not there."""

import contextlib
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import JournalError
from cotforge.folder import RunFolder, demand_apart, safe_name
from tests.project import environment

HOLD = """
import sys
from pathlib import Path
from cotforge.folder import RunFolder
held = RunFolder(Path(sys.argv[1]))
print("held", flush=True)
input()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(path)]
    other = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def test_a_second_one_is_kept_out_and_told_by_whom(tmp_path: Path) -> None:
    with holder(tmp_path / "run") as other:
        with pytest.raises(JournalError, match=f"run: in use by process {other.pid} on "):
            RunFolder(tmp_path / "run")
        other.kill()
        other.wait()
        with RunFolder(tmp_path / "run"):
            assert (tmp_path / "run/lock").read_text().startswith(f"process {os.getpid()} on ")


def test_the_lock_ends_with_its_block_even_if_that_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "run"):
        raise KeyboardInterrupt
    with RunFolder(tmp_path / "run"), pytest.raises(JournalError, match="in use by process"):
        RunFolder(tmp_path / "run")


def test_a_lock_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 1 on elsewhere, and a line that was longer than the next one\n")
    with RunFolder(tmp_path):
        assert (tmp_path / "lock").read_text().count("\n") == 1


def test_a_folder_belongs_to_the_pipeline_it_holds(tmp_path: Path) -> None:
    with RunFolder(tmp_path, name="feelings") as folder:
        assert folder.owner() is None
        folder.write("pipeline.yaml", "name: feelings\n")
    with pytest.raises(JournalError, match="belongs to the pipeline 'feelings', not to 'others'"):
        RunFolder(tmp_path, name="others")
    with RunFolder(tmp_path, name="feelings") as folder:
        assert folder.owner() == "feelings"


def test_a_new_run_folder_is_not_begun_among_the_data(tmp_path: Path) -> None:
    data, cat = tmp_path / "photos", tmp_path / "photos" / "cat"
    cat.mkdir(parents=True)
    (cat / "0.jpg").write_bytes(b"")
    (data / "runs").mkdir()
    with pytest.raises(JournalError, match="photos: is the source; choose a folder outside it"):
        demand_apart(data, data)
    with pytest.raises(JournalError, match="cat: lies in the source and holds other files"):
        demand_apart(cat, data)
    demand_apart(data / "runs", data)
    demand_apart(tmp_path, data)
    (data / "journal.sqlite").touch()  # begun by an earlier version: what it holds is paid for
    demand_apart(data, data)


@pytest.mark.parametrize("text", [b"name: [", b"\xff\xfe\x00", b"name: !!python/object/apply:os.system [echo]"])
def test_a_folder_whose_pipeline_cannot_be_read_is_one_line_and_stays_free(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "pipeline.yaml").write_bytes(text)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"pipeline\.yaml: cannot be read") as caught:
            RunFolder(tmp_path, name="feelings")
        assert "\n" not in str(caught.value)


def test_a_path_that_cannot_be_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(JournalError, match="choose another folder with --out"):
            RunFolder(path)


def test_what_is_written_is_its_owners_alone_and_replaces_the_old_as_a_whole(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        with RunFolder(tmp_path / "deep/run") as folder:
            for text in ("old", "new ä"):
                folder.write("summary.json", text)
    finally:
        os.umask(umask)
    run = tmp_path / "deep/run"
    assert sorted(path.name for path in run.iterdir()) == ["lock", "summary.json"]
    assert (run / "summary.json").read_text(encoding="utf-8") == "new ä"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in run.iterdir())


def test_a_disk_without_room_is_one_line_and_the_old_file_stays(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        folder.write("summary.json", "{}")
        bounds = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, bounds[1]))  # Python ignores the signal that comes with it
        try:
            with pytest.raises(JournalError, match=r"summary\.json: File too large; make room"):
                folder.write("summary.json", "new" * 10)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, bounds)
    assert (tmp_path / "summary.json").read_text() == "{}"


@given(st.text(max_size=120) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True))
def test_a_name_is_one_plain_step_of_a_path_or_refused(name: str) -> None:
    plain = (
        name.isascii() and 1 <= len(name) <= 100 and name[0].isalnum() and name.replace(".", "").replace("_", "").replace("-", "").isalnum()
    )
    with contextlib.nullcontext() if plain else pytest.raises(ValueError, match="cannot name a folder"):
        assert safe_name(name) == name
        assert Path("runs", name).resolve().parent == Path("runs").resolve()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-rf", ".hidden", "a\n", "a b", "ä", "x" * 101])
def test_these_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a folder"):
        safe_name(name)
