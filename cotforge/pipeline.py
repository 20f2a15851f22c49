"""A pipeline file, typed: the one place where the sections come together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from cotforge import tree
from cotforge.answers import Task
from cotforge.budget import Budget
from cotforge.consensus import Consensus
from cotforge.errors import PipelineError
from cotforge.filters import Filter, Select
from cotforge.folder import RunFolder, safe_name
from cotforge.images import Images
from cotforge.plan import Eval, Grpo, Plan
from cotforge.prompts import Family, Prompt, Prompts, call, shipped
from cotforge.records import Call, Fault, Origin, Sample
from cotforge.sources import Source
from cotforge.spec import Spec
from cotforge.teachers.kinds import AnyTeacher
from cotforge.teachers.teacher import Teacher


class Pipeline(Spec):
    """Everything a run does, as the file says it."""

    name: str
    """Names the run folder: letters, digits, '.', '_' and '-'."""
    source: Source
    task: Task
    prompts: Prompts = Prompts()
    images: Images = Images()
    teachers: tuple[AnyTeacher, ...]
    consensus: Consensus = Consensus()
    gold: str | None = Field(default=None, min_length=1)
    """CSV with the columns id and answer, of what people answered; null is `gold.csv` in the run folder, where there is one."""
    filters: tuple[Filter, ...] = ()
    select: Select = Select()
    budget: Budget = Budget()
    max_failures: float = Field(default=0.5, ge=0, le=1)
    """Share of Calls given up after which a run stops."""
    train: Plan | None = None
    """What `cotforge train` does; null trains nothing."""
    eval: Eval | None = None
    """On what a student is tried; null tries it on nothing."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        return safe_name(name)

    @field_validator("teachers")
    @classmethod
    def _differ(cls, teachers: tuple[AnyTeacher, ...]) -> tuple[AnyTeacher, ...]:
        """At least one; no two share a name, and none asks the very Calls of another."""
        if not teachers:
            raise ValueError("there is none; at least one is needed")
        names: set[str] = set()
        asked: dict[str, str] = {}
        for teacher in teachers:
            if teacher.name in names:
                raise ValueError(f"two teachers are named {teacher.name!r}; every teacher needs a name of its own")
            names.add(teacher.name)
            twin = asked.setdefault(repr((teacher.model, teacher.temperature, teacher.top_p, _sorted(teacher.body))), teacher.name)
            if twin != teacher.name:
                raise ValueError(f"teachers {twin!r} and {teacher.name!r} ask the same Calls; give one teacher both URLs, or set samples")
        return teachers

    @model_validator(mode="after")
    def _can_be_asked_in_turn(self) -> Self:
        if self.consensus.sequential and (batched := [teacher.name for teacher in self.teachers if teacher.batched]):
            raise ValueError(
                f"consensus.rule: 'sequential' asks one teacher after another, and {batched[0]!r} is a batch, which answers in hours; "
                "use another rule, or kind 'openai'"
            )
        return self


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Loaded:
    """A pipeline with the file it came from and its prompts compiled."""

    pipeline: Pipeline
    path: Path
    """Of the pipeline file, absolute; paths in it are relative to its folder."""
    prompts: Family
    sets: tuple[str, ...]
    """What `--set` changed."""
    unexpanded: tree.Tree
    """The pipeline as resolved, with `${VAR}` and paths as the file has them: what a card may show."""
    passing: int = 0
    """How many of `sets`, from the end, hold for this invocation only."""

    @property
    def root(self) -> Path:
        return self.path.parent

    @classmethod
    def load(cls, name: str | Path, sets: Sequence[str] = ()) -> Self:
        """The pipeline at a path, or the shipped one of that bare name. Raises PipelineError with all faults of the file at once."""
        path = _find(str(name))
        raw = tree.override(tree.read(path), sets)
        faults: list[str] = []
        values = tree.expand(raw, missing=lambda where, variable: faults.append(f"{where}: the environment has no variable {variable!r}"))
        try:
            pipeline = Pipeline.model_validate(values)
        except ValidationError as error:
            unknown = {fault.split(":")[0] for fault in faults}
            faults += [fault for fault in tree.faults(error, Pipeline, values) if fault.split(":")[0] not in unknown]
            raise PipelineError(*(f"{path}: {fault}" for fault in faults)) from error
        if faults:
            raise PipelineError(*(f"{path}: {fault}" for fault in faults))
        prompts = _assembled(pipeline, path)
        unexpanded = tree.merged(pipeline.model_dump(mode="json", by_alias=True), raw)
        return cls(pipeline, path, prompts, tuple(sets), unexpanded)

    @classmethod
    def of_run(cls, run: Path, sets: Sequence[str] = ()) -> Self:
        """The pipeline that a run folder belongs to: its original file read again, else what the folder keeps of it."""
        kept = run / RunFolder.PIPELINE
        if not kept.is_file():
            raise PipelineError(f"{run}: is not a run folder; there is no {RunFolder.PIPELINE} in it")
        path, earlier = _origin(kept.read_text(encoding="utf-8"))
        loaded = cls.load(path, (*earlier, *sets)) if path is not None and path.is_file() else cls.load(kept, sets)
        return replace(loaded, passing=len(sets))

    def calls(self, sample: Sample) -> list[tuple[Teacher, Call]]:
        """Every Call about one Sample, teacher by teacher: what `build` asks (one after another under `sequential`) and `curate` looks up.

        Raises Fault where no prompt can be made.
        """
        if self.pipeline.task.kind == "classify" and not sample.options:
            raise Fault("options_missing", "neither the row nor task.labels has options", where=sample.where, id=sample.id)
        return [
            (teacher, call(sample, teacher=teacher.name, model=teacher.model, temperature=teacher.temperature, top_p=teacher.top_p,
                           body=teacher.body, index=index, prompt=prompt, origin=origin))
            for teacher in self.pipeline.teachers
            for origin, index, prompt in self._asked(teacher)
        ]  # fmt: skip

    def _asked(self, teacher: Teacher) -> Iterator[tuple[Origin, int, Prompt]]:
        """(origin, sample index, prompt) of each Call of a teacher about one Sample."""
        consensus = self.pipeline.consensus
        for index in range(1 if consensus.sequential else teacher.samples):
            yield "solve", index, self.prompts.solve
        if consensus.short_votes:
            yield "vote", 0, self.prompts.vote

    @staticmethod
    def limit(run: Path) -> tuple[int | None, bool]:
        """(`--limit` of the build that a run folder was last made by, whether its Samples are spread over the classes)."""
        kept = run / RunFolder.PIPELINE
        text = kept.read_text(encoding="utf-8") if kept.is_file() else ""
        found = re.search(r"^# limit: (\d+)(, spread)?$", text, re.MULTILINE)
        return (int(found[1]), bool(found[2])) if found else (None, True)

    def text(self) -> str:
        """What the run folder keeps: the pipeline with absolute paths, under that of its file, and what `--set` changed."""
        lasting = self.sets[: len(self.sets) - self.passing]
        head = [
            f"# from: {self.path}",
            *(f"# set: {given}" for given in lasting),
            *(f"# set once: {given}" for given in self.sets[len(lasting) :]),
        ]
        return "\n".join(head) + "\n" + dumped(_absolute(tree.override(self.unexpanded, ()), self.root))


