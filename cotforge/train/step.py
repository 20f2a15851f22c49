"""One stage in its folder: its key, whether it is done, what a change of its inputs would throw away, and doing it."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from glob import escape
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cotforge.atomic import write_whole
from cotforge.errors import CotforgeError
from cotforge.plan import Stage
from cotforge.train import ranks
from cotforge.train.evaluation.best import chosen_checkpoints
from cotforge.train.explained_errors import explain_full_disk, explain_memory
from cotforge.train.report import trackers
from cotforge.train.report.past import MANIFEST
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import StageRun, TrainingRun, newest_whole, replaced_folder
from cotforge.train.students.loaded_student import release_memory, weights_fingerprint

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate")


@dataclass(frozen=True)
class StageProgress:
    """What a stage has done so far and would lose by starting again."""

    steps: int = 0
    """Optimizer steps: all of a finished stage, those of the newest whole checkpoint of an interrupted one."""
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.steps > 0

    def __add__(self, other: "StageProgress") -> "StageProgress":
        return StageProgress(self.steps + other.steps, self.seconds + other.seconds)

    def __str__(self) -> str:
        took = f"{self.seconds / 60:,.1f} minutes" if self.seconds >= 60 else f"{self.seconds:.0f} s"
        return f"{self.steps:,} step{'s' * (self.steps != 1)} ({took})"


@dataclass(frozen=True, eq=False)
class Step:
    """A stage of a run. Its key is found once, in every process at the same time: to read the data takes all of them."""

    training: TrainingRun
    stage: Stage
    folder: Path
    parent: "Step | None"
    """With whose weights it begins; None begins with the student's first."""
    smoke: bool = False
    reads: Mapping[str, "Step | None"] = field(default_factory=dict)
    """Stages whose weights it reads beside those, by the key that names each; None reads the student's first."""

    @property
    def above(self) -> "list[Step]":
        """The stages that must be done before it."""
        return list(dict.fromkeys(step for step in (self.parent, *self.reads.values()) if step is not None))

    @property
    def models(self) -> dict[str, Path]:
        """Folders of weights that it reads beside those it begins with, by the key that names each; those of stages and the base alone."""
        return {key: step.weights if step else self.training.begin for key, step in self.reads.items()}

    @property
    def weights(self) -> Path:
        """What it leaves."""
        return self.folder / "weights"

    @property
    def begin(self) -> Path:
        """The folder of the weights it begins with."""
        return self.parent.weights if self.parent else self.training.begin

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """Everything that decides what the stage comes to. Raises PipelineError where its data are not there."""
        training, stage = self.training, self.stage
        inputs: dict[str, Any] = {
            "stage": stage.key_fields(),
            "student": training.plan.student.model_dump(mode="json", exclude={"model", "tiny"}),
            "begin": self.parent.key if self.parent else weights_fingerprint(training.begin),
            "smoke": self.smoke,
            **stage.inputs(training),
        }
        if stage.trains and training.held_out is not None and training.held_out.best is not None:
            saved = {name: value for name, value in stage.trl_fields.items() if name.startswith("save_")}
            inputs["chosen_by"] = {"eval": training.held_out.choosing(), "trl": saved}
        if named := stage.reads():
            inputs["models"] = {key: self._known_weights(key, model) for key, model in named.items()}
        if (data := training.learned_by(stage)) is not None:
            inputs["data"] = data.digest
        return inputs

    def _known_weights(self, key: str, model: str) -> str:
        """By what the weights of a model are known that it reads."""
        if key in self.reads:
            step = self.reads[key]
            return step.key if step else weights_fingerprint(self.training.begin)
        return self.training.fingerprint(model, key=f"stage {self.stage.name!r}: {key}")

    @cached_property
    def key(self) -> str:
        """Changes with the inputs."""
        return sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()

    def earlier(self) -> list[Path]:
        """Folders of this stage from when it had another place in the list."""
        found = self.folder.parent.glob(f"*-{escape(self.stage.name)}")
        return sorted(path for path in found if path != self.folder and path.name.removesuffix(f"-{self.stage.name}").isdecimal())

    def move(self) -> None:
        """Have what it did at another place in the list, with the inputs of today, be at its present place."""
        for folder in self.earlier():
            if self._read_manifest(folder).get("key") == self.key:
                tried = self.training.out.parent / "eval"
                with suppress(FileNotFoundError):
                    (tried / f"{folder.name}.json").rename(tried / f"{self.folder.name}.json")
                folder.rename(self.folder)
                return

    def is_done(self) -> bool:
        """Whether it was finished with the inputs of today, and all that it left is there."""
        held = self._read_manifest()
        if not held.get("finished") or held.get("key") != self.key:
            return False
        return all((file := self.folder / name).is_file() and file.stat().st_size == size for name, size in held["files"].items())

    def lost(self) -> StageProgress:
        """What starting again would throw away because its inputs have changed since; nothing where they have not."""
        held = self._read_manifest()
        return self.progress() if held and held.get("key") != self.key else StageProgress()

    def progress(self) -> StageProgress:
        """By its manifest, which has the seconds of earlier sittings, and the beginning of the present one."""
        held = self._read_manifest()
        seconds = float(held.get("seconds") or 0.0)
        if held.get("finished"):
            return StageProgress(int((held.get("last") or {}).get("step") or 0) if self.stage.trains else 0, seconds)
        with suppress(OSError):
            seconds += max(0.0, (self.folder / "metrics.jsonl").stat().st_mtime - float(held.get("begun") or float("inf")))
        newest = newest_whole(self.folder / "checkpoints")
        return StageProgress(int(newest.name.rpartition("-")[2]) if newest else 0, seconds)

    def changes(self) -> str:
        """What is another in its inputs than when it was begun, in words."""
        return _input_changes(self._read_manifest().get("inputs") or {}, self.inputs, newer=self.stage.newer_keys())

    @property
    def digest(self) -> str:
        """Of its manifest: tells what it has done from what it will do; empty where it was never begun."""
        with suppress(OSError):
            return sha256((self.folder / MANIFEST).read_bytes()).hexdigest()
        return ""

    @property
    def replaces(self) -> dict[str, str]:
        """Of stages that were to be done anew along with it, what they had done then, by name."""
        held = self._read_manifest()
        return dict(held.get("replaces") or {}) if held and held.get("key") == self.key else {}

    def do(self, *, anew: bool, known: str = "", replaces: Mapping[str, str] | None = None) -> None:
        """Train, unless it is done; resume where it was interrupted. `known` is shown beside its metrics.

        What it did before is there again where it ends with a fault before its first checkpoint.
        """
        goes, resumed, before = ranks.from_first(lambda: self._make_ready(anew=anew, replaces=replaces or {}))
        if not goes:
            return
        try:
            self._train_stage(resumed, before, known)
        except CotforgeError:
            if ranks.is_first():
                self._restore_folder()
            raise

    def _train_stage(self, resumed: Path | None, before: float, known: str) -> None:
        module = import_module(f"cotforge.train.kinds.{self.stage.kind}")
        begun = time.monotonic()
        file = self.folder / "metrics.jsonl" if ranks.is_first() else None
        with explain_full_disk(self.folder), MetricsLog(file, self.stage.name, known=known, page=self.training.page) as record:
            with (
                trackers.place_tensorboard(self.folder),
                explain_memory(self.stage.name, "free some, or train a smaller student, then run the same command again"),
            ):
                module.train(self.stage, self._make_work(record, resumed))
            release_memory()
            if ranks.is_first():
                best = {"best": found} if (found := chosen_checkpoints(self.folder)) else {}
                self._write_manifest(finished=True, seconds=round(before + time.monotonic() - begun, 1), last=record.last, **best)
                shutil.rmtree(replaced_folder(self.folder), ignore_errors=True)
        self.training.tell(f"  {self.stage.name}: done in {time.monotonic() - begun:,.0f} s{_figures_text(record.last)}")

    def _make_ready(self, *, anew: bool, replaces: Mapping[str, str]) -> tuple[bool, Path | None, float]:
        """Whether there is something to do, its folder made ready, the checkpoint to resume from, and the seconds spent up to there."""
        tell = self.training.tell
        if not anew and self.is_done():
            tell(f"  done already; --from {self.stage.name} does it again")
            return False, None, 0.0
        held = self._read_manifest()
        if held and (anew or held.get("key") != self.key or held.get("finished")):
            changed = "its inputs have changed" if held.get("key") != self.key else "what it left is not whole"
            tell("  starts again" if anew else f"  {changed}; it starts again")
            self._put_aside()
        resumed = newest_whole(self.folder / "checkpoints")
        before = self.progress().seconds if resumed else 0.0
        with explain_full_disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_manifest(finished=False, seconds=round(before, 1), begun=time.time(), replaces=replaces if anew else self.replaces)
        if resumed is not None:
            tell(f"  goes on from step {resumed.name.rpartition('-')[2]}")
        return True, resumed, before

    def _put_aside(self) -> None:
        """What was put aside before stays there until something else is worth more."""
        old = replaced_folder(self.folder)
        if old.exists() and not self.progress():
            shutil.rmtree(self.folder)
            return
        shutil.rmtree(old, ignore_errors=True)
        self.folder.rename(old)

    def _restore_folder(self) -> None:
        old = replaced_folder(self.folder)
        if old.exists() and not self.progress():
            shutil.rmtree(self.folder, ignore_errors=True)
            old.rename(self.folder)

    def _make_work(self, record: MetricsLog, resumed: Path | None) -> StageRun:
        own = {"begin": self.begin, "out": self.folder, "smoke": self.smoke, "resume_from": resumed, "record": record}
        own["models"] = self.models
        return StageRun(**vars(self.training) | own, stage=self.stage)

    def _read_manifest(self, folder: Path | None = None) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads(((folder or self.folder) / MANIFEST).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    def _write_manifest(self, *, finished: bool, **more: Any) -> None:
        files = (
            {str(path.relative_to(self.folder)): path.stat().st_size for path in sorted(_folder_files(self.weights))} if finished else {}
        )
        whole = {"finished": finished, "key": self.key, "inputs": self.inputs, "versions": {name: version(name) for name in LIBRARIES}}
        whole["replaces"] = self.replaces
        write_whole(self.folder / MANIFEST, json.dumps(whole | more | {"files": files}, indent=1, default=float))


def _input_changes(before: Mapping[str, Any], now: Mapping[str, Any], *, newer: frozenset[str] = frozenset()) -> str:
    """What is another in the inputs of a stage, in words; keys that are `newer` are absent from either while they are at their default."""
    own, stage = before.get("stage") or {}, now["stage"]
    if own.get("kind") == stage["kind"] and own.keys() - newer != stage.keys() - newer:
        return "another version of cotforge began it, with other keys"
    old, new = _flat_inputs(before), _flat_inputs(now)
    titles = {"begin": "the weights it begins with have changed", "data": "its data have changed"}
    titles |= {f"models.{key}": f"the weights of {key} have changed" for key in now.get("models") or {}}
    found = [
        titles.get(name) or f"{name} was {json.dumps(old.get(name))} and is {json.dumps(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more changes" if len(found) > 3 else "")


def _flat_inputs(inputs: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """By the path of a key, a stage's own keys without what is above them."""
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        key = name if above in ("", "stage") else f"{above}.{name}"
        found |= _flat_inputs(value, key) if isinstance(value, Mapping) else {key: value}
    return found


def _folder_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _figures_text(last: Mapping[str, Any]) -> str:
    named = [f"{name} {last[name]:.4g}" for name in ("loss", "reward", "mean_token_accuracy") if isinstance(last.get(name), int | float)]
    return f"; {', '.join(named)}" if named else ""
