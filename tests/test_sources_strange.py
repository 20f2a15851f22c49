"""Sources with no file in a file's place, or one that leads out of the folder: counted or one line, never followed or waited for."""

import json
import os
import shutil
import signal
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from cotforge.answers.task import Task
from cotforge.errors import SourceError
from cotforge.records import Fault, Sample
from cotforge.sources import Source
from cotforge.sources.hf_within import demand_resolved
from tests.project import ran, replay, write_pipeline
from tests.test_sources import Desk, photo

LABELS = ("cat", "dog")
TASK = Task(kind="classify", question="Which?", labels=LABELS)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_waits() -> Iterator[None]:
    """A pipe that is opened for good would be waited for."""

    def late(*_: object) -> None:
        raise TimeoutError("something is waited for")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# one of each kind, all of its files below data/


def csv_file(desk: Desk) -> str:
    desk.photos("data/a.jpg", "data/b.jpg")
    desk.put("data/rows.csv", "image,label\na.jpg,cat\nb.jpg,dog\n")
    return "data/rows.csv"


def json_lines(desk: Desk) -> str:
    desk.photos("data/a.jpg", "data/b.jpg")
    desk.lines("data/rows.jsonl", {"image": "a.jpg", "label": "cat"}, {"image": "b.jpg", "label": "dog"})
    return "data/rows.jsonl"


def json_list(desk: Desk) -> str:
    desk.photos("data/a.jpg")
    desk.put("data/rows.json", json.dumps([{"image": "a.jpg", "label": "cat"}], indent=1))
    return "data/rows.json"


