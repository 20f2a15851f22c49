"""`task:` of the pipeline file: what is asked, and what counts as the same answer."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, model_validator

from cotforge.answers.text import as_text, clean_text, normal_form
from cotforge.answers.verifiers import VERIFIERS
from cotforge.errors import show_value
from cotforge.records import Fault
from cotforge.spec import Spec

_LETTER = re.compile(r"\(?([a-z])[).]?")
_PLACE = re.compile(r"([0-9]{1,3})(?:\.0+)?")
"""A column of integers with gaps is written as floats."""

_JOINT = re.compile(r"(?<=[^\W\d_]{2})[\s_-]+(?=\w)|(?<=\w)[\s_-]+(?=[^\W\d_]{2})")
"""Between words of which one has two letters or more: `x-1` is no name with a hyphen."""

Synonyms = tuple[tuple[str, tuple[str, ...]], ...]


def _label_text(raw: object) -> str:
    """A label or synonym of the file as text. Raises ValueError for what YAML made of an unquoted yes, no or null."""
    if isinstance(raw, bool) or raw is None:
        raise ValueError(f"YAML reads this label as {show_value(raw)}; put it in quotes, like 'yes'")
    text = as_text(raw)
    if text is None or not normal_form(text):
        raise ValueError(f"{show_value(raw)} is not a label; a label is a text of at most 2,000 characters")
    return " ".join(clean_text(text).split())


def _label_texts(raw: object) -> object:
    """Labels with every name and synonym as text, before pydantic sees them."""
    if isinstance(raw, Mapping):
        labels = {_label_text(name): _label_texts([] if synonyms is None else synonyms) for name, synonyms in raw.items()}
        if len(labels) < len(raw):
            raise ValueError(f"two of the labels {list(raw)!r} are the same text")
        return labels
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        return tuple(_label_text(name) for name in raw)
    return raw


LabelText = str | int | float
WrittenLabels = list[LabelText] | dict[str, list[LabelText] | None] | None
"""Labels as a file may have them: numbers are taken as text."""


class Task(Spec):
    """The question: one with fixed labels (`classify`), or one with free answers (`answer`)."""

    kind: Literal["classify", "answer"]
    """`classify`: choose one label of a fixed set. `answer`: give a free answer, compared by
    `verifier`."""
    question: str | None = None
    """Question about every sample. A row's own question takes precedence. Null: the data has the
    question."""
    labels: Annotated[
        tuple[str, ...] | dict[str, tuple[str, ...]] | None, BeforeValidator(_label_texts, json_schema_input_type=WrittenLabels)
    ] = None
    """Allowed labels: a list, or `{label: [synonyms]}`. A row's own options take precedence. Null:
    every row has options."""
    verifier: Literal["exact", "number", "choice", "math"] = "exact"
    """For kind `answer`: when two answers count as equal. `exact`: same text. `number`: same
    number. `choice`: same option or letter. `math`: equivalent formulas."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.kind == "classify" and self.verifier != "exact":
            raise ValueError("verifier: belongs to kind answer; a label of a closed set needs none")
        if self.kind == "answer" and self.labels is not None and self.verifier != "choice":
            raise ValueError("labels: belong to kind classify (or to kind answer with verifier choice)")
        if self.labels is None:
            return self
        faults = _equal_labels(self.labels)
        if len(self.labels) < 2:
            faults.append(f"labels: {len(self.labels)} given; a choice needs at least 2")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @functools.cached_property
    def closed(self) -> tuple[str, ...]:
        """The file's own labels, in their order."""
        return tuple(self.labels or ())

    @functools.cached_property
    def synonyms(self) -> Synonyms:
        """(label, its other names), where the file gives any."""
        return tuple(self.labels.items()) if isinstance(self.labels, dict) else ()

    @functools.cached_property
    def names(self) -> Mapping[str, str]:
        """Every normal form that means one of the file's own labels."""
        return _names_of_options(self.closed, self.synonyms)

    def options(self, row_options: Sequence[object] | None = None) -> tuple[str, ...]:
        """Canonical names of the closed set, the row's own if it has any, else the file's, in their order; () for a free answer.

        Raises `Fault` (`options_broken`) where a row's options are fewer than two, not text, or alike once normalised.
        """
        if row_options is None or len(row_options) == 0:
            return self.closed
        if isinstance(row_options, str):
            raise Fault("options_broken", f"options {show_value(row_options)} are one text; a list of texts is wanted")
        texts = [as_text(option) for option in row_options]
        names = tuple(" ".join(clean_text(text).split()) for text in texts if text is not None and normal_form(text))
        faults = _equal_labels(names)
        if len(names) < max(2, len(texts)):
            faults.append(f"options {str(list(row_options))[:200]} are not at least two texts")
        if faults:
            raise Fault("options_broken", "; ".join(faults))
        return names

    def label(self, raw: object, options: tuple[str, ...] = ()) -> str | None:
        """A raw label of any type as one of `options`, or as a comparable free answer; None where unknown or outside the set.

        Where a row brings its own options, a label that is none of them may name one: by letter ("B", "(b) dog"), or by place from 0 unless
        an option is a whole number. An integer that is one option's text and another one's place
        is neither: only the file can say which (`source.columns.label_index`).
        """
        text = as_text(raw)
        if text is None or not options or options is self.closed:
            return None if text is None else self.comparable(text, options)
        known, plain = _names_of_options(options, self.synonyms), normal_form(text)
        if plain not in known:
            place = _option_place(plain, list(known))
            if place is None or place >= len(options):
                return self.comparable(text, options) or VERIFIERS["choice"](text, options)
            return self.comparable(options[place], options)
        if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < len(options) and known[plain] != options[raw]:
            return None
        return self.comparable(text, options)

    def comparable(self, text: str, options: tuple[str, ...] = ()) -> str | None:
        """An answer's canonical label or comparable text; None where it is none. Never by substring: "not awe" is not awe."""
        if self.kind == "answer":
            found = VERIFIERS[self.verifier](text, options)
            return found if not options or self.verifier == "choice" else _option_of(found, text, self.verifier, options)
        # The file's own options, shared by most samples, skip hashing up to thousands of names.
        names = self.names if options is self.closed else _names_of_options(options, self.synonyms)
        if not (form := normal_form(text)) or form in names:
            return names.get(form)
        return _loose_names(options, self.synonyms).get(_loose_form(form))


