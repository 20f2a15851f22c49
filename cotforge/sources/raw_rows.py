"""What all sources share: their common keys, which column holds what, and a Row: a sample not yet looked at."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from cotforge.errors import SourceError, show_value
from cotforge.images import FileRef, Ref
from cotforge.plain_record import Record
from cotforge.records import Fault
from cotforge.sources.options import read_options
from cotforge.sources.values import ANSWERING, ASKING, named_label, plain_value, said_by, value_text
from cotforge.spec import PathText, Spec

Spool = Callable[[bytes, str], FileRef]
"""Keeps bytes that cannot be asked for again, and says where: (bytes, name) to a ref."""


_NAME_SHOWN = 60
"""Characters of a column's name in an error: a file without a header has a row's texts there."""


class Columns(Spec):
    """Which column holds what. A key that is left out means the column of the same name, if there is one.

    `cotforge.sources.options` shows the columns of three benchmarks.
    """

    id: str | None = None
    """Column with a unique text or number. Null: `id`; without that column, ids are derived from
    image and question."""
    image: str | None = None
    """Column with one image, or a list of images. Null: `image`."""
    images: str | tuple[str, ...] | None = None
    """Column with a list of images, or several columns with one image each (null where a row has
    fewer); used instead of `image`. Null: `images`."""
    label: str | None = None
    """Column with the label. With options per row it may be an option's text, its letter (A is the
    first), or its position from 0 if that is no option's text. Null: `label`."""
    label_index: str | None = None
    """Column with the position of the correct option, from 0, instead of `label`. It refers to the
    row's options, or else to the task's labels. Null: `label_index`."""
    question: str | tuple[str, ...] | None = None
    """Column with the question, which takes precedence over `task.question`. Several columns are
    joined by line breaks. Of a LLaVA conversation the first question is used. Null: `question`."""
    options: str | tuple[str, ...] | None = None
    """Column with the row's options (a list, or a list as text), or one column per option, of which
    the last may be empty. They take precedence over `task.labels`. Null: `options`."""
    split: str | None = None
    """Column with the split; only rows of `source.split` are read. Null: `split`."""
    meta: tuple[str, ...] = ()
    """Columns that are kept with the sample and available in prompts as `meta`."""

    @model_validator(mode="after")
    def _no_column_twice(self) -> Self:
        if self.image and self.images:
            raise ValueError("image and images: give one of them")
        if self.label and self.label_index:
            raise ValueError("label and label_index: give one of them")
        return self

    def among(self, names: Collection[str], where: str, *, images: Iterable[str] = ("image", "images")) -> Self:
        """The same with every name left out settled, `images` to the columns of images, by default the first of `images` there is.

        Raises SourceError.
        """
        chosen = self.image_columns or tuple(name for name in images if name in names)[:1]
        faults = [_no_column(name, names, where) for name in self._named_columns() if name not in names]
        if not chosen:
            faults.append(f"{where}: no column 'image' or 'images'; there: {_list_names(names)}; source.columns.image names another")
        if faults:
            raise SourceError(*faults)
        plain = ("id", *(() if self.label_index else ("label",)), "question", "options", "split")
        settled = {name: name for name in plain if name in names and not getattr(self, name)}
        return self.model_copy(update={**settled, "image": None, "images": chosen})

    @property
    def image_columns(self) -> tuple[str, ...]:
        """The columns of images, in the order of a sample's pictures."""
        return _split_names(self.images) or _split_names(self.image)

    @property
    def question_columns(self) -> tuple[str, ...]:
        """The columns whose texts make the question, in their order."""
        return _split_names(self.question)

    def used(self) -> list[str]:
        """The columns to be read beside the image, once each."""
        light = (self.id, self.label, self.label_index, *self.question_columns, *_split_names(self.options), self.split, *self.meta)
        return list(dict.fromkeys(name for name in light if name))

    def left_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that nothing is read from."""
        return tuple(name for name in names if name not in self._named_columns())

    def _named_columns(self) -> list[str]:
        return [*self.used(), *self.image_columns]


def _split_names(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if not names else (names,) if isinstance(names, str) else names


def _no_column(name: str, names: Collection[str], where: str) -> str:
    near = get_close_matches(name, [known for known in names if len(known) <= _NAME_SHOWN], n=1)
    return f"{where}: no column {show_value(name)}; " + (f"did you mean {show_value(near[0])}?" if near else f"there: {_list_names(names)}")


def _list_names(names: Collection[str]) -> str:
    return ", ".join(repr(name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}...") for name in list(names)[:20]) or "none"


class RawData(Spec):
    """The keys that every kind of source has."""

    path: PathText = Field(min_length=1)
    """File, folder or glob, relative to the pipeline file. For `hf` it may be an id on the Hub."""
    split: Annotated[str, Field(min_length=1)] | Annotated[tuple[str, ...], Field(min_length=1)] = "train"
    """Split to read, or a list of splits. `val`, `valid`, `dev` and `validation` mean the same."""
    columns: Columns = Columns()
    """Which column holds what. A key that is left out means the column of the same name, if there
    is one."""
    limit: int | None = Field(default=None, ge=1)
    """Most usable samples, taken from the start of the source, held-out ones among them. Null: all.
    (`--limit N` draws N from all classes instead, besides those held out.)"""
    label_names: tuple[str, ...] | None = None
    """Names of integer labels, in the order of the integers. Null: the names in the data, if it has
    any."""
    license: str | None = None
    """Licence of the images, shown on the card. Null: not stated."""

    @property
    def at_hand(self) -> bool:
        """Whether all rows can be listed quickly, without their pictures."""
        return True

    def size(self, root: Path) -> int | None:
        """About how many rows there are, where that is quick to tell; None elsewhere. Raises OSError, SourceError as reading does."""
        return None


@dataclass(frozen=True, slots=True)
class RawRow(Record):
    """What the data says of one sample; its images not read yet."""

    where: str
    """File and line, for messages."""
    images: tuple[Ref, ...]
    id: str | None = None
    label: object = None
    """Raw, with integers already named; one that is still an integer may be the place of an option."""
    label_index: int | None = None
    """The place of the right option, where the data tells that instead of a label; from 0, and maybe none of them."""
    question: str | None = None
    options: list[str] | None = None
    split: str = "train"
    meta: Mapping[str, Any] = field(default_factory=dict)
    derives_id: bool = False
    """Whether the data has no id, and this one follows from images and question."""

    @property
    def own_id(self) -> str | None:
        """The id that the data gives it."""
        return None if self.derives_id else self.id

    def with_derived_id(self, id: str) -> "RawRow":
        """The same with an id that follows from its images and question."""
        return replace(self, id=id, derives_id=True)


@dataclass(frozen=True, slots=True)
class Unused:
    """A file or folder among the data that no sample comes from, or a column that nothing is read from."""

    name: str
    """Relative to the source's folder."""
    is_column: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """How records become rows: columns as `Columns.among` settled them, and names of integer labels."""

    columns: Columns
    names: tuple[str, ...] | None = None
    left: tuple[str, ...] = ()
    """Columns there are besides."""

    def unused(self) -> Iterator[Unused]:
        """What is told of the columns that nothing is read from."""
        return (Unused(name, is_column=True) for name in self.left)

    def row(self, record: Mapping[str, Any], images: Iterable[Ref], where: str, split: str) -> RawRow:
        """A row from a record of named values. Raises Fault `no_image`, or what `images` raises."""
        refs = tuple(images)
        if not refs:
            raise Fault("no_image", "no image")
        get, columns = record.get, self.columns
        question = "\n\n".join(filter(None, (value_text(said_by(get(name), ASKING)) for name in columns.question_columns))) or None
        options = [get(name) for name in columns.options] if isinstance(columns.options, tuple) else get(columns.options or "")
        label = named_label(said_by(get(columns.label or ""), ANSWERING), self.names)
        if isinstance(label, int) and _are_numbers(options):
            label = str(label)  # 2 beside [1, 2, 3] is the option 2
        id, place = value_text(get(columns.id or "")), _class_place(get(columns.label_index or ""))
        meta = {name: plain_value(get(name)) for name in columns.meta}
        return RawRow(where, refs, id, label, place, question, read_options(options), split, meta)

    def images(self, record: Mapping[str, Any]) -> list[Any]:
        """What the record holds in its columns of images."""
        return [record.get(name) for name in self.columns.image_columns]

    def tried(self, record: Mapping[str, Any], images: Iterable[Ref], where: str, split: str) -> RawRow | Fault:
        """`row`, a Fault returned with its place instead of raised."""
        try:
            return self.row(record, images, where, split)
        except Fault as fault:
            return place_fault(fault, where, value_text(record.get(self.columns.id or "")))


def _are_numbers(options: object) -> bool:
    return isinstance(options, list | tuple) and any(isinstance(option, int | float) for option in options)


def _class_place(value: object) -> int | None:
    """A place as the data has it, also as text; None where there is none (null, blank, -1), -2 where it is none that an option can have."""
    text = value_text(value)
    found = re.fullmatch(r"(-?[0-9]{1,9})(?:\.0+)?", text or "")
    place = int(found[1]) if found else -2
    return None if text is None or place == -1 else place


def place_fault(fault: Fault, where: str, id: str | None = None) -> Fault:
    """The same Fault with file, line and id."""
    return Fault(fault.reason, fault.detail, where=where, id=id)
