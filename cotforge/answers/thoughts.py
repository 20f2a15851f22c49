"""Where the thoughts of a text stand, whatever family of marks is around them."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from cotforge.answers.marks import ANSWER, THOUGHTS, Thought

_ANGLE, _ANY = (re.compile(rf"{signs}(?=[/|\\a-zA-Z<\uff5c])") for signs in ("<", r"[<\[\u25c1]"))


def mark_hints(text: str, place: int = 0) -> Iterator[re.Match[str]]:
    """Where a mark may begin, from a place on: each of 90 patterns is tried there, and nowhere else."""
    return (_ANY if "[" in text or "\u25c1" in text else _ANGLE).finditer(text, place)


def is_marked(pattern: str) -> bool:
    """Whether a pattern begins with a sign that no word begins with."""
    return pattern.removeprefix("(?-i:").lstrip("\\")[:1] in ("<", "[", "◁")


_KINDS: dict[str, tuple[Thought, bool]] = {}
"""Group of `_MARK` to family, and whether it opens."""


def _mark_pattern() -> re.Pattern[str]:
    parts = []
    for place, family in enumerate(THOUGHTS):
        for pattern, opens in ((family.opens, True), (family.closes, False)):
            if is_marked(pattern):
                group = f"{'o' if opens else 'c'}{place}"
                _KINDS[group] = family, opens
                parts.append(f"(?P<{group}>{pattern})")
    return re.compile("|".join(parts), re.IGNORECASE)


_MARK = _mark_pattern()
_ANSWER_TAGS = ("<answer>", "</answer>")
_SPOKEN = [
    (family, re.compile(rf"\s*(?:{family.opens})", re.IGNORECASE), re.compile(family.closes, re.IGNORECASE))
    for family in THOUGHTS
    if family.spoken
]
_SPEAKS = re.compile("|".join(opening.pattern for _, opening, _ in _SPOKEN), re.IGNORECASE)
_NOTHING = re.compile(r"(?:[\s\ufeff\u200b]|<\|[^\s<>|]{1,64}\|>(?:assistant)?)*")
"""Blank, but for tokens that begin a turn and a byte order mark."""
ANSWER_TAG = re.compile(ANSWER, re.IGNORECASE)
_BLANK_END = re.compile(r"\s*\Z")
_ONE_ANSWER = re.compile(rf"\s*{ANSWER}[^<]*{ANSWER.replace('?P<closes>', '')}\s*", re.IGNORECASE)


class Mark(NamedTuple):
    """A mark around a thought, placed in its text."""

    family: Thought
    opens: bool
    start: int
    end: int


class Split(NamedTuple):
    """A text cut in two: its thoughts and what follows them."""

    thought: str
    """From the first opening mark, or where the prompt opened it the beginning, to the last closing one; empty where none is closed."""
    start: int
    """Where what follows the last closed thought begins."""
    end: int
    """Where a thought opens that is never closed; else the end of the text."""
    names: tuple[str, ...] = ()
    """The families of the closed thoughts, but for `think`."""
    opened: bool = False
    """The opening mark stood in the prompt."""
    sound: bool = False
    """One thought without marks in it, or several of different marks in a row, and nothing before; not empty."""


def split_thoughts(text: str, *, whole: bool = True) -> Split:
    """The thoughts of a text; `whole`: it was not cut off.

    A closing mark ends a thought of its own family only; in another's thought it is a word. Thoughts may be nested; an opening mark
    that is repeated at once counts once. What stands in an open thought is never part of what follows, with one exception: a thought
    that speaks of its opening mark, or is closed by another family's, once, and is followed by one answer in tags and nothing else.
    """
    marks = sorted(find_marks(text), key=lambda mark: mark.start)
    if not marks:
        return Split("", 0, len(text))
    if len(marks) > 1 and not _is_quoted(text, marks[0]):
        marks = [mark for mark in marks if mark.opens or not _is_quoted(text, mark)]
    matched = _Matching(text)
    for mark in marks:
        matched.take_mark(mark)
    closed, inner, end = matched.closed, matched.inner, len(text)
    last = inner or (matched.others[0] if len(matched.others) == 1 else None)
    if matched.stack and last is not None and whole and _ONE_ANSWER.fullmatch(text, last.end):
        closed.append((matched.stack[0], last))
    elif matched.stack:
        end = matched.stack[0].start
    cut = _join_thoughts(text, matched, end) if closed else Split("", 0, end)
    # A thought was closed within the open one: what stands before that is not after the last thought.
    return cut._replace(start=end) if inner is not None and end < len(text) else cut


def _is_quoted(text: str, mark: Mark) -> bool:
    """Whether a thought speaks of a mark, in backticks or quotes. Source: ggml-org/llama.cpp#27661, HKUDS/nanobot#3004."""
    return mark.start > 0 and mark.end < len(text) and text[mark.start - 1] == text[mark.end] and text[mark.end] in "`'\""


