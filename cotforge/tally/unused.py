"""What was paid for and is not used: a line per reason for the end of a run, each with its remedy."""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

REMEDIES: Mapping[str, tuple[str, str]] = {
    "truncated": ("ended at max_tokens", "raise teachers[].max_tokens and build again to ask them again"),
    "no_answer": ("came without an answer that can be read", "losses.parquet has how they begin; --retry no_answer asks them again"),
    "two_answers": ("came with two answers", "--retry two_answers asks them again"),
    "not_an_option": ("answered outside the set", "add what they say as synonyms under task.labels; curate then counts them"),
    "placeholder": ("repeated the placeholder of the prompt", "--retry placeholder asks them again"),
    "empty": ("came without a text", "a thought may have used up max_tokens; --retry empty asks them again"),
    "content_filter": ("ended at a content filter", "another teacher may answer; they are not asked again"),
    "no_reasoning": ("came without a reasoning", "prompts.solve should ask for <think>...</think>, or the server needs a reasoning parser"),
}
"""By `records.ReadingFault`: what is wrong with such replies, and what would be right."""
ANSWERS_TOLD = 5
"""Answers outside the set that the line about them names."""
ANSWER_TAG = "<answer>"
ASK_FOR_TAGS = "prompts.solve should ask for <answer>...</answer>; --retry no_answer asks them again"
"""What would be right where the prompt does not ask for them."""
LONGER_TIMEOUT = "a longer teachers[].timeout helps against timeouts, unless a call was cut off because other answers took far less time"
"""Which limit cut a call off, `timeout` or that of `forge.deadline`, the counts do not tell."""


def not_used(
    unread: Mapping[str, Mapping[str, int]],
    fields: Mapping[str, Mapping[str, int]],
    unanswered: Mapping[str, int],
    *,
    refusals: int = 0,
    prompt: str = ANSWER_TAG,
    astray: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[str]:
    """A line per reason, the most frequent first. `unread` and `fields` are those of `summary.json`, by teacher; `unanswered` by error.

    `refusals`: how many of the replies without an answer refuse to give one; `prompt`: what they were asked with; `astray`: the
    most frequent answers outside the set.
    """
    for field, teachers in _turn_counts(fields).items():
        hold = "holds its" if teachers.total() == 1 else "hold their"
        where = f"in a field that was not read ({field!r}; {_named_teachers(teachers)})"
        yield f"{_replies_text(teachers)} {hold} reasoning {where}; have the server send it as 'reasoning_content'"
    for reason, teachers in _turn_counts(unread).items():
        wrong, remedy = REMEDIES.get(reason, ("came to nothing", f"--retry {reason} asks them again"))
        if reason == "no_answer":
            wrong += _refusals_text(refusals, teachers.total())
            remedy = _answer_remedy(remedy, refusals, teachers.total(), prompt)
        if reason == "not_an_option" and astray:
            wrong += ", most often " + ", ".join(f"{answer!r} {count:,}" for answer, count in [*astray.items()][:ANSWERS_TOLD])
        yield f"{_replies_text(teachers)} {wrong} ({reason}; {_named_teachers(teachers)}); {remedy}"
    if count := sum(unanswered.values()):
        errors = ", ".join(f"{error} {times:,}" for error, times in Counter(unanswered).most_common())
        attempts = "1 attempt" if count == 1 else f"{count:,} attempts"
        remedy = f"; {LONGER_TIMEOUT}" if "timeout" in unanswered else ""
        yield f"{attempts} brought no reply and may have been charged ({errors}; attempts_charged in summary.json){remedy}"


def _refusals_text(refusals: int, count: int) -> str:
    if not refusals:
        return ""
    which = "" if refusals == count == 1 else "all of them " if refusals == count else f"{refusals:,} of them "
    kind = "a refusal" if refusals == 1 else "refusals"
    return f", {which}{kind} such as 'I cannot ...'"


def _answer_remedy(remedy: str, refusals: int, count: int, prompt: str) -> str:
    """The prompt is named only where it does not ask for the tag, and the teacher only where all of them refuse."""
    if refusals == count:
        return "another teacher, or another prompts.solve, may help; --retry no_answer asks them again"
    return remedy if ANSWER_TAG in prompt else ASK_FOR_TAGS


def _turn_counts(found: Mapping[str, Mapping[str, int]]) -> dict[str, Counter[str]]:
    """Counts by reason, then teacher, the most frequent reason first."""
    turned: dict[str, Counter[str]] = {}
    for teacher, counts in found.items():
        for reason, count in counts.items():
            turned.setdefault(reason, Counter())[teacher] += count
    return dict(sorted(turned.items(), key=lambda item: (-item[1].total(), item[0])))


def _replies_text(teachers: Counter[str]) -> str:
    return "1 reply" if teachers.total() == 1 else f"{teachers.total():,} replies"


def _named_teachers(teachers: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in teachers.most_common())
