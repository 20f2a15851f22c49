"""How many tokens a reply took: as its server counted them, where that can be; else estimated."""

from collections.abc import Callable
from typing import NamedTuple

from cotforge.replies.chat import Completion

CHARACTERS_PER_TOKEN = 4
"""For estimates where a server does not count: about what English takes in the tokenizers of today."""
LEAST_CHARACTERS = 16
"""Characters of a written text per counted token (default chosen by us), above which the server has counted too few."""
MOST_CHARACTERS = 64
"""Characters per token that no text has on average (default chosen by us): a longer one is surely longer than `max_tokens`."""
ABOVE_LIMIT = 64
"""Tokens above `max_tokens` (default chosen by us) that a count may have: some servers count the end of a text, or the template's."""

ANY_INPUT = 16_384
"""Input tokens that every Call may take, however little is sent (default chosen by us): servers cut pictures into tiles of a fixed size
(gpt-4o-mini counts 8,500 for the smallest: platform.openai.com/docs, images and vision) and add prompts of their own."""


class Most(NamedTuple):
    """The tokens that a Call can take at most, whoever counts."""

    input: Callable[[], int]
    """At least ANY_INPUT; asked only of a server that counts more than that."""
    output: int


class Usage(NamedTuple):
    """Tokens of one reply."""

    input: int
    output: int
    note: str = ""
    """Why they are not as the server counted them; empty where they are."""
    overcount: str = ""
    """What the server counted, or wrote, beyond what can be; empty where it did not."""


def read_usage(read: Completion, *, estimate: Callable[[], int], most: Most | None = None) -> Usage:
    """The tokens of a completion. A count is not believed where it is beyond `most`, or too small for the text that came.

    `estimate` is the input in tokens. Without `most` every count up to `chat.MOST_TOKENS` can be.
    """
    counted_in, counted_out = read.input_tokens, read.output_tokens
    most_out = most.output if most is not None else None
    beyond = _beyond_bounds(read, most) if most is not None else ""
    if not read.outcome.has_text:  # nothing is estimated for what did not come
        return Usage(0, 0, "", beyond) if beyond else Usage(counted_in or 0, counted_out or 0)
    letters = len(read.content) + len(read.reasoning)
    guessed = letters // CHARACTERS_PER_TOKEN
    if most_out is not None:
        guessed = max(min(guessed, most_out), letters // MOST_CHARACTERS)
    if beyond:
        return Usage(estimate(), guessed, f"tokens are estimated: {beyond}", beyond)
    note = ""
    if None in (counted_in, counted_out):
        note = "tokens are estimated: the server " + ("counted what cannot be" if read.counted else "did not count")
    elif counted_out and counted_out < min(letters // LEAST_CHARACTERS, guessed):
        note, counted_out = f"output tokens are estimated: the server counted {counted_out:,} for {letters:,} characters", None
    overlong = most_out is not None and letters // MOST_CHARACTERS > most_out
    written = f"{letters:,} characters came where at most {most_out:,} tokens can be" if overlong else ""
    return Usage(counted_in or estimate(), counted_out or guessed, note, written)


def _beyond_bounds(read: Completion, most: Most) -> str:
    """What was counted beyond what can be, and that; empty where nothing was. A text that is there may be longer than `max_tokens`."""
    tokens_in, tokens_out = read.input_tokens or 0, read.output_tokens or 0
    if tokens_in > ANY_INPUT and tokens_in > (most_in := most.input()):
        return f"the server counted {tokens_in:,} input tokens for what can be {most_in:,} at most"
    if tokens_out > most.output + ABOVE_LIMIT and tokens_out > _text_bytes(read.content) + _text_bytes(read.reasoning):
        return f"the server counted {tokens_out:,} output tokens where at most {most.output:,} can be"
    return ""


def _text_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
