"""All ballots of a run, packed: what a rule that learns, and the figures of reliability, are made from."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from cotforge.records import Ballot

WIDEST = 30
"""Classes up to which answers are kept by class; above, and for free answers, only who agrees with whom is kept."""


class CandidateAnswer(NamedTuple):
    """One answer given to a sample."""

    place: int
    """Its place among the sorted options, from 0; -1 where answers are not kept by class."""
    by_label: bool
    """Whether the raw label says the same."""
    voices: tuple[tuple[int, int], ...]
    """(place in `Votes.teachers`, number of ballots) of every teacher who gave it; empty where only the label does."""


class Pattern(NamedTuple):
    """A way in which samples were voted on."""

    size: int
    """Classes of the closed set; 0 for a free answer."""
    answers: tuple[CandidateAnswer, ...]


class Votes:
    """Ballots of any number of samples, equal ones counted once: memory follows the distinct ways of voting.

    The order of samples, ballots and teachers leaves no trace in what is read back. Ballots count by teacher and answer; a
    ballot's own `weight` speaks in its own poll only.
    """

    def __init__(self) -> None:
        self._voters: dict[str, int] = {}
        self._counts: Counter[bytes] = Counter()
        self._given: Sequence[str] | None = None
        self._places: dict[str, int] = {}
        self.by_class = True
        """Whether all samples so far had one closed set of at most `WIDEST` classes."""

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names seen, sorted."""
        return tuple(sorted(self._voters))

    @property
    def options(self) -> tuple[str, ...]:
        """The closed set, sorted, where answers are kept by class."""
        return tuple(self._places) if self.by_class else ()

    def add(self, ballots: Iterable[Ballot], label: str | None, options: Sequence[str], times: int = 1) -> None:
        """Counts one sample in, or several alike; one without ballots says nothing about a teacher and is left out.

        Raises KeyError where an answer or the label is not one of the options all samples share.
        """
        # Plain dicts: this is called a million times, and a Counter costs five times as much.
        voices: dict[str, dict[int, int]] = {}
        for ballot in ballots:
            voter = self._voters.setdefault(ballot.teacher, len(self._voters))
            counts = voices.setdefault(ballot.answer, {})
            counts[voter] = counts.get(voter, 0) + 1
        if not voices:
            return
        if label is not None:
            voices.setdefault(label, {})
        if self.by_class and options is not self._given:
            self._note_options(options)
        places = self._places if self.by_class else None
        answers = [
            (-1 if places is None else places[answer], answer == label, tuple(sorted(counts.items()))) for answer, counts in voices.items()
        ]
        self._counts[_pack_pattern(len(options), answers)] += times

    def patterns(self) -> Iterator[tuple[Pattern, int]]:
        """Every distinct pattern with its number of samples, in an order that follows from the ballots alone."""
        self._number_teachers()
        for key in sorted(self._counts):
            yield _unpack_pattern(key), self._counts[key]

    def _note_options(self, options: Sequence[str]) -> None:
        """Takes note of a sample's options; a second closed set, a wide one or none ends keeping answers by class."""
        places = {option: place for place, option in enumerate(sorted(options))}
        if self._given is None:
            self._places = places
        self._given = options
        if places == self._places and 0 < len(places) <= WIDEST:
            return
        self.by_class = False
        self._rewrite_patterns(lambda pattern: Pattern(pattern.size, tuple(said._replace(place=-1) for said in pattern.answers)))

    def _number_teachers(self) -> None:
        """Numbers the teachers by name instead of by arrival."""
        new = {old: place for place, old in enumerate(self._voters[name] for name in self.teachers)}
        if all(old == place for old, place in new.items()):
            return

        def renumbered(said: CandidateAnswer) -> CandidateAnswer:
            return said._replace(voices=tuple(sorted((new[voter], count) for voter, count in said.voices)))

        self._rewrite_patterns(lambda pattern: Pattern(pattern.size, tuple(map(renumbered, pattern.answers))))
        self._voters = {name: place for place, name in enumerate(self.teachers)}

    def _rewrite_patterns(self, change: Callable[[Pattern], Pattern]) -> None:
        """Changes every pattern, holding no second copy of all of them."""
        old, self._counts = self._counts, Counter()
        while old:
            key, count = old.popitem()
            self._counts[_pack_pattern(*change(_unpack_pattern(key)))] += count


def _pack_pattern(size: int, answers: Iterable[tuple[int, bool, tuple[tuple[int, int], ...]]]) -> bytes:
    """The pattern as 16-bit words, its answers sorted: two samples with the same votes give the same bytes."""
    words = [min(size, 0xFFFF)]
    for place, by_label, voices in sorted(answers):
        words += (place + 1, by_label, len(voices))
        for voice in voices:
            words += voice
    return array("H", words).tobytes()


def _unpack_pattern(key: bytes) -> Pattern:
    words = array("H", key)
    answers, at = [], 1
    while at < len(words):
        end = at + 3 + 2 * words[at + 2]
        voices = tuple(zip(words[at + 3 : end : 2], words[at + 4 : end : 2], strict=True))
        answers.append(CandidateAnswer(words[at] - 1, bool(words[at + 1]), voices))
        at = end
    return Pattern(words[0], tuple(answers))
