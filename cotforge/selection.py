"""`select:` of the pipeline file: which samples, and which of a sample's usable texts, become lessons."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from heapq import heappush, heappushpop
from statistics import median
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cotforge.measures.texts import words_of
from cotforge.order import sample_rank
from cotforge.records import Trace, Verdict
from cotforge.spec import Spec, WrongKey

LEFT_OUT = ("select:difficulty", "select:per_class")
"""Under which a Sample is counted that has a usable text, and that a key of `select` leaves out."""
DIFFICULTY, PER_CLASS = LEFT_OUT

SHINGLE = 3
"""Words of a shingle, the unit in which two texts are compared. Default chosen by us: the usual sizes for short texts are 2 to 5."""
_CLASS_SEED, _TEACHER_SEED = 21, 22
"""Of ranks: other orders than the ones in which samples are asked or drawn."""


class DifficultyRange(Spec):
    """Lowest and highest pass rate of a sample, both included, and whose pass rate it is."""

    from_: Literal["student", "teachers"] = Field(default="student", alias="from")
    """Whose pass rate. `student`: the one that `cotforge eval --write-back` stores in
    `difficulty.parquet`. `teachers`: the share of the teachers' votes for the accepted answer."""
    min: float | None = Field(default=None, ge=0, le=1)
    """Lowest pass rate that is kept. At least one of `min` and `max` is needed. Null: no lower
    bound."""
    max: float | None = Field(default=None, ge=0, le=1)
    """Highest pass rate that is kept. Null: no upper bound."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min, max: neither is given; give at least one")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min: {self.min:g} is above max {self.max:g}; no sample would be taken")
        return self

    @property
    def by_student(self) -> bool:
        """Whether pass rates come from `difficulty.parquet`."""
        return self.from_ == "student"

    def holds(self, share: float | None) -> bool:
        """Whether a share is within; one that is not known is."""
        return share is None or (self.min or 0.0) <= share <= (1.0 if self.max is None else self.max)

    def takes(self, verdict: Verdict, student_rate: float | None) -> bool:
        """Whether a Sample is within, by its student's pass rate or by its teachers'."""
        return self.holds(student_rate if self.by_student else teachers_pass_rate(verdict))


class Select(Spec):
    """Which samples, and which of a sample's usable texts, become lessons."""

    per_sample: Annotated[int, Field(ge=1)] = 1
    """Most lessons per sample."""
    per_class: Annotated[int, Field(ge=1)] | None = None
    """Most samples with lessons per accepted answer. Samples are chosen by a hash of their id, so
    that a larger source keeps most of them. The journal is read once more. Null: no limit."""
    length: Literal["middle", "longest", "shortest"] = "middle"
    """Which of a sample's texts are taken first, by their number of words. `middle`: those closest
    to the median length of the sample's texts."""
    diverse: bool = False
    """Whether the second and later lessons of a sample are the texts that share the fewest phrases
    of three words with those taken before. `length` still decides the first one."""
    teachers: Literal["any", "balanced"] = "any"
    """`balanced`: each sample's lessons come from different teachers as far as possible, and a hash
    of the sample's id decides whose text is first. On average, teachers with usable texts for the
    same samples then give equally many lessons. `any`: who wrote a text does not matter."""
    difficulty: DifficultyRange | None = None
    """Range of the pass rate of samples. Samples without a pass rate are kept. Null: all samples."""

    @model_validator(mode="after")
    def _diverse_needs_several(self) -> Self:
        if self.diverse and self.per_sample == 1:
            raise WrongKey("diverse", "has no effect with per_sample: 1; write per_sample: 2 or more, or leave it out")
        return self

    def choose(self, traces: Iterable[Trace], id: str = "", *, first: Sequence[Trace] = ()) -> list[Trace]:
        """At most `per_sample` of a Sample's usable traces, the first choice first; the order of `traces` does not matter.

        `id` is the Sample's; only `teachers: balanced` looks at it. `first` are traces that are taken before all others. Of traces that are
        equally good the lowest key of a Call comes first.
        """
        ranked, taken = self._rank_by_length(traces), [*first][: self.per_sample]
        if not (self.diverse or self.teachers == "balanced") or len(ranked) < 2:
            return [*taken, *ranked][: self.per_sample]
        while ranked and len(taken) < self.per_sample:
            pool = _teachers_in_turn(ranked, taken, id) if self.teachers == "balanced" else ranked
            chosen = min(pool, key=lambda trace: _largest_overlap(trace, taken)) if self.diverse and taken else pool[0]
            ranked.remove(chosen)
            taken.append(chosen)
        return taken

    def _rank_by_length(self, traces: Iterable[Trace]) -> list[Trace]:
        """By the number of reasoning words, as `length` wants it; equally good ones by the Call's key."""
        measured = [(len(words_of(trace.reasoning)), trace.call, trace) for trace in traces]
        if len(measured) > 1:
            middle = median([words for words, _, _ in measured])
            distance = {"middle": lambda words: abs(words - middle), "longest": lambda words: -words, "shortest": lambda words: words}
            measured.sort(key=lambda one: (distance[self.length](one[0]), one[1]))
        return [trace for _, _, trace in measured]


