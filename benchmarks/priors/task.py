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


def short(rng: Random) -> Iterator[Turn]:
    """Sums in words without end, half of them only read, half added without reasoning."""
    while True:
        digits = [rng.randrange(10) for _ in range(4)]
        yield Turn(in_words(digits), READ, reading(digits)) if rng.random() < 0.5 else Turn(in_words(digits), ADD, answer(digits))


def long(rng: Random) -> Iterator[Turn]:
    """Sums in words without end, added with reasoning."""
    while True:
        digits = [rng.randrange(10) for _ in range(4)]
        yield Turn(in_words(digits), ADD, reasoned(digits))


def seen(rng: Random, sums: Sequence[Sum]) -> Iterator[tuple[int, Turn]]:
    """Places of `sums` without end, each with a turn about its picture: half of them only read, half added without reasoning."""
    while True:
        place = rng.randrange(len(sums))
        digits = sums[place].digits
        yield place, (Turn("", READ, reading(digits)) if rng.random() < 0.5 else Turn("", ADD, answer(digits)))


def texts() -> list[str]:
    """What the tokenizer is made of: every form of text, with every word, and every sum from 0 to 36."""
    rng = Random(0)
    drawn = [[rng.randrange(10) for _ in range(4)] for _ in range(400)]
    drawn += [[min(9, max(0, whole - 9 * place)) for place in range(4)] for whole in range(37)]
    asked = [text for digits in drawn for text in (in_words(digits), reading(digits), reasoned(digits))]
    return [*asked, *[f"user\n{READ}", f"user\n{ADD}", "assistant\n"] * 100]
