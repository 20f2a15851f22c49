"""Sums of four digits, in words and in pictures: what is asked, and what is answered with and without reasoning."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

from benchmarks.pretrained import lessons
from benchmarks.pretrained.lessons import Sum

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
READ = "Which four digits are these?"
ADD = lessons.QUESTION
DIRECT = 0.1
"""Share of short turns that are sums, answered without reasoning; the others are read alone. Where half of them were sums, a text model
learned to add four digits at a glance (0.905 of held-out sums were right), and nothing was left for reasoning to do."""
PROMPT = "\n{{ question }}"
"""The template of the student's prompt: the question stands in a line of its own, below the picture or the words."""


class Turn(NamedTuple):
    """A question and its answer."""

    shown: str
    """The digits in words; empty where a picture shows them."""
    question: str
    answer: str


def in_words(digits: Sequence[int]) -> str:
    """The digits as a text shows them. Every word has a space before it, so that a word is always the same token."""
    return "".join(f" {WORDS[digit]}" for digit in digits)


def reading(digits: Sequence[int]) -> str:
    """The answer to READ."""
    first, second, third, last = (WORDS[digit] for digit in digits)
    return f"The digits are {first}, {second}, {third} and {last}."


def answer(digits: Sequence[int]) -> str:
    """The answer to ADD without reasoning."""
    return f"<answer>{sum(digits)}</answer>"


def thought(digits: Sequence[int]) -> str:
    """The reasoning about ADD: the digits are read, then added one by one."""
    sums = list(accumulate(digits))
    steps = "".join(f" {before} plus {digit} is {after}." for before, digit, after in zip(sums, digits[1:], sums[1:], strict=False))
    return f"{reading(digits)} Start with {digits[0]}.{steps} So the sum is {sums[-1]}."


def reasoned(digits: Sequence[int]) -> str:
    """The answer to ADD with reasoning, in the form of `prompts/completion.jinja`."""
    return f"<think>{thought(digits)}</think>\n{answer(digits)}"


def _short(rng: Random, shown: str, digits: Sequence[int]) -> Turn:
    return Turn(shown, ADD, answer(digits)) if rng.random() < DIRECT else Turn(shown, READ, reading(digits))


def short(rng: Random) -> Iterator[Turn]:
    """Sums in words without end, read or added without reasoning."""
    while True:
        digits = [rng.randrange(10) for _ in range(4)]
        yield _short(rng, in_words(digits), digits)


def long(rng: Random) -> Iterator[Turn]:
    """Sums in words without end, added with reasoning."""
    while True:
        digits = [rng.randrange(10) for _ in range(4)]
        yield Turn(in_words(digits), ADD, reasoned(digits))


def seen(rng: Random, sums: Sequence[Sum]) -> Iterator[tuple[int, Turn]]:
    """Places of `sums` without end, each with a turn about its picture: read, or added without reasoning."""
    while True:
        place = rng.randrange(len(sums))
        yield place, _short(rng, "", sums[place].digits)


def texts() -> list[str]:
    """What the tokenizer is made of: every form of text, with every word, and every sum from 0 to 36."""
    rng = Random(0)
    drawn = [[rng.randrange(10) for _ in range(4)] for _ in range(400)]
    drawn += [[min(9, max(0, whole - 9 * place)) for place in range(4)] for whole in range(37)]
    asked = [text for digits in drawn for text in (in_words(digits), reading(digits), reasoned(digits))]
    return [*asked, *[f"user\n{READ}", f"user\n{ADD}", "assistant\n"] * 100]
