"""What follow-ups found out over all Samples: rates per teacher, marks, and how far judges agree with each other and with people."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cotforge.findings import Finding
from cotforge.followups.alpha import Agreement
from cotforge.followups.judge_marks import Dimension
from cotforge.followups.wrong_hints import HintRecord
from cotforge.records import CuratedSample, Fault, Trace
from cotforge.scores import wilson_interval
from cotforge.tally.common_phrases import CommonPhrases
from cotforge.tally.compared_marks import ComparedMarks, PeopleMarks

MANY = 1_000
"""Different answers of a teacher that are counted: free answers have no end."""
FLAT = 20
"""Traces from which on a judge that gives everything the same mark is told (default chosen by us)."""
CREDULOUS = 0.5
"""Share of the things that nobody named from which on a teacher that sees them is told."""
FEWEST = 10
"""Such things that it was asked for, before that is told."""


@dataclass(slots=True)
class _Rate:
    """How many of some yes or no questions were yes."""

    yes: int = 0
    of: int = 0

    def add(self, value: float) -> None:
        self.yes += value >= 0.5
        self.of += 1

    def summary(self) -> dict[str, Any]:
        return {
            "yes": self.yes,
            "of": self.of,
            "share": self.yes / self.of if self.of else None,
            "interval": wilson_interval(self.yes, self.of),
        }


@dataclass(slots=True)
class _Judge:
    """One judge."""

    replies: int = 0
    unread: int = 0
    """Replies without any mark."""
    missing: int = 0
    """Marks that a reply lacks, those of replies without any included."""
    marks: Counter[tuple[str, float]] = field(default_factory=Counter)
    """How often it gave a mark for a dimension."""

    def flat(self, names: Iterable[str]) -> float | None:
        """The mark that it gave to every trace and dimension, over at least `FLAT` traces; None where it told some apart."""
        marks = {mark for _, mark in self.marks}
        most = max((sum(count for (name, _), count in self.marks.items() if name == each) for each in names), default=0)
        return next(iter(marks)) if len(marks) == 1 and most >= FLAT else None


@dataclass(slots=True)
class _Marks:
    """The marks for one dimension."""

    sum: float = 0.0
    count: int = 0
    agreement: Agreement = field(default_factory=Agreement)
    people: Agreement = field(default_factory=Agreement)
    """Units of two marks: the judges' mean, and people's."""
    differences: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Sums over the traces that people marked: of how far the judges' mean is from theirs, and of how far above it lies."""

    def summary(self) -> dict[str, Any]:
        with_people = self.people.units
        return {
            "marks": self.count,
            "mean": self.sum / self.count if self.count else None,
            "traces_with_two_judges": self.agreement.units,
            "alpha_ordinal": self.agreement.alpha("ordinal"),
            "alpha_interval": self.agreement.alpha("interval"),
            "people": {
                "traces": with_people,
                "mean_absolute_difference": self.differences[0] / with_people,
                "mean_difference": self.differences[1] / with_people,
                "alpha_interval": self.people.alpha("interval"),
            }
            if with_people
            else None,
        }


