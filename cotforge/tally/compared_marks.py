"""Marks that people gave to texts, and which of them could be compared with those of judges."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cotforge.errors import show_value
from cotforge.plain_record import Record
from cotforge.records import CuratedSample

NAMED = 3
"""Ids, or keys of texts, that a line names."""


@dataclass(frozen=True, slots=True)
class PeopleMarks(Record):
    """Marks that people gave, as means where several did."""

    by_call: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By the key of the trace's Call, then by dimension."""
    by_id: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By the sample's id, then by dimension: of its first lesson."""
    empty: Sequence[str] = ()
    """What rows without a mark are for, a key or an id each."""
    repeated: Sequence[str] = ()
    """The same of rows that say again what another row says."""

    def of(self, outcome: CuratedSample, call: str) -> Mapping[str, float]:
        """The marks of people for one trace; those for its call stand before those for its sample."""
        first = outcome.lessons[0].judged.trace.call if outcome.lessons else None
        return {**(self.by_id.get(outcome.sample.id, {}) if call == first else {}), **self.by_call.get(call, {})}


class ComparedMarks:
    """Which marks of people had a text of the run, and a judge's mark beside them; memory grows with their file alone."""

    def __init__(self, people: PeopleMarks) -> None:
        self._people = people
        self._unknown = dict.fromkeys([*people.by_call, *people.by_id])
        self._untaught: list[str] = []
        self._unjudged: list[str] = []

    def add(self, outcome: CuratedSample, judged: Mapping[str, Collection[str]]) -> None:
        """Note one Sample; `judged`: the dimensions that judges gave marks for, by the key of the trace's Call."""
        id, people = outcome.sample.id, self._people
        if id in people.by_id:
            self._unknown.pop(id, None)
            if not outcome.lessons:
                self._untaught.append(id)
            elif not people.by_id[id].keys() <= set(judged.get(outcome.lessons[0].judged.trace.call, ())):
                self._unjudged.append(id)
        for call in [one.trace.call for one in outcome.traces if one.trace.call in people.by_call]:
            self._unknown.pop(call, None)
            if not people.by_call[call].keys() <= set(judged.get(call, ())):
                self._unjudged.append(call)

    def told(self) -> list[str]:
        """One line about the rows of the file that are compared with nothing, and doubled ones; none where there are none."""
        kinds = (
            (list(self._unknown), "id or call that no sample of this run has", "ids or calls that no sample of this run has"),
            (self._untaught, "sample without a lesson", "samples without a lesson"),
            (self._unjudged, "text that lacks a judge's mark", "texts that lack a judge's mark"),
            (self._people.empty, "row without a mark", "rows without a mark"),
            (self._people.repeated, "row that repeats another one, which counts once", "rows that repeat another one, which counts once"),
        )
        parts = [f"{len(keys):,} {one if len(keys) == 1 else many} ({_few(keys)})" for keys, one, many in kinds if keys]
        return [f"judge.gold: not compared with the judges: {'; '.join(parts)}"] if parts else []


def _few(keys: Sequence[str]) -> str:
    return ", ".join(map(show_value, keys[:NAMED])) + (", ..." if len(keys) > NAMED else "")
