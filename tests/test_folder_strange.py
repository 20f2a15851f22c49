"""A run folder with something in it that cotforge did not leave there: one line, exit 2, and nothing outside the folder is changed."""

import os
import shutil
import signal
import socket
import sqlite3
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cotforge.errors import JournalError
from cotforge.session import RunSession
from tests.project import LABELS, files, ran, replay, said, write_pipeline, write_rows

COMMANDS = {
    "check": ("check", "pipeline.yaml", "--out", "run"),
    "build": ("build", "pipeline.yaml", "--out", "run"),
    "offline": ("build", "pipeline.yaml", "--out", "run", "--offline"),
    "curate": ("curate", "run"),
    "what-if": ("curate", "run", "--what-if"),
    "gold": ("gold", "run"),
    "read": ("gold", "run", "--read", "answers.csv"),
    "train": ("train", "pipeline.yaml", "--out", "run", "--smoke"),
    "eval": ("eval", "pipeline.yaml", "--out", "run"),
}
"""Every command that works in a run folder."""
BESIDE = (
    "journal.sqlite-wal", "journal.sqlite-shm", "journal.sqlite-journal", "journal.sqlite-damaged", "journal.salvaged.sqlite",
    "journal.salvage.sqlite", "journal.damaged-1.sqlite", "cache/images.sqlite-wal", "cache/images.sqlite-shm", "refresh.json",
    ".pipeline.yaml.new", ".summary.json.new", ".report.html.new", ".gold.html.new", ".cotforge-x.part", "dataset/.cotforge-x.part",
    "dataset/data/.cotforge-x.part", ".cotforge-shards.begun", "dataset/preference",
)  # fmt: skip
"""What is there while a command works, or after one that was killed."""


@pytest.fixture(autouse=True)
def _no_command_waits() -> Iterator[None]:
    """A pipe that is opened for good would be waited for."""

    def late(*_: object) -> None:
        raise TimeoutError("a command waits for something")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run folder has been through every command that needs no torch, with what training and batches leave beside."""
    folder = tmp_path_factory.mktemp("finished")
    write_rows(folder, 2)
    replies = {f"row-{number}": said(LABELS[number % 4]) for number in range(2)}
    train = {"student": {"model": "nobody/none"}, "stages": [{"name": "inject", "kind": "sft"}]}
    write_pipeline(folder, replay(folder, "one", dict(replies)), replay(folder, "two", dict(replies)), train=train)
    (folder / "answers.csv").write_text("id,answer\nrow-0,amusement\n")
    for name in ("build", "gold", "read", "what-if", "curate"):
        done = ran(*COMMANDS[name], cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), name
    assert (folder / "run" / ".cotforge-shards").read_text().count("\n") == 2
    for name in ("train/01-inject/metrics.jsonl", "train/01-inject/manifest.json", "train/cache/x.bin", "eval/00-base.json"):
        (folder / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "run" / name).write_text("{}")
    for name in ("batches/part-0a.jsonl", "batches/strange.jsonl", "cache/sent/00.png", "cache/spool/00"):
        (folder / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "run" / name).write_bytes(b"")
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy, beside an empty folder `outside`."""
    (tmp_path / "outside").mkdir()
    return Path(shutil.copytree(finished, tmp_path / "project"))


def places(run: Path) -> list[str]:
    """Everything that a finished run has, files and folders, and what it has at times."""
    return sorted({str(path.relative_to(run)) for path in run.rglob("*")} | set(BESIDE))


