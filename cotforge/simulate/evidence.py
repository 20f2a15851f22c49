"""What a reasoning that a simulated teacher is shown says: the cells that were read, and the labels that its observations fit."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import fmean

from cotforge.simulate.cells import STYLES, cell_places
from cotforge.simulate.wording import WORDINGS, Usual
from cotforge.teachers.simulated import GridCells

FARTHEST = 3.0
"""Deviations from its usual value beyond which a property speaks no more strongly against a label."""
SLACK = 0.1
"""Added to every deviation: few lessons know it badly."""
_VALUES = [place / 50 for place in range(151)] + [float(number) for number in range(4, 10)]
"""At which the words of a property are tried."""
_REJECTED = r"(?:than|rather than|rule out|contradicts|against) {0}\b|\b{0} (?:falls away|would need|tends to have|fails)"
_FAVOURED = r"\b{0} (?:explains|stays|it is|is well ahead)|towards {0}\b|leaves {0}\b|\bwith {0} a little"


def read_values(reasoning: str, cells: GridCells, labels: Sequence[str], *, pictures: int = 1) -> list[str | None]:
    """What a reasoning says that each cell holds, row by row and picture by picture; None where it does not say.

    Of one cell the last statement counts. Where a sum is told step by step, a value that was cut out follows from its neighbours.
    """
    found: dict[str, list[tuple[str | None, int | None]]] = {}
    for place, value, total in _read_clauses(reasoning, cells, labels):
        found.setdefault(place, []).append((value, total))
    whole: list[str | None] = []
    for number in range(pictures):
        told = [_pick_statement(found.get(place, []), number, pictures) for place in cell_places(cells)]
        values = [value for value, _ in told]
        whole += _fill_gaps(values, [total for _, total in told], labels) if cells.answer == "sum" and pictures == 1 else values
    return whole


def label_evidence(reasoning: str, usual: Usual, labels: Sequence[str]) -> dict[str, float]:
    """How well what a reasoning observes fits each label, in [0, 1], summing to 1.

    An observation counts by how far it is from what a label usually has among the teacher's own lessons; a label that the text drops or
    prefers counts less or more.
    """
    observed = {name: value for name in WORDINGS if (value := _observed_value(reasoning, name)) is not None}
    weights: dict[str, float] = {}
    for label in labels:
        known = usual.get(label, {})
        far = [min(FARTHEST, abs(observed[name] - known[name][0]) / (known[name][1] + SLACK)) for name in observed.keys() & known.keys()]
        weight = -sum(each**2 for each in far) / 2
        word = re.escape(label)
        weight -= 2.0 * bool(re.search(_REJECTED.format(word), reasoning, re.IGNORECASE))
        weights[label] = weight + 2.0 * bool(re.search(_FAVOURED.format(word), reasoning, re.IGNORECASE))
    highest = max(weights.values(), default=0.0)
    raised = {label: math.exp(weight - highest) for label, weight in weights.items()}
    return {label: each / math.fsum(raised.values()) for label, each in raised.items()}


def _read_clauses(reasoning: str, cells: GridCells, labels: Sequence[str]) -> Iterator[tuple[str, str | None, int | None]]:
    """(place, value, sum up to there) of each statement of a cell, in their order."""
    statement, total = _cell_patterns(cells, tuple(labels))
    matches = list(statement.finditer(reasoning))
    for number, match in enumerate(matches, 1):
        end = matches[number].start() if number < len(matches) else len(reasoning)
        summed = total.search(reasoning, match.end(), end)
        yield match["place"].casefold(), match["value"], int(summed[1]) if summed else None


@lru_cache(maxsize=64)
def _cell_patterns(cells: GridCells, labels: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of a statement about a cell, and of the sum that follows it."""
    places, values, verbs, totals = (
        "|".join(re.escape(each) for each in sorted(words, key=len, reverse=True))
        for words in (cell_places(cells), labels, {style.read for style in STYLES}, {style.total for style in STYLES})
    )
    return (
        re.compile(rf"\b(?P<place>{places}) (?:{verbs})(?: (?P<value>{values})(?!\w))?", re.IGNORECASE),
        re.compile(rf"(?:{totals}) (-?\d{{1,9}})(?!\w)", re.IGNORECASE),
    )


def _pick_statement(told: Sequence[tuple[str | None, int | None]], number: int, pictures: int) -> tuple[str | None, int | None]:
    """The one about a cell of that picture: the last where there is one picture, else that of the picture's turn."""
    if pictures == 1 or not told:
        return told[-1] if told else (None, None)
    return told[number] if number < len(told) else (None, None)


def _fill_gaps(values: list[str | None], totals: list[int | None], labels: Sequence[str]) -> list[str | None]:
    numbers = [None if value is None else int(value) for value in values]
    totals[0] = numbers[0]
    for place in range(len(numbers) - 1, 0, -1):
        total, number = totals[place], numbers[place]
        if totals[place - 1] is None and total is not None and number is not None:
            totals[place - 1] = total - number
    numbers[0] = totals[0]
    for place in range(1, len(numbers)):
        before, total, number = totals[place - 1], totals[place], numbers[place]
        if number is None and before is not None and total is not None:
            numbers[place] = total - before
        elif total is None and before is not None and number is not None:
            totals[place] = before + number
    named = {int(label): label for label in labels}
    return [None if number is None else named.get(number) for number in numbers]


def _observed_value(reasoning: str, name: str) -> float | None:
    """The middle of the values that have the words in which a reasoning observes a property; None where it does not."""
    return next((value for words, value in _property_words(name).items() if words in reasoning), None)


@lru_cache(maxsize=64)
def _property_words(name: str) -> Mapping[str, float]:
    spread: dict[str, list[float]] = {}
    for value in _VALUES:
        spread.setdefault(WORDINGS[name].seen(value), []).append(value)
    return {words: fmean(values) for words, values in spread.items()}
