"""The card of a repository that was pushed to before: what people wrote on the Hub stays, what cotforge wrote is written anew.

A pushed card has two lines, seen in its source alone, around what cotforge wrote. The first one holds a hash of it, so that the next push
knows whether somebody changed it. Text outside of them stays; so does every section of their own that people put between them.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import yaml

from cotforge.errors import in_words

BEGIN = "<!-- cotforge: begin {} -->"
END = "<!-- cotforge: end. What stands below this line stays when the repository is pushed to again. -->"
_BEGIN = re.compile(r"^<!-- cotforge: begin ([0-9a-f]{64}) -->$", re.MULTILINE)
_END = re.compile(r"^<!-- cotforge: end\b.*-->$", re.MULTILINE)
_HEADER = re.compile(r"---\n(.*?\n)?---[ \t]*(?:\n|$)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
WRITTEN = frozenset({"configs", "dataset_info", "size_categories", "teachers", "source_datasets", "model-index"})
"""Keys of a header that cotforge writes: where it writes one no more, it is gone."""
LICENCE_KEYS = ("license", "license_name", "license_link")
UNSTATED = (None, "unknown")
NO_REPO = "PATH_OR_REPO"
"""Stands in a card for the repository that it is pushed to."""
TAG = "cotforge"
"""The tag of every card that cotforge writes."""


@dataclass(frozen=True)
class CardParts:
    """A card, taken apart."""

    header: dict[str, Any]
    body: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises ValueError where the header is not YAML, or no mapping."""
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        found = _HEADER.match(text)
        if found is None:
            return cls({}, text.strip("\n"))
        try:
            header = yaml.safe_load(found[1] or "") or {}
        except yaml.YAMLError as fault:
            raise ValueError(f"its header is not YAML: {in_words(fault)}") from fault
        if not isinstance(header, dict):
            raise ValueError(f"its header is a {type(header).__name__}, and a mapping is wanted")
        return cls(header, text[found.end() :].strip("\n"))

    def text(self) -> str:
        """The whole card."""
        header = yaml.safe_dump(self.header, sort_keys=False, allow_unicode=True, width=1_000)
        return f"---\n{header}---\n\n{self.body}\n"

    @property
    def is_ours(self) -> bool:
        """Whether cotforge wrote it."""
        tags = self.header.get("tags")
        return _BEGIN.search(self.body) is not None or (isinstance(tags, list) and TAG in tags)


def name_repository(card: CardParts, name: str, url: str) -> CardParts:
    """The card with the repository's name, and in its citation the URL, where it is left open."""
    return CardParts(card.header, card.body.replace(f"{{{NO_REPO}}}", f"{{{url}}}").replace(NO_REPO, name))


def merge_cards(ours: CardParts, theirs: CardParts | None) -> CardParts:
    """The card to push: what we write, and what people wrote in the card that is there.

    Doing it again, with the card that came of it, gives the same card.
    """
    ours_body = ours.body.strip("\n")
    before, after = _kept_text(ours_body, theirs) if theirs else ("", "")
    written = f"{BEGIN.format(_digest(ours_body))}\n\n{ours_body}\n\n{END}"
    body = "\n\n".join(part for part in (before, written, after) if part)
    return CardParts(merge_headers(ours.header, theirs.header if theirs else {}), body)


def merge_headers(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Our keys, then those of theirs that we never write; the tags of both; their licence where we know none."""
    kept = {key: value for key, value in theirs.items() if key not in ours and key not in WRITTEN and key not in LICENCE_KEYS}
    licence = theirs if ours.get("license") in UNSTATED and theirs.get("license") not in UNSTATED else ours
    if licence is ours and ours.get("license") == theirs.get("license"):
        licence = {**theirs, **ours}
    merged = {**ours, **kept, **{key: licence[key] for key in LICENCE_KEYS if key in licence}}
    tags = [tag for side in (ours, theirs) for tag in _listed(side.get("tags"))]
    return {**merged, "tags": list(dict.fromkeys(tags))} if tags else merged


def _kept_text(ours: str, theirs: CardParts) -> tuple[str, str]:
    """(before, after): what people wrote before and after our part, their own sections within it among the latter."""
    begin, ends = _BEGIN.search(theirs.body), list(_END.finditer(theirs.body))
    if begin is None or not ends or ends[-1].start() < begin.end():
        if not theirs.is_ours:
            return "", _without_marks(theirs.body)
        return "", _without_marks("\n\n".join(_own_sections(theirs.body, _headings(ours))))
    before, after = _without_marks(theirs.body[: begin.start()]), _without_marks(theirs.body[ends[-1].end() :])
    written = theirs.body[begin.end() : ends[-1].start()].strip("\n")
    added = [] if _digest(written) == begin[1] else _own_sections(written, _headings(ours))
    return before, "\n\n".join(part for part in (*map(_without_marks, added), after) if part)


def _without_marks(text: str) -> str:
    """What people wrote, without lines that would be taken for ours at the next push."""
    return _END.sub("", _BEGIN.sub("", text)).strip("\n")


def _digest(text: str) -> str:
    """A hash that the Hub's own editor does not change: of the lines without blanks at their ends."""
    return hashlib.sha256("\n".join(line.rstrip() for line in text.strip().split("\n")).encode()).hexdigest()


def _own_sections(text: str, known: Collection[str]) -> list[str]:
    """The sections of a text, from one `## heading` to the next, whose heading is not known."""
    lines = text.split("\n")
    starts = [place for place, _ in _heading_lines(lines)]
    sections = [lines[start:end] for start, end in pairwise([*starts, len(lines)])]
    return ["\n".join(section).strip("\n") for section in sections if section[0].strip() not in known]


def _headings(text: str) -> set[str]:
    return {line for _, line in _heading_lines(text.split("\n"))}


def _heading_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """(place, text) of every heading of the second level; none in a block of code."""
    fence = ""
    for place, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and line.strip() == mark[1] and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        elif line.startswith("## "):
            yield place, line.strip()


def _listed(tags: Any) -> list[Any]:
    return tags if isinstance(tags, list) else [tags] if isinstance(tags, str) else []