def dumped(values: tree.Tree) -> str:
    """As YAML that a person can read."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=140)


def _origin(text: str) -> tuple[Path | None, list[str]]:
    path = re.search(r"^# from: (.+)$", text, re.MULTILINE)
    return (Path(path.group(1)) if path else None), re.findall(r"^# set: (.+)$", text, re.MULTILINE)


def _find(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path.absolute()
    ours = sorted(file.stem for file in shipped("pipelines").glob("*.yaml"))
    if name in ours:
        return (shipped("pipelines") / f"{name}.yaml").absolute()
    what = "is a folder" if path.is_dir() else "no such file"
    raise PipelineError(f"{name}: {what}; give a pipeline file, or the name of a shipped one: {', '.join(ours)}")


def _assembled(pipeline: Pipeline, path: Path) -> Family:
    """What the sections need beside the file, found and tried: prompts, and the measures of the filters."""
    faults: list[str] = []
    prompts: Family | None = None
    try:
        prompts = pipeline.prompts.load(path.parent)
    except PipelineError as error:
        faults += error.faults
    for index, bound in enumerate(pipeline.filters):
        try:
            bound.resolve(path.parent)
        except PipelineError as error:
            faults += [f"filters[{index}].{fault}" for fault in error.faults]
    faults += _rewards(pipeline, path.parent)
    if pipeline.eval is not None and pipeline.eval.best == "macro_recall" and pipeline.task.kind != "classify":
        faults.append("eval.best: macro_recall needs a task of kind classify; take accuracy")
    if prompts is not None and pipeline.consensus.short_votes and prompts.vote.text == prompts.solve.text:
        faults.append("prompts.vote: asks what prompts.solve asks; a short vote needs a prompt of its own")
    if prompts is None or faults:
        raise PipelineError(*(fault if fault.startswith("/") else f"{path}: {fault}" for fault in faults))
    return prompts


def _rewards(pipeline: Pipeline, root: Path) -> Iterator[str]:
    """What is wrong with the rewards of `train:`."""
    for place, stage in enumerate(pipeline.train.stages if pipeline.train else ()):
        for index, reward in enumerate(stage.rewards if isinstance(stage, Grpo) else ()):
            try:
                reward.found(root)
            except PipelineError as error:
                yield from (f"train.stages[{place}].rewards[{index}].{fault}" for fault in error.faults)


_PATHS = (("source", "path"), ("prompts", "solve"), ("prompts", "vote"), ("prompts", "student"), ("prompts", "completion"))


def _absolute(values: tree.Tree, root: Path) -> tree.Tree:
    """Paths that the file gives relative to itself, made absolute where such a file is there (a Hub id or shipped name stays)."""
    for section, name in _PATHS:
        _made_absolute(values[section], name, root)
    _made_absolute(values, "gold", root)
    for teacher in values["teachers"]:
        _made_absolute(teacher, "path", root)
    for bound in values["filters"]:
        _made_absolute(bound, "measure", root)
    if plan := values.get("train"):
        _made_absolute(plan, "data", root)
        _made_absolute(plan["student"], "model", root)
        for stage in plan["stages"]:
            for reward in stage.get("rewards", ()):
                _made_absolute(reward, "measure", root)
    return values


def _made_absolute(section: tree.Tree, name: str, root: Path) -> None:
    value = section.get(name)
    if not isinstance(value, str) or "$" in value:
        return
    there = root / (value.rpartition(":")[0] if name == "measure" else value)
    if there.is_file() or (name in ("path", "data", "model") and there.exists()) or name == "gold":  # gold may come later
        section[name] = str((root / value).resolve())
