"""Which of the traces of a Sample are woven into one, and how much of each."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cotforge import answers
from cotforge.followups.frame import About
from cotforge.followups.joining import Draw
from cotforge.measures.mentions import last_named
from cotforge.records import Sample, Trace

FRAME = ("trace", "right", "observe", "candidate", "doubt", "check", "conclude", "answer", "think")
"""Tags of the prompt and of the reply: a trace that holds one could pass for the frame around it."""
LEAST_WORDS = 8
"""Words of a reasoning from which something can be taken (chosen by us)."""

_TAG = re.compile(rf"</?(?:{'|'.join(FRAME)})\b[^<>]{{0,200}}>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?][\"')\]]?(?=\s)|\n")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


class Source(NamedTuple):
    """A trace that is woven with others."""

    trace: Trace
    answer: str
    right: bool
    """Whether its answer is the accepted one."""
    text: str
    """Its reasoning without tags, of bounded length."""


def weave_sources(about: About, most: int, characters: int, *, needs_wrong: bool, index: int = 0) -> Sequence[Source] | str:
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
        Source(trace, str(trace.answer), trace.call in chosen, cut_text(plain_text(trace.reasoning), characters))
        for trace in _ranked([*kept, *errors], "order", index)
    ]


def plain_text(reasoning: str) -> str:
    """A reasoning without tags that could pass for those around it."""
    text, before = answers.clean_reasoning(reasoning)[0], ""
    while text != before:  # taking one out may bring another together
        text, before = _TAG.sub(" ", text), text
    return text.strip()


def cut_text(text: str, characters: int) -> str:
    """The beginning of a text, of at most so many characters; it ends with a sentence, or with a word where none ends in its second half."""
    if len(text) <= characters:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text, characters // 2, characters + 1) if found.end() <= characters]
    return text[: ends[-1]].rstrip() if ends else text[:characters].rpartition(" ")[0].rstrip() or text[:characters]


def named_answers(text: str, candidates: Sequence[str]) -> set[str]:
    """Those of the candidates that a text names as whole words; a part of a longer one's name does not count, and 12.0 names 12."""
    left, found = text.lower(), set()
    for candidate in sorted(candidates, key=len, reverse=True):
        while (end := last_named(left, candidate)) >= 0:
            found.add(candidate)
            left = left[: end - len(candidate.lower())] + "\0" + left[end:]
    numbers = {number.replace(",", "").rstrip(".") for number in _NUMBER.findall(left)}
    return found | {candidate for candidate in candidates if candidate not in found and any(_is_number(candidate, one) for one in numbers)}


def unnamed_options(sample: Sample, sources: Sequence[Source]) -> Iterator[str]:
    """The options that no trace came to or speaks of."""
    known = {source.answer for source in sources}.union(*(named_answers(source.text, sample.options) for source in sources))
    return (option for option in sample.options if option not in known)


def _is_number(candidate: str, number: str) -> bool:
    try:
        return float(candidate) == float(number)
    except ValueError:
        return False


def _has_words(trace: Trace) -> bool:
    return len(trace.reasoning.split()) >= LEAST_WORDS


def _ranked(traces: Sequence[Trace], *marks: object) -> list[Trace]:
    """In an order that depends on their keys and the marks alone."""
    return sorted(traces, key=lambda trace: Draw(repr((*marks, trace.call))).below(2**64))


def _first_different(traces: Sequence[Trace], what: str) -> list[Trace]:
    """In the same order, but those first that differ from all before in a field."""
    seen: set[object] = set()
    first, rest = [], []
    for trace in traces:
        value = getattr(trace, what)
        (rest if value in seen else first).append(trace)
        seen.add(value)
    return [*first, *rest]
