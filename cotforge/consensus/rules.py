"""`consensus:` of the pipeline file: from the ballots on one Sample to a verdict, whatever the order they came in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cotforge.consensus.dawid_skene import accuracies, dawid_skene, learned
from cotforge.consensus.image.spec import Image
from cotforge.consensus.majority import majority, unanimous
from cotforge.consensus.poll import Lead, Poll, poll
from cotforge.consensus.sequential import Objective, Wanted
from cotforge.consensus.votes import Votes
from cotforge.consensus.weighted import agreement, weighted
from cotforge.records import Ballot, Verdict, VoteReason
from cotforge.spec import Spec, WrongKey


class Lessons(Spec):
    """What asking in turn is to bring: lessons, as many as a sum pays, or lessons within it."""

    lessons: Annotated[int, Field(ge=1)] | None = None
    """Samples to be accepted."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """US dollars (without prices: seconds of the servers) that asking is to cost at most, as far as it can be foreseen."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.lessons is None and self.budget is None:
            raise ValueError("lessons, budget, or both are needed")
        return self


class Consensus(Spec):
    """How the teachers' answers become one, and what the raw label has to say in it."""

    rule: Literal["majority", "unanimous", "weighted", "dawid_skene", "sequential"] = "majority"
    """`majority`: more than half of the ballots; `unanimous`: all; `weighted`: more than half by agreement; `dawid_skene`: posterior;
    `sequential`: one teacher after another is asked about a sample, until the posterior is reached or not worth the rest."""
    target: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """The posterior an answer must reach under `dawid_skene` and `sequential`; the other rules do not use it."""
    label: Literal["vote", "gate", "ignore"] = "vote"
    """`vote`: the raw label is one more noisy voter; `gate`: the answer must equal it; `ignore`: it is only reported."""

    objective: Literal["balanced", "cheapest"] | Lessons = "balanced"
    """Under `sequential`: `balanced` counts calls, prices only break ties; `cheapest` counts prices, and accepts less; or numbers."""
    votes: Literal["full", "short"] = "full"
    """Under `sequential`: after the first, teachers are asked for a whole trace, or with `prompts.vote` for a short answer. A short Call
    keeps the teacher's own `max_tokens`: its prompt makes it short, and a model that thinks first is not cut off."""
    max_calls: Annotated[int, Field(ge=1)] | None = None
    """Under `sequential`: voters asked about one sample, at most; null is all."""
    image: Image | None = None
    """Under `sequential`: what pictures are known by, so that a classifier of them votes too, at no price: `pixels`, `{model: ID}` or
    `{embeddings: FILE}`. It is heard where checked answers show that it helps, and is never support enough for an answer."""

    @model_validator(mode="after")
    def _image_votes_in_turn(self) -> Self:
        if self.image is not None and not self.sequential:
            raise WrongKey("image", f"has no vote under rule {self.rule!r}; write rule: sequential, or leave it out")
        return self

    @property
    def sequential(self) -> bool:
        """Whether teachers are asked about a Sample one after another, as their answers demand."""
        return self.rule == "sequential"

    @property
    def short_votes(self) -> bool:
        """Whether there are Calls for short answers beside those for traces."""
        return self.sequential and self.votes == "short"

    @property
    def wanted(self) -> Objective:
        """`objective` as the statistics take it."""
        return self.objective if isinstance(self.objective, str) else Wanted(self.objective.lessons, self.objective.budget)

    @property
    def learns(self) -> bool:
        """Whether the rule must see all ballots (`learn`) before it decides."""
        return not self.sequential and self._rule.learn is not None

    def learn(self, votes: Votes) -> Any:
        """What the rule needs to know about the voters, to be handed to `decide`; None where it needs nothing."""
        return self._rule.learn(votes, self.label == "vote") if self._rule.learn else None

    def decide(self, ballots: Iterable[Ballot], label: str | None, options: Sequence[str], model: Any = None, *, teachers: int) -> Verdict:
        """The verdict on one sample; `teachers` is how many are configured, `model` what `learn` gave.

        The answer must come from at least two teachers, unless one alone is configured, and never from the label alone.
        """
        votes = poll(ballots, label if self.label == "vote" else None, options)
        if not votes.ballots:
            return Verdict(None, 0.0, False, "no_ballots")
        lead = self._rule.decide(votes, model, self.target)
        reason = lead.reason or self._bar(votes, lead, label, min(teachers, 2))
        conflict = not reason and label is not None and label != lead.answer
        return Verdict(lead.answer, min(lead.confidence, 1.0), not reason, reason, votes.ballots, conflict)

    def estimated_accuracy(self, votes: Votes) -> dict[str, float]:
        """Each teacher's accuracy in (0, 1), estimated from agreement (with the label's too, unless it is ignored); uncalibrated."""
        return accuracies(votes, label=self.label != "ignore")

    @property
    def _rule(self) -> "Rule":
        return next(rule for rule in RULES if rule.name == self.rule)

    def _bar(self, votes: Poll, lead: Lead, label: str | None, needed: int) -> VoteReason:
        """Why an answer the rule accepts is still not accepted; empty where it is."""
        if votes.supporters(lead.answer) < needed:
            return "one_teacher"
        if self.label == "gate" and label != lead.answer:
            return "label_missing" if label is None else "label_gate"
        return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way of agreeing; a new rule is a file of its own and a line in `RULES`."""

    name: str
    decide: Callable[[Poll, Any, float], Lead]
    """(poll, what `learn` gave, target) to the leading answer."""
    learn: Callable[[Votes, bool], Any] | None = None
    """(all votes, whether the label votes) to what only this rule's `decide` can read; None where nothing is learned."""


RULES = (
    Rule("majority", lambda votes, model, target: majority(votes)),
    Rule("unanimous", lambda votes, model, target: unanimous(votes)),
    Rule("weighted", lambda votes, model, target: weighted(votes, model), lambda votes, label: agreement(votes, label=label)),
    Rule("dawid_skene", dawid_skene, lambda votes, label: learned(votes, label=label)),
)
"""Every rule, by the name the pipeline file uses."""
