"""Whether a text states a formula, however it is written."""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from cotforge.answers.algebra import math_answer
from cotforge.answers.boxes import find_boxes

_SIGNS = re.compile(r"[\\^=+{}()\[\]*/]|\bsqrt\b|\bpi\b")
_SHOWN = re.compile(r"\$([^$]{1,200})\$|\\\((.{1,200}?)\\\)|\\\[(.{1,200}?)\\\]")
_TAIL = re.compile(
    r"(?:=|\b(?:is|becomes|equals|gives|yields|get|gets|obtain|have|means)\b|:)\s{0,3}([^=:;]{1,200}?)\s{0,3}(?:[.,;]?\s*$|[;,]\s|\.\s)"
)
_SPACE = re.compile(r"\s+|\\left|\\right|\\[,;!: ]|[$\\{}()]|\*(?!\*)")
_LONGEST = 200
_MOST = 10
"""Formulas of a sentence that are compared."""


def formula_test(answer: str) -> Callable[[str], bool] | None:
    """Whether a plain text states a formula that equals the answer's; None where the answer is no formula."""
    if not _SIGNS.search(answer) or not re.search(r"\d|\\|\b[a-z]\b", answer):
        return None
    wanted, squeezed = math_answer(answer), _squeeze(answer)

    def states_formula(text: str) -> bool:
        if len(squeezed) > 1 and squeezed in _squeeze(text):
            return True
        return any(math_answer(part) in (wanted, answer) for part in islice(_formulas_of(text), _MOST))

    return states_formula


def _squeeze(text: str) -> str:
    return _SPACE.sub("", text.replace("**", "^")).casefold()


def _formulas_of(text: str) -> Iterator[str]:
    """What a sentence may state: what is set as a formula, or follows an equals sign, "is" or a colon."""
    shown = [next(filter(None, match.groups()), "") for match in _SHOWN.finditer(text)]
    for part in (*find_boxes(text), *shown, *(match[1] for match in _TAIL.finditer(text))):
        for piece in (part, part.rpartition("=")[2]):
            if piece.strip() and len(piece) <= _LONGEST:
                yield piece.strip()
