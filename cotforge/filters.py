"""`filters:` and `select:` of the pipeline file: which traces may become Lessons, and which of them do."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from cotforge.errors import PipelineError, show_value
from cotforge.measures import find_measure
from cotforge.measures.own import Measure
from cotforge.measures.texts import words_of
from cotforge.records import Sample, Trace, Verdict
from cotforge.spec import PathText, Spec

Taken = Callable[[Sample, Trace, Verdict | None], float | None]
"""A measure whose options are set."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A measure with its options, found, and the bounds a value must keep."""

    name: str
    """In columns, fates and messages: the measure's, a user's own by its function."""
    take: Taken
    """(sample, trace, verdict) to the value; None where the measure does not apply."""
    min: float | None
    max: float | None

    def holds(self, value: float | None) -> bool:
        """Whether a value is within the bounds; None, a measure that does not apply, is."""
        return value is None or ((self.min is None or value >= self.min) and (self.max is None or value <= self.max))


class Measured(Spec):
    """A measure and its options."""

    measure: PathText
    """Name of a measure, or `path/to/file.py:function` for one of your own."""
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    """Options of the measure, by name."""

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, name: str) -> str:
        if ":" not in name:
            find_measure(name, root=Path())
        return name

    @field_validator("with_")
    @classmethod
    def _checked_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Options of a measure by name; those of a user's file are checked by `found`, which knows where paths start."""
        name = info.data.get("measure", ":")
        return options if ":" in name else _parse_options(find_measure(name, root=Path()), options)

    def found(self, root: Path) -> Taken:
        """The measure with its options, paths relative to `root`; raises PipelineError (`measure: ...` or `with: ...`) without it."""
        try:
            function = find_measure(self.measure, root=root)
        except PipelineError as error:
            raise PipelineError(*(f"measure: {fault}" for fault in error.faults)) from error
        try:
            options = _parse_options(function, self.with_)
        except PipelineError as error:
            raise PipelineError(*(f"with: {fault}" for fault in error.faults)) from error
        return functools.partial(function, **options)


class Filter(Measured):
    """A measure and the range within which a text may become a lesson. A text outside of it still
    votes."""

    min: float | None = None
    """Lowest value that passes. A filter needs `min`, `max` or both. Null: no lower bound."""
    max: float | None = None
    """Highest value that passes. Null: no upper bound."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min, max: neither is given; a filter needs at least one bound")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min: {self.min:g} is above max {self.max:g}; nothing would pass")
        return self

    def resolve(self, root: Path) -> Bound:
        """The measure found, paths relative to `root`; raises PipelineError (`measure: ...` or `with: ...`) where it cannot be."""
        return Bound(self.measure.rpartition(":")[2], self.found(root), self.min, self.max)


def resolve_filters(filters: Iterable[Filter], root: Path) -> list[Bound]:
    """The bounds of all filters; a measure taken a second time with other options is named `<measure>_2`. Raises as `resolve`."""
    names: dict[str, tuple[str, str]] = {}
    bounds = []
    for each in filters:
        bound = each.resolve(root)
        name, asked, times = bound.name, (each.measure, repr(sorted(each.with_.items()))), 1
        while names.setdefault(name, asked) != asked:
            times += 1
            name = f"{bound.name}_{times}"
        bounds.append(replace(bound, name=name))
    return bounds


class Band(Spec):
    """Lowest and highest value of a share, both included."""

    min: float | None = Field(default=None, ge=0, le=1)
    """Lowest pass rate that is kept. At least one of `min` and `max` is needed. Null: no lower
    bound."""
    max: float | None = Field(default=None, ge=0, le=1)
    """Highest pass rate that is kept. Null: no upper bound."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min, max: neither is given; give at least one")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min: {self.min:g} is above max {self.max:g}; no sample would be taken")
        return self

    def holds(self, share: float | None) -> bool:
        """Whether a share is within; one that is not known is."""
        return share is None or (self.min or 0.0) <= share <= (1.0 if self.max is None else self.max)


class Select(Spec):
    """Which of a sample's usable texts become lessons."""

    per_sample: Annotated[int, Field(ge=1)] = 1
    """Most lessons per sample. Texts closest to the median length are taken first."""
    difficulty: Band | None = None
    """Range of the student's pass rate, which `cotforge eval --write-back` stores in
    `difficulty.parquet`. Samples without a pass rate are kept. Null: all samples."""

    def choose(self, traces: Iterable[Trace]) -> list[Trace]:
        """The traces nearest to the median number of reasoning words, nearest first; equally near ones by the Call's key."""
        measured = [(len(words_of(trace.reasoning)), trace.call, trace) for trace in traces]
        if len(measured) > 1:
            middle = median([words for words, _, _ in measured])
            measured.sort(key=lambda one: (abs(one[0] - middle), one[1]))
        return [trace for _, _, trace in measured[: self.per_sample]]


def _parse_options(function: Measure, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the measure's annotations want them; raises PipelineError with all faults at once."""
    parameters = inspect.signature(function).parameters.values()
    known = {parameter.name: parameter.annotation for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    options, faults = {}, []
    for option, value in given.items():
        if option not in known:
            valid = f"its options are {', '.join(known)}" if known else "it has none"
            faults.append(f"{function.__name__} has no option {show_value(option)}; {valid}")
            continue
        # A user's file may leave annotations out, or write them as text that means nothing here.
        wanted = Any if known[option] is inspect.Parameter.empty or isinstance(known[option], str) else known[option]
        try:
            options[option] = TypeAdapter(wanted).validate_python(value)
        except ValidationError as error:
            faults.append(f"{option}: {show_value(value)} does not do; {error.errors()[0]['msg'].lower()}")
    if faults:
        raise PipelineError(*faults)
    return options
