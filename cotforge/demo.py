"""The demo: real handwritten digits with some labels flipped, five small teachers, and how well two votes did against the truth.

Source: the 1,797 digits (8 x 8 cells, 16 levels) that come inside scikit-learn; UCI, Optical Recognition of Handwritten Digits, 1998.
"""

import csv
import io
import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from cotforge.build import Run
from cotforge.consensus.order import rank
from cotforge.errors import PipelineError
from cotforge.gold.pick import LEAST
from cotforge.pipeline import Loaded
from cotforge.prompts import shipped
from cotforge.simulate import HOST, Role, Server

TEACHERS = ("nearest", "svm", "bayes", "forest", "logistic")
LESSONS = 60
"""Digits each teacher is trained on, in no other teacher's part and not in the pool."""
TEST = 297
"""Rows of the pool that are held out, with true labels."""
FLIPPED = 0.08
"""Share of the other labels that are flipped."""
SHORT = 240
"""Rows asked by the short demo."""
ONE_BY_ONE = "sequential"
"""The second run's folder, in that of the first."""
SEQUENTIAL = "consensus.rule=sequential"
PORT = 8765
"""Of the shipped pipeline's teachers."""


def demo(out: Path, *, short: bool, tell: Callable[[str], object]) -> None:
    """The whole main job on the digits: data, teachers, check, two builds, and a comparison with the truth; `tell` gets what it has to say.

    The first build asks every teacher about every digit and takes the majority; the second one asks as many as an answer is worth.

    Everything lies in `out` afterwards: `raw/` with the digits and the pipeline file, beside what a run leaves.
    Raises what `check` and `build` raise.
    """
    port = PORT if _free(PORT) else 0
    file = prepare(out / "raw", short=short)
    pipeline = Loaded.load(file).pipeline
    with Server([Role.of(teacher) for teacher in pipeline.teachers], pipeline.task.options(), root=file.parent, port=port) as server:
        file = prepare(out / "raw", short=short, port=int(server.url.removesuffix("/v1").rpartition(":")[2]))
        tell(f"cotforge check {file} --out {out}")
        with Run.open(file, out=out) as run:
            run.check(tell)
            tell(f"\ncotforge build {file} --out {out}")
            tell(run.build() + "\n")
        people(out / ONE_BY_ONE / "gold.csv", out / "raw", short=short)
        tell(f"cotforge build {file} --out {out / ONE_BY_ONE} --set {SEQUENTIAL}")
        with Run.open(file, out=out / ONE_BY_ONE, sets=[SEQUENTIAL]) as run:
            tell(run.build() + "\n")
    scores = {"everybody asked": score(out, out / "raw"), "one by one": score(out / ONE_BY_ONE, out / "raw")}
    for line in (*beside(scores), *_where(out)):
        tell(line)


