"""Counts of a run, in memory that does not grow with it: per reason, class, teacher and pair of teachers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from math import inf
from typing import Any

from cotforge.consensus.claim import Bin, Claim
from cotforge.consensus.image.admitted import Admission
from cotforge.consensus.promise import Promised
from cotforge.consensus.simpler import RuleFigures, Simpler
from cotforge.followups.reply_faults import reads_as_refusal
from cotforge.reasons import BELOW_TARGET, UNPROMISED, counted_reason
from cotforge.records import NOT_ASKED, SENTENCES, CuratedSample, Fault, Judged, Sample, Verdict
from cotforge.sources.seen import Seen
from cotforge.tally.blindness import Unseen
from cotforge.tally.counts import ClassTally, FollowUpTally, TeacherTally, is_conflict, share_of
from cotforge.tally.quantiles import Spread

DISTINCT = 1_000
"""Most classes, corrections and finish reasons that are told apart: rows may bring options of their own, without end."""
OTHER = "(others)"
"""The class that all later ones are counted under, and the finish reason; later corrections are not listed."""
OF_ROWS = ("source:", "dedup:")
"""How the reasons begin under which rows are counted that no sample was made of."""
ANSWERS_NAMED = 10
"""Answers outside the set, at most, that `summary.json` names."""
UNSAID = "(none)"
"""The finish reason of a server that gave none."""


@dataclass(slots=True)
class Tally:
    """Counts of a run. `add` and `fault` take everything curating yields, once."""

    labels_unknown: int = 0
    """Rows whose raw label was outside the set; told by the source."""
    held_out: int = 0
    """Sound rows that nobody is asked about; told by the source."""
    estimated: Mapping[str, float | None] = field(default_factory=dict)
    """Estimated accuracy per teacher, in [0, 1]; told by the vote."""
    twins: Mapping[str, str] = field(default_factory=dict)
    """Teachers that are another one behind a second name, with that name; told by the vote."""
    claim: Claim = field(default_factory=Claim)
    """What may be said of the precision of the accepted answers; told by the vote."""
    promise: Promised | None = None
    """What became of the promise; None where none is wanted; told by the vote."""
    unpromised: int = 0
    """Samples rejected as `vote:below_target` that the rule itself accepts: the promise leaves them out."""
    simpler: Simpler | None = None
    """A simpler rule that does better on checked answers, where there is one; told by the vote."""
    bins: Sequence[Bin] = ()
    """Points of a calibration plot; told by the vote."""
    admission: Admission | None = None
    """Whether pictures were heard; None where `consensus.image` asks for no such vote. Told by the vote."""
    unseen: Sequence[Unseen] = ()
    """Classes that the teachers call something else; told by `Blindness`."""
    remarks: Sequence[str] = ()
    """Sentences about how the vote came to its verdicts, where that is not as usual."""
    samples: int = 0
    asked: int = 0
    """Samples about which at least one Call has ended, whatever came of it."""
    agreed: int = 0
    """Samples with an accepted verdict."""
    rescued: int = 0
    """Samples without one that have a Lesson by a rescue, or would have one if `select` had taken them."""
    accepted: int = 0
    """Samples with at least one Lesson."""
    lessons: int = 0
    traces: int = 0
    preference: int = 0
    missing: int = 0
    """Calls without any reply, good or bad; one that two Samples lead to is asked once."""
    _missing_keys: Seen = field(default_factory=Seen, repr=False)
    label_conflicts: int = 0
    """Samples with a Lesson whose answer is not their raw label."""
    conflicts: int = 0
    """All Samples whose agreed answer is not their raw label, as `is_conflict` has it: the rows of `conflicts.csv`."""
    finds_repeats: bool = False
    """Whether `dedup` compares texts with earlier lessons or benchmarks."""
    unasked: Counter[str] = field(default_factory=Counter)
    """By the reason in `rejected`, Samples about which no Call has ended."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Why rows (`source:<reason>`, `dedup:<reason>`) and Samples (any other word) gave no Lesson."""
    fates: Counter[str] = field(default_factory=Counter)
    woven: Counter[str] = field(default_factory=Counter)
    """Fates of woven texts alone."""
    read_as: Counter[str] = field(default_factory=Counter)
    answers_astray: Counter[str] = field(default_factory=Counter)
    """Answers that are none of the options, as they were given."""
    finish_reasons: Counter[str] = field(default_factory=Counter)
    """Why servers stopped writing, over all traces: the common form, or a server's own word where it is unknown."""
    mended: Counter[str] = field(default_factory=Counter)
    """What was taken out of the texts of Lessons, by kind."""
    corrections: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(raw label, agreed answer) of the `conflicts` in a closed set."""
    teachers: dict[str, TeacherTally] = field(default_factory=dict)
    pairs: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """(equal, all) pairs of ballots that two teachers, in order of name, cast on one Sample."""
    classes: dict[str, ClassTally] = field(default_factory=dict)
    measures: dict[str, Spread] = field(default_factory=dict)
    """Over all traces that were measured."""
    origins: Counter[str] = field(default_factory=Counter)
    """Lessons by what their traces are for: `solve`, `rescue` or `woven`."""
    follow_ups: dict[str, FollowUpTally] = field(default_factory=dict)
    """By the section of the pipeline file, in the order of `CuratedSample.followed`."""
    followed_usd: float = 0.0
    """US dollars of the replies that follow the vote."""
    findings: Mapping[str, Any] = field(default_factory=dict)
    """What follow-ups found out: see `FindingTally.summary`, which tells it."""

    def fault(self, fault: Fault) -> None:
        """Count a row that did not become a Sample."""
        self.rejected[f"{fault.stage}:{fault.reason}"] += 1

    def add(self, outcome: CuratedSample) -> None:
        """Count a Sample and all that came of it."""
        self.samples += 1
        is_asked = bool(outcome.traces) or any(reply.error != NOT_ASKED for _, reply in outcome.failed)
        self.asked += is_asked
        self.agreed += outcome.verdict.accepted
        self.rescued += not outcome.verdict.accepted and (bool(outcome.lessons) or outcome.rejected.startswith("select:"))
        self.lessons += len(outcome.lessons)
        self.preference += outcome.pair is not None
        self._count_asked(outcome)
        self._count_votes(outcome)
        self._count_conflict(outcome.sample, outcome.verdict)
        if outcome.sample.options and outcome.sample.label is not None:
            self._class_tally(outcome.sample.label).labels += 1
        for lesson in outcome.lessons:
            self._teacher_tally(lesson.judged.trace.teacher).lessons += 1
            self.mended.update(lesson.mended.split("+") if lesson.mended else ())
            self.origins[lesson.judged.trace.origin] += 1
        for (name, section), counts in zip(self.follow_ups.items(), outcome.followed, strict=False):
            section.add(name, counts)
        if outcome.lessons:
            self._count_lessons(outcome.sample, outcome.taught, 1)
        else:
            self.rejected[outcome.rejected] += 1
            self.unpromised += outcome.verdict.unpromised
            self.unasked[outcome.rejected] += not is_asked

    def withdraw(self, sample: Sample, verdict: Verdict, teachers: Sequence[str], *, reason: str, origins: Iterable[str] = ()) -> None:
        """Take back the Lessons, one by each of `teachers`, of a Sample that was added, and reject it for `reason`."""
        self.origins.subtract(origins)
        self.lessons -= len(teachers)
        self.rejected[reason] += 1
        self._count_lessons(sample, verdict, -1)
        for teacher in teachers:
            self._teacher_tally(teacher).lessons -= 1

    def rows(self) -> int:
        """Rows read, sound or not; a row equal to an earlier one is not counted."""
        return self.samples + self.held_out + sum(count for reason, count in self.rejected.items() if reason.startswith(OF_ROWS))

    def figures(self) -> RuleFigures:
        """What the rule in force did, for comparison with others: what follows the vote is left out, as others would have it too."""
        teachers = self.teachers.values()
        calls = sum(one.calls for one in teachers) - sum(section.calls for section in self.follow_ups.values())
        cost = sum(one.cost_usd for one in teachers) - self.followed_usd
        each = (calls / self.agreed, cost / self.agreed) if self.agreed else (inf, inf)
        return RuleFigures(self.agreed / self.samples if self.samples else 0.0, *each, self.claim.right, self.claim.checked)

    def agreement(self, one: str, other: str) -> float | None:
        """Share of pairs of ballots on one Sample that are equal; None where the two never met on one."""
        return share_of(*self.pairs.get((min(one, other), max(one, other)), (0, 0)))

    def answers(self) -> dict[str, int]:
        """Samples with a Lesson by their agreed answer, of closed sets."""
        return {name: one.answers for name, one in self.classes.items()}

    def accepted_as(self, name: str) -> int:
        """Samples with a Lesson whose agreed answer is this class."""
        return self.classes[name].answers if name in self.classes else 0

    def largest_reason(self) -> tuple[str, int] | None:
        """Why most rows or Samples gave no Lesson, and how many; None where nothing was rejected."""
        return min(self.rejected.items(), key=lambda item: (-item[1], item[0]), default=None)

    def reason_in_words(self, word: str, count: int = 2) -> str:
        """What a published reason means, as it follows this number of samples: a confidence below what a promise needs is told as that."""
        if word != BELOW_TARGET or not self.unpromised:
            return counted_reason(word, count)
        if self.unpromised == self.rejected[word]:
            return UNPROMISED
        unsure = self.rejected[word] - self.unpromised
        return f"{UNPROMISED} ({self.unpromised:,}) or {counted_reason(word, unsure)} ({unsure:,})"

    def summary(self) -> dict[str, Any]:
        """The counts as `summary.json` holds them: `rows == held_out + accepted + rejected`; without `source:` and `dedup:`, `samples`."""
        return {
            "rows": self.rows(),
            "samples": self.samples,
            "accepted": self.accepted,
            "lessons": self.lessons,
            "traces": self.traces,
            "preference": self.preference,
            "calls_missing": self.missing,
            "rejected": dict(sorted(self.rejected.items())),
            "label_conflicts": self.label_conflicts,
            "conflicts": self.conflicts,
            "claim": self.claim.summary(),
            **({"unseen": [asdict(one) for one in self.unseen]} if self.unseen else {}),
            **({"promise": self.promise.summary()} if self.promise is not None else {}),
            **({} if self.admission is None else {"image": asdict(self.admission)}),
            **(self._followed_summary() if self.follow_ups else {}),
            "labels_unknown": self.labels_unknown,
            "read_as": dict(sorted(self.read_as.items())),
            "finish_reasons": dict(sorted(self.finish_reasons.items())),
            "mended": dict(sorted(self.mended.items())),
            "teachers": {name: self._teacher_summary(name) for name in self.teachers},
            "unread": {name: dict(sorted(teacher.unread.items())) for name, teacher in self.teachers.items() if teacher.unread},
            "unread_fields": {
                name: dict(sorted(teacher.unread_fields.items())) for name, teacher in self.teachers.items() if teacher.unread_fields
            },
            "answers_astray": dict(self.answers_astray.most_common(ANSWERS_NAMED)),
        }

    def _followed_summary(self) -> dict[str, Any]:
        return {
            "origins": {origin: self.origins[origin] for origin in ("solve", "rescue", "woven")},
            "follow_ups": {name: section.summary() for name, section in self.follow_ups.items()},
            "findings": dict(self.findings),
        }

    def _teacher_summary(self, name: str) -> dict[str, Any]:
        teacher = self.teachers[name]
        return {
            "calls": teacher.calls,
            "failed": teacher.failed,
            "answered": teacher.answered,
            "agreement": teacher.agreement(),
            "estimated_accuracy": self.estimated.get(name),
            "cost_usd": teacher.cost_usd,
            **({"checks": teacher.checks} if teacher.checks else {}),
            **({"with_probability": teacher.probable} if teacher.probable else {}),
            **({"twin_of": self.twins[name]} if name in self.twins else {}),
        }

    def _teacher_tally(self, name: str) -> TeacherTally:
        return self.teachers.setdefault(name, TeacherTally())

    def _count_asked(self, outcome: CuratedSample) -> None:
        self.traces += len(outcome.traces)
        for judged in outcome.traces:
            if judged.trace.read_as == SENTENCES:  # no reply, and nobody was asked for it
                self.read_as[SENTENCES] += 1
            else:
                self._count_reply(judged)
            self.fates[judged.fate_word] += 1
            if judged.trace.origin == "woven":
                self.woven[judged.fate_word] += 1
            for name, value in judged.measures.items():
                if value is not None:
                    if name not in self.measures:
                        self.measures[name] = Spread()
                    self.measures[name].add(value)
        for name, reply in outcome.failed:
            if reply.error == NOT_ASKED:
                self.missing += self._missing_keys.before(reply.key, "") is None
                continue
            teacher = self._teacher_tally(name)
            teacher.calls += 1
            teacher.failed += 1
            teacher.cost_usd += reply.cost_usd

    def _count_reply(self, judged: Judged) -> None:
        trace = judged.trace
        teacher = self._teacher_tally(trace.teacher)
        teacher.calls += 1
        teacher.checks += judged.fate == "check"
        teacher.cost_usd += trace.cost_usd
        self.followed_usd += 0.0 if trace.origin in ("solve", "vote") else trace.cost_usd
        reason = trace.finish_reason or UNSAID
        self.finish_reasons[reason if reason in self.finish_reasons or len(self.finish_reasons) < DISTINCT else OTHER] += 1
        if judged.fate == "unread":
            teacher.unread[judged.because] += 1
            if judged.offered and (judged.offered in self.answers_astray or len(self.answers_astray) < DISTINCT):
                self.answers_astray[judged.offered] += 1
            teacher.refusals += judged.because == "no_answer" and reads_as_refusal(judged.said)
        if trace.unread_field and (trace.unread_field in teacher.unread_fields or len(teacher.unread_fields) < DISTINCT):
            teacher.unread_fields[trace.unread_field] += 1
        if trace.answer is not None:
            teacher.answered += 1
            teacher.probable += trace.probability is not None
            self.read_as[trace.read_as] += 1

    def _count_votes(self, outcome: CuratedSample) -> None:
        verdict, label = outcome.verdict, outcome.sample.label
        for ballot in verdict.ballots:
            teacher = self._teacher_tally(ballot.teacher)
            if verdict.accepted:
                teacher.ballots += 1
                teacher.agreeing += ballot.answer == verdict.answer
            if label is not None:
                teacher.labelled += 1
                teacher.with_label += ballot.answer == label
        for one, other in combinations(verdict.ballots, 2):
            pair = (min(one.teacher, other.teacher), max(one.teacher, other.teacher))
            equal, met = self.pairs.get(pair, (0, 0))
            self.pairs[pair] = (equal + (one.answer == other.answer), met + 1)

    def _count_lessons(self, sample: Sample, verdict: Verdict, step: int) -> None:
        """Count, by +1, or take back, by -1, that a Sample has Lessons."""
        self.accepted += step
        self.label_conflicts += step * verdict.label_conflict
        if sample.options:
            self._class_tally(str(verdict.answer)).answers += step
            if sample.label is not None:
                self._class_tally(sample.label).accepted += step

    def _count_conflict(self, sample: Sample, verdict: Verdict) -> None:
        if not is_conflict(sample, verdict):
            return
        self.conflicts += 1
        correction = (str(sample.label), str(verdict.answer))
        if sample.options and (correction in self.corrections or len(self.corrections) < DISTINCT):
            self.corrections[correction] += 1

    def _class_tally(self, name: str) -> ClassTally:
        known = name in self.classes or len(self.classes) < DISTINCT
        return self.classes.setdefault(name if known else OTHER, ClassTally())
