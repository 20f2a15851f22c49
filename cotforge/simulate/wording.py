"""The reasoning of simulated teachers, made of what was measured on the picture and of what was learnt.

A claim is never invented: an observation names a measured property, and what speaks for or against a candidate compares that property with
its usual value among the teacher's own lessons.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from cotforge.simulate.sight import Sight

Usual = Mapping[str, Mapping[str, tuple[float, float]]]

OBSERVATIONS = 2
"""Fewest sentences of plain observation."""
LEAST_WORDS = 95
CLOSE = 0.15
"""Difference of two scores below which a teacher calls the case close."""


class Wording(NamedTuple):
    """How values of one property are said."""

    seen: Callable[[float], str]
    """As an observation."""
    usual: Callable[[float], str]
    """As what a candidate has; equal words are taken as agreement."""
    short: Callable[[float], str]
    """After `usual` of another value, as what is there instead."""


def _level_wording(*levels: tuple[float, str, str, str]) -> Wording:
    """Wording by steps of (bound, seen, usual, short); the last holds for everything above."""

    def pick(value: float, form: int) -> str:
        return str(next((level for level in levels if value < level[0]), levels[-1])[form])

    return Wording(lambda value: pick(value, 1), lambda value: pick(value, 2), lambda value: pick(value, 3))


def _count_wording(seen: str, usual: str) -> Wording:
    """Wording of a number of things; `{n}` is the number with `{s}` for the plural."""
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def say(form: str, value: float) -> str:
        number = min(round(value), len(numbers) - 1)
        return form.format(n=numbers[number], s="" if number == 1 else "s")

    return Wording(lambda value: say(seen, value), lambda value: say(usual, value), lambda value: say("{n}", value).replace("no", "none"))


def _share_wording(seen: str, usual: str) -> Wording:
    """Wording of a share in [0, 1]; `{share}` is its name."""
    shares = ((0.15, "hardly any"), (0.29, "about a quarter"), (0.37, "about a third"), (0.45, "about two fifths"), (0.55, "about half"))
    more = ((0.63, "about three fifths"), (0.71, "about two thirds"), (2.0, "most"))
    return _level_wording(*((bound, seen.format(share=name), usual.format(share=name), name) for bound, name in (*shares, *more)))


WORDINGS: dict[str, Wording] = {
    "holes": _count_wording("{n} closed loop{s}", "{n} enclosed area{s}"),
    "hole_height": _level_wording(
        (0.4, "an opening low down", "a loop that sits low", "a low one"),
        (0.6, "an opening halfway up", "a loop around the centre", "a central one"),
        (2.0, "an opening near the top", "a loop that sits high", "a high one"),
    ),
    "strokes_upper": _count_wording("{n} line{s} through the upper part", "{n} stroke{s} at a quarter of the height from above"),
    "strokes_middle": _count_wording("{n} stroke{s} across the waist", "{n} crossing{s} at mid height"),
    "strokes_lower": _count_wording("{n} piece{s} of line near the foot", "{n} stroke{s} in the lower quarter"),
    "upper": _share_wording("{share} of the ink above the middle", "{share} of its weight in the upper half"),
    "left": _share_wording("{share} of the ink left of centre", "{share} of its mass on the left side"),
    "symmetry": _level_wording(
        (0.6, "a shape far from its own mirror image", "little symmetry", "hardly any"),
        (0.75, "a lopsided outline", "a moderate symmetry", "only some"),
        (2.0, "sides that nearly mirror each other", "a strong symmetry", "rather much"),
    ),
    "aspect": _level_wording(
        (1.25, "a form about as tall as wide", "a squat build", "a squat one"),
        (1.75, "a form clearly taller than wide", "an upright build", "an upright one"),
        (9e9, "a tall and narrow form", "a slender build", "a slender one"),
    ),
}

OPENINGS = (
    "I start with the shape itself.",
    "Before naming anything I describe what is there.",
    "Let me look at the strokes first.",
    "I go over the figure from top to bottom.",
    "First the plain facts of the drawing.",
)
OBSERVED = (
    "I can see {a}, and also {b}.",
    "I find {a} together with {b}.",
    "The figure shows {a}; besides, it has {b}.",
    "What stands out first: {a}, then {b}.",
    "I notice {a}, joined by {b}.",
)
CANDIDATES = (
    "Two readings come to mind, {a} and {b}.",
    "This could be {a}, though {b} has to be considered too.",
    "The nearest candidates seem to be {a} and, after it, {b}.",
    "I hesitate between {a} and {b}.",
)
FOR = (
    "In favour of {label}: it usually has {usual}, as this one does.",
    "{label} normally comes with {usual}, and that is what I see.",
    "Here I count {usual}, which fits {label} well.",
    "Supporting {label}, I find {usual} just as expected.",
)
AGAINST = (
    "On the other hand {label} tends to have {usual}, whereas here I find {short}.",
    "What disturbs me about {label}: I would expect {usual}, yet there seems to be {short}.",
    "Speaking against {label}, its typical form has {usual} and this one shows {short}.",
    "If it were {label}, {usual} would be normal, but I make out {short}.",
)
NOTHING_FOR = ("Little in the measurements supports {label}.", "For {label} I find no property that clearly agrees.")
NOTHING_AGAINST = ("Nothing I measured contradicts {label}.", "I see no feature that would rule out {label}.")
UNTAUGHT = (
    "I have never studied examples of {a} or {b}, so only the general impression of the ink can decide between them.",
    "Without known examples of {a} and {b} to compare with, my impression of the whole has to do.",
)
CLOSE_CALL = (
    "Checking once more, the balance is thin and I could be wrong, but {a} stays slightly ahead of {b}.",
    "A second look does not settle it fully; it is a close call, with {a} a little more plausible than {b}.",
    "I am not certain here: the evidence is nearly even, and I lean towards {a} rather than {b}.",
)
CLEAR_CALL = (
    "Checking the whole once more, {a} explains the drawing clearly better than {b}.",
    "A second look at the strokes overturns nothing, so {a} it is, and {b} falls away.",
    "Weighing these points together leaves {a} well ahead; {b} would need a different shape.",
)
BLANK = "The surface is almost blank, without any stroke that could be followed from one side to the other."
COLOURED = "Red, green and blue come to {}, {} and {} on average where something is drawn."
MEASURED = (
    "What decides here is something I can measure, and the measurement gives {a}.",
    "Measured over the whole picture the result is {a}, and a second look confirms it.",
)


def reasoning_text(sight: Sight, scores: Mapping[str, float], usual: Usual, *, rng: Random) -> str:
    """80 to 160 words that lead to the best of `scores`, weighing it against the second best."""
    first, second = [*sorted(scores, key=scores.__getitem__, reverse=True), "something else"][:2]
    call = CLOSE_CALL if scores[first] - scores.get(second, 0.0) < CLOSE else CLEAR_CALL
    weighed = [rng.choice(CANDIDATES).format(a=first, b=second), *_weigh_candidates(sight, (first, second), usual, rng)]
    return _compose_text(sight, [*weighed, rng.choice(call).format(a=first, b=second)], rng)


def measuring_text(sight: Sight, answer: str, *, rng: Random) -> str:
    """The words before an answer that is a measured number or colour."""
    return _compose_text(sight, [rng.choice(MEASURED).format(a=answer)], rng)


def _compose_text(sight: Sight, rest: Sequence[str], rng: Random) -> str:
    """An opening, at least two observations and as many more as the length asks for, then the rest."""
    head = [rng.choice(OPENINGS)]
    for number, sentence in enumerate(_observed_sentences(sight, rng)):
        if number >= OBSERVATIONS and sum(len(each.split()) for each in (*head, *rest)) >= LEAST_WORDS:
            break
        head.append(sentence)
    return " ".join([*head, *rest])


def _observed_sentences(sight: Sight, rng: Random) -> Iterator[str]:
    """Sentences of two properties each, in random order, no property twice; of a blank picture, that it is one."""
    seen = [WORDINGS[name].seen(value) for name, value in sight.measured.items()]
    if not seen:
        yield BLANK
    rng.shuffle(seen)
    forms = rng.sample(OBSERVED, len(OBSERVED))
    for form, first, second in zip(forms, seen[::2], seen[1::2], strict=False):
        yield form.format(a=first, b=second)
    yield COLOURED.format(*sight.colour)


def _weigh_candidates(sight: Sight, candidates: Sequence[str], usual: Usual, rng: Random) -> Iterator[str]:
    """What speaks for and against each candidate, by the properties that fit it best and worst."""
    known = [label for label in candidates if label in usual]
    if not known:
        yield rng.choice(UNTAUGHT).format(a=candidates[0], b=candidates[1])
    forms = zip(rng.sample(FOR, 2), rng.sample(AGAINST, 2), NOTHING_FOR, NOTHING_AGAINST, strict=True)
    for label, (speaks_for, speaks_against, nothing_for, nothing_against) in zip(known, forms, strict=False):
        fits, differs = _compare_usual(sight.measured, usual[label])
        yield (speaks_for if fits else nothing_for).format(label=label, usual=fits)
        expected, found = differs or ("", "")
        yield (speaks_against if differs else nothing_against).format(label=label, usual=expected, short=found)


def _compare_usual(measured: Mapping[str, float], usual: Mapping[str, tuple[float, float]]) -> tuple[str, tuple[str, str] | None]:
    """The property nearest its usual value, and (usual, there) of the one furthest from it, in deviations, whose words differ."""
    fits: list[tuple[float, str]] = []
    differs: list[tuple[float, str, str]] = []
    for name in sorted(usual.keys() & measured.keys()):
        say, (mean, deviation) = WORDINGS[name], usual[name]
        distance = abs(measured[name] - mean) / (deviation + 0.1)
        if say.usual(measured[name]) == say.usual(mean):
            fits.append((distance, say.usual(mean)))
        else:
            differs.append((distance, say.usual(mean), say.short(measured[name])))
    worst = max(differs, default=None)
    return min(fits, default=(0.0, ""))[1], worst and worst[1:]
