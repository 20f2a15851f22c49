"""A plan's stages in turn, each from the weights of the one before: finished ones are skipped, interrupted ones gone on with."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cotforge.errors import PipelineError
from cotforge.plan import SMOKE_STEPS, Grpo, Stage, lines
from cotforge.train import precheck, ranks
from cotforge.train.evaluation.best import chosen
from cotforge.train.evaluation.evaluate import figure
from cotforge.train.faults import room
from cotforge.train.links import linked
from cotforge.train.report import trackers
from cotforge.train.report.past import BASE, MANIFEST
from cotforge.train.report.record import Record
from cotforge.train.students.student import fingerprint
from cotforge.train.work import TrainingRun, Work, newest_whole

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate")


@dataclass(frozen=True)
class Choice:
    """Which stages are asked for."""

    only: str | None = None
    """This one alone."""
    first: str | None = None
    """This one and all after it, anew."""
    smoke: bool = False
    """Those that are asked for, SMOKE_STEPS each, in a folder beside."""


def run(training: TrainingRun, choice: Choice) -> Path | None:
    """Do what is not done yet. The student's folder, or None where not all stages are done.

    Raises PipelineError where a stage cannot be done, JournalError on a full disk, KeyboardInterrupt once SIGTERM or SIGINT was heeded.
    """
    stages = training.plan.expanded()
    names = [stage.name for stage in stages]
    for option, name in (("--stage", choice.only), ("--from", choice.first)):
        if name is not None and name not in names:
            raise PipelineError(f"{option} {name}: no stage of that name; there are {', '.join(names)}")
    trackers.check(training.plan)
    modules = {stage.kind: import_module(f"cotforge.train.kinds.{stage.kind}") for stage in stages if choice.only in (None, stage.name)}
    out = training.out / "smoke" if choice.smoke else training.out
    if choice.smoke:
        ranks.shared(lambda: shutil.rmtree(out, ignore_errors=True))
    begin, before, done = training.begin, fingerprint(training.begin), True
    for stage in stages:
        if choice.only in (None, stage.name):
            _ = _Step(training, stage, out, begin, before, choice.smoke).key  # that there is nothing to learn from is told before a trial
    precheck.try_all(training.plan, lambda stage: _rewards(training, stage, wanted=choice.only in (None, stage.name)))
    known = "" if choice.smoke else _tried(training, BASE, begin, before, when="base")
    for place, stage in enumerate(stages):
        folder = out / f"{place + 1:02}-{stage.name}"
        anew = choice.first is not None and place >= names.index(choice.first)
        wanted = choice.only in (None, stage.name)
        if choice.smoke and not wanted:
            real = _Step(training, stage, training.out / folder.name, begin, before, False)
            if stage.leaves_weights and place < names.index(str(choice.only)) and ranks.shared(real.is_done):
                begin, before = real.weights, real.key
            done = False
            continue
        step = _Step(training, stage, folder, begin, before, choice.smoke)
        if wanted or folder.exists():
            _ = step.key  # finds the data in every process, before one of them looks for all
        if wanted:
            training.tell(lines(training.plan, steps=SMOKE_STEPS if choice.smoke else None)[place])
            step.do(modules[stage.kind], anew=anew, known=known)
            if not choice.smoke and stage.leaves_weights:
                last = not any(later.leaves_weights for later in stages[place + 1 :])
                known = _tried(training, folder.name, step.weights, step.key, when="end" if last else "stages")
            training.page()
        elif choice.only is not None and place < names.index(choice.only) and not ranks.shared(step.is_done):
            raise PipelineError(f"--stage {choice.only}: the stage {stage.name!r} before it is not done; leave --stage out, or do it first")
        done = ranks.shared(step.is_done) and done
        if stage.leaves_weights:
            begin, before = step.weights, step.key
    return ranks.shared(lambda: _student(training, out, begin)) if done else None


def _tried(training: TrainingRun, name: str, weights: Path, key: str, *, when: str) -> str:
    """Have the student in a folder tried, and told of; what it came to, in a few words. Nothing where `eval.when` leaves it out."""
    if training.trials is None or when not in training.trials.plan.when:
        return ""
    found = training.trials.of(name, weights, key, training.tell, whole=when == "end")
    metric = training.trials.plan.metrics[0]
    return f"held out: {metric} {figure(found, metric).partition(' ')[0]}"


@dataclass(frozen=True)
class _Step:
    """One stage in its folder."""

    training: TrainingRun
    stage: Stage
    folder: Path
    begin: Path
    before: str
    """What the weights it begins with are known by."""
    smoke: bool

    @property
    def weights(self) -> Path:
        return self.folder / "weights"

    @property
    def inputs(self) -> dict[str, Any]:
        """Everything that decides what the stage comes to."""
        training, stage = self.training, self.stage
        inputs: dict[str, Any] = {
            "stage": stage.model_dump(mode="json", by_alias=True),
            "student": training.plan.student.model_dump(mode="json", exclude={"model", "tiny"}),
            "begin": self.before,
            "smoke": self.smoke,
            **stage.inputs(training),
        }
        if stage.trains and training.held_out is not None and training.held_out.best is not None:
            inputs["chosen_by"] = training.held_out.choosing()
        if (data := training.learned_by(stage)) is not None:
            inputs["data"] = data.digest
        return inputs

    @property
    def key(self) -> str:
        """Changes with the inputs."""
        return sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()

    def is_done(self) -> bool:
        """Whether it was finished with the inputs of today, and all that it left is there."""
        held = self._manifest()
        if not held.get("finished") or held.get("key") != self.key:
            return False
        return all((file := self.folder / name).is_file() and file.stat().st_size == size for name, size in held["files"].items())

    def do(self, module: Any, *, anew: bool, known: str = "") -> None:
        """Train, unless it is done; go on where it was interrupted. `known` is shown beside its metrics."""
        goes, resumed = ranks.shared(lambda: self._ready(anew=anew))
        if not goes:
            return
        begun = time.monotonic()
        file = self.folder / "metrics.jsonl" if ranks.first() else None
        with room(self.folder), Record(file, self.stage.name, known=known, page=self.training.page) as record:
            with trackers.placed(self.folder):
                module.train(self.stage, self._work(record, resumed))
            if ranks.first():
                best = {"best": found} if (found := chosen(self.folder)) else {}
                self._write(finished=True, seconds=round(time.monotonic() - begun, 1), last=record.last, **best)
        self.training.tell(f"  done in {time.monotonic() - begun:,.0f} s{_figures(record.last)}")

    def _ready(self, *, anew: bool) -> tuple[bool, Path | None]:
        """Whether there is something to do, its folder made ready, and the checkpoint to go on from."""
        tell = self.training.tell
        if not anew and self.is_done():
            tell(f"  done already; --from {self.stage.name} does it again")
            return False, None
        held = self._manifest()
        if held and (anew or held.get("key") != self.key or held.get("finished")):
            tell("  its inputs have changed; it starts again" if not anew else "  starts again")
            shutil.rmtree(self.folder)
        with room(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(finished=False)
        resumed = newest_whole(self.folder / "checkpoints")
        if resumed is not None:
            tell(f"  goes on from step {resumed.name.rpartition('-')[2]}")
        return True, resumed

    def _work(self, record: Record, resumed: Path | None) -> Work:
        own = {"begin": self.begin, "out": self.folder, "smoke": self.smoke, "resume_from": resumed, "record": record}
        return Work(**vars(self.training) | own, stage=self.stage)

    def _manifest(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    def _write(self, *, finished: bool, **more: Any) -> None:
        files = {str(path.relative_to(self.folder)): path.stat().st_size for path in sorted(_files(self.weights))} if finished else {}
        whole = {"finished": finished, "key": self.key, "inputs": self.inputs, "versions": {name: version(name) for name in LIBRARIES}}
        passing = self.folder / f".{MANIFEST}.new"
        passing.write_text(json.dumps(whole | more | {"files": files}, indent=1, default=float), encoding="utf-8")
        passing.replace(self.folder / MANIFEST)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _rewards(training: TrainingRun, stage: Grpo, *, wanted: bool) -> None:
    """Have the rewards of a stage tried on its data; one that is not `wanted` need not have any yet. Raises PipelineError."""
    try:
        data = training.learned_by(stage)
    except PipelineError:
        if wanted:
            raise
        return
    precheck.tried(stage, precheck.first_rows(data) if data is not None else (), task=training.task, root=training.root)


def _figures(last: dict[str, Any]) -> str:
    named = [f"{name} {last[name]:.4g}" for name in ("loss", "reward", "mean_token_accuracy") if isinstance(last.get(name), int | float)]
    return f"; {', '.join(named)}" if named else ""


def _student(training: TrainingRun, out: Path, weights: Path) -> Path:
    """The weights of the last stage as the student: links where the disk can, copies elsewhere, with a card."""
    folder, passing = out / "student", out / ".student.new"
    shutil.rmtree(passing, ignore_errors=True)
    with room(folder):
        shutil.copytree(weights, passing, copy_function=linked)
        (passing / "README.md").unlink(missing_ok=True)
        (passing / "README.md").write_text(training.card(), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        passing.rename(folder)
    return folder