def removed(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def linked(place: Path, outside: Path) -> None:
    """A link to a sound copy elsewhere, of which a command would take no notice."""
    target = outside / "target"
    if place.is_dir():
        shutil.copytree(place, target)
    elif place.exists():
        shutil.copyfile(place, target)
    else:
        target.write_bytes(b"precious")
    removed(place)
    place.symlink_to(target)


def dangling(place: Path, outside: Path) -> None:
    removed(place)
    place.symlink_to(outside / "made-through-a-link")


def pipe(place: Path, outside: Path) -> None:
    removed(place)
    os.mkfifo(place)


def listening(place: Path, outside: Path) -> None:
    removed(place)
    with closing(socket.socket(socket.AF_UNIX)) as server:
        here = os.open(place.parent, os.O_RDONLY)  # a socket's path has at most 107 bytes
        server.bind(f"/proc/self/fd/{here}/{place.name}")
        os.close(here)


def swapped(place: Path, outside: Path) -> None:
    """A folder in a file's place, or a file in a folder's."""
    is_folder = place.is_dir() or place.name == "preference"
    removed(place)
    place.write_bytes(b"") if is_folder else place.mkdir()


STRANGE: tuple[Callable[[Path, Path], None], ...] = (linked, dangling, pipe, listening, swapped)
FREE = {"train/01-inject", "cache/spool/00", "train/cache/x.bin"}
"""Names that training or a picture's content chose: a file and a folder cannot be told apart by them."""


def refused(project: Path, command: str) -> str:
    """The one line that a command says when it refuses."""
    done = ran(*COMMANDS[command], cwd=project)
    assert done.returncode == 2, f"{command}: exit {done.returncode}: {done.stdout}{done.stderr}"
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("strange", STRANGE, ids=lambda strange: strange.__name__)
def test_nothing_strange_in_any_place_of_a_run_is_followed_waited_for_or_changed(project: Path, strange: Callable[..., None]) -> None:
    run, outside, whole = project / "run", project.parent / "outside", project.parent / "whole"
    shutil.copytree(run, whole)
    names = list(COMMANDS)
    for number, place in enumerate(places(run)):
        if strange is swapped and place in FREE:
            continue
        strange(run / place, outside)
        before = files(outside)
        said = refused(project, names[number % len(names)])  # each place meets one command, each command many places
        assert place.rpartition("/")[2] in said, said
        assert files(outside) == before, place
        assert [path for path in outside.iterdir() if path.name != "target"] == [], place
        removed(outside / "target")
        shutil.rmtree(run)
        shutil.copytree(whole, run)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["lock", "journal.sqlite", "dataset/data", "pipeline.yaml", ".pipeline.yaml.new", "gold.csv"])
def test_every_command_refuses_a_link(project: Path, command: str, place: str) -> None:
    outside = project.parent / "outside"
    linked(project / "run" / place, outside)
    before = files(outside)
    assert "is a link, which is not followed" in refused(project, command)
    assert files(outside) == before


@pytest.mark.parametrize("place", ["lock", "journal.sqlite", "journal.sqlite-wal", "cache/images.sqlite", "batches/strange.jsonl"])
def test_a_file_that_is_written_in_place_may_have_no_second_name(project: Path, place: str) -> None:
    other = project.parent / "outside" / "other"
    (project / "run" / place).touch()
    os.link(project / "run" / place, other)
    before = other.read_bytes()
    assert "has a second name" in refused(project, "check")
    assert other.read_bytes() == before


def test_a_link_that_is_put_there_during_a_run_has_nothing_removed_elsewhere(project: Path) -> None:
    outside = project.parent / "outside"
    with RunSession.open(project / "pipeline.yaml", out=project / "run", limit=1) as run:
        linked(project / "run" / "dataset" / "data", outside)
        before = files(outside)
        with pytest.raises(JournalError, match="is a link, which is not followed"):
            run.curate()
    assert files(outside) == before != {}


def test_a_file_that_is_replaced_as_a_whole_may_have_one(project: Path) -> None:
    os.link(project / "run" / "summary.json", project.parent / "outside" / "kept.json")
    before = (project.parent / "outside" / "kept.json").read_bytes()
    assert ran(*COMMANDS["build"], "--limit", "1", "--replace", cwd=project).returncode == 0
    assert (project.parent / "outside" / "kept.json").read_bytes() == before != (project / "run" / "summary.json").read_bytes()


def test_the_run_folder_itself_may_be_a_link_that_its_user_named(project: Path) -> None:
    (project / "run").rename(project.parent / "outside" / "run")
    (project / "run").symlink_to(project.parent / "outside" / "run")
    for command in ("check", "build", "curate", "gold"):
        assert ran(*COMMANDS[command], cwd=project).returncode == 0


def test_what_cotforge_never_touches_may_be_anything(project: Path) -> None:
    (project / "run" / "notes").symlink_to(project.parent / "outside")
    (project / "run" / "images").mkdir()
    (project / "run" / "images" / "link").symlink_to("/nowhere")
    os.mkfifo(project / "run" / "queue")
    for command in ("check", "build", "curate"):
        assert ran(*COMMANDS[command], cwd=project).returncode == 0


# databases of other programs