def people(path: Path, folder: Path, *, short: bool) -> None:
    """A tenth of the digits (at least 100) as `cotforge gold` picks them, with the answers of people who never err: those of truth.csv."""
    truth = {row["id"]: row["label"] for row in _rows(folder / "truth.csv")}
    asked = [row["id"] for row in _rows(folder / "pool.csv") if row["split"] == "train"][: SHORT if short else None]
    picked = sorted(asked, key=rank)[: max(LEAST, len(asked) // 10)]
    _write_rows(path, [("id", "answer"), *((id, truth[id]) for id in picked)])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _where(out: Path) -> list[str]:
    return [
        f"dataset       {out / 'dataset'}   load_dataset({str(out / 'dataset')!r})",
        f"report        {out / 'report.html'}",
        f"one by one    {out / ONE_BY_ONE}",
        f"journal       {out / 'journal.sqlite'}",
        f"raw data      {out / 'raw'}",
    ]


def prepare(folder: Path, *, short: bool = False, port: int = PORT) -> Path:
    """The demo's pipeline file, in a folder that then holds the digits too; nothing there is touched that is as it should be.

    Raises PipelineError where scikit-learn, which brings the digits, is not installed.
    """
    write_digits(folder)
    text = (shipped("pipelines") / "digits.yaml").read_text(encoding="utf-8")
    text = text.replace("${DIGITS_DIR}", ".").replace(f":{PORT}/", f":{port}/")
    if short:
        text = text.replace("  split: train\n", f"  split: train\n  limit: {SHORT}\n")
    _write(folder / "digits.yaml", text.encode())
    return folder / "digits.yaml"


def write_digits(folder: Path, *, seed: int = 0) -> None:
    """Writes images/, pool.csv (id, image, label, split), truth.csv (id, label) and teachers/<name>.csv (image, label).

    Every digit is a 64 x 64 grey PNG, numbered in an order drawn by `seed`, as are the parts and the flips; the same seed writes the same
    bytes. truth.csv is for scoring alone: no pipeline names it.
    """
    cells, labels = _digits()
    rng = Random(seed)
    order = rng.sample(range(len(labels)), len(labels))
    digits = [(f"digit-{number:04d}", str(labels[index])) for number, index in enumerate(order)]
    for (name, _), index in zip(digits, order, strict=True):
        _write(folder / "images" / f"{name}.png", _png(cells[index]))
    for number, teacher in enumerate(TEACHERS):
        part = digits[number * LESSONS : (number + 1) * LESSONS]
        _write_rows(
            folder / "teachers" / f"{teacher}.csv", [("image", "label"), *((f"../images/{name}.png", label) for name, label in part)]
        )
    pool = digits[len(TEACHERS) * LESSONS :]
    _write_rows(folder / "truth.csv", [("id", "label"), *pool])
    train = len(pool) - TEST
    flipped = set(rng.sample(range(train), round(FLIPPED * train)))
    rows = [
        (name, f"images/{name}.png", _other(label, rng) if place in flipped else label, "train" if place < train else "test")
        for place, (name, label) in enumerate(pool)
    ]
    _write_rows(folder / "pool.csv", [("id", "image", "label", "split"), *rows])


@dataclass(frozen=True, slots=True)
class Score:
    """How a finished run on the digits compares with the truth. Shares are in [0, 1], and 0 where there is nothing to share."""

    asked: int
    """Samples."""
    accepted: int
    coverage: float
    """Accepted, of those asked."""
    precision: float
    """Answers equal to the truth, of those accepted that no person had checked."""
    flips: int
    """Samples asked whose label had been flipped."""
    flips_found: float
    """Of these, accepted with the true label and marked as a label conflict."""
    teachers: Mapping[str, float]
    """Each teacher alone: replies with the true answer, of all its replies."""
    calls: int
    cost_usd: float

    claimed: float | None = None
    """The precision that the run claims; None where nobody checked enough answers."""
    low: float | None = None
    """Its lower bound, with 95 % confidence."""

    def lines(self) -> list[tuple[str, str]]:
        """(what, how much) for a person to read."""
        claim = "uncalibrated" if self.claimed is None else f"{self.claimed:.3f}, at least {self.low or 0:.3f}"
        return [
            ("accepted", f"{self.accepted:,} of {self.asked:,} (coverage {self.coverage:.3f})"),
            ("precision", f"{self.precision:.3f}"),
            ("claimed", claim),
            ("flips found", f"{self.flips_found:.3f} of {self.flips:,}"),
            ("calls", f"{self.calls:,}: {_share(self.calls, self.accepted):.2f} a lesson"),
            ("cost", f"${self.cost_usd:.4f}: ${1000 * _per(self.cost_usd, self.accepted):.3f} for 1,000 lessons"),
        ]


def _per(sum_usd: float, count: int) -> float:
    return sum_usd / count if count else 0.0


def score(run: Path, folder: Path) -> Score:
    """Compares the dataset of a finished run with truth.csv; the only reader of that file."""
    truth = {row["id"]: row["label"] for row in _rows(folder / "truth.csv")}
    given = {row["id"]: row["label"] for row in _rows(folder / "pool.csv")}
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    traces = _table(run / "dataset" / "traces", ("id", "teacher", "ballot"))
    lessons = {row["id"]: row for row in _table(run / "dataset" / "data", ("id", "answer", "label_conflict"))}
    checked = {row["id"] for row in _rows(run / "gold.csv")} if (run / "gold.csv").is_file() else set[str]()
    claim = summary.get("claim", {})
    right = {id for id, row in lessons.items() if row["answer"] == truth[id]}
    flips = {row["id"] for row in traces if given[row["id"]] != truth[row["id"]]}
    found = {id for id in flips & right if lessons[id]["label_conflict"]}
    return Score(
        asked=summary["samples"],
        accepted=len(lessons),
        coverage=_share(len(lessons), summary["samples"]),
        precision=_share(len(right - checked), len(lessons.keys() - checked)),
        flips=len(flips),
        flips_found=_share(len(found), len(flips)),
        teachers=_alone(traces, truth),
        calls=summary["calls_total"],
        cost_usd=summary["cost_usd"],
        claimed=claim.get("precision") if claim.get("calibrated") else None,
        low=claim.get("low"),
    )


def beside(scores: Mapping[str, Score]) -> list[str]:
    """Runs beside one another, for a person to read; each teacher alone as the first run, which asks it about everything, shows it."""
    columns = [[name, *(value for _, value in score.lines())] for name, score in scores.items()]
    first = next(iter(scores.values()))
    rows = zip(["", *(what for what, _ in first.lines())], *columns, strict=True)
    width = max(len(value) for column in columns for value in column)
    alone = ", ".join(f"{name} {share:.3f}" for name, share in first.teachers.items())
    return [
        *(f"{what:14}{'  '.join(f'{value:{width}}' for value in values)}".rstrip() for what, *values in rows),
        f"{'each alone':14}{alone}",
    ]


def _alone(traces: Sequence[Mapping[str, Any]], truth: Mapping[str, str]) -> dict[str, float]:
    replies: dict[str, list[bool]] = {}
    for row in traces:
        replies.setdefault(row["teacher"], []).append(row["ballot"] == truth[row["id"]])
    return {teacher: _share(sum(each), len(each)) for teacher, each in replies.items()}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _table(folder: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of all parquet files of a folder; none where it is not there."""
    from pyarrow import parquet

    return [row for path in sorted(folder.glob("*.parquet")) for row in parquet.read_table(path, columns=list(columns)).to_pylist()]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _digits() -> tuple[Any, Any]:
    """Cells (1797, 64) in 0..16 and labels (1797,) in 0..9."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise PipelineError("the demo needs scikit-learn: pip install 'cotforge[demo]'") from error
    data = load_digits()
    return data.data, data.target


def _png(cells: Any) -> bytes:
    """A 64 x 64 grey PNG, each of the 8 x 8 cells a block of 8 x 8 pixels."""
    grey = np.round(cells.reshape(8, 8) * (255 / 16)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey.repeat(8, 0).repeat(8, 1)).save(file, "PNG")
    return file.getvalue()


def _other(label: str, rng: Random) -> str:
    return rng.choice([other for other in "0123456789" if other != label])


def _write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    _write(path, file.getvalue().encode())


def _write(path: Path, data: bytes) -> None:
    """Leaves a file alone that holds these bytes, so that it is not taken for a changed one."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