def parquet(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": [{"bytes": photo(seed), "path": "x.jpg"}], "label": [LABELS[seed % 2]]}), path)


def shards(desk: Desk) -> str:
    parquet(desk.folder / "data" / "0.parquet", 0)
    parquet(desk.folder / "data" / "more" / "1.parquet", 1)
    return "data"


def globbed(desk: Desk) -> str:
    shards(desk)
    return "data/**/*.parquet"


def classes(desk: Desk) -> str:
    desk.photos("data/cat/a.jpg", "data/dog/b.jpg")
    return "data"


def divided(desk: Desk) -> str:
    desk.photos("data/train/cat/a.jpg", "data/train/dog/b.jpg", "data/test/cat/c.jpg")
    return "data"


def metadata_lines(desk: Desk) -> str:
    desk.photos("data/a.jpg", "data/b.jpg")
    desk.lines("data/metadata.jsonl", {"file_name": "a.jpg", "label": "cat"}, {"file_name": "b.jpg", "label": "dog"})
    return "data"


def metadata_csv(desk: Desk) -> str:
    desk.photos("data/a.jpg", "data/b.jpg")
    desk.put("data/metadata.csv", "file_name,label\na.jpg,cat\nb.jpg,dog\n")
    return "data"


def metadata_parquet(desk: Desk) -> str:
    desk.photos("data/a.jpg", "data/b.jpg")
    pq.write_table(pa.table({"file_name": ["a.jpg", "b.jpg"], "label": ["cat", "dog"]}), desk.folder / "data" / "metadata.parquet")
    return "data"


def tars(desk: Desk) -> str:
    for number in range(2):
        (desk.folder / "data").mkdir(exist_ok=True)
        with tarfile.open(desk.folder / "data" / f"{number}.tar", "w") as tar:
            for name, data in ((f"{number}.jpg", photo(number)), (f"{number}.cls", LABELS[number].encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, BytesIO(data))
    return "data"


def emoset(desk: Desk) -> str:
    desk.photos("data/image/a.jpg", "data/image/b.jpg")
    desk.put("data/annotation/a.json", "{}")
    rows = [["cat", "1", "image/a.jpg", "annotation/a.json"], ["dog", "2", "image/b.jpg", "annotation/b.json"]]
    desk.put("data/train.json", json.dumps(rows))
    return "data"


def hf_shards(desk: Desk) -> str:
    for number in range(2):
        parquet(desk.folder / "data" / "deep" / f"train-0000{number}.parquet", number)
    desk.put("data/README.md", '---\nconfigs:\n- config_name: default\n  data_files: "deep/*.parquet"\n---\n# Words\n')
    return "data"


def hf_images(desk: Desk) -> str:
    desk.photos("data/train/cat/a.jpg", "data/train/dog/b.jpg")
    return "data"


KINDS: dict[Callable[[Desk], str], str] = {
    csv_file: "table", json_lines: "table", json_list: "table", shards: "table", globbed: "table", classes: "imagefolder",
    divided: "imagefolder", metadata_lines: "imagefolder", metadata_csv: "imagefolder", metadata_parquet: "imagefolder",
    tars: "webdataset", emoset: "emoset", hf_shards: "hf", hf_images: "hf",
}  # fmt: skip


def linked(place: Path, outside: Path) -> None:
    """A link to a sound copy elsewhere."""
    place.rename(outside / place.name)
    place.symlink_to(outside / place.name)


def dangling(place: Path, outside: Path) -> None:
    removed(place)
    place.symlink_to(outside / "nothing")


def circle(place: Path, outside: Path) -> None:
    removed(place)
    place.symlink_to(place.name)


def pipe(place: Path, outside: Path) -> None:
    removed(place)
    os.mkfifo(place)


def listening(place: Path, outside: Path) -> None:
    removed(place)
    here = os.open(place.parent, os.O_RDONLY)
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(f"/proc/self/fd/{here}/{place.name}")
    os.close(here)


def device(place: Path, outside: Path) -> None:
    removed(place)
    place.symlink_to("/dev/zero")  # never ends


def swapped(place: Path, outside: Path) -> None:
    removed(place)
    place.mkdir()


def removed(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()


STRANGE = (linked, dangling, circle, pipe, listening, device, swapped)


def passed_over(made: Callable[[Desk], str], place: Path) -> bool:
    """Whether it tells nobody: an annotation that cannot be read leaves its sample without attributes, and a glob says what is wanted."""
    return place.parts[1] in ("annotation", "test") or (made is globbed and place.name == "more")


@pytest.mark.parametrize("made", KINDS, ids=lambda made: made.__name__)
def test_each_kind_of_data_is_sound_as_it_is(desk: Desk, made: Callable[[Desk], str]) -> None:
    assert desk.sound(KINDS[made], made(desk), task=TASK)
    assert desk.counts.unused == 0


def tried(desk: Desk, kind: str, path: str) -> tuple[list[Sample | Fault], str]:
    """What a source gives, or why it is refused."""
    try:
        return desk.read(kind, path, task=TASK), ""
    except SourceError as fault:
        return [], str(fault)


@pytest.mark.parametrize("strange", STRANGE, ids=lambda strange: strange.__name__)
@pytest.mark.parametrize("made", KINDS, ids=lambda made: made.__name__)
def test_nothing_strange_in_any_place_of_a_source_is_followed_waited_for_or_passed_over(
    desk: Desk, made: Callable[[Desk], str], strange: Callable[..., None]
) -> None:
    kind, path = KINDS[made], made(desk)
    shutil.copytree(desk.folder / "data", desk.folder / "whole")
    places = sorted(place.relative_to(desk.folder) for place in (desk.folder / "data").rglob("*"))
    for place in places:
        is_folder = (desk.folder / place).is_dir()
        if strange is swapped and is_folder:
            continue
        (desk.folder / "outside").mkdir()
        strange(desk.folder / place, desk.folder / "outside")
        source: Any = TypeAdapter(Source).validate_python({"kind": kind, "path": path})
        with suppress(SourceError):
            getattr(source, "size", lambda root: None)(desk.folder)
        found, refused = tried(desk, kind, path)
        assert "\n" not in refused, place
        assert len(refused) < 600, place
        assert refused or any(isinstance(item, Fault) for item in found) or desk.counts.unused or passed_over(made, place), place
        shown = [picture.load for item in found if isinstance(item, Sample) for picture in item.pictures]
        assert not any("outside/" in repr(picture) for picture in shown), place
        shutil.rmtree(desk.folder / "data")
        shutil.rmtree(desk.folder / "outside")
        shutil.copytree(desk.folder / "whole", desk.folder / "data")


@pytest.mark.parametrize("made", [csv_file, shards, globbed, metadata_csv, metadata_parquet, tars, emoset], ids=lambda made: made.__name__)
def test_a_data_file_that_is_a_link_out_of_the_folder_is_a_fault_that_says_so(desk: Desk, made: Callable[[Desk], str]) -> None:
    path = made(desk)
    place = next(
        file
        for file in sorted((desk.folder / "data").rglob("*"))
        if file.suffix in (".csv", ".parquet", ".tar") or file.name == "train.json"
    )
    (desk.folder / "outside").mkdir()
    linked(place, desk.folder / "outside")
    found, refused = tried(desk, KINDS[made], path)
    said = [refused, *(f"{item.reason}: {item}" for item in found if isinstance(item, Fault))]
    told = "is a link that leads out of the folder of the data; put a copy in its place"
    assert any("path_outside" in one and told in one for one in said)


def test_a_link_that_stays_in_the_folder_is_followed(desk: Desk) -> None:
    shards(desk)
    (desk.folder / "data" / "more" / "1.parquet").rename(desk.folder / "data" / "kept")
    (desk.folder / "data" / "more" / "1.parquet").symlink_to("../kept")
    assert len(desk.sound("table", "data", task=TASK)) == 2


def test_the_folder_of_the_data_may_itself_be_a_link(desk: Desk) -> None:
    shards(desk)
    (desk.folder / "data").rename(desk.folder / "elsewhere")
    (desk.folder / "data").symlink_to("elsewhere")
    assert len(desk.sound("table", "data", task=TASK)) == 2


@pytest.mark.parametrize("kind", ["table", "hf", "webdataset", "imagefolder"])
def test_files_of_a_snapshot_in_the_hubs_cache_are_links_to_its_blobs_and_are_read(desk: Desk, kind: str) -> None:
    {"table": shards, "hf": hf_shards, "webdataset": tars, "imagefolder": metadata_csv}[kind](desk)
    blobs, snapshot = desk.folder / "hub/datasets--a--b/blobs", desk.folder / "hub/datasets--a--b/snapshots/abc"
    blobs.mkdir(parents=True)
    for number, file in enumerate(sorted((desk.folder / "data").rglob("*.*"))):
        place = snapshot / file.relative_to(desk.folder / "data")
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(blobs / f"{number:064x}")
        place.symlink_to(os.path.relpath(blobs / f"{number:064x}", place.parent))
    assert len(desk.sound(kind, str(snapshot), task=TASK)) == 2


# kind hf: what a card names


def card(desk: Desk, data_files: object, **more: object) -> None:
    header = json.dumps({"configs": [{"config_name": "default", "data_files": data_files, **more}]})
    desk.put("data/README.md", f"---\n{header}\n---\n")


@pytest.mark.parametrize(
    "pattern",
    [
        "{outside}/*.parquet", "../outside/*.parquet", "deep/../../outside/x.parquet", "http://127.0.0.1:9/x.parquet",
        "https://example.org/x.parquet", "hf://datasets/squad@main/x.parquet", "file://{outside}/x.parquet", "s3://bucket/x.parquet",
        "zip://x.parquet::{outside}/x.zip", "~/x.parquet", "..\\outside\\x.parquet", "C:\\x.parquet", "./../outside/x.parquet",
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", ["text", "list", "splits", "second", "data_dir", "yaml"])
def test_a_card_names_only_files_of_its_folder(desk: Desk, pattern: str, shape: str) -> None:
    hf_shards(desk)
    parquet(desk.folder / "outside" / "x.parquet", 1)
    pattern = pattern.replace("{outside}", str(desk.folder / "outside"))
    if shape == "data_dir":
        card(desk, "*.parquet", data_dir=pattern.rpartition("/")[0] or pattern)
    elif shape == "yaml":
        desk.put("data/.huggingface.yaml", json.dumps({"configs": [{"config_name": "default", "data_files": pattern}]}))
    elif shape == "second":
        own = {"config_name": "a", "data_files": "deep/*.parquet"}
        desk.put("data/README.md", "---\n" + json.dumps({"configs": [own, {"config_name": "b", "data_files": pattern}]}) + "\n---\n")
    else:
        card(desk, {"text": pattern, "list": ["deep/*.parquet", pattern], "splits": [{"split": "train", "path": [pattern]}]}[shape])
    keys = {"config": "b"} if shape == "second" else {}
    assert "leads out of the folder of the data; only files in it are read" in desk.error("hf", "data", task=TASK, **keys)


@pytest.mark.parametrize(
    "text",
    [b"---\nconfigs: [\n---\n", b"---\n\xff\xfe\n---\n", b"---\na: &a {x: 1}\nb: {<<: *a}\n---\n", b"---\n" + b"[" * 9999 + b"\n---\n"],
)
def test_a_card_that_cannot_be_read_is_one_line(desk: Desk, text: bytes) -> None:
    hf_shards(desk)
    desk.put("data/README.md", text)
    assert "data/README.md: " in desk.error("hf", "data", task=TASK)


def test_a_script_in_a_dataset_is_never_run(desk: Desk) -> None:
    hf_shards(desk)
    script = f"import pathlib\npathlib.Path({str(desk.folder / 'ran')!r}).touch()\n"
    for name in ("dataset.py", "setup.py"):
        desk.put(f"data/{name}", script)
    assert len(desk.sound("hf", "data", task=TASK)) == 2
    desk.put("data/data.py", script)
    assert "no longer supported, but found data.py" in desk.error("hf", "data", task=TASK)
    assert "is not a folder" in desk.error("hf", "data/data.py", task=TASK)
    assert not (desk.folder / "ran").exists()


def test_hidden_files_of_a_dataset_may_be_anything(desk: Desk) -> None:
    hf_shards(desk)
    (desk.folder / "data" / ".venv").mkdir()
    (desk.folder / "data" / ".venv" / "python").symlink_to("/usr/bin/env")
    assert len(desk.sound("hf", "data", task=TASK)) == 2


@pytest.mark.parametrize(
    ("file", "owned"),
    [
        ("hf://datasets/Owner/Name@0a1b/data/x.parquet", True),
        ("hf://datasets/owner/name@refs%2Fconvert%2Fparquet/x.parquet", True),
        ("zip://a.csv::hf://datasets/owner/name@0a1b/x.zip", True),
        ("hf://datasets/other/private@main/x.parquet", False),
        ("hf://datasets/owner/name-private@main/x.parquet", False),
        ("hf://owner/name@main/x.parquet", False),
        ("/etc/passwd", False),
        ("https://example.org/x.parquet", False),
        ("zip://hf://datasets/owner/name@0a1b/::/home/me/x.zip", False),
    ],
)
def test_a_dataset_of_the_hub_is_made_of_its_own_files_alone(file: str, owned: bool) -> None:
    with nullcontext() if owned else pytest.raises(SourceError, match="which lies outside it; only its own files are read"):
        demand_resolved({"train": ["hf://datasets/owner/name@0a1b/y.parquet", file]}, None, "owner/name", "hf://datasets/owner/name@0a1b")


def test_what_save_to_disk_wrote_is_told_as_such(desk: Desk) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"image": ["a.jpg"], "label": ["cat"]}).save_to_disk(str(desk.folder / "data"))
    assert "was written by `save_to_disk`, which is not read; write it by `to_parquet`" in desk.error("hf", "data", task=TASK)


# as a command


@pytest.mark.parametrize("strange", [linked, pipe, device, dangling], ids=lambda strange: strange.__name__)
def test_a_command_says_in_one_line_what_is_wrong_with_its_only_data(desk: Desk, strange: Callable[..., None]) -> None:
    csv_file(desk)
    (desk.folder / "outside").mkdir()
    strange(desk.folder / "data" / "rows.csv", desk.folder / "outside")
    source = {"kind": "table", "path": "data/rows.csv"}
    write_pipeline(desk.folder, replay(desk.folder, "one", {}), replay(desk.folder, "two", {}), source=source)
    for command in ("check", "build"):
        done = ran(command, "pipeline.yaml", cwd=desk.folder)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "rows.csv" in done.stderr


@pytest.mark.parametrize("place", ["one.jsonl", "solve.jinja", "gold.csv", "pipeline.yaml"])
@pytest.mark.parametrize("strange", [pipe, listening, swapped, device], ids=lambda strange: strange.__name__)
def test_a_file_beside_the_pipeline_that_is_none_is_one_line(desk: Desk, place: str, strange: Callable[..., None]) -> None:
    csv_file(desk)
    desk.put("solve.jinja", "{{ question }} {{ options }} <answer></answer>")
    desk.put("gold.csv", "id,answer\n")
    write_pipeline(
        desk.folder, replay(desk.folder, "one", {}), replay(desk.folder, "two", {}), gold="gold.csv", prompts={"solve": "solve.jinja"},
        source={"kind": "table", "path": "data/rows.csv"}, task={"kind": "classify", "question": "Which?", "labels": ["cat", "dog"]},
    )  # fmt: skip
    assert ran("check", "pipeline.yaml", cwd=desk.folder).returncode == 0
    strange(desk.folder / place, desk.folder)
    done = ran("check", "pipeline.yaml", cwd=desk.folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert place in done.stderr
