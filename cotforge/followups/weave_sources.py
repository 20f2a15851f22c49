"""Which of the traces of a Sample are woven into one, and how much of each."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cotforge.answers import clean_reasoning
from cotforge.answers.task import Synonyms
from cotforge.followups.answer_names import names_of_answer, plain_text
from cotforge.followups.frame import VotedSample
from cotforge.followups.joining import Draw
from cotforge.records import Sample, Trace

FRAME = ("trace", "right", "observe", "candidate", "doubt", "check", "conclude", "answer", "think")
"""Tags of the prompt and of the reply: a trace that holds one could pass for the frame around it."""
LEAST_WORDS = 8
"""Words of a reasoning from which something can be taken (chosen by us)."""
_ROOT = 3
"""Letters of an option without which a text is not searched for it: there may be a thousand."""

_TAG = re.compile(rf"</?(?:{'|'.join(FRAME)})\b[^<>]{{0,200}}>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?][\"')\]]?(?=\s)|\n")


class Source(NamedTuple):
    """A trace that is woven with others."""

    trace: Trace
    answer: str
    right: bool
    """Whether its answer is the accepted one."""
    text: str
    """Its reasoning without tags, of bounded length."""


def weave_sources(about: VotedSample, most: int, characters: int, *, needs_wrong: bool, index: int = 0) -> Sequence[Source] | str:
    """The traces to weave, right and wrong ones in random order; else the word for why there are none.

    At most half of them are wrong. Different wrong answers go first, and right traces of different teachers. The order depends on the
    Calls' keys and `index` alone. `no_right`: all traces are wrong. `one_trace`: there is only one. `no_wrong`: all are right, and a wrong
    one is needed.
    """
    right = [trace for trace in about.good if trace.origin == "solve" and _has_words(trace)]
    wrong = [judged.trace for judged in about.traces if judged.fate == "wrong" and judged.trace.origin == "solve"]
    wrong = [trace for trace in wrong if trace.answer is not None and _has_words(trace)]
    if not right:
        return "no_right"
    if len(right) + len(wrong) < 2:
        return "one_trace"
    if not wrong and needs_wrong:
        return "no_wrong"
    errors = _first_different(_ranked(wrong, "wrong", index), "answer")[: most // 2]
    kept = _first_different(_ranked(right, "right", index), "teacher")[: most - len(errors)]
    chosen = {trace.call for trace in kept}
    return [
        Source(trace, str(trace.answer), trace.call in chosen, cut_text(untagged_text(trace.reasoning), characters))
        for trace in _ranked([*kept, *errors], "order", index)
    ]


def untagged_text(reasoning: str) -> str:
    """A reasoning without tags that could pass for those around it."""
    return _TAG.sub(" ", clean_reasoning(reasoning)[0]).strip()  # the space keeps two halves of a tag apart


def cut_text(text: str, characters: int) -> str:
    """The beginning of a text, of at most so many characters; it ends with a sentence where one ends in its second half, else a word."""
    if len(text) <= characters:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text, characters // 2, characters + 1) if found.end() <= characters]
    return text[: ends[-1]].rstrip() if ends else text[:characters].rpartition(" ")[0].rstrip() or text[:characters]


class Namer:
    """Which answers a text names: those that traces came to, and the other options of the closed set."""

    def __init__(self, sample: Sample, answers: Iterable[str], synonyms: Synonyms = ()) -> None:
        tested = dict.fromkeys(answers)
        self._own = {answer: names_of_answer(answer, sample.options, synonyms).own for answer in tested}
        self._others = [option for option in sample.options if option not in tested]
        self._sample, self._synonyms = sample, synonyms

    def named(self, text: str) -> set[str]:
        """Those that are named; one that is part of another that is named ("sad" in "very sad") does not count."""
        plain, lower = plain_text(text), text.lower()
        found = {answer for answer, tests in self._own.items() if any(test(plain) for test in tests)}
        for option in self._others:
            if option[:_ROOT].lower() in lower and names_of_answer(option, self._sample.options, self._synonyms).is_named(text):
                found.add(option)
        return {answer for answer in found if not any(answer != other and answer.lower() in other.lower() for other in found)}


def _has_words(trace: Trace) -> bool:
    return len(trace.reasoning.split()) >= LEAST_WORDS


def _ranked(traces: Sequence[Trace], *marks: object) -> list[Trace]:
    """In an order that depends on their keys and the marks alone."""
    return sorted(traces, key=lambda trace: Draw(repr((*marks, trace.call))).below(2**64))


def _first_different(traces: Sequence[Trace], what: str) -> list[Trace]:
    """In the same order, but those first that differ from all before in a field."""
    seen: set[object] = set()
    first: list[Trace] = []
    rest: list[Trace] = []
    for trace in traces:
        value = getattr(trace, what)
        (rest if value in seen else first).append(trace)
        seen.add(value)
    return [*first, *rest]
