"""`filters:` of the pipeline file: which traces may become Lessons."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from cotforge.errors import PipelineError, show_value
from cotforge.measures import find_measure, measure_column
from cotforge.measures.own import Measure
from cotforge.measures.reasoning_language import reasoning_language
from cotforge.measures.texts import TEXTS_KEPT
from cotforge.measures.word_codes import read_together
from cotforge.records import Sample, Trace, Verdict
from cotforge.spec import PathText, Spec, fault_words

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
        return functools.partial(function, **options) if options else function


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
        return Bound(measure_column(self.measure, self.with_), self.found(root), self.min, self.max)


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


def take_measures(bounds: Sequence[Bound], asked: Sequence[tuple[Sample, Trace, Verdict | None]]) -> list[dict[str, float | None]]:
    """What each trace measures, by the bounds' names.

    Of some texts at a time the words are read together, which spares 20 us a text. Then one measure after another is taken of all, which
    spares 10 more than text after text: the code of a measure stays in the processor's cache.
    """
    names = [bound.name for bound in bounds]
    taken: list[dict[str, float | None]] = []
    for begin in range(0, len(asked), TEXTS_KEPT):
        some = asked[begin : begin + TEXTS_KEPT]
        read_together(trace.reasoning for _, trace, _ in some)
        columns = [[bound.take(*one) for one in some] for bound in bounds]
        taken += (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))
    return taken if bounds else [{} for _ in asked]


def language_bounds(wanted: str | None) -> list[Bound]:
    """What `reasoning_language:` of the pipeline file demands of a text: nothing where it is null."""
    return [Bound(reasoning_language.__name__, functools.partial(reasoning_language, wanted=wanted), 1, None)] if wanted else []


def mark_bounds(bounds: Sequence[Bound], marks: Iterable[str]) -> list[Bound]:
    """Bounds that everything is within, of the marks that none of `bounds` is about: so that they are columns too."""
    known = {bound.name for bound in bounds}
    return [Bound(name, functools.partial(_take_mark, name), None, None) for name in marks if name not in known]


def _take_mark(name: str, sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    return trace.marks.get(name)


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
            faults.append(f"{option}: {show_value(value)} does not do; {fault_words(error.errors()[0]).lower()}")
    if faults:
        raise PipelineError(*faults)
    return options


def filters_in_words(filters: Sequence[Filter], root: Path, language: str | None) -> list[tuple[str, str]]:
    """(what a text must keep to, the fate of those that do not) of `reasoning_language` and of all filters. Raises as `resolve`."""
    told: dict[str, list[str]] = {}
    for bound in language_bounds(language):
        told[bound.name] = [f"{bound.name}: {language}"]
    for each, bound in zip(filters, resolve_filters(filters, root), strict=True):
        told.setdefault(bound.name, []).append(_filter_words(each))
    return [("; ".join(words), f"filter:{name}") for name, words in told.items()]


def _filter_words(of: Filter) -> str:
    """A filter as a person says it."""
    options = ", ".join(f"{name}: {_option_words(value)}" for name, value in of.with_.items())
    sides = [f"{word} {value:g}" for word, value in (("at least", of.min), ("at most", of.max)) if value is not None]
    return f"{of.measure}{f' ({options})' if options else ''}, {' and '.join(sides)}"


def _option_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
