"""One text out of several traces, as a simulated writer makes it: from the traces' own sentences, and from what it sees itself."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

from cotforge.simulate.cells import Style, cell_places, work_out
from cotforge.simulate.evidence import read_values
from cotforge.simulate.hints import fit_cells
from cotforge.simulate.tasks import WeaveTask
from cotforge.teachers.simulated import GridCells

Segment = tuple[str, str]
"""(kind, text)."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_AGAINST = re.compile(r"against|other hand|disturbs|if it were|would need|falls away|rather than|but i make out", re.IGNORECASE)
_MOST_OBSERVED = 5
"""Sentences of plain observation that are taken over."""

_AGREED = ("{said}.", "So much is plain: {said}.", "Without doubt {said}.", "I begin with what is clear: {said}.")
_PROPOSED = (
    "Taking {place} for a {value} gives {answer}.",
    "If there is a {value} at {place}, it comes to {answer}.",
    "With a {value} at {place} the result would be {answer}.",
    "A {value} at {place} would lead to {answer}.",
)
_NOTICED = (
    "A {wrong} at {place} does not hold: the form there is that of a {right}, so {answer} is off.",
    "Looking again at {place}, a {right} fits better than a {wrong}, and {answer} falls with it.",
    "The figure at {place} is no {wrong} but a {right}; that rules out {answer}.",
    "What speaks against {answer} is {place}, where a {right} was misread as a {wrong}.",
)
_ALONE = ("The hardest part is {place}, yet nothing but a {right} fits it.", "I doubted {place} for a moment; a {right} it stays.")
_CHECKED = ("One by one once more. {steps}", "Again from the start. {steps}", "Step by step: {steps}", "{steps}")
_ENDED = ("That makes {right}.", "So it is {right}.", "The result is {right}.", "All in all, {right}.")

_NO_SUPPORT = ("{answer} would be one reading.", "It could be taken for {answer}.", "At first {answer} seems possible.")
_NO_DOUBT = (
    "{answer} was too quick: what I see does not bear it out.",
    "Held against the picture, {answer} does not survive.",
    "Then I notice that {answer} leaves part of the picture unexplained.",
)
_SECOND_LOOK = ("Looking once more: {said}", "To be sure I go back to the picture. {said}", "{said} That still stands.")
_DECIDED = ("What decides it: {right} accounts for all of this.", "Only {right} explains everything.", "That leaves {right}.")


def weave_cells(
    task: WeaveTask, cells: GridCells, scores: Sequence[Mapping[str, float]], *, style: Style, rng: Random
) -> list[Segment] | None:
    """The segments for one grid, whose cells have such scores to the writer; None where no labels lead to the right answer."""
    labels = list(scores[0])
    readings = [(trace.answer, read_values(trace.reasoning, cells, labels)) for trace in task.traces]
    right = next((values for answer, values in readings if answer == task.right and None not in values), None)
    if right is None:
        found = fit_cells(scores, cells, task.right)
        right = list(found[0]) if found else None
    if right is None or len(right) != len(cell_places(cells)):
        return None
    whole = [str(value) for value in right]
    return list(_cell_segments(task, cells, whole, readings, style, rng))


def _cell_segments(
    task: WeaveTask, cells: GridCells, right: list[str], readings: Sequence[tuple[str, list[str | None]]], style: Style, rng: Random
) -> Iterator[Segment]:
    places = cell_places(cells)
    misread: dict[str, tuple[str, str, str]] = {}
    """(place, wrong value, right value) of each wrong answer."""
    for answer, values in readings:
        differ = [(place, v, r) for place, v, r in zip(places, values, right, strict=True) if v is not None and v != r]
        if answer != task.right and differ:
            misread.setdefault(answer, rng.choice(differ))
    doubted = {place for place, _, _ in misread.values()}
    said = ", ".join(f"{place} {style.read} {value}" for place, value in zip(places, right, strict=True) if place not in doubted)
    yield "observe", _sentence(rng.choice(_AGREED).format(said=said or f"there are {len(places)} cells to read"))
    candidates = [(answer, place, wrong) for answer, (place, wrong, _) in misread.items()]
    place, value = next(((place, value) for place, _, value in misread.values()), (places[-1], right[-1]))
    candidates.append((task.right, place, value))
    rng.shuffle(candidates)
    for answer, place, value in candidates:
        yield "candidate", rng.choice(_PROPOSED).format(place=place, value=value, answer=answer)
    for answer, (place, wrong, true) in misread.items():
        yield "doubt", rng.choice(_NOTICED).format(place=place, wrong=wrong, right=true, answer=answer)
    if not misread:
        yield "doubt", rng.choice(_ALONE).format(place=places[-1], right=right[-1])
    yield "check", rng.choice(_CHECKED).format(steps=work_out(cells, right, style=style)[0])
    yield "conclude", rng.choice(_ENDED).format(right=task.right)


def weave_sentences(task: WeaveTask, own: str, labels: Iterable[str] = (), *, rng: Random) -> list[Segment]:
    """The segments from the traces' sentences, and from the writer's own reasoning about the picture; `labels` are those of the task.

    A sentence that names a label is taken for that label alone.
    """
    answers = list(dict.fromkeys([*(trace.answer for trace in task.traces if trace.answer), task.right]))
    words = {label: re.compile(rf"(?<!\w){re.escape(label)}(?!\w)", re.IGNORECASE) for label in dict.fromkeys([*answers, *labels])}

    def named(sentence: str) -> set[str]:
        return {label for label, word in words.items() if word.search(sentence)}

    everything = list(dict.fromkeys(sentence for trace in task.traces for sentence in _sentences(trace.reasoning)))
    of_right = {sentence for trace in task.traces if trace.answer == task.right for sentence in _sentences(trace.reasoning)}
    plain = [each for each in everything if not named(each)]
    observed = [each for each in plain if each in of_right] or plain
    mine = [each for each in _sentences(own) if not named(each)]
    segments = [
        ("observe", " ".join(rng.sample(observed, min(_MOST_OBSERVED, len(observed))) or mine[:2] or ["There is something to see."]))
    ]
    for answer in rng.sample(answers, len(answers)):
        speaks = [each for each in everything if named(each) == {answer} and not _AGAINST.search(each)]
        segments.append(("candidate", _pick_or_say(speaks, _NO_SUPPORT, answer, rng)))
    for answer in (answer for answer in answers if answer != task.right):
        against = [each for each in everything if named(each) == {answer} and _AGAINST.search(each)]
        segments.append(("doubt", _pick_or_say(against, _NO_DOUBT, answer, rng)))
    segments.append(("check", rng.choice(_SECOND_LOOK).format(said=rng.choice(mine) if mine else "Nothing changes.")))
    return [*segments, ("conclude", rng.choice(_DECIDED).format(right=task.right))]


def segments_text(segments: Sequence[Segment]) -> str:
    """The segments in their tags, a line for each."""
    return "\n".join(f"<{kind}>{text}</{kind}>" for kind, text in segments)


def _sentences(text: str) -> list[str]:
    return [sentence for each in _SENTENCE_END.split(text) if (sentence := each.strip().replace("<", " ").replace(">", " "))]


def _pick_or_say(found: Sequence[str], forms: Sequence[str], answer: str, rng: Random) -> str:
    return rng.choice(found) if found else _sentence(rng.choice(forms).format(answer=answer))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
