"""Random and mutated replies through the reader: what it may never do, counted. `python -m benchmarks.replies 100000`.

Each reply is made of known parts: thoughts between the marks of a family (closed, open or cut off) that say "fear" in every form of an
answer, and after the last one perhaps "awe". Half of them are then mutated: a part is cut out, doubled or put elsewhere.
"""

import random
import sys
import time
from collections import Counter
from typing import NamedTuple

from cotforge.answers import Task, mended, read, reads_well
from cotforge.answers.controls import CONTROLS
from cotforge.answers.marks import THOUGHTS
from cotforge.records import Call, Reply, Sample

TASKS = tuple(
    Task.model_validate(task)
    for task in ({"kind": "classify", "labels": ["awe", "fear", "joy"]}, {"kind": "answer"}, {"kind": "answer", "verifier": "math"})
)
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


class Made(NamedTuple):
    """A reply and what is known of it."""

    reply: Reply
    answered: bool | None
    """Whether "awe" follows the last thought; None of a mutated reply, of which nothing is known."""


def made(draw: random.Random) -> Made:
    """A random reply."""
    before, after = draw.choice(PAIRS)
    closing = _mark(after)
    body = " ".join(draw.choice((*SAID, draw.choice(TOKENS))) for _ in range(draw.randint(1, 6)))
    how = draw.choice(("closed", "closed", "closed", "open", "cut"))
    answered = how == "closed" and draw.random() < 0.8
    text = f"{before}It may be {body} so{closing if how == 'closed' else ''}{draw.choice(ANSWERS) if answered else ''}"
    text += draw.choice(("", "", "\n", "<|im_end|>", "</s>")) if how == "closed" else ""
    mutated = draw.random() < 0.5
    if mutated:
        text = _mutated(text, draw)
    in_field = mutated and draw.random() < 0.3
    reply = Reply("", "" if in_field else text, text if in_field else "", "length" if how == "cut" else "stop")
    return Made(reply, None if mutated else answered)


def _mark(after: str) -> str:
    """The closing mark alone, of all that follows a thought in an example."""
    return after.partition("<answer>")[0].rpartition("awe")[0] or after.partition("<answer>")[0].partition("awe")[0]


def _mutated(text: str, draw: random.Random) -> str:
    for _ in range(draw.randint(1, 3)):
        one, two = sorted(draw.randrange(len(text) + 1) for _ in range(2))
        place = draw.randrange(len(text) + 1)
        text = draw.choice((text[:one] + text[two:], text[:two] + text[one:], text[:place] + text[one:two] + text[place:]))[:4_000]
    return text


def tried(many: int, seed: int = 0) -> Counter[str]:
    """What became of so many replies: `wrong` is a ballot out of a thought, `unwell` a lesson with more than one reasoning or answer."""
    draw, counts = random.Random(seed), Counter[str]({"wrong": 0, "unwell": 0, "error": 0})
    for _ in range(many):
        one, task = made(draw), draw.choice(TASKS)
        call = Call("", Sample("", (), "Which?", task.options()), "t", "m", 0, ())
        try:
            trace = read(one.reply, call, task)
            learned = mended(trace, options=task.options())
        except Exception as error:  # that none comes is what is counted
            counts["error"] += 1
            print(f"{error!r}: {one.reply!r}", file=sys.stderr)
            continue
        well = not (learned.reasoning and learned.answer) or reads_well(
            f"<think>{learned.reasoning}</think>\n<answer>{learned.answer}</answer>"
        )
        counts["unwell"] += not well
        if one.answered is not None:
            wrong = trace.answer is not None and (trace.answer != "awe" or not one.answered)
            counts["wrong"] += wrong
            counts["lost"] += one.answered and trace.answer is None
            counts["answered"] += one.answered
            if wrong:
                print(f"{trace.answer!r}: {one.reply!r}", file=sys.stderr)
        counts["read"] += trace.answer is not None
        counts["mended"] += bool(learned.kinds)
    return counts


if __name__ == "__main__":
    begun, number = time.monotonic(), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(dict(tried(number)), f"{time.monotonic() - begun:.0f} s")
