"""What all sources share: their common keys, which column holds what, and a Row: a sample not yet looked at."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from cotforge.errors import SourceError
from cotforge.images import FileRef, Ref
from cotforge.records import Fault
from cotforge.sources.text import labelled, listed, plain, words
from cotforge.spec import Spec

Spool = Callable[[bytes, str], FileRef]
"""Keeps bytes that cannot be asked for again, and says where: (bytes, name) to a ref."""


class Columns(Spec):
    """Which column holds what; a name left out means the column of the field's own name, where there is one."""

    id: str | None = None
    """Any text or number that tells rows apart; without one, ids follow from the image and the question."""
    image: str | None = None
    """One image, or a list of them."""
    images: str | None = None
    """A list of images, instead of `image`."""
    label: str | None = None
    question: str | None = None
    """Wins over the task's question."""
    options: str | None = None
    """A list of the row's own options; wins over the task's labels."""
    split: str | None = None
    """Only rows of the source's `split` are read."""
    meta: tuple[str, ...] = ()
    """Carried along, and open to prompts."""

    @model_validator(mode="after")
    def _one_image_column(self) -> Self:
        if self.image and self.images:
            raise ValueError("image and images: give one of them")
        return self

    def among(self, names: Collection[str], where: str, *, images: Iterable[str] = ("image", "images")) -> Self:
        """The same with every name left out settled, `image` to the first of `images` there is. Raises SourceError."""
        chosen = self.image or self.images or next((name for name in images if name in names), None)
        faults = [_no_column(name, names, where) for name in self._named() if name not in names]
        if chosen is None:
            faults.append(f"{where}: no column 'image' or 'images'; there: {_list(names)}; source.columns.image names another")
        if faults:
            raise SourceError(*faults)
        plain = ("id", "label", "question", "options", "split")
        settled: dict[str, str | None] = {name: name for name in plain if name in names and not getattr(self, name)}
        return self.model_copy(update=settled | {"image": chosen, "images": None})

    def used(self) -> list[str]:
        """The columns to be read beside the image, once each."""
        light = (self.id, self.label, self.question, self.options, self.split, *self.meta)
        return list(dict.fromkeys(name for name in light if name))

    def _named(self) -> list[str]:
        return [*self.used(), *(name for name in (self.image, self.images) if name)]


def _no_column(name: str, names: Collection[str], where: str) -> str:
    near = get_close_matches(name, names, n=1)
    return f"{where}: no column {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there: {_list(names)}")


def _list(names: Collection[str]) -> str:
    return ", ".join(map(repr, list(names)[:20])) or "none"


class RawData(Spec):
    """The keys that every kind of source has."""

    path: str = Field(min_length=1)
    """A file, a folder, a glob, or (`hf`) an id on the Hub; relative to the pipeline file."""
    split: str | tuple[str, ...] = "train"
    columns: Columns = Columns()
    limit: int | None = Field(default=None, ge=1)
    """Sound samples, at most."""
    label_names: tuple[str, ...] | None = None
    """Names of integer labels, in the order of the integers."""
    license: str | None = None
    """Of the images; for the card."""

    def size(self, root: Path) -> int | None:
        """About how many rows there are, where that is quick to tell; None elsewhere. Raises OSError, SourceError as reading does."""
        return None


@dataclass(frozen=True, slots=True)
class Row:
    """What the data says of one sample; its images not read yet."""

    where: str
    """File and line, for messages."""
    images: tuple[Ref, ...]
    id: str | None = None
    label: object = None
    """Raw, with integers already named."""
    question: str | None = None
    options: list[str] | None = None
    split: str = "train"
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """How records become rows: columns as `Columns.among` settled them, and names of integer labels."""

    columns: Columns
    names: tuple[str, ...] | None = None

    def row(self, record: Mapping[str, Any], images: Iterable[Ref], where: str, split: str) -> Row:
        """A row from a record of named values. Raises Fault `no_image`, or what `images` raises."""
        refs = tuple(images)
        if not refs:
            raise Fault("no_image", "no image")
        get, columns = record.get, self.columns
        question, options = words(get(columns.question or "")), listed(get(columns.options or ""))
        label = labelled(get(columns.label or ""), self.names)
        meta = {name: plain(get(name)) for name in columns.meta}
        return Row(where, refs, words(get(columns.id or "")), label, question, options, split, meta)

    def tried(self, record: Mapping[str, Any], images: Iterable[Ref], where: str, split: str) -> Row | Fault:
        """`row`, a Fault returned with its place instead of raised."""
        try:
            return self.row(record, images, where, split)
        except Fault as fault:
            return placed(fault, where, words(record.get(self.columns.id or "")))


def placed(fault: Fault, where: str, id: str | None = None) -> Fault:
    """The same Fault with file, line and id."""
    return Fault(fault.reason, fault.detail, where=where, id=id)
