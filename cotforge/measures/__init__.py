"""What can be said of a trace by a number: filters bound it, rewards weigh it, the card plots it.

A measure is a pure function `(sample, trace, verdict, *, options) -> float or None`; None means "does not apply", never "failed".
"""

import functools
import re
import zlib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cotforge.errors import PipelineError, show_value
from cotforge.measures.code_switching import code_switching
from cotforge.measures.contradicts_answer import contradicts_answer
from cotforge.measures.cut_thought import cut_thought
from cotforge.measures.followup_marks import grounded, judge, mentions_seen, verified, verified_unseen
from cotforge.measures.leaks import leaked_label
from cotforge.measures.loops import loops
from cotforge.measures.mentions import last_named
from cotforge.measures.ngrams import count_ngrams
from cotforge.measures.own import Measure, own_measure
from cotforge.measures.reasoning_language import reasoning_language
from cotforge.measures.residue import residue
from cotforge.measures.scripts import script_of_letter
from cotforge.measures.segments import verified_segments
from cotforge.measures.texts import lower_case, names_answer
from cotforge.measures.word_codes import find_codes, read_words
from cotforge.records import Sample, Trace, Verdict

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]

# By a stem of `cues.PROMPT`, so that most texts pay for few look-ups; lower case, looked for as they stand.
_INSTRUCTIONS = {
    "prompt": ("the prompt", "this prompt", "my prompt"),
    "instruct": ("the instruction", "my instruction", "instructed to"),
    "asked": ("asked me to", "asked to choose", "asked to pick", "asked to select", "i am asked", "i'm asked", "i was asked"),
    "user": ("the user ask", "the user want", "the user provid", "the user is asking", "the user gave"),
    "tag": ("answer tag", "think tag"),
    "<": ("<answer>", "</answer>", "<think>", "</think>"),
    "option": ("the options given", "the given options", "the provided options", "the options provided", "listed options", "of options"),
    "choice": ("the choices given", "the given choices", "the provided choices", "list of choices"),
}
_POSITION = re.compile(
    r"\b(?:(?:[Ff]irst|[Ss]econd|[Tt]hird|[Ff]ourth|[Ff]ifth|[Ll]ast|[Nn]ext) (?:option|choice|label|category)"
    r"|(?:[Oo]ption|[Cc]hoice) (?:[A-H]|[0-9]{1,2}))\b"
)
_PLACED = ("option", "choice", "label", "category")
_GIVEN = re.compile(r"\b(?:the|given|known|true|correct|truth) (?:label|answer|annotation) (?:says|states|is|was|being)\b|\bas labell?ed\b")
_SENTENCE_END = re.compile(r"[.!?\n]")
_NO_LETTERS = bytes(byte for byte in range(128) if not chr(byte).isalpha())
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def well_formed(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the text is one reasoning, then one answer, and nothing else; otherwise 0."""
    return float(trace.well_formed)


def correct(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the answer is the accepted one (in training, the lesson's), else 0; None if none was accepted."""
    return float(trace.answer == verdict.answer) if verdict is not None and verdict.accepted else None


def matches_label(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the answer is the raw label, else 0; None without a label."""
    return float(trace.answer == sample.label) if sample.label is not None else None


def mentions_prompt(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the reasoning talks about its instructions, or names an option by position ("the second option"), else 0.

    It is a list of English phrases: a text that talks about its prompt in other words gets 0.
    """
    stems = find_codes(trace.reasoning).prompt
    if not stems:
        return 0.0
    text = lower_case(trace.reasoning)
    if any(phrase in text for stem in stems for phrase in _INSTRUCTIONS.get(stem, ())):
        return 1.0
    placed = (at for noun in _PLACED if noun in stems for at in _places_of(text, noun))
    return float(any(_POSITION.search(trace.reasoning, max(0, at - 9), at + 14) for at in placed))


def reasoning_words(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Number of words of the reasoning, 0 or more; words are separated by white space."""
    return float(read_words(trace.reasoning).total)


def reasoning_tokens(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Number of tokens of the reasoning, as the server reports it, or estimated from its characters."""
    return float(trace.reasoning_tokens)


def repeated_ngrams(sample: Sample, trace: Trace, verdict: Verdict | None, *, n: Count = 4) -> float | None:
    """Share of word n-grams that occurred before, in [0, 1); None below n words. Loops are above 0.2."""
    total, distinct = count_ngrams(trace.reasoning, n)
    return 1 - distinct / total if distinct else None


def overlong(sample: Sample, trace: Trace, verdict: Verdict | None, *, words: Count = 400, over: Count = 200) -> float | None:
    """Excess length, in [0, 1]: 0 up to `words` words, 1 from `over` words more. A reward of negative weight.

    Source: DAPO's soft overlong punishment, in words.
    """
    return min(1.0, max(0, read_words(trace.reasoning).total - words) / over)


def consistent(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the option named last in the reasoning is the answer, 0 if another is; None without an option or answer."""
    if trace.answer is None:
        return None
    text = lower_case(trace.reasoning)
    places = {option: last_named(text, option) for option in sample.options}
    last = max(places.values(), default=-1)
    # Of "sad" and "very sad", which end at one place, either may have been meant.
    return None if last < 0 else float(places.get(trace.answer) == last)


def compression(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Compressed size divided by size (zlib): lower is more repetitive, prose is near 0.5. None without a reasoning."""
    raw = trace.reasoning.encode()
    return len(zlib.compress(raw)) / len(raw) if raw else None


def mentions_label_first(sample: Sample, trace: Trace, verdict: Verdict | None, *, share: Share = 0.3) -> float | None:
    """1 if the reasoning starts from its answer instead of arriving at it, else 0; None without reasoning or answer.

    That is: the first sentence (at most the first `share` of the characters) names the trace's answer and no other option, or
    the first `share` speaks of a given label ("the correct answer is"). Such a reasoning justifies what it was told.
    """
    if trace.answer is None or not trace.reasoning:
        return None
    start = lower_case(trace.reasoning)[: max(1, round(len(trace.reasoning) * share))]
    if ("label" in start or "answer" in start or "annotation" in start) and _GIVEN.search(start):
        return 1.0
    end = _SENTENCE_END.search(start)
    first = start[: end.start()] if end else start
    if not names_answer(first, trace.answer):
        return 0.0
    return float(not any(names_answer(first, option) for option in sample.options if option != trace.answer))


def finish_ok(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """1 if the model ended by itself, 0 if it was cut off or filtered; None if the server does not say."""
    return float(trace.finish_reason in ("stop", "eos", "end_turn")) if trace.finish_reason else None


def language(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of the reasoning's letters in a script of the question, in [0, 1]; None if either has no letters.

    Scripts, not languages: it finds Chinese in an English reasoning, not Spanish.
    """
    wanted = _scripts_of_text(sample.question)
    text = trace.reasoning
    ascii_letters = len(text.encode("ascii", "ignore").translate(None, _NO_LETTERS))
    others = [] if text.isascii() else list(filter(None, map(script_of_letter, _BEYOND_ASCII.findall(text))))
    letters = ascii_letters + len(others)
    if not letters or not wanted:
        return None
    return (ascii_letters * ("LATIN" in wanted) + sum(script in wanted for script in others)) / letters


def confidence(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Confidence of the verdict, in [0, 1]; None without a verdict."""
    return None if verdict is None else verdict.confidence


def teacher_agreement(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of the other teachers' votes for this answer, in [0, 1]; None if no other teacher voted."""
    others = [ballot.answer for ballot in verdict.ballots if ballot.teacher != trace.teacher] if verdict is not None else []
    return others.count(trace.answer or "") / len(others) if others else None


def find_measure(name: str, *, root: Path) -> Measure:
    """The measure of a name in `MEASURES`, or a user's own as `path/to/file.py:function`, the path relative to `root`.

    Raises PipelineError where there is none; a user's measure raises it also when it fails on a trace or gives no number.
    """
    if ":" in name:
        return own_measure(name, root)
    known = {function.__name__: function for function in MEASURES}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {show_value(near[0])}?" if near else f"there are {', '.join(known)}, or a path/to/file.py:function of your own"
    raise PipelineError(f"no measure named {show_value(name)}; {hint}")


def _places_of(text: str, word: str) -> Iterator[int]:
    """Where a text has a word."""
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


@functools.lru_cache(maxsize=1_024)
def _scripts_of_text(text: str) -> frozenset[str]:
    return frozenset(filter(None, map(script_of_letter, text)))


MEASURES: tuple[Measure, ...] = (
    well_formed,
    correct,
    matches_label,
    mentions_prompt,
    reasoning_words,
    reasoning_tokens,
    repeated_ngrams,
    overlong,
    consistent,
    compression,
    mentions_label_first,
    finish_ok,
    language,
    confidence,
    teacher_agreement,
    verified_segments,
    grounded,
    mentions_seen,
    judge,
    leaked_label,
    residue,
    loops,
    cut_thought,
    contradicts_answer,
    code_switching,
    reasoning_language,
    verified,
    verified_unseen,
)
"""Every measure, by the name the pipeline file uses."""


def measure_column(name: str, options: Mapping[str, Any]) -> str:
    """How columns, fates and messages call a measure: a user's own by its function, marks of a judge with their dimension."""
    if name == judge.__name__:
        return f"{name}_{options.get('dimension', (judge.__kwdefaults__ or {})['dimension'])}"
    return name.rpartition(":")[2]
