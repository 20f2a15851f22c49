"""Cases of known truth, what a gate said of them, and the lines of the table. It knows nothing of cotforge, texts or pictures."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Literal, NamedTuple

Half = Literal["held out", "tuned on"]
HALVES: tuple[Half, ...] = ("held out", "tuned on")
WANTED = 0.95
"""Recall and precision that a gate should have on the held-out half."""
_Z = 1.959964
"""Of a two-sided interval of 95 %."""


class Case(NamedTuple):
    """Something of which it is known whether a gate should stop it."""

    template: str
    """What it was made from: cases of one template are no independent trials, and count as one in the intervals."""
    kind: str
    """The kind of fault that was planted; empty where it is sound."""
    item: Any
    """What the gate is given."""

    @property
    def half(self) -> Half:
        return half_of(self.template)


class Verdict(NamedTuple):
    """A case, and what a gate said of it."""

    case: Case
    said: str
    """The kind of fault that the gate named, or any word where it does not tell kinds; empty where it let the case pass."""


class Line(NamedTuple):
    """A line of the table: how a gate did on the cases of a kind, or on all."""

    gate: str
    kind: str
    """Empty for all kinds together."""
    half: Half
    found: "Share"
    """Recall: of the planted cases, those that were stopped, under whatever name."""
    right: "Share"
    """Precision: of the cases that were stopped under this name, those in which something was planted."""
    sound: "Share"
    """Of the sound cases, those that were stopped."""

    @property
    def is_below(self) -> bool:
        """Whether a held-out figure of the whole gate misses what is wanted."""
        return self.half == "held out" and not self.kind and min(self.found.value, self.right.value) < WANTED


class Share(NamedTuple):
    """A share of cases, whose 95 % interval counts templates."""

    part: int
    cases: int
    templates: int
    """Distinct templates among the cases: the trials of the interval."""

    @property
    def value(self) -> float:
        return self.part / self.cases if self.cases else math.nan

    def interval(self) -> tuple[float, float]:
        """Wilson's score interval with the templates as trials. Source: Wilson 1927, JASA 22(158)."""
        if not self.templates:
            return 0.0, 1.0
        n, p = self.templates, self.value
        middle, width = p + _Z**2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
        return max(0.0, (middle - width) / (1 + _Z**2 / n)), min(1.0, (middle + width) / (1 + _Z**2 / n))

    def __str__(self) -> str:
        if not self.cases:
            return ""
        low, high = self.interval()
        return f"{self.value:.3f} ({low:.2f} to {high:.2f})"


def half_of(template: str) -> Half:
    """The half of a template, by the first byte of its sha256: it is fixed by its text alone, and no list has to be kept."""
    return HALVES[sha256(template.encode()).digest()[0] % 2]


def judge_cases(cases: Iterable[Case], flag: Callable[[Any], str | None]) -> list[Verdict]:
    """What a gate says of each case: `flag` gives the kind it finds, or None."""
    return [Verdict(case, flag(case.item) or "") for case in cases]


def count_lines(gate: str, verdicts: Sequence[Verdict], *, kinds: bool = False) -> Iterator[Line]:
    """The lines of a gate: the held-out half before the one tuned on; with `kinds` also one for each kind that was planted."""
    for half in HALVES:
        here = [verdict for verdict in verdicts if verdict.case.half == half]
        planted: dict[str, list[Verdict]] = defaultdict(list)
        for verdict in here:
            planted[verdict.case.kind].append(verdict)
        sound = planted.pop("", [])
        passed = _share(sound, lambda verdict: bool(verdict.said))
        stopped = [verdict for verdict in here if verdict.said]
        for kind in ["", *planted] if kinds else [""]:
            wanted = planted[kind] if kind else [verdict for each in planted.values() for verdict in each]
            named = [verdict for verdict in stopped if not kind or verdict.said == kind]
            found, right = _share(wanted, lambda verdict: bool(verdict.said)), _share(named, lambda verdict: bool(verdict.case.kind))
            yield Line(gate, kind, half, found, right, passed)


def _share(verdicts: Sequence[Verdict], counts: Callable[[Verdict], bool]) -> Share:
    return Share(sum(map(counts, verdicts)), len(verdicts), len({verdict.case.template for verdict in verdicts}))


HEAD = ("gate", "planted", "half", "cases", "templates", "recall (95 %)", "precision (95 %)", "sound cases stopped", "")


def table_rows(lines: Iterable[Line]) -> Iterator[list[str]]:
    """The cells of the table, under HEAD."""
    for line in lines:
        cases = f"{line.found.cases:,}" if line.kind else f"{line.found.cases:,} + {line.sound.cases:,}"
        yield [
            line.gate if not line.kind else "",
            line.kind or "all",
            line.half,
            cases,
            str(line.found.templates),
            str(line.found),
            str(line.right),
            "" if line.kind else f"{line.sound.value:.3f}" if line.sound.cases else "none tried",
            f"below {WANTED}" if line.is_below else "",
        ]


def missed_cases(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, str, str]]:
    """(fault, template, what was said of it) of the wrong verdicts, commonest first: of the half tuned on alone, for who tunes."""
    wrong = Counter(
        ("missed" if verdict.case.kind else "stopped", f"[{verdict.case.kind}] {verdict.case.template}", verdict.said)
        for verdict in verdicts
        if bool(verdict.case.kind) != bool(verdict.said) and verdict.case.half == "tuned on"
    )
    yield from sorted(wrong, key=lambda one: (-wrong[one], one))