def _option_place(label: str, known: Sequence[str]) -> int | None:
    """The place from 0 that a letter or number means that is no name of an option; None for all else, and for one number among others."""
    if letter := _LETTER.fullmatch(label):
        return ord(letter[1]) - ord("a")
    place = _PLACE.fullmatch(label)
    return int(place[1]) if place and not any(map(_PLACE.fullmatch, known)) else None


def _equal_labels(labels: Sequence[str] | Mapping[str, tuple[str, ...]]) -> list[str]:
    """A line for every two labels or synonyms of different labels that are the same once normalised."""
    synonyms = labels if isinstance(labels, Mapping) else {}
    taken: dict[str, tuple[int, str]] = {}
    faults = []
    for place, label in enumerate(labels):
        for name in (label, *synonyms.get(label, ())):
            first, before = taken.setdefault(normal_form(name), (place, name))
            if first != place:
                faults.append(
                    f"labels: {show_value(before)} and {show_value(name)} are the same once case, spaces and surrounding marks are ignored"
                )
    return faults


def _option_of(found: str | None, text: str, verifier: str, options: tuple[str, ...]) -> str | None:
    """The option that an answer means, where a row brings options: word for word, or by its comparable form; None where it is none."""
    return _names_of_options(options, ()).get(normal_form(text)) or _comparable_forms(verifier, options).get(found or "")


@functools.lru_cache(maxsize=4_096)
def _comparable_forms(verifier: str, options: tuple[str, ...]) -> Mapping[str, str | None]:
    """Comparable forms of options; a form that two of them share means neither."""
    forms: dict[str, str | None] = {}
    for option in options:
        if (form := VERIFIERS[verifier](option, ())) is not None:
            forms[form] = None if form in forms else option
    return forms


@functools.lru_cache(maxsize=4_096)
def _names_of_options(options: tuple[str, ...], synonyms: Synonyms) -> Mapping[str, str]:
    """Every normal form that means an option, with the option; the file's synonyms count for a row's option of the same name."""
    names = {normal_form(option): option for option in options}
    for label, others in synonyms:
        if (option := names.get(normal_form(label))) is not None:
            for other in others:
                names.setdefault(normal_form(other), option)
    return names


def _loose_form(form: str) -> str:
    """A normal form in which a space, an underscore and a hyphen between words are the same."""
    return _JOINT.sub(" ", form)


@functools.lru_cache(maxsize=4_096)
def _loose_names(options: tuple[str, ...], synonyms: Synonyms) -> Mapping[str, str]:
    """Every loose form that means one option, with the option; one that two of them share means neither."""
    meant: dict[str, set[str]] = {}
    for form, option in _names_of_options(options, synonyms).items():
        meant.setdefault(_loose_form(form), set()).add(option)
    return {form: next(iter(found)) for form, found in meant.items() if len(found) == 1}
