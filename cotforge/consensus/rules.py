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
    """A goal for asking in turn: a number of lessons, a budget, or both."""

    lessons: Annotated[int, Field(ge=1)] | None = None
    """Number of samples to accept. Null: as many as `budget` pays for."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """Most US dollars that asking may cost, as far as this can be predicted. Without prices it is
    seconds of server time. Null: no limit."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.lessons is None and self.budget is None:
            raise ValueError("lessons, budget, or both are needed")
        return self


class Consensus(Spec):
    """How the teachers' answers become one answer per sample, and what the raw label is used for."""

    rule: Annotated[str, AfterValidator(_known_rule), Field(json_schema_extra={"enum": [rule.name for rule in RULES]})] = "majority"
    """How answers are combined. `majority`: more than half of the votes. `unanimous`: all votes.
    `weighted`: more than half of the weight, by agreement with the majority. `dawid_skene`: a
    posterior of at least `target`. `sequential`: one teacher at a time, until the posterior reaches
    `target` or more calls are not worth their cost. `label_match`: the first teacher must confirm
    the raw label. `cascade`: one teacher at a time, until one confirms it."""
    target: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """Smallest posterior of an accepted answer, for each sample, under `dawid_skene` and
    `sequential`. With a promise: the lowest threshold that is tried. Other rules ignore it."""
    promise: Promise | None = None
    """A precision that checked answers (`gold`) must show. Answers that it does not hold for are
    not accepted. Null: no promise."""
    label: LabelRole = "vote"
    """Role of the raw label. `vote`: one more voter, never enough alone. `gate`: only answers equal
    to it are accepted. `ignore`: it is only reported. `label_match` and `cascade` always compare
    with the label."""

    objective: Literal["balanced", "cheapest"] | LessonGoal = "balanced"
    """For `sequential`: what to optimise. `balanced`: few calls; prices only break ties.
    `cheapest`: the lowest price per accepted sample; fewer are accepted. Or a section with a number
    of lessons or a budget."""
    votes: Literal["full", "short"] = "full"
    """For `sequential`: what teachers are asked after the first full reply. `full`: reasoning and
    answer. `short`: the answer alone, by `prompts.vote`; it pays from some thousand samples on.
    `max_tokens` stays the same."""
    max_calls: Annotated[int, Field(ge=1)] | None = None
    """For rules that ask in turn: most voters asked about one sample. Null: all."""
    order: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """For rules that ask in turn: the teachers' names in the order of asking. Under `sequential` it
    must name all of them; any may be skipped. Null: `sequential` decides for itself, `cascade`
    starts with the cheapest, other rules follow the file."""
    image: Image | None = None
    """For `sequential`: an image classifier that votes without a call. `pixels`: features of the
    pixels. `{model: ID}`: features of an image encoder. `{embeddings: FILE}`: your own features. It
    is used only where checked answers show that it helps, and it never decides alone. Null: none."""

    soft_labels: bool = False
    """Whether lessons have a column `soft_label`: the probability of every answer. `dawid_skene` and
    `sequential` give their posterior, `majority`, `unanimous` and `weighted` the shares of the
    votes. An answer that people checked has probability 1. Null for free answers and other rules."""
    logprobs: AutoOrOff = "auto"
    """`auto`: servers are asked for the log probability of the answer, and `sequential` uses it as
    evidence. `off`: they are not asked."""

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

    @property
    def looks_at_labels(self) -> bool:
        """Whether the raw label has a part in what is accepted."""
        return self.label != "ignore" or self.rule in ("label_match", "cascade")

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