class FindingTally:
    """Counts the findings of a run's follow-ups while its outcomes pass by; memory grows with teachers, dimensions and classes alone."""

    def __init__(self, rubric: Sequence[Dimension] = (), people: PeopleMarks | None = None) -> None:
        """`rubric`: that of `judge:`; `people`: marks to compare the judges with."""
        self._names = [dimension.name for dimension in rubric]
        self._people = people or PeopleMarks()
        self._compared = ComparedMarks(self._people)
        self._rates: dict[tuple[str, str, str], _Rate] = {}
        """By kind, teacher and detail."""
        self._answers: dict[str, Counter[str]] = {}
        """What each teacher answers, over all Samples."""
        self._probed: dict[tuple[str, str], Counter[str]] = {}
        """By teacher and detail, the answers of the traces that were probed."""
        self._dimensions = {name: _Marks() for name in self._names}
        self._judges: dict[str, _Judge] = {}
        self._writers: dict[tuple[str, str], list[float]] = {}
        """By writer and dimension: sum and number of its marks."""
        self._skipped: Counter[str] = Counter()
        self._phrases = CommonPhrases()
        """Of woven lessons."""

    def watch(self, stream: Iterable[CuratedSample | Fault]) -> Iterator[CuratedSample | Fault]:
        """The stream as it is, having counted it in passing."""
        for item in stream:
            if isinstance(item, CuratedSample):
                self.add(item)
            yield item

    def add(self, outcome: CuratedSample) -> None:
        """Count one Sample."""
        self._skipped.update(outcome.skipped)
        for lesson in outcome.lessons:
            if lesson.judged.trace.origin == "woven":
                self._phrases.add(lesson.judged.trace.reasoning)
        traces = {judged.trace.call: judged.trace for judged in outcome.traces}
        for judged in outcome.traces:
            trace = judged.trace
            if trace.origin == "solve" and trace.answer is not None:
                _count_bounded(self._answers.setdefault(trace.teacher, Counter()), trace.answer)
        marks: dict[str, dict[str, dict[str, float]]] = {}
        for finding in outcome.findings:
            if finding.kind == "judge":
                marks.setdefault(finding.trace, {}).setdefault(finding.by, {})[finding.detail] = finding.value
            else:
                self._add_answer(finding, traces.get(finding.trace))
        for call, given in marks.items():
            self._add_marks(given, traces.get(call), self._people.of(outcome, call))
        self._compared.add(outcome, {call: set().union(*given.values()) for call, given in marks.items()})
        self._add_judges(outcome, marks)

    def _add_answer(self, finding: Finding, trace: Trace | None) -> None:
        """Count a yes or a no."""
        of = finding.by if (finding.kind, finding.detail) == ("seen", "decoy") else finding.about
        self._rates.setdefault((finding.kind, of, finding.detail), _Rate()).add(finding.value)
        if finding.kind == "probe" and trace is not None and trace.answer is not None:
            _count_bounded(self._probed.setdefault((of, finding.detail), Counter()), trace.answer)

    def _add_marks(self, given: Mapping[str, Mapping[str, float]], trace: Trace | None, people: Mapping[str, float]) -> None:
        """Count the marks of one trace, by judge and dimension."""
        for name, counted in self._dimensions.items():
            marks = [marks[name] for marks in given.values() if name in marks]
            if not marks:
                continue
            counted.sum += sum(marks)
            counted.count += len(marks)
            counted.agreement.add(marks)
            if trace is not None:
                known = self._writers.setdefault((trace.teacher, name), [0.0, 0])
                known[0] += sum(marks)
                known[1] += len(marks)
            if name in people:
                mean = sum(marks) / len(marks)
                counted.people.add([mean, people[name]])
                counted.differences[0] += abs(mean - people[name])
                counted.differences[1] += mean - people[name]

    def _add_judges(self, outcome: CuratedSample, marks: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """Count what each judge gave, and what its replies lack."""
        given: dict[str, int] = {}
        read: Counter[str] = Counter()
        for by_judge in marks.values():
            for judge, said in by_judge.items():
                self._judges.setdefault(judge, _Judge()).marks.update(said.items())
                given[judge] = given.get(judge, 0) + len(said)
                read[judge] += 1
        replies = Counter(judged.trace.teacher for judged in outcome.traces if judged.trace.origin == "judge" and judged.fate == "check")
        for judge, many in replies.items():
            known = self._judges.setdefault(judge, _Judge())
            known.replies += many
            known.unread += many - read[judge]
            known.missing += many * len(self._names) - given.get(judge, 0)

    def summary(self, barred: Container[str] = ()) -> dict[str, Any]:
        """All figures, ready for JSON: kinds that found nothing are left out; shares in [0, 1], null where nothing was asked.

        `barred`: teachers whose explanations do not count, as they argue for wrong labels too.
        """
        kinds: dict[str, dict[str, dict[str, Any]]] = {}
        for (kind, teacher, detail), rate in sorted(self._rates.items()):
            told = kinds.setdefault(kind, {}).setdefault(teacher, {})[detail or "all"] = rate.summary()
            if kind == "probe":
                told["by_guessing"] = self._by_guessing(teacher, detail)
            if kind == "hint":
                told["in_words"] = HintRecord(rate.of, rate.yes).in_words()
                told |= {"barred": True} if teacher in barred else {}
        found: dict[str, Any] = dict(kinds)
        if self._judges:
            found["judge"] = {
                "dimensions": {name: counted.summary() for name, counted in self._dimensions.items()},
                "judges": {judge: self._judge_summary(counted) for judge, counted in sorted(self._judges.items())},
                "writers": self._writer_means(),
            }
        if (phrase := self._phrases.commonest()) is not None:
            found["commonest_phrase"] = {"texts": self._phrases.texts, "phrase": phrase.words, "in": phrase.texts, "share": phrase.share}
        return found | ({"skipped": dict(sorted(self._skipped.items()))} if self._skipped else {})

    def warnings(self) -> list[str]:
        """A line for each teacher whose marks or yes tell nothing, and one about marks of people that are compared with nothing."""
        return [*self._flat_judges(), *self._credulous(), *self._compared.told()]

    def _by_guessing(self, teacher: str, detail: str) -> float | None:
        """How often the answers that were probed would be given anyway: the mean share that they have among all answers of the teacher."""
        answers, probed = self._answers.get(teacher, Counter()), self._probed.get((teacher, detail), Counter())
        total, many = answers.total(), probed.total()
        return sum(count * answers[answer] for answer, count in sorted(probed.items())) / (total * many) if total and many else None

    def _judge_summary(self, judge: _Judge) -> dict[str, Any]:
        return {
            "replies": judge.replies,
            "unread": judge.unread,
            "missing_marks": judge.missing,
            "marks": judge.marks.total(),
            "flat": judge.flat(self._names),
        }

    def _writer_means(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for (writer, name), (total, many) in sorted(self._writers.items()):
            found.setdefault(writer, {})[name] = total / many
        return found

    def _flat_judges(self) -> Iterator[str]:
        for judge, counted in sorted(self._judges.items()):
            if (mark := counted.flat(self._names)) is not None:
                yield (
                    f"judge {judge!r} gave {mark:g} for everything, {counted.marks.total():,} times: its marks tell no two texts apart "
                    "and move every mean alike; name other judges in judge.teachers"
                )
            elif counted.replies >= FLAT and 2 * counted.unread > counted.replies:
                yield f"judge {judge!r}: {counted.unread:,} of {counted.replies:,} replies hold no mark; look at some, or name other judges"

    def _credulous(self) -> Iterator[str]:
        for (kind, teacher, detail), rate in sorted(self._rates.items()):
            if (kind, detail) == ("seen", "decoy") and rate.of >= FEWEST and rate.yes > CREDULOUS * rate.of:
                yield (
                    f"teacher {teacher!r} sees {rate.yes:,} of {rate.of:,} things that nobody named and that are in few pictures: "
                    "what it confirms of others (mentions_seen) tells little"
                )


def _count_bounded(counter: Counter[str], answer: str) -> None:
    if answer in counter or len(counter) < MANY:
        counter[answer] += 1
