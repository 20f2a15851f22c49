"""How many Calls will follow the vote, before they are asked: exactly where replies lead, else as each section expects."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from cotforge.followups.frame import FollowUp, Lookup, SampleFollowUps
from cotforge.records import Fault
from cotforge.teachers.wire import input_tokens

ACCEPTED = 0.8
"""Share of the Samples whose vote is taken to accept an answer as long as nobody was asked (default chosen by us)."""
LESS, MORE = 0.5, 2.0
"""Between what factors of the likely number the Calls lie that nobody can count yet (default chosen by us)."""


@dataclass(slots=True)
class FollowUpForecast:
    """Calls to come after the vote, by section and teacher."""

    sections: dict[str, dict[str, float]]
    counted: dict[str, float] = field(default_factory=dict)
    """Input tokens of those that are known already, by teacher."""
    known: Counter[str] = field(default_factory=Counter)
    """How many are known already, by teacher."""
    voted: int = 0
    """Samples whose vote is at its end."""
    accepted: int = 0
    """Of these, with an accepted answer."""
    at_most: set[str] = field(default_factory=set)
    """Sections of whose Calls some are not known yet: they are counted as the section expects, at most."""

    @property
    def accepted_share(self) -> float:
        """Of all Samples, as far as it is known."""
        return self.accepted / self.voted if self.voted else ACCEPTED

    @property
    def why(self) -> str:
        """What it rests on."""
        share = f"{self.accepted_share:.0%} of the samples had an accepted answer"
        return f"{share}, as the {self.voted:,} so far have" if self.voted else f"{share}, which is an assumption"

    def of_teacher(self, name: str) -> float:
        """Calls of a teacher."""
        return sum(section.get(name, 0.0) for section in self.sections.values())

    def is_at_most(self, name: str | None = None) -> bool:
        """Whether some Calls, of a teacher or of any, are not known yet, so that the figures are upper bounds."""
        return any(self.sections[section].get(name, 0.0) if name else self.sections[section] for section in self.at_most)


def forecast_follow_ups(
    follow_ups: Mapping[str, FollowUp],
    samples: int,
    steps: Iterable[SampleFollowUps | Fault | None],
    lookup: Lookup,
    *,
    voters: int,
) -> FollowUpForecast:
    """By section. `steps`: of each Sample, None where the vote about it is not at its end; `voters`: Calls of the vote about a Sample."""
    found = FollowUpForecast({name: {} for name in follow_ups})
    expected = cache(lambda name, accepted: follow_ups[name].expected_calls(accepted, voters))
    names = list(follow_ups)
    for each in steps:
        if isinstance(each, Fault) or each is None:
            continue
        found.voted += 1
        found.accepted += each.about.verdict.accepted
        for call in each.advance(lookup):
            found.known[call.teacher] += 1
            found.counted[call.teacher] = found.counted.get(call.teacher, 0) + input_tokens(call)
        for place, calls in each.wanting:
            section = names[place]
            _add_calls(found.sections[section], Counter(call.teacher for call in calls))
            if not each.has_asked(place) and (later := follow_ups[section].later_calls(accepted=each.about.verdict.accepted)):
                _add_calls(found.sections[section], later)
                found.at_most.add(section)
    for name in names if samples > found.voted else ():
        _add_calls(found.sections[name], expected(name, found.accepted_share), times=samples - found.voted)
        found.at_most.add(name)
    return found


def _add_calls(section: dict[str, float], calls: Mapping[str, float], *, times: float = 1) -> None:
    for name, count in calls.items():
        if count:
            section[name] = section.get(name, 0.0) + times * count
