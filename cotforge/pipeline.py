"""A pipeline file, typed: the one place where the sections come together."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from cotforge import bounded_yaml, tree
from cotforge.answers import Task
from cotforge.budget import Budget
from cotforge.consensus import Consensus
from cotforge.consensus.votes import WIDEST
from cotforge.dedup.spec import Dedup
from cotforge.errors import PipelineError, show_value
from cotforge.filters import Filter
from cotforge.folder import RunFolder, name_in, no_run, read_kept, safe_name
from cotforge.followups.filter_marks import demand_marks
from cotforge.followups.frame import FOLLOW_UPS, FollowUp, FollowUpAsker
from cotforge.followups.judge import Judge
from cotforge.followups.probe import Probe
from cotforge.followups.rescue import Rescue
from cotforge.followups.verify import Verify
from cotforge.followups.weave import Weave
from cotforge.images import Images
from cotforge.measures.reasoning_language import WantedLanguage, language_name
from cotforge.pipeline_paths import absolute_paths, find_pipeline, is_file
from cotforge.pipeline_trust import TrustDemand, is_vouched, read_origin
from cotforge.plan import Eval, Plan
from cotforge.prompts import Family, Prompt, Prompts, make_call
from cotforge.records import Call, Fault, Origin, Sample
from cotforge.redaction.variables import remember_variables
from cotforge.selection import Select
from cotforge.sources import Source
from cotforge.spec import PathText, Spec, WrongKey
from cotforge.teachers.kinds import AnyTeacher
from cotforge.teachers.teacher import Teacher
from cotforge.trust import TrustFinding, is_near, trust_findings


class Pipeline(Spec):
    """Everything a run does, as the file says it."""

    name: str
    """Name of the run folder: letters, digits, `.`, `_` and `-`."""
    source: Source
    """The images, labels and questions to read."""
    task: Task
    """The question about every image, and which answers are possible."""
    prompts: Prompts = Prompts()
    """Templates of the prompts, each a path relative to the pipeline file or a shipped
    `family/name`."""
    images: Images = Images()
    """Size limits of images, and how they are sent to the teachers."""
    dedup: Dedup = Dedup()
    """Duplicates among samples and lessons, and samples that a benchmark has too."""
    teachers: tuple[AnyTeacher, ...]
    """The models that are asked. At least one is needed."""
    consensus: Consensus = Consensus()
    """How the teachers' answers become one answer per sample."""
    gold: PathText | None = Field(default=None, min_length=1)
    """CSV file with the columns `id` and `answer`: answers that people checked. Null: `gold.csv` in
    the run folder, if it is there."""
    reasoning_language: WantedLanguage | None = None
    """Language that texts are asked for and have to be in: a tag such as `de`, or `question` for
    that of the question. A text in another one does not become a lesson, but its answer still
    votes. Needs `cotforge[language]`. Null: any language."""
    filters: tuple[Filter, ...] = ()
    """Bounds on reasoning texts. A text outside of them does not become a lesson, but its answer
    still votes."""
    select: Select = Select()
    """Which samples, and which of their remaining texts, become lessons."""
    rescue: Rescue | None = None
    """Explains the trusted labels of samples without agreement. Null: no teacher that reasons ever
    sees a label."""
    verify: Verify | None = None
    """Shows texts without their answer to other teachers. Null: nothing is verified."""
    weave: Weave | None = None
    """Makes one long text out of several about a sample, right and wrong. Null: nothing is woven."""
    probe: Probe | None = None
    """Tests of whether a reasoning rests on its picture. Null: none."""
    judge: Judge | None = None
    """Marks for reasoning texts by teachers of other families. Null: none."""
    budget: Budget = Budget()
    """Limits on what a run may spend."""
    max_failures: float = Field(default=0.5, ge=0, le=1)
    """Largest share of failed calls, from 0 to 1; above it the run stops with exit code 3. It is
    checked from the 50th call on and at the end. Calls refused by a content filter do not count."""
    train: Plan | None = None
    """The student and the stages that `cotforge train` runs. Null: no training."""
    eval: Eval | None = None
    """Held-out samples and metrics for the student. Null: no evaluation."""
    _origin: "_LoadedFrom | None" = PrivateAttr(default=None)

    @classmethod
    def load(cls, name: str | Path, *, set: Mapping[str, Any] | None = None, trust: bool = False) -> "Pipeline":
        """The pipeline of a file, or the shipped one of that name; `set` changes values, as in `{"teachers.0.max_tokens": 512}`.

        Raises PipelineError with all faults of the file at once; without `trust` also where a file from elsewhere would run Python, read
        variables into the dataset, or send keys or files.
        """
        sets = tuple(tree.key_assignments(set))
        loaded = Loaded.load(name, sets, trust=trust)
        pipeline = loaded.pipeline.model_copy()
        pipeline._origin = _LoadedFrom(loaded.path, sets, trust)
        return pipeline

    @property
    def trusted(self) -> bool:
        """Whether it was loaded with `trust`."""
        return self._origin is not None and self._origin.trust

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        return safe_name(name)

    @field_validator("teachers")
    @classmethod
    def _check_teachers(cls, teachers: tuple[AnyTeacher, ...]) -> tuple[AnyTeacher, ...]:
        """At least one; no two share a name, and none asks the very Calls of another."""
        if not teachers:
            raise ValueError("there is none; at least one is needed")
        names: set[str] = set()
        asked: dict[str, str] = {}
        for teacher in teachers:
            if teacher.name in names:
                raise ValueError(f"two teachers are named {show_value(teacher.name)}; every teacher needs a name of its own")
            names.add(teacher.name)
            twin = asked.setdefault(repr((teacher.model, teacher.temperature, teacher.top_p, _sort_keys(teacher.body))), teacher.name)
            if twin != teacher.name:
                raise ValueError(
                    f"teachers {show_value(twin)} and {show_value(teacher.name)} ask the same Calls; "
                    "give one teacher both URLs, or set samples"
                )
        return teachers

    @model_validator(mode="after")
    def _can_be_asked_in_turn(self) -> Self:
        if self.consensus.sequential and (batched := [teacher.name for teacher in self.teachers if teacher.batched]):
            raise ValueError(
                f"consensus.rule: {self.consensus.rule!r} asks one teacher after another, and {show_value(batched[0])} is a batch, "
                "which answers in hours; use another rule, or kind 'openai'"
            )
        return self

    @model_validator(mode="after")
    def _something_is_held_out(self) -> Self:
        self.dedup.demand_held_out(self.eval is not None)
        return self

    @model_validator(mode="after")
    def _pictures_share_classes(self) -> Self:
        own = getattr(getattr(self.source, "columns", None), "options", None) is not None
        if self.consensus.image is not None and (self.task.kind != "classify" or own or not 2 <= len(self.task.closed) <= WIDEST):
            raise WrongKey("consensus.image", f"needs a task of kind classify with 2 to {WIDEST} labels that all samples share")
        return self

    @model_validator(mode="after")
    def _marks_are_given(self) -> Self:
        demand_marks(self.filters, judge=self.judge, sections=[name for name in FOLLOW_UPS if getattr(self, name) is not None])
        return self

    @model_validator(mode="after")
    def _order_is_of_teachers(self) -> Self:
        names, order = [teacher.name for teacher in self.teachers], self.consensus.order or ()
        if unknown := [name for name in order if name not in names]:
            there = ", ".join(map(show_value, names[:10]))
            raise WrongKey("consensus.order", f"no teacher named {show_value(unknown[0])}; there are {there}")
        missing = [name for name in names if name not in order] if order and self.consensus.rule == "sequential" else []
        if missing:
            raise WrongKey("consensus.order", f"{show_value(missing[0])} is not in it; under 'sequential' every teacher has its place")
        return self


