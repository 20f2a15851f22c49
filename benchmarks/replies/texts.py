"""Random texts of replies, of which it is known whether they answer.

Each is made of known parts: thoughts between the marks of a family (closed, open or cut off) that say "fear" in every form of an answer,
and after the last one perhaps "awe". A third of them is then mutated: a part is cut out, doubled or put elsewhere.
"""

import random
from typing import NamedTuple

from cotforge.answers.controls import CONTROLS
from cotforge.answers.marks import THOUGHTS

TOKENS = tuple(token for family in CONTROLS for token in family.examples if "user" not in token and token != "[INST]")
PAIRS = tuple(
    (before, after)
    for family in THOUGHTS
    if family.name not in ("llava_cot", "details", "hyperclova")  # the last one's closing mark is made of tokens that stand in a body here
    for before, found, after in [family.example.partition("I see.")]
    if found
)
SAID = (
    "<answer>fear</answer>",
    "\\boxed{fear}",
    "<|begin_of_box|>fear<|end_of_box|>",
    "fear",
    "The sky is wide.",
    "\n",
    "x < y",
    "é",
    "\ufeff",
)
ANSWERS = ("<answer>awe</answer>", "\\boxed{awe}", "<|begin_of_box|>awe<|end_of_box|>", "awe", "<answer> Awe. </answer>\n")


class Text(NamedTuple):
    """What a model wrote, and what is known of it."""

    text: str
    cut: bool
    """Whether it ended at `max_tokens`."""
    answered: bool | None
    """Whether "awe" follows the last thought; None of a mutated text, of which nothing is known."""


def random_text(draw: random.Random) -> Text:
    """A text as a model might write it, or broken."""
    before, after = draw.choice(PAIRS)
    closing = _mark(after)
    body = " ".join(draw.choice((*SAID, draw.choice(TOKENS))) for _ in range(draw.randint(1, 6)))
    how = draw.choice(("closed", "closed", "closed", "open", "cut"))
    answered = how == "closed" and draw.random() < 0.8
    text = f"{before}It may be {body} so{closing if how == 'closed' else ''}{draw.choice(ANSWERS) if answered else ''}"
    text += draw.choice(("", "", "\n", "<|im_end|>", "</s>")) if how == "closed" else ""
    mutated = draw.random() < 0.35
    return Text(_mutated(text, draw) if mutated else text, how == "cut", None if mutated else answered)


def _mark(after: str) -> str:
    """The closing mark alone, of all that follows a thought in an example."""
    return after.partition("<answer>")[0].rpartition("awe")[0] or after.partition("<answer>")[0].partition("awe")[0]


def _mutated(text: str, draw: random.Random) -> str:
    for _ in range(draw.randint(1, 3)):
        one, two = sorted(draw.randrange(len(text) + 1) for _ in range(2))
        place = draw.randrange(len(text) + 1)
        text = draw.choice((text[:one] + text[two:], text[:two] + text[one:], text[:place] + text[one:two] + text[place:]))[:4_000]
    return text