def foreign(path: Path, *statements: str) -> bytes:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)", "INSERT INTO moz_places VALUES (1, 'x')"),
        ("CREATE TABLE bookmarks (id INTEGER)", "PRAGMA user_version = 2"),
        ("CREATE TABLE replies (id INTEGER)", "PRAGMA user_version = 3"),
        ("CREATE TABLE contents (id INTEGER)", "PRAGMA user_version = 1"),
        ("CREATE TABLE teachers (id INTEGER)", "PRAGMA journal_mode = WAL"),
    ],
)
@pytest.mark.parametrize("place", ["journal.sqlite", "cache/images.sqlite"])
def test_a_database_of_another_program_is_refused_and_not_touched(project: Path, place: str, statements: tuple[str, ...]) -> None:
    before = foreign(project / "run" / place, *statements)
    for command in ("check", "build", "curate"):
        assert "is a database of another program" in refused(project, command)
    assert (project / "run" / place).read_bytes() == before


def test_a_database_that_names_its_program_is_refused_although_it_is_empty(project: Path) -> None:
    before = foreign(project / "run" / "journal.sqlite", "PRAGMA application_id = 252006674", "PRAGMA user_version = 0", "VACUUM")
    assert "is a database of another program" in refused(project, "check")
    assert (project / "run" / "journal.sqlite").read_bytes() == before


def hot(database: Path, victim: Path) -> None:
    """A rollback journal that SQLite takes for one of a commit over several databases, whose list of them it removes at the end.

    Source: sqlite.org/fileformat2, section 3; `pager_delsuper` in pager.c.
    """
    magic, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(victim)
    with closing(sqlite3.connect(database)) as connection:
        page, pages = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count"))
    head = (magic + struct.pack(">5I", 0, 7, pages, 512, page)).ljust(512, b"\0")
    tail = struct.pack(">I", 0x40000000 // page + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    database.with_name(f"{database.name}-journal").write_bytes(head + tail)


def test_sqlite_itself_removes_the_file_that_a_hot_journal_names(tmp_path: Path) -> None:
    foreign(tmp_path / "x.sqlite", "CREATE TABLE places (a)")
    (tmp_path / "precious").write_text("precious")
    hot(tmp_path / "x.sqlite", tmp_path / "precious")
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as connection:
        connection.execute("SELECT * FROM places")
    assert not (tmp_path / "precious").exists()  # else the next test shows nothing


@pytest.mark.parametrize("place", ["journal.sqlite", "cache/images.sqlite", "journal.salvaged.sqlite", "journal.salvage.sqlite"])
def test_a_received_database_removes_no_file_elsewhere(project: Path, place: str) -> None:
    precious = project.parent / "outside" / "precious"
    precious.write_text("precious")
    database = project / "run" / place
    if not database.exists():
        shutil.copyfile(project / "run" / "journal.sqlite", database)
    hot(database, precious)
    for command in ("check", "build", "curate"):
        ran(*COMMANDS[command], cwd=project)
        assert precious.read_text() == "precious"
    if place == "journal.sqlite":
        assert "has a rollback journal beside it" in refused(project, "check")


def test_a_journal_with_triggers_is_none_of_ours(project: Path) -> None:
    with closing(sqlite3.connect(project / "run" / "journal.sqlite")) as journal:
        journal.execute("CREATE TRIGGER undo AFTER INSERT ON replies BEGIN DELETE FROM replies; END")
        journal.commit()
    assert "is a database of another program" in refused(project, "build")


# damaged files


@pytest.mark.parametrize("command", ["check", "build", "curate", "gold", "train"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.html", b"\xff\xfe\x00\x81"),
        ("summary.json", b"\x00\x01"),
        ("summary.json", b"[1, 2]"),
        ("summary.json", b"{"),
        ("summary.json", b"[" * 100_000),
        ("refresh.json", b"[]"),
        ("refresh.json", b'{"one": "soon"}'),
        ("refresh.json", b'{"one": null}'),
        ("refresh.json", b"7"),
        ("pipeline.yaml", b"\x89PNG\r\n\x1a\n\x00"),
        ("pipeline.yaml", b"- a\n- b\n"),
        ("pipeline.yaml", b"just words"),
        ("pipeline.yaml", b""),
        ("pipeline.yaml", b"name: [a]"),
        ("pipeline.yaml", b"a: &a [x]\nb: &b [*a, *a]\n" + b"c: [*b, *b]\n"),
    ],
)
def test_a_damaged_file_is_one_line_before_anything_is_asked(project: Path, name: str, content: bytes, command: str) -> None:
    (project / "run" / name).write_bytes(content)
    (project / "run" / "journal.sqlite").unlink()  # there would be something to ask
    assert f"run/{name}: cannot be read" in refused(project, command)
    assert (project / "run" / name).read_bytes() == content
    assert not (project / "run" / "journal.sqlite").exists()


@pytest.mark.parametrize("name", ["report.html", "summary.json", "refresh.json", "pipeline.yaml"])
def test_a_huge_file_is_one_line_and_is_not_read(project: Path, name: str) -> None:
    os.truncate(project / "run" / name, 2**40) if (project / "run" / name).exists() else (project / "run" / name).touch()
    with (project / "run" / name).open("r+b") as file:
        file.truncate(2**40)  # takes no room on the disk
    assert "has more than" in refused(project, "build")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00\x81", b"\x00" * 100, b"name\nx\n", b"id,answer\nrow-0,no such label\n", b'id,answer\n"row-0,awe']
)
def test_gold_that_is_wrong_is_told_before_anything_is_asked(project: Path, content: bytes) -> None:
    (project / "run" / "gold.csv").write_bytes(content)
    (project / "run" / "journal.sqlite").unlink()
    for command in ("check", "build"):
        assert "gold.csv" in refused(project, command)
    with closing(sqlite3.connect(project / "run" / "journal.sqlite")) as journal:
        assert journal.execute("SELECT count(*) FROM asked").fetchone() == (0,)


