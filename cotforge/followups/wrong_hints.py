"""Planted wrong labels: does a teacher that is asked to explain one argue for it, or for what it sees?

A teacher that argues for whatever it is told explains wrong labels as well as right ones: its explanations are worth nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from string import ascii_uppercase

from cotforge.answers import Task
from cotforge.consensus.claim import lower_bound
from cotforge.findings import Finding
from cotforge.records import Sample

LEAST_PROBES = 10
"""Wrong hints below which no teacher is barred: with so few an exact bound tells a teacher that follows all from one that follows none,
and little more (default chosen by us)."""


@dataclass(frozen=True, slots=True)
class HintRecord:
    """What one teacher did with wrong hints."""

    probes: int = 0
    """Wrong hints that it was given, and whose reply could be read."""
    followed: int = 0
    """Of these, the ones that it argued for."""

    @property
    def is_known(self) -> bool:
        """Whether it was probed often enough to be barred at all."""
        return self.probes >= LEAST_PROBES

    def least_followed(self) -> float:
        """The share of wrong hints that it follows at least: one-sided 95 % (Clopper and Pearson 1934)."""
        return lower_bound(self.followed, self.probes) if self.probes else 0.0

    def is_barred(self, most: float) -> bool:
        """Whether it surely follows more than this share, in (0, 1), of wrong hints."""
        return self.is_known and self.least_followed() > most

    def in_words(self) -> str:
        """For card and report."""
        if not self.is_known:
            return f"not probed enough: {self.probes} of {LEAST_PROBES} wrong hints"
        return f"argued for {self.followed} of {self.probes} wrong hints"


def hint_records(findings: Iterable[Finding]) -> dict[str, HintRecord]:
    """By the teacher's name, of the findings of kind `hint`."""
    found: dict[str, HintRecord] = {}
    for finding in findings:
        if finding.kind == "hint":
            before = found.get(finding.by, HintRecord())
            found[finding.by] = HintRecord(before.probes + 1, before.followed + (finding.value > 0.5))
    return found


def barred_teachers(findings: Iterable[Finding], most: float) -> frozenset[str]:
    """Teachers that surely follow more than a share of wrong hints."""
    return frozenset(name for name, record in hint_records(findings).items() if record.is_barred(most))


def wrong_hint(sample: Sample, task: Task, right: Sequence[str | None]) -> str | None:
    """A wrong label to plant, none of `right` (accepted answer, label, gold), chosen by a hash; None where none can be made.

    Of a closed set another option; else another letter, or a number near the first of `right`. Texts and formulas are left out: a made-up
    one would be told apart at a glance.
    """
    known = [one for one in right if one is not None]
    if not known:
        return None
    if sample.options:
        candidates = [option for option in sample.options if option not in known]
    else:
        candidates = [shown for one in _near(known[0]) if (shown := task.comparable(one)) is not None and shown not in known]
    if not candidates:
        return None
    marks = "\n".join(("wrong_hint", *(picture.digest for picture in sample.pictures), sample.question))
    number = int.from_bytes(sha256(marks.encode(errors="surrogatepass")).digest()[:8], "big")
    return sorted(candidates)[number % len(candidates)]


def _near(answer: str) -> list[str]:
    """Answers near one: letters that a list must have too, or numbers one or two of its last digits away."""
    if len(answer) == 1 and answer in ascii_uppercase:
        return list(ascii_uppercase[: ascii_uppercase.index(answer)]) or ["B"]
    percent = "%" if answer.endswith("%") else ""
    try:
        value = Decimal(answer.removesuffix("%"))
    except InvalidOperation:
        return []
    if not value.is_finite():
        return []
    step = Decimal(1).scaleb(min(0, int(value.as_tuple().exponent)))
    near = [value + step * times for times in (-2, -1, 1, 2)]
    return [f"{one:f}{percent}" for one in near if one >= 0 or value < 0]
