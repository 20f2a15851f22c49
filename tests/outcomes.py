"""Outcomes made by hand, with real pictures, for the tests of what comes after curating."""

import hashlib
import io
from collections.abc import Callable, Sequence
from typing import cast

from PIL import Image

from cotforge.records import (
    Ballot,
    CuratedSample,
    Fault,
    Judged,
    Lesson,
    Outcome,
    OutcomeKind,
    Picture,
    Reply,
    Sample,
    Trace,
    TraceFate,
    Verdict,
)

OPTIONS = ("awe", "fear", "joy")


def png(number: int) -> bytes:
    """A small PNG, another one for each number."""
    made = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 7)).save(made, "PNG")
    return made.getvalue()


def picture(number: int, load: Callable[[], bytes] | None = None) -> Picture:
    data = png(number)
    return Picture(hashlib.sha256(data).hexdigest(), "image/png", 8, 8, len(data), load or (lambda: data))


def gone() -> bytes:
    raise Fault("image_changed", "'a.png' has changed since it was read", where="data.jsonl:7")


def sample(number: int, *, label: str | None = "awe", split: str = "train", load: Callable[[], bytes] | None = None) -> Sample:
    return Sample(f"s{number}", (picture(number, load),), "Which emotion?", OPTIONS, label, split, where=f"data.jsonl:{number + 1}")


def trace(number: int, teacher: str, answer: str | None = "awe", **others: object) -> Trace:
    key = hashlib.sha256(f"{number} {teacher}".encode()).hexdigest()
    return Trace(key, teacher, f"org/{teacher}", 0, f"I see {number}.", answer, **({"well_formed": True, "cost_usd": 0.5} | others))


def judged(of: Trace, fate: str, value: float | None = None) -> Judged:
    kind, _, because = fate.partition(":")
    return Judged(of, cast(TraceFate, kind), because, value, {"reasoning_words": float(len(of.reasoning.split()))})


def verdict(*answers: str, accepted: bool = True, conflict: bool = False, reason: str = "") -> Verdict:
    """Of teachers t0, t1, ..., the first answer being the leading one."""
    ballots = tuple(Ballot(f"t{place}", answer) for place, answer in enumerate(answers))
    return Verdict(answers[0] if answers else None, 0.75, accepted, reason, ballots, conflict)


def lesson(number: int, *, label: str | None = "awe", split: str = "train", load: Callable[[], bytes] | None = None) -> CuratedSample:
    """A Sample with a Lesson by t0, on which t1 agreed."""
    of = sample(number, label=label, split=split, load=load)
    agreed = verdict("awe", "awe", conflict=label not in (None, "awe"))
    chosen, other = judged(trace(number, "t0"), "lesson"), judged(trace(number, "t1"), "surplus")
    taught = Lesson(of, agreed, chosen, "Which emotion? awe, fear, joy", f"<think>I see {number}.</think>\n<answer>awe</answer>")
    return CuratedSample(of, agreed, (chosen, other), (taught,), taught.prompt)


def undecided(number: int, *, label: str | None = "awe") -> CuratedSample:
    """A Sample on which two teachers disagreed."""
    of = verdict("awe", "fear", accepted=False, reason="no_majority")
    said = (judged(trace(number, "t0"), "undecided"), judged(trace(number, "t1", "fear"), "undecided"))
    return CuratedSample(sample(number, label=label), of, said, rejected="vote:no_majority")


def filtered(number: int) -> CuratedSample:
    """A Sample agreed on, of which no text passed."""
    said = tuple(judged(trace(number, teacher), "filter:reasoning_words", 3.0) for teacher in ("t0", "t1"))
    return CuratedSample(sample(number), verdict("awe", "awe"), said, rejected="filter:reasoning_words")


def unheard(number: int) -> CuratedSample:
    """A Sample with one Call given up and one reply that could not be read."""
    failed = ("t0", Reply("f" * 64, outcome=Outcome(OutcomeKind.PASSING, "timeout", "no answer after 60 s")))
    unread = judged(trace(number, "t1", None, fault="no_answer"), "unread:no_answer")
    return CuratedSample(
        sample(number), verdict(accepted=False, reason="no_ballots"), (unread,), rejected="vote:no_ballots", failed=(failed,)
    )


def paired(number: int) -> CuratedSample:
    """A Sample with a Lesson and a wrong completion."""
    good = lesson(number)
    wrong = judged(trace(number, "t2", "fear"), "wrong")
    return CuratedSample(good.sample, good.verdict, (*good.traces, wrong), good.lessons, good.prompt, ("right", "wrong"))


def mixed(count: int, *, step: int = 1) -> Sequence[CuratedSample]:
    """All kinds in turn."""
    kinds = (lesson, undecided, paired, filtered, unheard)
    return [kinds[number % len(kinds)](number) for number in range(0, count, step)]
