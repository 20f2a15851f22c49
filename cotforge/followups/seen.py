"""Which things a teacher says that it sees: its list of yes and no, read."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cotforge.answers.thoughts import split_thoughts
from cotforge.records import Reply

_YES, _NO = frozenset({"yes", "y", "true", "✓", "✔", "✅"}), frozenset({"no", "n", "false", "✗", "✘", "❌"})
_WORD = re.compile(r"[a-z]+|[✓✔✅✗✘❌]")
_PAIR = re.compile(r"(?<![\w.])\"?(\d{1,2})\"?\s{0,4}[:.)=|-]{1,4}[\s\"*_|]{0,8}(yes|no|true|false|[✓✔✅✗✘❌])(?![a-z])")
_NUMBERED = re.compile(r"[\s>|*_#\[({\"-]{0,12}(\d{1,2})(?![\d%])[\s\"*_]{0,8}[:.)\]=|-]?(.*)")


class SeenThings(NamedTuple):
    """What a second teacher said of the things of a trace."""

    real: tuple[bool, ...]
    """Of each thing that the trace names, whether it sees it; what it did not say clearly is left out."""
    decoys: tuple[bool, ...]
    """Of each thing that nobody named, the same."""

    @property
    def affirms_all(self) -> bool:
        """Whether it said yes to every decoy, so that its yes tells nothing."""
        return bool(self.decoys) and all(self.decoys)

    @property
    def share(self) -> float | None:
        """Share of the trace's things that it sees, in [0, 1]; None where it said nothing of them, or its yes tells nothing."""
        return sum(self.real) / len(self.real) if self.real and not self.affirms_all else None


def count_seen(reply: Reply, things: Sequence[str], decoys: Sequence[str]) -> SeenThings:
    """What a reply says of `things`, in the order in which they were asked; those in `decoys` apart."""
    said = read_yes_no(without_thoughts(reply.content), len(things))
    told = [(thing in decoys, said[place]) for place, thing in enumerate(things, 1) if place in said]
    return SeenThings(tuple(yes for decoy, yes in told if not decoy), tuple(yes for decoy, yes in told if decoy))


def read_yes_no(text: str, many: int) -> dict[int, bool]:
    """By number, from 1 to `many`, whether a text says yes. A number with both words, or with neither, is missing: never no.

    `1: yes`, `1. a hat - No`, `**2)** yes, it is red`, `{"3": "no"}` and `1: yes 2: no` are read. Without any number as many lines of yes
    and no as there are things are taken in their order.
    """
    found: dict[int, set[bool]] = {}
    for number, yes in _numbered_answers(text.casefold()):
        if 1 <= number <= many:
            found.setdefault(number, set()).update(yes)
    if not found:
        lines = [said for line in text.casefold().splitlines() if (said := _says(line))]
        found = dict(enumerate(lines, 1)) if len(lines) == many else {}
    return {number: next(iter(said)) for number, said in sorted(found.items()) if len(said) == 1}


def without_thoughts(content: str) -> str:
    """A content after its last closed thought; an open one, which was cut off, is left out too."""
    split = split_thoughts(content)
    return content[split.start : split.end]


def _numbered_answers(text: str) -> Iterator[tuple[int, set[bool]]]:
    for line in text.splitlines():
        pairs = _PAIR.findall(line)
        if len(pairs) > 1:
            yield from ((int(number), _says(word)) for number, word in pairs)
        elif (numbered := _NUMBERED.match(line)) is not None:
            yield int(numbered[1]), _says(numbered[2])


def _says(text: str) -> set[bool]:
    words = set(_WORD.findall(text))
    return {yes for yes, meant in ((True, _YES), (False, _NO)) if words & meant}
