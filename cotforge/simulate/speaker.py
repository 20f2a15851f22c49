"""A simulated teacher: it looks at the pictures of a request, decides, and gives its reasons."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cotforge.simulate import words
from cotforge.simulate.eyes import eye
from cotforge.simulate.request import Asked, Refused
from cotforge.simulate.sight import Sight, see
from cotforge.teachers.simulated import Simulated

TOKEN = re.compile(r"\s*(?:\w{1,6}|[^\w\s])")
"""About what a byte-pair vocabulary makes of English: short words whole, long ones in pieces, punctuation apart."""
PATCH = 28
"""Pixels of a side of the square that counts as one token of a picture."""
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
    """`stop`, or `length` where the text was cut."""
    tokens: int


class Speaker:
    """A simulated teacher with its eye and its faults of speech; thread-safe."""

    def __init__(self, model: str, simulated: Simulated, labels: Sequence[str], *, root: Path) -> None:
        self.model = model
        self.simulated = simulated
        self._labels = {label: re.compile(rf"(?<!\w){re.escape(label)}(?!\w)", re.IGNORECASE) for label in labels}
        self._eye = eye(simulated, labels, root=root)

    def reply(self, asked: Asked) -> tuple[list[Spoken], int]:
        """The choices, and the tokens of the request. The same request gets the same reply.

        Raises Refused (400) where a picture cannot be read.
        """
        try:
            sights = [see(data) for data in asked.pictures()]
        except ValueError as error:
            raise Refused(400, f"an image cannot be used: {error}") from error
        seen = sum(math.ceil(sight.size[0] / PATCH) * math.ceil(sight.size[1] / PATCH) for sight in sights)
        choices = [self._choice(asked, sights, Random(asked.digest + b"%d %d" % (self.simulated.seed, index))) for index in range(asked.n)]
        return choices, seen + len(TOKEN.findall(asked.text))

    def strikes(self, asked: Asked, fault: str, share: float) -> bool:
        """Whether a fault that befalls this share of Calls befalls this one, on every attempt."""
        return Random(asked.digest + f"{fault} {self.simulated.seed}".encode()).random() < share

    def _choice(self, asked: Asked, sights: Sequence[Sight], rng: Random) -> Spoken:
        text = self._thought(asked, sights, rng)
        tokens = TOKEN.findall(text)
        limit = len(tokens) // 2 if self.strikes(asked, "truncate", self.simulated.truncate) else asked.max_tokens
        if limit is None or len(tokens) <= limit:
            return Spoken(text, "stop", len(tokens))
        return Spoken("".join(tokens[:limit]), "length", limit)

    def _thought(self, asked: Asked, sights: Sequence[Sight], rng: Random) -> str:
        """Reasoning and answer in their tags, or what a malformed reply has instead."""
        if self._labels:
            scores = self._scores(asked, sights, rng)
            answer = max(scores, key=scores.__getitem__)
            thought = words.reasoning(sights[0], scores, self._eye.usual, rng=rng)
        else:
            answer = measured_answer(asked.text, sights[0])
            thought = words.measuring(sights[0], answer, rng=rng)
        if self.strikes(asked, "malformed", self.simulated.malformed):
            return rng.choice((thought, f"<think>{thought}", f"<think>{thought}</think>\nI would rather not commit myself here."))
        return f"<think>{thought}</think>\n<answer>{answer}</answer>"

    def _scores(self, asked: Asked, sights: Sequence[Sight], rng: Random) -> dict[str, float]:
        """The eye's scores of the labels that the request offers (all of them where it names none), shaken by the temperature."""
        scores = dict.fromkeys(self._labels, 0.0) | self._eye.scores(sights)
        offered = [label for label, word in self._labels.items() if word.search(asked.text)] or list(scores)
        return {label: scores[label] + SHAKE * asked.temperature * rng.random() for label in offered}


def measured_answer(text: str, sight: Sight) -> str:
    """A free answer: the number of separate pieces where a number is asked for, else the nearest colour name."""
    if re.search(r"\b(?:how many|number|count)\b", text, re.IGNORECASE):
        return str(sight.parts)
    return min(COLOURS, key=lambda name: math.dist(COLOURS[name], sight.colour))
