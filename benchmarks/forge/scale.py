"""A whole build over as many pictures as EmoSet has, and `check` of a table of a million rows. Prints two tables.

The pictures are small and distinct, in an `imagefolder`; three simulated teachers answer after 20 ms and are asked in turn.

python -m benchmarks.forge.scale
python -m benchmarks.forge.scale --smoke
"""

import argparse
import csv
import io
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from benchmarks.forge.data import LABELS
from benchmarks.forge.process import Spent, cotforge
from benchmarks.forge.table import print_table
from cotforge.simulate.server_process import Server
from cotforge.simulate.simulated_teacher import Role
from cotforge.teachers.simulated import Simulated

PICTURES, ROWS = 118_000, 1_000_000
LATENCY = 0.02
"""Seconds until a teacher answers."""
EYES = {"ann": "logistic", "bob": "nearest", "cyd": "bayes"}
"""The teachers, and what they are made of."""
IN_FLIGHT = 16
"""Calls in flight at each teacher, at most."""
SIDE, DRAWN, LEARNED = 64, 320, 160
"""Pixels of a picture's side; pictures that are drawn, and how many of these the teachers learn from."""
WRONG = 0.1
"""Share of the labels that are wrong."""
PICTURES_OF_TABLE = 1_000
"""Distinct pictures that the rows of the table name."""


@dataclass(frozen=True)
class Asked:
    """When Calls were in flight during one build."""

    calls: int
    first: float
    """Seconds from the start of the process to the first Call."""
    idle: float
    """Seconds of the longest time without any Call in flight, between the first and the last."""

    @classmethod
    def of(cls, run: Path, started: float) -> "Asked":
        """From the journal of a run folder."""
        with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
            times = journal.execute(
                "SELECT begun_at, begun_at + coalesce(seconds, 0) FROM asked LEFT JOIN replies USING (id) ORDER BY begun_at"
            ).fetchall()
        idle, busy_until = 0.0, times[0][0]
        for begun, ended in times:
            idle, busy_until = max(idle, begun - busy_until), max(busy_until, ended)
        return cls(len(times), times[0][0] - started, idle)


