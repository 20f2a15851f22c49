"""The demo: real handwritten digits with some labels flipped, five small teachers, their votes, and students beside the papers' baseline.

Two tasks: one digit, which a glance is enough for, and the sum of four, which takes steps.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cotforge.demo import adders, school
from cotforge.demo.digits import PORT, answer_as_people, write_digits, write_pipeline
from cotforge.demo.score import score_run, scores_table
from cotforge.demo.sums import write_sums
from cotforge.demo.trainings import train_all
from cotforge.pipeline import Loaded
from cotforge.session import RunSession
from cotforge.simulate import HOST, Role, Server
from cotforge.train.command import missing_library

ONE_BY_ONE = "sequential"
"""The second run's folder, in that of the first."""
SEQUENTIAL = "consensus.rule=sequential"
SUMS = "sums"
"""The run folder of the task of steps, in that of the first."""


def run_demo(out: Path, *, short: bool, tell: Callable[[str], object]) -> None:
    """The whole main job on the digits: data, teachers, check, builds beside the truth, students; `tell` gets what it has to say.

    The first build asks every teacher about every digit and takes the majority; the second one asks as many as an answer is worth; the
    third one asks for sums of four digits. Students learn from the lessons, and others from the raw labels.

    Everything lies in `out` afterwards: `raw/` with the pictures and the pipeline files, beside what a run leaves.
    Raises what `check`, `build` and `train` raise.
    """
    file = build_digits(out, short=short, tell=tell)
    sums = build_sums(out, short=short, tell=tell)
    train_students(file, sums, out, seeds=1 if short else adders.SEEDS, tell=tell)
    if short:
        tell("This was the short form: so few digits and steps show that it works, and not how well.\n")
    for line in _result_paths(out):
        tell(line)


def train_students(file: Path, sums: Path, out: Path, *, seeds: int, tell: Callable[[str], object]) -> None:
    """All students trained and told of, as far as they are not yet; where the training libraries are absent, a line says how to get them.

    `file` and `sums` are the demo's pipeline files, `out` the run folder with the datasets. Raises what `train_all` raises.
    """
    if lacking := missing_library():
        tell(f"students would be trained now, but that needs {lacking}: pip install 'cotforge[train]', then the same command again\n")
        return
    added = adders.seed_trainings(sums, out / SUMS, seeds=seeds)
    train_all([*added[:seeds], *school.school_trainings(file, out), *added[seeds:]], tell=tell)  # about the longest first
    for line in ("", *school.school_table(out), *adders.adders_table(out / SUMS, seeds=seeds)):
        tell(line)


def build_digits(out: Path, *, short: bool, tell: Callable[[str], object]) -> Path:
    """The pipeline file of the digits, after both builds."""
    write_digits(out / "raw")
    with _serve_teachers(lambda port: write_pipeline(out / "raw", "digits.yaml", short=short, port=port)) as file:
        tell(f"cotforge check {file} --out {out}")
        with RunSession.open(file, out=out) as run:
            run.check(tell)
            tell(f"\ncotforge build {file} --out {out}")
            tell(run.build() + "\n")
        answer_as_people(out / ONE_BY_ONE / "gold.csv", out / "raw", short=short)
        tell(f"cotforge build {file} --out {out / ONE_BY_ONE} --set {SEQUENTIAL}")
        with RunSession.open(file, out=out / ONE_BY_ONE, sets=[SEQUENTIAL]) as run:
            tell(run.build() + "\n")
    scores = {"everybody asked": score_run(out, out / "raw"), "one by one": score_run(out / ONE_BY_ONE, out / "raw")}
    for line in (*scores_table(scores), ""):
        tell(line)
    return file


def build_sums(out: Path, *, short: bool, tell: Callable[[str], object]) -> Path:
    """The pipeline file of the sums, after its build."""
    write_sums(out / "raw" / SUMS)
    with _serve_teachers(lambda port: write_pipeline(out / "raw", "sums.yaml", short=short, port=port)) as file:
        tell(f"cotforge build {file} --out {out / SUMS}")
        with RunSession.open(file, out=out / SUMS) as run:
            tell(run.build() + "\n")
    for line in (*scores_table({"sums": score_run(out / SUMS, out / "raw" / SUMS)}), ""):
        tell(line)
    return file


@contextmanager
def _serve_teachers(written: Callable[[int], Path]) -> Iterator[Path]:
    """The pipeline file that `written` gives for a port, while its teachers are served there."""
    file, port = written(PORT), PORT if _is_free(PORT) else 0
    pipeline = Loaded.load(file).pipeline
    with Server([Role.of(teacher) for teacher in pipeline.teachers], pipeline.task.options(), root=file.parent, port=port) as server:
        yield written(int(server.url.removesuffix("/v1").rpartition(":")[2]))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _result_paths(out: Path) -> list[str]:
    students = {
        "student": out / "train" / "student", "baseline": out / school.BASELINE,
        "sums' student": out / SUMS / "train" / "student", "sums' baseline": adders.labels_run(out / SUMS, 0),
    }  # fmt: skip
    places = {
        "dataset": f"{out / 'dataset'}   load_dataset({str(out / 'dataset')!r})", "report": out / "report.html",
        "one by one": out / ONE_BY_ONE, "sums": out / SUMS, **{name: place for name, place in students.items() if place.exists()},
        "journal": out / "journal.sqlite", "raw data": out / "raw",
    }  # fmt: skip
    return [f"{name:16}{place}" for name, place in places.items()]