def teachers_pass_rate(verdict: Verdict) -> float | None:
    """Share of the teachers' ballots for the accepted answer, in [0, 1]; None without an accepted answer or without ballots.

    A rule that asks in turn stops asking about easy samples early, so its rates are of few ballots.
    """
    if not verdict.accepted or not verdict.ballots:
        return None
    return sum(ballot.answer == verdict.answer for ballot in verdict.ballots) / len(verdict.ballots)


class ClassCap:
    """Finds the samples that `per_class` takes: in each class, those with the lowest hashes of their ids.

    Memory: `most` numbers per class, however many samples there are. Adding a sample can only push out one of the same class.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._negated: dict[str, list[int]] = {}
        """By class, a heap of negated ranks: the highest rank comes out first."""
        self._full: set[str] = set()
        """Classes with more samples than are taken."""

    def add(self, answer: str, id: str) -> None:
        """Count in a Sample that would have a Lesson with this answer; each Sample once, in any order."""
        ranks = self._negated.setdefault(answer, [])
        if len(ranks) < self._most:
            heappush(ranks, -class_rank(id))
        else:
            heappushpop(ranks, -class_rank(id))
            self._full.add(answer)

    def bounds(self) -> dict[str, int]:
        """By class, the highest rank that is taken; a class without an entry is taken whole."""
        return {answer: -self._negated[answer][0] for answer in sorted(self._full)}


def class_rank(id: str) -> int:
    """A Sample's place in the order in which `per_class` takes them: a hash of its id, below 2**64."""
    return sample_rank(id, _CLASS_SEED)


def is_within_cap(answer: str | None, id: str, bounds: Mapping[str, int]) -> bool:
    """Whether `per_class` takes a Sample, by the bounds of a `ClassCap`."""
    return answer is None or answer not in bounds or class_rank(id) <= bounds[answer]


def shingle_overlap(one: str, other: str) -> float:
    """Share of the word shingles of two texts that both have, in [0, 1]: 1 for equal texts. Case does not matter.

    Source: Broder 1997, resemblance (the Jaccard index of the sets of shingles).
    """
    left, right = _word_shingles(one), _word_shingles(other)
    together = len(left | right)
    return len(left & right) / together if together else 1.0


def _largest_overlap(trace: Trace, taken: Iterable[Trace]) -> float:
    return max(shingle_overlap(trace.reasoning, other.reasoning) for other in taken)


@lru_cache(maxsize=64)
def _word_shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = words_of(text.lower())
    return frozenset(zip(*(words[start:] for start in range(min(SHINGLE, max(len(words), 1)))), strict=False))


def _teachers_in_turn(ranked: Collection[Trace], taken: Collection[Trace], id: str) -> list[Trace]:
    """The traces of the teachers who wrote fewest of the taken ones, by an order of the teachers that is drawn for the Sample."""
    counts = Counter(trace.teacher for trace in taken)
    fewest = min(counts[trace.teacher] for trace in ranked)
    return sorted((trace for trace in ranked if counts[trace.teacher] == fewest), key=lambda trace: _teacher_rank(id, trace.teacher))


def _teacher_rank(id: str, teacher: str) -> int:
    """A teacher's place in the order that is drawn for one Sample: it depends on no other teacher."""
    return sample_rank(f"{teacher}\0{id}", _TEACHER_SEED)