def _join_thoughts(text: str, matched: "_Matching", end: int) -> Split:
    closed, alone = matched.closed, matched.alone
    in_row = not alone and _in_row(text, closed)
    if in_row and len(closed) > 1:
        thought = "\n\n".join(text[before.end : after.start].strip() for before, after in closed)
    else:
        thought = text[0 if alone else closed[0][0].end : closed[-1][1].start]
    names = dict.fromkeys(last.family.name for _, last in closed if last.family.name != "think")
    sound = not matched.stray and end == len(text) and (in_row or alone == len(closed) == 1)
    sound = sound and bool(thought.strip()) and not ANSWER_TAG.search(thought)
    return Split(thought, closed[-1][1].end, end, tuple(names), bool(alone and thought.strip()), sound)


class _Matching:
    """Opening marks matched to closing ones, in the text's order."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.closed: list[tuple[Mark, Mark]] = []
        """The thoughts that stand in no other."""
        self.stack: list[Mark] = []
        self.alone = 0
        """How many of the closed thoughts were opened by the prompt."""
        self.stray = 0
        """Marks that belong to none."""
        self.others: list[Mark] = []
        """Closing marks of other families within an open thought."""
        self.inner: Mark | None = None
        """The last mark that closed a thought within one that is open."""
        self._open: Counter[str] = Counter()

    def take_mark(self, mark: Mark) -> None:
        """The next mark."""
        name = mark.family.name
        if mark.opens:
            self._open_thought(mark)
        elif self._open[name]:
            opened = self._pop_mark()
            while opened.family.name != name:
                opened = self._pop_mark()
            if self.stack:
                self.inner, self.stray = mark, self.stray + 1
            else:
                self.inner = None
                self.closed.append((opened, mark))
        elif self.stack:
            self.stray += 1
            self.others.append(mark)
        else:
            self._end_thought(mark)

    def _open_thought(self, mark: Mark) -> None:
        last = self.stack[-1] if self.stack else None
        if last is not None and last.family is mark.family and not self.text[last.end : mark.start].strip():
            self._pop_mark()
            self.stray += 1
            mark = mark._replace(start=last.start)
        self.stack.append(mark)
        self._open[mark.family.name] += 1

    def _pop_mark(self) -> Mark:
        mark = self.stack.pop()
        self._open[mark.family.name] -= 1
        self.stray += bool(self.stack)
        return mark

    def _end_thought(self, mark: Mark) -> None:
        """A closing mark without an opening one ends a thought that the prompt opened, or once more the last one, or is no mark."""
        text, begin = self.text[mark.start : mark.end], self.closed[-1][1].end if self.closed else 0
        again = bool(self.closed) and self.closed[-1][1].family is mark.family
        if again and not self.text[begin : mark.start].strip():
            opened, before = self.closed[-1]
            self.stray += self.text[before.start : before.end] == text
            self.closed[-1] = opened, before._replace(end=mark.end)
        elif again and _BLANK_END.match(self.text, mark.end) and _ONE_ANSWER.fullmatch(self.text, begin, mark.start):
            self.stray += 1  # behind the answer: nanobrowser/nanobrowser#330
        elif re.fullmatch(mark.family.alone, text, re.DOTALL):
            self.alone += 1
            self.closed.append((Mark(mark.family, True, begin, begin), mark))


def _in_row(text: str, closed: list[tuple[Mark, Mark]]) -> bool:
    """Whether nothing stands before the first thought or between two, and no opening mark is used twice."""
    between = [text[: closed[0][0].start], *(text[one[1].end : two[0].start] for one, two in pairwise(closed))]
    opening = [text[mark.start : mark.end].strip().lower() for mark, _ in closed]
    return all(map(_NOTHING.fullmatch, between)) and len(set(opening)) == len(opening)


def find_marks(text: str) -> Iterator[Mark]:
    """The marks of a text, in no order."""
    place = 0
    for hint in mark_hints(text):
        if text.startswith(_ANSWER_TAGS, hint.start()):  # a fifth of the time of a usual reply
            continue
        if hint.start() >= place and (found := _MARK.match(text, hint.start())):
            family, opens = _KINDS[found.lastgroup or ""]
            yield Mark(family, opens, *found.span())
            place = found.end()
    for family, opening, closing in _SPOKEN if _SPEAKS.match(text) else ():
        if begun := opening.match(text):
            yield Mark(family, True, begun.end() - len(begun.group().lstrip()), begun.end())
            if not is_marked(family.closes):
                yield from (Mark(family, False, *found.span()) for found in closing.finditer(text))