def test_a_folder_without_its_pipeline_is_no_run(project: Path) -> None:
    (project / "run" / "pipeline.yaml").unlink()
    assert "is not a run folder" in refused(project, "curate")
    assert "is not a run folder" in refused(project, "gold")


# who else can enter


@pytest.mark.parametrize(("mode", "can"), [(0o755, "read"), (0o777, "read and change"), (0o711, "enter")])
def test_a_folder_that_others_can_enter_is_left_so_and_told_of(project: Path, mode: int, can: str) -> None:
    (project / "run").chmod(mode)
    done = ran(*COMMANDS["build"], cwd=project)
    assert (done.returncode, stat.S_IMODE((project / "run").stat().st_mode)) == (0, mode)
    assert f"run: other users can {can} it (mode {mode:o}); it is left as it was: `chmod 700 run`" in done.stderr


def test_an_empty_folder_becomes_its_owners_alone(project: Path) -> None:
    (project / "new").mkdir(mode=0o755)
    (project / "new").chmod(0o755)
    done = ran("build", "pipeline.yaml", "--out", "new", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert stat.S_IMODE((project / "new").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (project / "new").rglob("*") if path.is_file()} == {0o600}


# what an export removes


def test_an_export_removes_no_parquet_file_but_its_own(project: Path) -> None:
    data = project / "run" / "dataset" / "data"
    (own,) = data.iterdir()
    strangers = [
        data / "train-00000-of-00001.parquet",
        data / "train-00001-0123456789abcdef.parquet",
        project / "run/dataset/traces/x.parquet",
    ]
    for stranger in strangers:
        stranger.write_bytes(b"precious")
    assert ran(*COMMANDS["build"], "--limit", "1", "--replace", cwd=project).returncode == 0
    assert {stranger.read_bytes() for stranger in strangers} == {b"precious"}
    assert not own.exists()
    assert len(list(data.iterdir())) == 3


def test_a_run_from_before_there_were_lists_removes_what_its_card_names(project: Path) -> None:
    (project / "run" / ".cotforge-shards").unlink()
    (own,) = (project / "run" / "dataset" / "data").iterdir()
    assert ran(*COMMANDS["build"], "--limit", "1", "--replace", cwd=project).returncode == 0
    assert not own.exists()


def test_a_list_of_shards_leads_nowhere_else(project: Path) -> None:
    precious = project / "run" / "dataset" / "precious.parquet"
    precious.write_bytes(b"precious")
    (project / "run" / "dataset" / "data" / "kept").mkdir()
    (project / "run" / ".cotforge-shards").write_text("data/../precious.parquet\n../precious.parquet\nprecious.parquet\ndata/kept\n")
    assert ran(*COMMANDS["build"], cwd=project).returncode == 2  # a folder where shards lie
    (project / "run" / "dataset" / "data" / "kept").rmdir()
    assert ran(*COMMANDS["build"], cwd=project).returncode == 0
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1" * 40])
def test_a_damaged_shard_is_packed_anew(project: Path, content: bytes) -> None:
    (own,) = (project / "run" / "dataset" / "data").iterdir()
    before = own.read_bytes()
    own.write_bytes(content)
    assert ran(*COMMANDS["curate"], cwd=project).returncode == 0
    assert own.read_bytes() == before
