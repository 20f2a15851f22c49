"""How many Calls will follow the vote, before they are asked: exactly where replies lead, else as each section expects."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cotforge.consensus.sequential import Waves
from cotforge.followups.frame import FollowUp, Lookup, SampleFollowUps, VotedSample
from cotforge.records import Fault
from cotforge.teachers.wire import input_tokens

ACCEPTED = 0.8
"""Share of the Samples whose vote is taken to accept an answer as long as nobody was asked (default chosen by us)."""
LESS, MORE = 0.5, 2.0
"""Between what factors of the likely number the Calls lie that nobody can count yet (default chosen by us)."""


@dataclass(slots=True)
class TurnReplies:
    """How many replies an accepted answer rests on where teachers are asked in turn, by the Samples whose vote is at its end."""

    waves: Waves
    everybody: int = 0
    """Samples about which every teacher was asked."""
    accepted: int = 0
    """Samples with an accepted answer about which the teachers were asked in turn."""
    replies: int = 0
    """To the Calls about these, as far as the vote needed them."""

    def add(self, about: VotedSample) -> None:
        """Count a Sample."""
        if self.waves.everybody(about.sample.id):
            self.everybody += 1
        elif about.verdict.accepted:
            self.accepted += 1
            # A ballot may be a short vote, and a trace one that an earlier rule asked for.
            self.replies += min(len(about.verdict.ballots), sum(judged.trace.origin == "solve" for judged in about.traces))

    @property
    def mean(self) -> float | None:
        """Per Sample; None where none was accepted yet."""
        return self.replies / self.accepted if self.accepted else None

    def expected(self, voters: int, samples: int) -> float:
        """Replies about each of `samples` that are still to be voted on, where everybody is `voters`."""
        if self.mean is None or not samples:
            return voters
        whole = min(samples, max(0, self.waves.whole - self.everybody))
        return (whole * voters + (samples - whole) * self.mean) / samples


@dataclass(slots=True)
class FollowUpForecast:
    """Calls to come after the vote, by section and teacher."""

    sections: dict[str, dict[str, float]]
    in_turn: TurnReplies | None = None
    """None where every teacher is asked about every Sample, or nothing that follows depends on how many are."""
    counted: dict[str, float] = field(default_factory=dict)
    """Input tokens of those that are known already, by teacher."""
    known: Counter[str] = field(default_factory=Counter)
    """How many are known already, by teacher."""
    voted: int = 0
    """Samples whose vote is at its end."""
    accepted: int = 0
    """Of these, with an accepted answer."""
    unpromised: int = 0
    """Of these, left out by the promise alone: nothing follows the vote about them."""
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
        if self.unpromised:
            share += f" and consensus.promise left out {self.unpromised / self.voted:.0%}"
        accepted = f"{share}, as the {self.voted:,} so far have" if self.voted else f"{share}, which is an assumption"
        if self.in_turn is None:
            return accepted
        if (mean := self.in_turn.mean) is None:
            return f"{accepted}, and as if all teachers were asked about each; asked in turn, they are fewer"
        return f"{accepted}, and {mean:.1f} replies to it, as the {self.in_turn.accepted:,} about which teachers were asked in turn"

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
    waves: Waves | None = None,
) -> FollowUpForecast:
    """By section. `steps`: of each Sample, None where the vote about it is not at its end; `voters`: Calls of the vote about a Sample.

    `waves`: of a vote that asks in turn, where `voters` is the most.
    """
    found = FollowUpForecast({name: {} for name in follow_ups})
    if waves is not None and any(one.expected_calls(1.0, voters) != one.expected_calls(1.0, voters + 1.0) for one in follow_ups.values()):
        found.in_turn = TurnReplies(waves)
    names = list(follow_ups)
    for each in steps:
        if isinstance(each, Fault) or each is None:
            continue
        found.voted += 1
        found.accepted += each.about.verdict.accepted
        found.unpromised += each.about.verdict.unpromised
        if found.in_turn is not None:
            found.in_turn.add(each.about)
        for call in each.advance(lookup):
            found.known[call.teacher] += 1
            found.counted[call.teacher] = found.counted.get(call.teacher, 0) + input_tokens(call)
        for place, calls in each.wanting:
            section = names[place]
            _add_calls(found.sections[section], Counter(call.teacher for call in calls))
            if not each.has_asked(place) and (later := follow_ups[section].later_calls(accepted=each.about.verdict.accepted)):
                _add_calls(found.sections[section], later)
                found.at_most.add(section)
    left = samples - found.voted
    replies = voters if found.in_turn is None else found.in_turn.expected(voters, left)
    followed = found.voted - found.unpromised
    share, part = (found.accepted / followed, followed / found.voted) if followed else (ACCEPTED, float(not found.voted))
    for name in names if left * part > 0 else ():
        _add_calls(found.sections[name], follow_ups[name].expected_calls(share, replies), times=left * part)
        found.at_most.add(name)
    return found


def _add_calls(section: dict[str, float], calls: Mapping[str, float], *, times: float = 1) -> None:
    for name, count in calls.items():
        if count:
            section[name] = section.get(name, 0.0) + times * count
