"""A simulated teacher: it says what it thinks of a request, in the form that was asked for, or with the faults of its model."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cotforge.errors import PipelineError
from cotforge.simulate.cells import demand_numbers
from cotforge.simulate.eyes import make_eye
from cotforge.simulate.looking import SeenPictures, look_at_pictures
from cotforge.simulate.request import HttpRefusal, ParsedRequest
from cotforge.simulate.slips import BLANKS, EVASION, REFUSALS, SLIPS
from cotforge.simulate.thinking import SaidText, Thinker
from cotforge.teachers.simulated import Simulated

TOKEN = re.compile(r"\s*(?:\w{1,6}|[^\w\s])")
"""About what a byte-pair vocabulary makes of English: short words whole, long ones in pieces, punctuation apart."""
PATCH = 28
"""Pixels of a side of the square that counts as one token of a picture."""


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
        eye = make_eye(simulated, () if simulated.cells else labels, root=root)
        if simulated.cells is not None:
            demand_numbers(simulated.cells, eye.labels, model=model)
        self._thinker = Thinker(simulated, self._labels, eye)
        self._media = None if simulated.media is None else root / simulated.media

    def reply(self, asked: ParsedRequest) -> tuple[list[Spoken], int]:
        """The choices, and the tokens of the request. The same request gets the same reply.

        Raises Refused where the Call is broken, a picture cannot be read or is too large, the request is too long, or a filter blocks it.
        """
        if self._fault_strikes(asked, "broken"):
            raise HttpRefusal(500, "the simulated server failed", code="internal_error")
        seen = look_at_pictures(self.simulated, asked.pictures(self._media))
        patches = sum(math.ceil(width / PATCH) * math.ceil(height / PATCH) for width, height in seen.sizes)
        tokens = patches + len(TOKEN.findall(asked.text))
        self._admit_request(asked, tokens)
        choices = [
            self._make_choice(asked, seen, Random(asked.digest + b"%d %d" % (self.simulated.seed, index))) for index in range(asked.n)
        ]
        return choices, tokens

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
        return asked.is_within(share, f"{fault} {self.simulated.seed}")

    def _make_choice(self, asked: ParsedRequest, seen: SeenPictures, rng: Random) -> Spoken:
        if self._fault_strikes(asked, "filtered"):
            return Spoken("", "content_filter", 0)
        if self._fault_strikes(asked, "declined"):
            refusal = rng.choice(REFUSALS)
            return Spoken("", "stop", len(TOKEN.findall(refusal)), refusal)
        said = SaidText("", "") if (blank := self._fault_strikes(asked, "blank")) else self._thinker.think(asked, seen, rng)
        text = rng.choice(BLANKS) if blank else self._choice_text(asked, said, rng)
        told = (said.answer, said.sure if self.simulated.logprobs == "given" else None)
        tokens = TOKEN.findall(text)
        limit = len(tokens) // 2 if self._fault_strikes(asked, "truncate") else asked.max_tokens
        if limit is None or len(tokens) <= limit:
            return Spoken(text, "stop", len(tokens), "", *told)
        return Spoken("".join(tokens[:limit]), "length", limit, "", *told)

    def _choice_text(self, asked: ParsedRequest, said: SaidText, rng: Random) -> str:
        """Reasoning and answer in their tags, or what a slip makes of them."""
        if said.form == "lines":
            return EVASION if self._fault_strikes(asked, "malformed") else said.text
        for key, slip in SLIPS.items():
            if self._fault_strikes(asked, key):
                return slip(said.text, said.answer, [label for label in self._labels if label != said.answer], rng)
        thought = said.text if said.form == "segments" else f"<think>{said.text}</think>"
        return f"{thought}\n<answer>{said.answer}</answer>"
