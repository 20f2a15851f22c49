"""One Sample's way from voter to voter, by the policy of its wave and its own answers alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cotforge.answers import Task
from cotforge.consensus import Heard
from cotforge.heard import one_heard
from cotforge.records import Call
from cotforge.replies.attempt import Attempt

if TYPE_CHECKING:
    from cotforge.consensus.image.pictured_policy import SamplePolicy
    from cotforge.consensus.sequential.policy import Policy

    AskedPolicy = Policy | SamplePolicy


@dataclass(slots=True, eq=False)
class SamplePath:
    """Where one Sample stands. Voters are named as in `sequence`."""

    id: str
    label: str | None
    wave: int
    calls: Mapping[str, Call]
    """By voter, in the order of the teachers, each before its short self."""
    known: dict[str, Attempt]
    """What was settled before, by voter: it is heard where the way leads there, and not otherwise."""
    policy: "AskedPolicy | None"
    """None in the warm-up, or where there was nobody left to ask when it was to be learned."""
    everybody: bool
    answers: dict[str, str | None] = field(default_factory=dict)
    """By voter, of those asked for the verdict; None of one that gave none."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """By voter, of those of these answers whose server told how probable they were."""
    shown: dict[str, str | None] = field(default_factory=dict)
    """By voter, of those asked for a trace once the verdict stood."""
    heard: dict[str, Heard] = field(default_factory=dict)
    """By voter, of all of these, as a vote over the journal takes it."""
    took: dict[str, tuple[float, float]] = field(default_factory=dict)
    """(dollars, seconds) of each reply, by voter."""
    lost: bool = False
    """Whether its picture is not there any more."""
    _wanted: set[str] = field(default_factory=set)
    _decided: bool = False
    _accepted: str | None = None

    def step(self, closed: Collection[str] = ()) -> list[str]:
        """Who is asked now, at once; nobody where it is over. Those in `closed` cannot be."""
        if self.lost:
            return []
        if self.everybody:
            return self._open_names([name for name in self.calls if name not in self.answers], closed)
        if self.policy is None:
            return self._open_names([name for name in self.calls if name in closed], closed)
        if not self._decided:
            name = self.policy.next(self.label, self.answers, self.probabilities)
            if name is not None and not self._open_names([name], closed):
                name = self.policy.next(self.label, self.answers, self.probabilities, without=closed)
            if name is not None:
                if name not in self.calls or name in self.answers or name in closed:
                    raise RuntimeError(f"sample {self.id!r}: the policy asks {name!r}, who cannot be asked (again)")
                return [name]
            self._decided, self._accepted = True, self.policy.accepted(self.label, self.answers, self.probabilities)
        return self._tracing_teacher(closed)

    def hear(self, name: str, attempt: Attempt, task: Task) -> None:
        """What a voter said, or that it said nothing."""
        heard = self.heard[name] = one_heard(self.calls[name], attempt.reply, task)
        (self.shown if self._decided else self.answers)[name] = heard.answer
        if heard.probability is not None and not self._decided:
            self.probabilities[name] = heard.probability
        if heard.replied:
            self.took[name] = heard.cost_usd, heard.seconds

    def along(self, task: Task) -> bool:
        """Go as far as what is known leads; whether that is the end."""
        while names := self.step():
            for name in names:
                if name not in self.known:
                    return False
                self.hear(name, self.known[name], task)
        return True

    @property
    def missed(self) -> set[str]:
        """Voters that were wanted and could not be asked."""
        return self._wanted - self.answers.keys() - self.shown.keys()

    @property
    def asked(self) -> bool:
        """Whether anybody was asked who had not been before."""
        return not self.known.keys() >= self.answers.keys() | self.shown.keys()

    @property
    def said(self) -> list[tuple[str, str | None]]:
        """(teacher, answer) of all that were heard."""
        return [(self.calls[name].teacher, read) for name, read in (self.answers | self.shown).items()]

    @property
    def accepted(self) -> bool:
        """Whether an answer stands."""
        return self._accepted is not None

    def _open_names(self, names: list[str], closed: Collection[str]) -> list[str]:
        self._wanted.update(name for name in names if name in closed)
        return [name for name in names if name not in closed]

    def _tracing_teacher(self, closed: Collection[str]) -> list[str]:
        """One that said what is accepted in short, where nobody has shown how to get there."""
        whole = {self.calls[name].teacher: read for name, read in (self.answers | self.shown).items() if self.calls[name].origin == "solve"}
        if self._accepted is None or self._accepted in whole.values():
            return []
        short = {self.calls[name].teacher for name, read in self.answers.items() if read == self._accepted}
        for name, call in self.calls.items():
            if call.origin == "solve" and call.teacher in short - whole.keys() and self._open_names([name], closed):
                return [name]
        return []
