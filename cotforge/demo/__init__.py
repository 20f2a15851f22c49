"""The demo: real handwritten digits with some labels flipped, five small teachers, two votes, and a student beside the papers' baseline."""

import socket
from collections.abc import Callable
from pathlib import Path

from cotforge.build import Run
from cotforge.demo.digits import PORT, people, prepare
from cotforge.demo.school import BASELINE, learn
from cotforge.demo.score import beside, score
from cotforge.pipeline import Loaded
from cotforge.simulate import HOST, Role, Server

ONE_BY_ONE = "sequential"
"""The second run's folder, in that of the first."""
SEQUENTIAL = "consensus.rule=sequential"


def demo(out: Path, *, short: bool, tell: Callable[[str], object]) -> None:
    """The whole main job on the digits: data, teachers, check, two builds beside the truth, a student; `tell` gets what it has to say.

    The first build asks every teacher about every digit and takes the majority; the second one asks as many as an answer is worth.
    A student learns from the lessons of the first, and another from the raw labels.

    Everything lies in `out` afterwards: `raw/` with the digits and the pipeline files, beside what a run leaves.
    Raises what `check`, `build` and `train` raise.
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
    for line in beside(scores):
        tell(line)
    tell("")
    learn(file, out, tell=tell)
    if short:
        tell("This was the short form: so few digits and steps show that it works, and not how well.\n")
    for line in _where(out):
        tell(line)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _where(out: Path) -> list[str]:
    trained = [f"student       {out / 'train' / 'student'}", f"baseline      {out / BASELINE}"]
    return [
        f"dataset       {out / 'dataset'}   load_dataset({str(out / 'dataset')!r})",
        f"report        {out / 'report.html'}",
        f"one by one    {out / ONE_BY_ONE}",
        *(trained if (out / BASELINE).exists() else ()),
        f"journal       {out / 'journal.sqlite'}",
        f"raw data      {out / 'raw'}",
    ]
