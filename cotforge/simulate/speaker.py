"""A simulated teacher: it looks at the pictures of a request, decides, and gives its reasons."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from cotforge.errors import PipelineError
from cotforge.simulate import wording
from cotforge.simulate.cells import STYLES, demand_numbers, work_out
from cotforge.simulate.eyes import best_label, make_eye
from cotforge.simulate.request import HttpRefusal, ParsedRequest
from cotforge.simulate.sight import Floats, Sight, see_cells, see_picture
from cotforge.simulate.slips import BLANKS, REFUSALS, SLIPS
from cotforge.teachers.simulated import Simulated

TOKEN = re.compile(r"\s*(?:\w{1,6}|[^\w\s])")
"""About what a byte-pair vocabulary makes of English: short words whole, long ones in pieces, punctuation apart."""
PATCH = 28
"""Pixels of a side of the square that counts as one token of a picture."""
LEAST_SURE = 1e-6
"""Probability that an answer has at least."""
SHAKE = 0.1
"""Most that a temperature of 1 adds to a score; scores sum to 1."""
COLOURS = {
    "black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (220, 30, 30), "green": (40, 160, 60),
    "blue": (40, 70, 210), "yellow": (235, 220, 50), "orange": (240, 140, 30), "purple": (130, 50, 160), "brown": (120, 75, 40),
    "pink": (245, 150, 180),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spoken:
    """One choice of a reply."""

    text: str
    finish_reason: str
    """`stop`, `length` where the text was cut, or `content_filter` where it was taken away."""
    tokens: int
    refusal: str = ""
    """What is said instead of a text."""
    answer: str = ""
    """Which the text gives last."""
    sure: float | None = None
    """Its probability, in (0, 1]; None where log probabilities are not given."""


class Speaker:
    """A simulated model with its eye and the faults that follow from what is asked; thread-safe.

    Raises PipelineError where it cannot be trained, or is stuck at a label that is not the task's.
    """

    def __init__(self, model: str, simulated: Simulated, labels: Sequence[str], *, root: Path) -> None:
        self.model = model
        self.simulated = simulated
        self._labels = {label: re.compile(rf"(?<!\w){re.escape(label)}(?!\w)", re.IGNORECASE) for label in labels}
        if simulated.stuck is not None and labels and simulated.stuck not in labels:
            raise PipelineError(f"model {model!r}: simulate.stuck: {simulated.stuck!r} is not one of the task's labels")
        self._eye = make_eye(simulated, () if simulated.cells else labels, root=root)
        if simulated.cells is not None:
            demand_numbers(simulated.cells, self._eye.labels, model=model)
        self._media = None if simulated.media is None else root / simulated.media

    def reply(self, asked: ParsedRequest) -> tuple[list[Spoken], int]:
        """The choices, and the tokens of the request. The same request gets the same reply.

        Raises Refused where the Call is broken, a picture cannot be read or is too large, the request is too long, or a filter blocks it.
        """
        if self._fault_strikes(asked, "broken"):
            raise HttpRefusal(500, "the simulated server failed", code="internal_error")
        seen = self._look_at_pictures(asked.pictures(self._media))
        patches = sum(math.ceil(width / PATCH) * math.ceil(height / PATCH) for width, height in seen.sizes)
        tokens = patches + len(TOKEN.findall(asked.text))
        self._admit_request(asked, tokens)
        choices = [
            self._make_choice(asked, seen, Random(asked.digest + b"%d %d" % (self.simulated.seed, index))) for index in range(asked.n)
        ]
        return choices, tokens

    def _look_at_pictures(self, pictures: Sequence[bytes]) -> "_Seen":
        most, grid = self.simulated.max_image_bytes, self.simulated.cells
        if most is not None and (largest := max(map(len, pictures))) > most:
            raise HttpRefusal(400, f"an image of {largest} bytes is too large; at most {most} are accepted", code="image_too_large")
        try:
            if grid is None:
                sights = [see_picture(data) for data in pictures]
                return _Seen([sight.size for sight in sights], sights)
            parts = [see_cells(data, rows=grid.rows, columns=grid.columns) for data in pictures]
            return _Seen([size for _, size in parts], cells=np.concatenate([inks for inks, _ in parts]))
        except ValueError as error:
            raise HttpRefusal(400, f"an image cannot be used: {error}") from error

    def _admit_request(self, asked: ParsedRequest, tokens: int) -> None:
        wanted, context = tokens + (asked.max_tokens or 0), self.simulated.context
        if context is not None and wanted > context:
            message = f"this model's maximum context length is {context} tokens; {wanted} were requested ({tokens} in the prompt)"
            raise HttpRefusal(400, message, code="context_length_exceeded")
        if asked.logprobs and self.simulated.logprobs == "refused":
            raise HttpRefusal(400, "'logprobs' is not supported with this model", code="unsupported_parameter")
        if self._fault_strikes(asked, "blocked"):
            raise HttpRefusal(400, "the prompt was refused by the content filter", code="content_filter")

    def _fault_strikes(self, asked: ParsedRequest, fault: str) -> bool:
        """Whether a fault that befalls a share of Calls, the key of that name, befalls this one, on every attempt."""
        share: float = getattr(self.simulated, fault)
        return share > 0 and Random(asked.digest + f"{fault} {self.simulated.seed}".encode()).random() < share

    def _make_choice(self, asked: ParsedRequest, seen: "_Seen", rng: Random) -> Spoken:
        if self._fault_strikes(asked, "filtered"):
            return Spoken("", "content_filter", 0)
        if self._fault_strikes(asked, "declined"):
            refusal = rng.choice(REFUSALS)
            return Spoken("", "stop", len(TOKEN.findall(refusal)), refusal)
        thought = _Thought("", "") if (blank := self._fault_strikes(asked, "blank")) else self._make_thought(asked, seen, rng)
        text = rng.choice(BLANKS) if blank else self._choice_text(asked, thought, rng)
        told = (thought.answer, thought.sure if self.simulated.logprobs == "given" else None)
        tokens = TOKEN.findall(text)
        limit = len(tokens) // 2 if self._fault_strikes(asked, "truncate") else asked.max_tokens
        if limit is None or len(tokens) <= limit:
            return Spoken(text, "stop", len(tokens), "", *told)
        return Spoken("".join(tokens[:limit]), "length", limit, "", *told)

    def _choice_text(self, asked: ParsedRequest, found: "_Thought", rng: Random) -> str:
        """Reasoning and answer in their tags, or what a slip makes of them."""
        thought, answer, _ = found
        for key, slip in SLIPS.items():
            if self._fault_strikes(asked, key):
                return slip(thought, answer, [label for label in self._labels if label != answer], rng)
        return f"<think>{thought}</think>\n<answer>{answer}</answer>"

    def _make_thought(self, asked: ParsedRequest, seen: "_Seen", rng: Random) -> "_Thought":
        """From the cells, from the whole picture by the labels that it has learned, or from a measurement."""
        simulated = self.simulated
        if simulated.cells is not None and seen.cells is not None:
            scores = [_shake_scores(each, list(each), asked, rng) for each in self._eye.scores_each(seen.cells)]
            read = [best_label(each) for each in scores]
            thought, answer = work_out(simulated.cells, read, style=STYLES[simulated.seed % len(STYLES)])
            return _Thought(thought, simulated.stuck or answer)
        if self._labels:
            found = self._label_scores(asked, seen.sights, rng)
            answer, whole = best_label(found), sum(max(score, 0.0) for score in found.values())
            sure = min(max(found[answer] / whole if whole > 0 else 1.0, LEAST_SURE), 1.0)
            return _Thought(wording.reasoning_text(seen.sights[0], found, self._eye.usual, rng=rng), answer, sure)
        answer = simulated.stuck or measured_answer(asked.text, seen.sights[0])
        return _Thought(wording.measuring_text(seen.sights[0], answer, rng=rng), answer)

    def _label_scores(self, asked: ParsedRequest, sights: Sequence[Sight], rng: Random) -> dict[str, float]:
        """The eye's scores of the labels that the request offers (all of them where it names none), shaken by the temperature.

        What a teacher is stuck at has a score of 1.
        """
        scores = dict.fromkeys(self._labels, 0.0) | self._eye.scores(sights)
        offered = [label for label, word in self._labels.items() if word.search(asked.text)] or list(scores)
        shaken = _shake_scores(scores, offered, asked, rng)
        if self.simulated.stuck is None:
            return shaken
        return {label: score / 2 for label, score in shaken.items()} | {self.simulated.stuck: 1.0}


class _Thought(NamedTuple):
    """What a teacher thinks of a picture."""

    text: str
    answer: str
    sure: float = 0.9
    """The probability that it gives its answer."""


class _Seen(NamedTuple):
    """The pictures of a request, as a teacher sees them."""

    sizes: list[tuple[int, int]]
    """Width and height of each, pixels."""
    sights: Sequence[Sight] = ()
    """Of each, unless it is a grid."""
    cells: Floats | None = None
    """The ink of all cells of all grids."""


def _shake_scores(scores: Mapping[str, float], offered: Sequence[str], asked: ParsedRequest, rng: Random) -> dict[str, float]:
    """The scores of what is offered, as the temperature of a request shakes them."""
    return {label: scores[label] + SHAKE * asked.temperature * rng.random() for label in offered}


def measured_answer(text: str, sight: Sight) -> str:
    """A free answer: the number of separate pieces where a number is asked for, else the nearest colour name."""
    if re.search(r"\b(?:how many|number|count)\b", text, re.IGNORECASE):
        return str(sight.parts)
    return min(COLOURS, key=lambda name: math.dist(COLOURS[name], sight.colour))
