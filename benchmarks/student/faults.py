"""Bad traces, planted into lessons about sums: each kind about as often, by templates on which no gate was tuned."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.curation.frame import half_of
from benchmarks.curation.reasonings import read_templates
from cotforge.filters import Filter, resolve_filters
from cotforge.records import Sample, Trace

GATES = tuple(
    Filter(measure=measure, max=most)
    for measure, most in {
        "leaked_label": 0.0, "residue": 0.0, "loops": 0.1, "cut_thought": 0.0, "contradicts_answer": 0.0, "code_switching": 0.0,
    }.items()
)  # fmt: skip
"""The text gates."""


class Said(NamedTuple):
    """What a lesson says."""

    reasoning: str
    answer: str


def plant_fault(said: Said, others: Sequence[Said], kind: str, rng: Random) -> str:
    """The reasoning of a lesson with a fault of that kind; its answer stays. `others` are lessons about other pictures."""
    return FAULTS[kind](said, others, rng)


def is_stopped(said: Said) -> bool:
    """Whether one of the gates stops a reasoning."""
    sample = Sample("one", (), "What do the four digits add up to?", (), said.answer)
    trace = Trace("call", "teacher", "model", 0, said.reasoning, said.answer)
    return any(not bound.holds(bound.take(sample, trace, None)) for bound in resolve_filters(GATES, Path()))


def _leak(said: Said, others: Sequence[Said], rng: Random) -> str:
    kind = rng.choice(sorted(read_templates("leaks")))
    sentence = _filled(rng.choice(_held_out("leaks", kind)), said, others, rng)
    return _joined(sentence, said.reasoning) if kind == "answer_first" or rng.random() < 0.5 else _joined(said.reasoning, sentence)


def _residue(said: Said, others: Sequence[Said], rng: Random) -> str:
    sentence = _filled(rng.choice(_held_out("residue", rng.choice(sorted(read_templates("residue"))))), said, others, rng)
    return f"{sentence}\n{said.reasoning}" if rng.random() < 0.5 else f"{said.reasoning}\n{sentence}"


def _loop(said: Said, others: Sequence[Said], rng: Random) -> str:
    return " ".join([said.reasoning] * rng.randint(3, 5))


def _cut(said: Said, others: Sequence[Said], rng: Random) -> str:
    words = said.reasoning.split()
    return " ".join(words[: rng.randint(3, max(4, len(words) - 4))])


def _contradiction(said: Said, others: Sequence[Said], rng: Random) -> str:
    return rng.choice([other.reasoning for other in others if other.answer != said.answer])


def _blind(said: Said, others: Sequence[Said], rng: Random) -> str:
    return rng.choice([other.reasoning for other in others if other.answer == said.answer] or [other.reasoning for other in others])


def _switch(said: Said, others: Sequence[Said], rng: Random) -> str:
    languages = [heading for heading in read_templates("faults") if heading.startswith("switch ") and heading != "switch english"]
    return _joined(said.reasoning, rng.choice(_held_out("faults", rng.choice(sorted(languages)))))


FAULTS: dict[str, Callable[[Said, Sequence[Said], Random], str]] = {
    "leak": _leak,
    "residue": _residue,
    "loop": _loop,
    "cut": _cut,
    "contradiction": _contradiction,
    "another picture": _blind,
    "language": _switch,
}
"""`contradiction` has the steps to another sum than the answer, `another picture` those of another picture with the same sum."""


@cache
def _held_out(file: str, heading: str) -> list[str]:
    """The templates of a kind that no gate was tuned on; all where there is none."""
    found = read_templates(file)[heading]
    return [each for each in found if half_of(each) == "held out"] or list(found)


def _filled(template: str, said: Said, others: Sequence[Said], rng: Random) -> str:
    other = rng.choice([other.answer for other in others if other.answer != said.answer] or ["0"])
    filled = template.format(answer=said.answer, other=other, third=other, task="number").replace("||", "\n")
    return filled[:1].upper() + filled[1:]


def _joined(*sentences: str) -> str:
    return " ".join(sentences)
