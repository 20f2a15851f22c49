"""One sample of a run with all that is known of it, for a person: pictures, answers, and what became of them."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from cotforge.visible import show_invisible

if TYPE_CHECKING:
    import polars as pl
    from PIL.Image import Image

SIDES = (320, 224, 160, 96)
"""Pixels of a thumbnail's longer side; the first that is small enough is taken."""
THUMBNAIL_BYTES = 40_000
"""Most bytes of a picture in a notebook, which keeps what it shows in its file. Default chosen by us."""
LONGEST_TEXT = 20_000
"""Characters of one text that are shown."""


@dataclass(frozen=True)
class SampleView:
    """One sample of a run. In a notebook it shows itself."""

    id: str
    question: str
    options: tuple[str, ...]
    """The choices; empty where the answer is free."""
    label: str | None
    """The raw label; None where it is not known."""
    answer: str | None
    """The accepted answer, also where no text with it became a lesson; None where none is accepted."""
    confidence: float | None
    """In [0, 1]; None where no answer is accepted."""
    votes: Mapping[str, str]
    """By teacher: its answer, of those whose reply could be read."""
    traces: "pl.DataFrame"
    """All replies that came, with their fates: the rows of `Run.traces`."""
    losses: "pl.DataFrame"
    """What did not make it, and why: the rows of `Run.losses`."""
    lessons: Sequence[str]
    """The texts that a student learns."""
    pictures_bytes: tuple[bytes, ...]
    """Each picture as it was sent; JPEG, PNG or WebP. Empty where the source can no longer be read."""

    @property
    def pictures(self) -> "list[Image]":
        """The pictures, opened by Pillow."""
        from PIL import Image

        return [Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) for data in self.pictures_bytes]

    def __repr__(self) -> str:
        return f"SampleView(id={self.id!r}, label={self.label!r}, answer={self.answer!r}, traces={self.traces.height})"

    def _repr_html_(self) -> str:
        """Thumbnails, never the pictures themselves: a notebook keeps them. Everything that a stranger wrote is escaped."""
        facts = {
            "question": self.question,
            "options": ", ".join(self.options),
            "label": self.label or "unknown",
            "answer": "none accepted" if self.answer is None else f"{self.answer} (confidence {self.confidence:.2f})",
            **({} if self.lessons else {"lesson": "none"}),
        }
        name = _escape_text(f"picture of sample {self.id}")
        pictures = "".join(f'<img src="{uri}" alt="{name}" style="margin:4px">' for uri in self._thumbnail_uris())
        table = _html_table(("sample", self.id), facts.items())
        traces = "".join(_html_trace(row) for row in self.traces.iter_rows(named=True))
        lost = _html_table(("stage", "reason"), ((row["stage"], row["reason"]) for row in self.losses.iter_rows(named=True)))
        return f"<div>{pictures}{table}{traces}{lost if self.losses.height else ''}</div>"

    def _thumbnail_uris(self) -> Iterable[str]:
        from cotforge.images.small import data_uri
        from cotforge.records import Picture

        for data in self.pictures_bytes:
            picture = Picture("", "", 0, 0, len(data), lambda data=data: data)  # type: ignore[misc]
            uris = (data_uri(picture, side) for side in SIDES)
            yield next((uri for uri in uris if len(uri) <= THUMBNAIL_BYTES), "")


def _escape_text(value: object) -> str:
    text = str(value)
    return escape(show_invisible(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."))


def _html_table(head: tuple[str, str], rows: Iterable[tuple[object, object]]) -> str:
    body = "".join(f'<tr><th style="text-align:left">{_escape_text(name)}</th><td>{_escape_text(value)}</td></tr>' for name, value in rows)
    return f'<table><tr><th style="text-align:left">{_escape_text(head[0])}</th><th>{_escape_text(head[1])}</th></tr>{body}</table>'


def _html_trace(row: Mapping[str, Any]) -> str:
    said = f"{row['teacher']}: {row['answer'] if row['answer'] is not None else 'no answer'} ({row['fate']})"
    return (
        f"<details><summary>{_escape_text(said)}</summary>"
        f'<div style="white-space:pre-wrap;max-width:60em" dir="auto">{_escape_text(row["reasoning"] or "")}</div></details>'
    )
