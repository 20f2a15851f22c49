"""Marks that a simulated judge gives a reasoning, and what it says that can be seen of a list of things."""

import re
from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple

from cotforge.simulate.tasks import JudgeTask, SeenTask
from cotforge.simulate.wording import WORDINGS

NOISE = 0.12
"""Deviation of a judge's marks from what the text deserves, as a share of the range (chosen by us)."""
TILT = 0.1
"""Most by which one judge marks higher or lower than others, as a share of the range."""
ENOUGH_WORDS = 60
"""Words of a reasoning that is long enough."""
ENOUGH_CHECKS = 3
_WEIGHTS = (
    (re.compile(r"eviden|ground|visual|image|picture|faith|see|observ", re.IGNORECASE), (0.8, 0.1, 0.1, 0.0)),
    (re.compile(r"correct|right|true|sound|accura", re.IGNORECASE), (0.9, 0.0, 0.1, 0.0)),
    (re.compile(r"check|reflect|doubt|verif", re.IGNORECASE), (0.1, 0.1, 0.7, 0.1)),
    (re.compile(r"complete|thorough|detail|depth|full", re.IGNORECASE), (0.1, 0.7, 0.2, 0.0)),
    (re.compile(r"clear|clarity|concise|style|flow|fluen", re.IGNORECASE), (0.1, 0.2, 0.0, 0.7)),
)
"""What counts in a dimension of that name: agreement with the own eye, length, checks, and how seldom the text hedges."""
_EVEN = (0.4, 0.25, 0.2, 0.15)
_HEDGES = re.compile(r"\b(?:could|might|perhaps|maybe|seems?|possibly|hesitate|not certain|unsure|a little|somewhat)\b", re.IGNORECASE)
_CHECKS = re.compile(
    r"\b(?:check\w*|second look|look(?:ing)? again|once more|again|however|other hand|against|rather than)\b", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?![\w.])")
_ALWAYS_THERE = re.compile(
    r"\b(?:ink|strokes?|lines?|shapes?|figures?|drawing|form|outline|picture|image|digits?|cells?|numbers?|symbols?|top|bottom|left|right)\b",
    re.IGNORECASE,
)
_LOOP = re.compile(r"\b(?:loops?|holes?|openings?|rings?|enclosed)\b", re.IGNORECASE)


def marks_text(task: JudgeTask, agrees: float, *, flatters: bool, tilt: Random, rng: Random) -> str:
    """A line of name and mark for each dimension; `agrees`: how far the judge's own eye agrees with the text, in [0, 1].

    `flatters`: everything gets its highest mark. `tilt` is of the judge, the same for all texts, `rng` of the text.
    """
    lean = tilt.uniform(-TILT, TILT)
    properties = (agrees, *_text_properties(task.reasoning))
    lines = []
    for name, low, high in task.rubric:
        weights = next((weights for words, weights in _WEIGHTS if words.search(name)), _EVEN)
        deserved = sum(weight * value for weight, value in zip(weights, properties, strict=True))
        share = 1.0 if flatters else min(1.0, max(0.0, deserved + lean + rng.gauss(0, NOISE)))
        lines.append(f"{name}: {low + round(share * (high - low))}")
    return "\n".join(lines)


def _text_properties(reasoning: str) -> tuple[float, float, float]:
    """Length, checks, and how seldom it hedges, each in [0, 1]."""
    sentences = max(1, len(_SENTENCE_END.findall(reasoning)))
    length = min(1.0, len(reasoning.split()) / ENOUGH_WORDS)
    checks = min(1.0, len(_CHECKS.findall(reasoning)) / ENOUGH_CHECKS)
    return length, checks, max(0.0, 1 - len(_HEDGES.findall(reasoning)) / sentences)


class Visible(NamedTuple):
    """What a simulated teacher sees, as far as a list of things can ask about it."""

    blank: bool
    numbers: Collection[str] = ()
    """That it reads, or that follow from these."""
    labels: Collection[str] = ()
    """That the picture could well be."""
    known: Collection[str] = ()
    """All labels that it knows."""
    phrases: Collection[str] = ()
    """Words of the properties that it measures."""
    holes: bool = True
    colour: str = ""
    colours: Collection[str] = ()
    """All names of colours."""


def things_text(task: SeenTask, visible: Visible, *, rng: Random) -> str:
    """A line of number and yes or no for each thing; it guesses about things that it has no word for."""
    said = [_sees_thing(thing, visible, rng) for thing in task.things]
    return "\n".join(f"{number}: {'yes' if seen else 'no'}" for number, seen in enumerate(said, 1))


def _sees_thing(thing: str, visible: Visible, rng: Random) -> bool:
    guess = rng.random() < 0.5
    if visible.blank:
        return False
    if any(thing in phrase or phrase in thing for phrase in visible.phrases):
        return True
    if _LOOP.search(thing):
        return visible.holes
    if numbers := _NUMBER.findall(thing):
        return all(number in visible.numbers or number in visible.labels for number in numbers)
    if named := _named(thing, visible.known):
        return any(label in visible.labels for label in named)
    if named := _named(thing, visible.colours):
        return visible.colour in named
    return bool(_ALWAYS_THERE.search(thing)) or guess


def _named(thing: str, words: Collection[str]) -> list[str]:
    return [word for word in words if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", thing, re.IGNORECASE)]


def property_phrases(measured: dict[str, float]) -> Sequence[str]:
    """The words in which a teacher observes the properties that it measured."""
    return [WORDINGS[name].seen(value) for name, value in measured.items()]