def _sort_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sort_keys(item)) for key, item in value.items())
    return [_sort_keys(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class _LoadedFrom:
    """Where a pipeline was loaded from."""

    path: Path
    sets: tuple[str, ...]
    trust: bool


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
    earlier: tuple[str, ...] = ()
    """What `--set` of an earlier build still holds in this run folder."""
    written: str = ""
    """The file's text as its user wrote it: see `tree.user_text`."""
    does: tuple[TrustFinding, ...] = ()
    """Python that it runs, variables that it reads, keys that it sends."""

    @property
    def root(self) -> Path:
        return self.path.parent

    @classmethod
    def load(cls, name: "str | Path | Pipeline", sets: Sequence[str] = (), *, trust: bool = True, sends: bool = True) -> Self:
        """The pipeline at a path, or the shipped one of that bare name; or the file of one that was loaded before.

        Raises PipelineError with all faults of the file at once. Without `trust` also where a file that is neither shipped nor under the
        present folder would run Python or read variables into the dataset, or, where the command `sends` anything, send keys or files.
        """
        if isinstance(name, Pipeline):
            return cls._load_again(name, sets, sends)
        path = find_pipeline(str(name))
        said = tree.read_tree_text(path)
        near = is_vouched(path)
        asks = None if trust else TrustDemand(sends, vouched=near and read_origin(said)[0] is None, near=near)
        return cls._make_loaded(path, said, (), sets, asks)

    @classmethod
    def _load_again(cls, pipeline: Pipeline, sets: Sequence[str], sends: bool) -> Self:
        """Raises PipelineError where the file says something else by now: what is run is what was looked at."""
        if (origin := pipeline._origin) is None:
            raise PipelineError(f"pipeline {show_value(pipeline.name)}: comes from no file; write it to one, and take Pipeline.load")
        loaded = cls.load(origin.path, origin.sets, trust=origin.trust, sends=sends)
        if loaded.pipeline.model_dump() != pipeline.model_dump():
            raise PipelineError(f"{origin.path}: has changed since it was loaded; load it again")
        return cls.load(origin.path, (*origin.sets, *sets), trust=origin.trust, sends=sends) if sets else loaded

    @classmethod
    def of_run(cls, run: Path, sets: Sequence[str] = (), *, trust: bool = True, sends: bool = True) -> Self:
        """The pipeline that a run folder belongs to: its original file read again, else what the folder keeps of it.

        Raises as `load`; what the folder itself says, rather than the original, runs no Python without `trust`, wherever the folder lies.
        Raises JournalError where what it keeps cannot be read.
        """
        kept = run / RunFolder.PIPELINE
        if name_in(run) is None or (said := read_kept(kept)) is None:
            raise PipelineError(no_run(run))
        path, earlier = read_origin(said)
        if path is not None and path.is_absolute() and is_file(path):
            vouched = is_vouched(path) and not path.resolve().is_relative_to(run.resolve())
            asks = None if trust else TrustDemand(sends, vouched=vouched, near=is_near(kept) and is_vouched(path))
            loaded = cls._make_loaded(path, tree.read_tree_text(path), earlier, sets, asks)
        else:
            asks = None if trust else TrustDemand(sends, vouched=False, near=is_near(kept))
            loaded = cls._make_loaded(kept.absolute(), said, earlier, sets, asks)
        return replace(loaded, passing=len(sets), earlier=tuple(earlier))

    @classmethod
    def _make_loaded(cls, path: Path, text: str, earlier: Sequence[str], sets: Sequence[str], asks: "TrustDemand | None") -> Self:
        """`earlier`: what a run folder says was set; `sets`: what is set now, and is the user's own."""
        written = tree.parse_tree(text, path)
        kept = tree.override_keys(written, earlier)
        raw = tree.override_keys(kept, sets)
        faults = [f"{where}: holds the value of {name} itself; write ${{{name}}}" for where, name in remember_variables(raw)]
        values = tree.expand_variables(
            raw, missing=lambda where, variable: faults.append(f"{where}: the environment has no variable {show_value(variable)}")
        )
        try:
            pipeline = Pipeline.model_validate(values)
        except ValidationError as error:
            unknown = {fault.split(":")[0] for fault in faults}
            faults += [fault for fault in tree.pydantic_faults(error, Pipeline, values) if fault.split(":")[0] not in unknown]
            raise PipelineError(*(f"{path}: {fault}" for fault in faults)) from error
        if faults:
            raise PipelineError(*(f"{path}: {fault}" for fault in faults))
        if asks is not None:
            asks.demand(path, written, kept)
        prompts = _assemble_sections(pipeline, path)
        unexpanded = tree.merge_unexpanded(pipeline.model_dump(mode="json", by_alias=True), raw)
        does = tuple(found for found in trust_findings(raw, values, path.parent) if not found.outside)
        chosen = pipeline.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        told = tree.user_text(text, raw, None if read_origin(text)[0] is None else chosen, is_changed=bool(earlier or sets))
        return cls(pipeline, path, prompts, (*earlier, *sets), unexpanded, written=told, does=does)

    def origin(self, section: str, key: str) -> str:
        """Where the value of a key of a section comes from, in words."""
        passing = self.sets[len(self.sets) - self.passing :] if self.earlier or self.passing else self.sets
        for sets, words in ((passing, "--set"), (self.earlier, "--set of an earlier build")):
            named = [given.partition("=")[0].strip() for given in sets]
            if any(name in (section, f"{section}.{key}") or name.startswith(f"{section}.{key}.") for name in named):
                return words
        given = section in self.pipeline.model_fields_set and key in getattr(self.pipeline, section).model_fields_set
        return self.path.name if given else "by default"

    def in_run(self, run: Path, *, new: Literal["path", "content"] = "path") -> Self:
        """The same for a run folder: one that was begun with other ids of an `imagefolder` keeps them, unless the file names `ids`.

        `new`: the ids of a folder that is not begun yet.
        """
        source, kept, ids = self.pipeline.source, run / RunFolder.PIPELINE, str(new)
        if source.kind != "imagefolder" or "ids" in source.model_fields_set:
            return self
        if (text := read_kept(kept)) is not None:
            found = re.search(r"^  ids: (path|content)$", text, re.MULTILINE)
            ids = found[1] if found else "content"
        pipeline = self.pipeline.model_copy(update={"source": source.model_copy(update={"ids": ids})})
        return replace(self, pipeline=pipeline, unexpanded=self.unexpanded | {"source": self.unexpanded["source"] | {"ids": ids}})

    def lacking(self) -> Iterator[str]:
        """A line for everything that a template most likely should hold and does not."""
        closed, short = self.pipeline.task.kind == "classify", self.pipeline.consensus.short_votes
        return self.prompts.lacking(closed=closed, short_votes=short, sections=self.follow_up_names)

    def calls(self, sample: Sample) -> list[tuple[Teacher, Call]]:
        """Every Call about one Sample, teacher by teacher: what `build` asks (one after another under `sequential`) and `curate` looks up.

        Raises Fault where no prompt can be made.
        """
        if self.pipeline.task.kind == "classify" and not sample.options:
            raise Fault("options_missing", "neither the row nor task.labels has options", where=sample.where, id=sample.id)
        return [
            (teacher, make_call(sample, teacher=teacher.name, model=teacher.model, temperature=teacher.temperature, top_p=teacher.top_p,
                           body=teacher.body, index=index, prompt=prompt, origin=origin))
            for teacher in self.pipeline.teachers
            for origin, index, prompt in self._asked_prompts(teacher)
        ]  # fmt: skip

    def _asked_prompts(self, teacher: Teacher) -> Iterator[tuple[Origin, int, Prompt]]:
        """(origin, sample index, prompt) of each Call of a teacher about one Sample."""
        consensus = self.pipeline.consensus
        for index in range(1 if consensus.sequential else teacher.samples):
            yield "solve", index, self.prompts.solve
        if consensus.short_votes:
            yield "vote", 0, self.prompts.vote

    def follow_ups(self) -> tuple[FollowUp, ...]:
        """What follows the vote, in order. Raises PipelineError where a section cannot have what it needs."""
        asker = FollowUpAsker.of(self.pipeline.teachers, self.prompts, self.pipeline.task)
        return tuple(getattr(self.pipeline, name).follow_up(asker) for name in self.follow_up_names)

    @property
    def follow_up_names(self) -> tuple[str, ...]:
        """The sections that `follow_ups` come from."""
        return tuple(name for name in FOLLOW_UPS if getattr(self.pipeline, name, None) is not None)

    @staticmethod
    def limit(run: Path) -> tuple[int | None, bool]:
        """(`--limit` of the build that a run folder was last made by, whether its Samples are spread over the classes)."""
        text = read_kept(run / RunFolder.PIPELINE) or ""
        found = re.search(r"^# limit: ([0-9]{1,15})(, spread)?$", text, re.MULTILINE)
        return (int(found[1]), bool(found[2])) if found else (None, True)

    def text(self) -> str:
        """What the run folder keeps: the pipeline with absolute paths, under that of its file, and what `--set` changed."""
        lasting = self.sets[: len(self.sets) - self.passing]
        head = [
            f"# from: {self.path}",
            *(f"# set: {given}" for given in lasting),
            *(f"# set once: {given}" for given in self.sets[len(lasting) :]),
        ]
        return "\n".join(head) + "\n" + bounded_yaml.dump_yaml(absolute_paths(tree.override_keys(self.unexpanded, ()), self.root))


def _assemble_sections(pipeline: Pipeline, path: Path) -> Family:
    """What the sections need beside the file, found and tried: prompts, and the measures of the filters."""
    faults: list[str] = []
    prompts: Family | None = None
    try:
        prompts = pipeline.prompts.load(path.parent, language_name(pipeline.reasoning_language))
    except PipelineError as error:
        faults += error.faults
    for index, bound in enumerate(pipeline.filters):
        try:
            bound.resolve(path.parent)
        except PipelineError as error:
            faults += [f"filters[{index}].{fault}" for fault in error.faults]
    faults += _stage_faults(pipeline, path.parent)
    if pipeline.eval is not None and pipeline.eval.best_metric == "macro_recall" and pipeline.task.kind != "classify":
        key = "best" if pipeline.eval.best == "macro_recall" else "metrics[0]"
        faults.append(f"eval.{key}: macro_recall needs a task of kind classify; take accuracy")
    if prompts is not None and pipeline.consensus.short_votes and prompts.vote.text == prompts.solve.text:
        faults.append("prompts.vote: asks what prompts.solve asks; a short vote needs a prompt of its own")
    if prompts is None or faults:
        raise PipelineError(*(fault if fault.startswith("/") else f"{path}: {fault}" for fault in faults))
    return prompts


def _stage_faults(pipeline: Pipeline, root: Path) -> Iterator[str]:
    """What is wrong with the files and functions that `train.stages` names."""
    for place, stage in enumerate(pipeline.train.stages if pipeline.train else ()):
        yield from (f"train.stages[{place}].{fault}" for fault in stage.faults(root))
