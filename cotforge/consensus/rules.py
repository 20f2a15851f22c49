"""Every rule by its name, and `consensus:` of the pipeline file, which chooses one."""

from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from cotforge.consensus.dawid_skene import DAWID_SKENE
from cotforge.consensus.decider import LabelRole, Rule
from cotforge.consensus.image.spec import Image, describe_features
from cotforge.consensus.majority import MAJORITY, UNANIMOUS
from cotforge.consensus.promise import Promise
from cotforge.consensus.sequential import Objective, Wanted
from cotforge.consensus.sequential.rule import SEQUENTIAL
from cotforge.consensus.until_label import CASCADE, LABEL_MATCH
from cotforge.consensus.weighted import WEIGHTED
from cotforge.errors import show_value
from cotforge.spec import AutoOrOff, Spec, WrongKey

RULES: tuple[Rule, ...] = (MAJORITY, UNANIMOUS, WEIGHTED, DAWID_SKENE, SEQUENTIAL, LABEL_MATCH, CASCADE)
"""Every rule, by the name the pipeline file uses. A new one is a file of its own and an entry here."""


def rule_named(name: str) -> Rule:
    """The rule of that name. Raises ValueError where there is none, with the names there are."""
    for rule in RULES:
        if rule.name == name:
            return rule
    names = [rule.name for rule in RULES]
    near = get_close_matches(name, names, n=1)
    raise ValueError(f"no rule named {name[:60]!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"))


def _known_rule(name: str) -> str:
    return rule_named(name).name


class LessonGoal(Spec):
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

    rule: Annotated[str, AfterValidator(_known_rule), Field(json_schema_extra={"enum": [rule.name for rule in RULES]})] = "majority"
    """`majority`: more than half of the ballots; `unanimous`: all; `weighted`: more than half by agreement; `dawid_skene`: posterior;
    `sequential`: one teacher after another is asked about a sample, until the posterior is reached or not worth the rest;
    `label_match`: the first teacher must say the raw label; `cascade`: one after another is asked until one says it."""
    target: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """The posterior an answer must reach under `dawid_skene` and `sequential`, under a promise the least one that is tried; the other rules
    do not use it."""
    promise: Promise | None = None
    """A precision that checked samples must show: what cannot be promised is not accepted; null accepts by `rule` and `target` alone."""
    label: LabelRole = "vote"
    """`vote`: the raw label is one more noisy voter; `gate`: the answer must equal it; `ignore`: it is only reported. `label_match` and
    `cascade` wait for the label whatever stands here."""

    objective: Literal["balanced", "cheapest"] | LessonGoal = "balanced"
    """Under `sequential`: `balanced` counts calls, prices only break ties; `cheapest` counts prices, and accepts less; or numbers."""
    votes: Literal["full", "short"] = "full"
    """Under `sequential`: after the first, teachers are asked for a whole trace, or with `prompts.vote` for a short answer. A short Call
    keeps the teacher's own `max_tokens`: its prompt makes it short, and a model that thinks first is not cut off."""
    max_calls: Annotated[int, Field(ge=1)] | None = None
    """Under rules that ask in turn: voters asked about one sample, at most; null is all."""
    order: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Under rules that ask in turn: the names of teachers in the order in which they are asked, under `sequential` of all, any of whom may
    be left out; null is any order under `sequential`, else that of the file, under `cascade` the cheapest by `price` first."""
    image: Image | None = None
    """Under `sequential`: what pictures are known by, so that a classifier of them votes too, at no price: `pixels`, `{model: ID}` or
    `{embeddings: FILE}`. It is heard where checked answers show that it helps, and is never support enough for an answer."""

    logprobs: AutoOrOff = "auto"
    """`auto`: servers are asked how probable an answer was to the teacher itself, and `sequential` uses what they tell; `off`: neither."""

    @field_validator("order")
    @classmethod
    def _each_once(cls, order: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if twice := [name for place, name in enumerate(order or ()) if name in (order or ())[:place]]:
            raise ValueError(f"{show_value(twice[0])} stands twice; every teacher is asked once")
        return order

    @model_validator(mode="after")
    def _full_in_order(self) -> Self:
        if self.order is not None and self.short_votes:
            raise WrongKey("order", "there is none for short votes; write votes: full, or leave it out")
        return self

    @model_validator(mode="after")
    def _image_votes_in_turn(self) -> Self:
        if self.image is not None and not (self.sequential and self.make_rule.targeted):
            raise WrongKey("image", f"has no vote under rule {self.rule!r}; write rule: sequential, or leave it out")
        return self

    def idle_keys(self) -> list[str]:
        """A line for each key that is given and has no effect under the rule."""
        used = ({"max_calls", "order"} if self.sequential else set()) | ({"objective", "votes"} if self.rule == "sequential" else set())
        given = [name for name in ("max_calls", "order", "objective", "votes") if name in self.model_fields_set and name not in used]
        return [f"consensus.{name}: has no effect under rule {self.rule!r}" for name in given]

    @property
    def describe_pictures(self) -> str:
        """What pictures are known by where they may vote, in a few words; empty where they do not."""
        return "" if self.image is None else describe_features(self.image)

    @property
    def asks_logprobs(self) -> bool:
        """Whether the teachers' own probabilities count, and are asked for."""
        return self.logprobs == "auto"

    @property
    def make_rule(self) -> Rule:
        """The rule itself."""
        return rule_named(self.rule)

    @property
    def sequential(self) -> bool:
        """Whether teachers are asked about a Sample one after another, as their answers demand."""
        return self.make_rule.in_turn

    @property
    def short_votes(self) -> bool:
        """Whether there are Calls for short answers beside those for traces."""
        return self.rule == "sequential" and self.votes == "short"

    @property
    def wanted(self) -> Objective:
        """`objective` as the statistics take it."""
        return self.objective if isinstance(self.objective, str) else Wanted(self.objective.lessons, self.objective.budget)
