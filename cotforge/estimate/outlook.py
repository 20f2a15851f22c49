"""What one more Call of a teacher will probably take, by what is known of the teacher: nothing, its history, or a probe."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from cotforge.history import History
from cotforge.replies.attempt import Attempt
from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.wire import most_output

OUTPUT_TOKENS, LEAST_OUTPUT = 500, 50
"""Output tokens of a Call of a teacher that has never answered, and the fewest that are likely (both ours)."""
ANSWER_TOKENS, LEAST_ANSWER = 15, 5
"""The same of a Call that asks for the answer alone (both ours)."""
FACTOR = 4.0
"""Between one reply and the mean of all, either way (ours)."""
DRAWS = 1000
"""Of the bootstrap; its 5 % and 95 % quantiles are the range (ours)."""


class Range(NamedTuple):
    """The likely value, between bounds."""

    low: float
    about: float
    high: float

    def times(self, factor: float) -> "Range":
        return Range(*(value * factor for value in self))

    def plus(self, other: "Range") -> "Range":
        """Bound by bound."""
        return Range(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one Call takes on average."""

    inputs: Range
    """The server's count of input tokens over ours."""
    outputs: Range
    """Tokens."""
    seconds: Range | None
    """In which one of the slots does a Call, with as many in flight as a build has; None where none was timed."""
    why: str
    """What this rests on."""


def guess_outlook(teacher: TeacherKind, *, answers_alone: float = 0.0) -> Outlook:
    """Of a teacher that has never answered; `answers_alone` is the share of its Calls, in [0, 1], that ask for no reasoning."""
    most, reasoned = most_output(teacher), 1 - answers_alone
    least = answers_alone * min(LEAST_ANSWER, most) + reasoned * min(LEAST_OUTPUT, most)
    outputs = Range(least, answers_alone * min(ANSWER_TOKENS, most) + reasoned * min(OUTPUT_TOKENS, most), most)
    never = Range(0, 0, 0) if teacher.instant else None
    return Outlook(Range(0.5, 1, 2), outputs, never, "a guess, as it has not answered yet; --probe asks a few and measures")


def recall_outlook(teacher: TeacherKind, history: History, *, calls: int, counted: int, pace: Range | None = None) -> Outlook:
    """Of a teacher with replies in the journal, for `calls` more, of which we count `counted` input tokens.

    The range of the output is that of the mean of the Calls to come, at about 95 %; what few replies say is widened. Without a `pace`, in
    seconds, these follow the length.
    """
    mean, most = history.output_tokens / history.replies, most_output(teacher)
    if history.replies == 1:
        outputs = _of_one(mean, most)
    else:
        spread = sqrt(max(0.0, history.squares / history.replies - mean**2) * history.replies / (history.replies - 1))
        half = (2 + 8 / (history.replies - 1)) * spread * sqrt(1 / history.replies + 1 / max(1, calls))
        outputs = Range(max(0.0, mean - half), mean, max(mean, min(mean + half, most)))
    ratio = history.input_tokens / history.replies / max(1.0, counted / max(1, calls))
    each = history.seconds / history.replies
    return Outlook(
        Range(min(1.0, ratio), ratio, max(1.0, ratio)),
        outputs,
        pace
        or _time_range(teacher, Range(*(each * value / max(1.0, mean) for value in outputs)) if mean >= 1 else Range(each, each, each)),
        f"as {_count_replies(history.replies)} so far suggest{'s' * (history.replies == 1)}",
    )


def measure_outlook(teacher: TeacherKind, found: Sequence[tuple[int, Attempt]], *, pace: Range | None = None) -> Outlook:
    """Of a teacher that was probed: (our count of the input tokens, reply) of each, at least one. The range is a bootstrap's.

    `pace` is the seconds that one of the slots of a build takes for a Call.
    """
    begins = [(stored.input_tokens, counted) for counted, stored in found]
    ends, seconds = [(stored.output_tokens, 1) for _, stored in found], [(stored.seconds, 1) for _, stored in found]
    outputs = _bootstrap_ratio(ends) if len(found) > 1 else _of_one(ends[0][0], most_output(teacher))
    why = f"as {_count_replies(len(found))} to the probe suggest{'s' * (len(found) == 1)}"
    return Outlook(_bootstrap_ratio(begins), outputs, pace or _time_range(teacher, _bootstrap_ratio(seconds)), why)


def _bootstrap_ratio(pairs: Sequence[tuple[float, float]]) -> Range:
    """Sum over sum, and where it would lie had we drawn others."""
    chance = random.Random(0)
    drawn = sorted(_sum_ratio(chance.choices(pairs, k=len(pairs))) for _ in range(DRAWS))
    return Range(drawn[DRAWS // 20], _sum_ratio(pairs), drawn[-DRAWS // 20])


def _sum_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(above for above, _ in pairs) / max(1, sum(below for _, below in pairs))


def _of_one(tokens: float, most: int) -> Range:
    return Range(tokens / FACTOR, tokens, max(tokens, min(FACTOR * tokens, most)))


def _time_range(teacher: TeacherKind, seconds: Range) -> Range | None:
    """None where the journal knows no times, as of a batch."""
    return seconds if seconds.about or teacher.instant else None


def _count_replies(count: int) -> str:
    return f"{count:,} {'reply' if count == 1 else 'replies'}"
