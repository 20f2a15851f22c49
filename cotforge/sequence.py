"""`consensus.rule: sequential` of a pipeline: who is asked about which Sample, and when; what the statistics need to know of it.

Samples are asked about in waves. About those of the first, the warm-up, every voter is asked; what they say teaches a policy by which
the next waves are walked, and what these say teaches a better one. A voter is a teacher with a kind of Call: `qwen` for a whole trace,
`qwen:short` for a short vote.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from cotforge import gold
from cotforge.consensus import Setting
from cotforge.consensus.image.admitted import LEAST as LEAST_CHECKED
from cotforge.consensus.sequential import Terms, Voter, Waves
from cotforge.consensus.sequential.rule import Sequential
from cotforge.consensus.sequential.terms import SHORT
from cotforge.consensus.sequential.waves import LEAST
from cotforge.consensus.until_label import UntilLabel
from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded, Pipeline
from cotforge.records import Call, Gold

if TYPE_CHECKING:
    from cotforge.consensus.image.features import Features
    from cotforge.consensus.image.samples import SamplePictures


class Basis(NamedTuple):
    """What a policy is made of."""

    upto: int
    """The last wave that counts; -1 where nothing is learned."""
    hasty: bool


@dataclass(frozen=True, slots=True)
class Guide:
    """A rule that asks in turn, for one pipeline and source."""

    pipeline: Pipeline
    rule: Sequential
    waves: Waves
    """They depend on the number of Samples, the ids with gold, and each id alone."""
    gold: Gold = field(default_factory=Gold)
    total: int = 0
    """Samples, about: rows of the source."""
    features: "Features | None" = None
    """Of the Samples' pictures, where `consensus.image` lets them vote."""

    @classmethod
    def of(
        cls,
        loaded: Loaded,
        folder: Path,
        total: Callable[[], int],
        *,
        rule: Sequential | None = None,
        features: "Features | None" = None,
    ) -> Self:
        """The guide of a run in `folder`, by the pipeline's rule or `rule`; `total` counts its Samples, `features` are of their pictures.

        Raises PipelineError where its gold is wrong, or voters too many.
        """
        if (
            loaded.pipeline.consensus.make_rule.targeted
            and not replace(vote_terms(loaded.pipeline, {}), image=features is not None).codable
        ):
            count = len(voter_names(loaded.pipeline))
            raise PipelineError(f"{loaded.path}: teachers: {count} voters are too many to ask in turn; take fewer teachers, or full votes")
        by = loaded.pipeline.consensus.make_rule if rule is None else rule
        assert isinstance(by, Sequential), "only rules that ask in turn have a guide"
        found, samples = gold.find_gold(loaded, folder), total()
        return cls(loaded.pipeline, by.kept_in(folder.absolute()), by.waves(samples, found.checked), found, samples, features)

    def terms(self, prices: Mapping[str, float]) -> Terms:
        """The constants of the vote, where a Call to each voter has this price."""
        heard = self.features is not None and len(self.gold.answers) >= LEAST_CHECKED
        return replace(vote_terms(self.pipeline, prices), total=self.total, whole=self.waves.whole, image=heard)

    def basis(self, wave: int) -> Basis:
        """Of which the policy of a wave is made."""
        return Basis(self.waves.needs(wave), self.waves.hasty(wave))

    @property
    def setting(self) -> Setting:
        """The vote over the journal, with prices as they were met."""
        about = self.terms({})
        return Setting(about, self.pipeline.consensus.label, self.gold, self.waves, priced=False, pictures=self.pictures(about))

    def pictures(self, about: Terms) -> "SamplePictures | None":
        """The features of all pictures, where these may vote; they are read once, and computed where they are not kept yet."""
        return self.features(about, self.waves.fold) if about.image and self.features is not None else None


def vote_setting(pipeline: Pipeline, gold: Gold | None = None) -> Setting:
    """The vote of a pipeline whose teachers are all asked at once."""
    return Setting(vote_terms(pipeline, {}), pipeline.consensus.label, gold or Gold())


def voter_name(call: Call) -> str:
    """Who is asked by a Call."""
    return f"{call.teacher}{SHORT}" if call.origin == "vote" else call.teacher


def voter_names(pipeline: Pipeline) -> tuple[str, ...]:
    """The names of all, in the order of the teachers, each before its short self."""
    ends = ("", SHORT) if pipeline.consensus.short_votes else ("",)
    return tuple(f"{teacher.name}{end}" for teacher in pipeline.teachers for end in ends)


def vote_terms(pipeline: Pipeline, prices: Mapping[str, float]) -> Terms:
    """The constants of a pipeline's vote; rows with options of their own have no closed set in common."""
    rule, columns = pipeline.consensus, getattr(pipeline.source, "columns", None)
    closed = pipeline.task.kind == "classify" and getattr(columns, "options", None) is None
    return Terms(
        voters=tuple(Voter(name.removesuffix(SHORT), name.endswith(SHORT), prices.get(name, 1.0)) for name in voter_names(pipeline)),
        options=pipeline.task.closed if closed else (),
        target=rule.target,
        objective=rule.wanted,
        max_calls=rule.max_calls,
        label=rule.label == "vote",
        order=rule.order or _usual_order(pipeline),
        promise=rule.promise.wish if rule.promise is not None else None,
        confidence=rule.asks_logprobs,
    )


def _usual_order(pipeline: Pipeline) -> tuple[str, ...]:
    """In which a rule that waits for the label asks, by the prices in the file; empty of a rule that asks in any order."""
    by, prices = pipeline.consensus.make_rule, {one.name: one.price.input + one.price.output for one in pipeline.teachers}
    return by.usual(prices) if isinstance(by, UntilLabel) else ()


def saves_nothing(guide: Guide | None) -> list[str]:
    """The line about a run that is too small for asking in turn; none for any other, and without a guide."""
    if guide is None or not 0 < guide.total <= guide.waves.whole:
        return []
    few = f"all {guide.total:,} samples are warm-up, about which every teacher is asked"
    return [f"consensus.rule: {guide.rule.name!r}: {few}; it saves calls from more than {LEAST} samples on"]