def main() -> None:
    """Measures and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of the build; 0 leaves it out")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the table; 0 leaves it out")
    parser.add_argument("--rule", default="sequential")
    parser.add_argument("--ids", choices=("names", "default"), default="default", help="names: columns.id is file_name")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where gigabytes may lie for a while (default: runs)")
    parser.add_argument("--smoke", action="store_true", help="300 pictures and 2,000 rows: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.pictures, options.rows = 300, 2_000
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder.absolute()) as folder:
        if options.pictures:
            build(Path(folder), options.pictures, rule=options.rule, ids=options.ids)
        if options.rows:
            check(Path(folder), options.rows)


def build(folder: Path, count: int, *, rule: str, ids: str) -> None:
    """One build from nothing, then the same with nothing left to ask."""
    drawn = draw()
    imagefolder(folder / "pictures", count, drawn)
    roles = [Role(name, name, Simulated.model_validate(spec)) for name, spec in simulated(folder, drawn).items()]
    with Server(roles, LABELS, root=folder) as server:
        teachers: list[dict[str, object]] = [{"name": name, "model": name, "url": server.url, "concurrency": IN_FLIGHT} for name in EYES]
        source: dict[str, object] = {"kind": "imagefolder", "path": "pictures"}
        if ids == "names":
            source["columns"] = {"id": "file_name"}
        file = pipeline(folder / "build.yaml", source, teachers, rule)
        where = file, "--out", folder / "run"
        spent = cotforge("build", *where, every=0.5)  # to look at mapped files 20 times a second costs a third of a core
        asked = Asked.of(folder / "run", spent.started)
        again = cotforge("build", *where, every=0.5)
    print(f"\n`build`: {count:,} pictures, {len(EYES)} teachers of {LATENCY * 1000:.0f} ms, rule {rule}\n")
    lines = [
        ("seconds", f"{spent.seconds:.1f}", f"at most 360 for {PICTURES:,}"),
        ("CPU, s", f"{spent.cpu:.1f}", ""),
        ("calls", f"{asked.calls:,}", ""),
        ("seconds to the first call", f"{asked.first:.1f}", "at most 10"),
        ("longest time without a call in flight, s", f"{asked.idle:.1f}", "at most 5"),
        *memory(spent, "under 350"),
        ("build again with no calls, s", f"{again.seconds:.1f}", ""),
        ("build again with no calls, CPU s", f"{again.cpu:.1f}", ""),
    ]
    print_table(("", "cotforge", "wanted"), lines)


def check(folder: Path, count: int) -> None:
    """`check` of a table, its pictures seen for the first time."""
    table(folder / "table", count)
    teachers: list[dict[str, object]] = [
        {"name": name, "model": name, "kind": "replay", "path": str(folder / "none.jsonl")} for name in EYES
    ]
    (folder / "none.jsonl").write_text("")
    file = pipeline(folder / "check.yaml", {"kind": "table", "path": str(folder / "table" / "rows.csv")}, teachers, "majority")
    spent = cotforge("check", file, "--out", folder / "checked", every=0.5)
    print(f"\n`check`: a CSV of {count:,} rows and {PICTURES_OF_TABLE:,} pictures, {len(EYES)} teachers\n")
    lines = [
        ("seconds", f"{spent.seconds:.1f}", f"at most 60 for {ROWS:,}"),
        ("CPU, s", f"{spent.cpu:.1f}", ""),
        *memory(spent, "at most 150"),
    ]
    print_table(("", "cotforge", "wanted"), lines)


def memory(spent: Spent, wanted: str) -> list[tuple[str, ...]]:
    """The lines about memory."""
    return [
        ("peak memory of the process tree, MB", f"{spent.peak:.0f}", wanted),
        ("of it no file's, MB", f"{spent.own:.0f}", ""),
    ]


def draw() -> list[tuple[str, bytes]]:
    """(label, JPEG) of pictures that can be told apart, though not always: a pattern for each label, under noise."""
    chance = np.random.default_rng(0)
    patterns = [np.kron(chance.random((8, 8)), np.ones((SIDE // 8, SIDE // 8))) for _ in LABELS]
    drawn = []
    for number in range(DRAWN):
        place = number % len(LABELS)
        noise = np.kron(chance.random((8, 8)), np.ones((SIDE // 8, SIDE // 8)))
        grey = 0.4 * patterns[place] + 0.6 * noise
        file = io.BytesIO()
        Image.fromarray((255 * np.stack([grey, grey, 0.5 * grey], axis=2)).astype(np.uint8)).save(file, "JPEG", quality=75)
        drawn.append((LABELS[place], file.getvalue()))
    return drawn


def distinct(data: bytes, number: int) -> bytes:
    """The same picture as other bytes: its density, which a JPEG keeps without its metadata, is the number."""
    assert data[6:11] == b"JFIF\0"
    return data[:14] + (number + 1).to_bytes(4, "big") + data[18:]


def imagefolder(folder: Path, count: int, drawn: Sequence[tuple[str, bytes]]) -> None:
    """`<label>/<number>.jpg`, each with bytes of its own; some labels are wrong."""
    chance = random.Random(0)
    for label in LABELS:
        (folder / label).mkdir(parents=True)
    for number in range(count):
        label, data = drawn[number % len(drawn)]
        label = chance.choice(LABELS) if chance.random() < WRONG else label
        (folder / label / f"{number:06}.jpg").write_bytes(distinct(data, number))


def simulated(folder: Path, drawn: Sequence[tuple[str, bytes]]) -> dict[str, dict[str, object]]:
    """The `simulate` section of each teacher, by its name; what they learn from lies in the folder."""
    (folder / "lessons").mkdir()
    with (folder / "lessons.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("image", "label"))
        for number, (label, data) in enumerate(drawn[:LEARNED]):
            (folder / "lessons" / f"{number}.jpg").write_bytes(data)
            lines.writerow((f"lessons/{number}.jpg", label))
    return {name: {"latency": LATENCY, "learn": "lessons.csv", "eye": kind} for name, kind in EYES.items()}


def table(folder: Path, count: int) -> None:
    """`rows.csv` with the columns id, image and label."""
    shutil.rmtree(folder, ignore_errors=True)
    drawn = draw()
    (folder / "images").mkdir(parents=True)
    for number in range(PICTURES_OF_TABLE):
        (folder / "images" / f"{number}.jpg").write_bytes(distinct(drawn[number % len(drawn)][1], number))
    with (folder / "rows.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("id", "image", "label"))
        lines.writerows((number, f"images/{number % PICTURES_OF_TABLE}.jpg", LABELS[number % len(LABELS)]) for number in range(count))


def pipeline(path: Path, source: dict[str, object], teachers: Sequence[dict[str, object]], rule: str) -> Path:
    """A pipeline file."""
    spec = {
        "name": "scale",
        "source": source,
        "task": {"kind": "classify", "question": "Which emotion does this image evoke most?", "labels": list(LABELS)},
        "teachers": list(teachers),
        "consensus": {"rule": rule},
    }
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


if __name__ == "__main__":
    main()
