"""`sequential` as a rule: how its waves, policies and verdicts come about. What learns is imported by whoever calls it."""

from collections.abc import Collection
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from cotforge.consensus.decider import Decider, Rows, Rule, Setting
from cotforge.consensus.sequential.in_turn import CodedRows, decide_in_turn
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.waves import Waves

if TYPE_CHECKING:
    from cotforge.consensus.image.pictured_policy import PicturedPolicy, SamplePolicy
    from cotforge.consensus.image.samples import SamplePictures
    from cotforge.consensus.sequential.answer_table import Evidence
    from cotforge.consensus.sequential.policy import Policy

    AnyPolicy: TypeAlias = Policy | PicturedPolicy


class Sequential(Rule):
    """One teacher at a time, by a policy that is learned wave by wave. Rules that ask in another order override what differs."""

    name = "sequential"
    run: Path | None = None
    """The run folder in whose cache it finds what it learned before; None for votes that belong to no run."""

    def kept_in(self, run: Path) -> Self:
        """The same rule, for a run folder."""
        rule = copy(self)
        rule.run = run
        return rule

    @property
    def targeted(self) -> bool:
        return True

    @property
    def learns(self) -> bool:
        return True

    @property
    def in_turn(self) -> bool:
        return True

    def rows(self, setting: Setting) -> CodedRows:
        return CodedRows(setting)

    def learn(self, rows: Rows) -> Decider:
        assert isinstance(rows, CodedRows)
        return decide_in_turn(rows, self.run)

    # while asking

    def waves(self, total: int, gold: Collection[str], seed: int = 0) -> Waves:
        """Which of about `total` Samples are asked when; `gold`: ids that people checked."""
        return Waves(total, gold, seed)

    def evidence(self, terms: Terms, pictures: "SamplePictures | None" = None) -> "Evidence":
        """Empty; the order of adding leaves no trace. `pictures`: of the Samples, where they may vote."""
        from cotforge.consensus.image.evidence import PicturedEvidence
        from cotforge.consensus.sequential.answer_table import Evidence

        return Evidence(terms) if pictures is None else PicturedEvidence(terms, pictures)

    def first(self, terms: Terms) -> "AnyPolicy | None":
        """By what the first wave is asked; None where that is a warm-up, about which everybody is asked."""
        return None

    def policy(self, terms: Terms, evidence: "Evidence", upto: int, hasty: bool) -> "AnyPolicy":
        """Whom to ask, by what Samples of the waves up to `upto` said. It may take seconds; in haste it is learned less carefully."""
        from cotforge.consensus.image import pictured_policy as pictured
        from cotforge.consensus.image.evidence import PicturedEvidence
        from cotforge.consensus.sequential.learning import learn_policy
        from cotforge.consensus.sequential.learning_cache import cache_of

        if isinstance(evidence, PicturedEvidence):
            return pictured.learn_pictured_policy(terms, evidence, upto, hasty, memory=cache_of(self.run))
        if terms.promise is not None:
            from cotforge.consensus.sequential.aim import aim_terms

            terms = aim_terms(terms, evidence.table(terms), cache_of(self.run))
        return learn_policy(terms, evidence, upto, hasty, memory=cache_of(self.run))

    async def policy_apart(self, terms: Terms, evidence: "Evidence", upto: int) -> "AnyPolicy | None":
        """The same with care, in a process of its own; None where that could not be."""
        from cotforge.consensus.image import pictured_policy as pictured
        from cotforge.consensus.image.evidence import PicturedEvidence
        from cotforge.consensus.sequential.learning_cache import cache_of
        from cotforge.consensus.sequential.other_process import learn_elsewhere

        if isinstance(evidence, PicturedEvidence):
            return await pictured.learned_apart(terms, evidence, upto, memory=cache_of(self.run))
        if terms.promise is not None:
            from cotforge.consensus.sequential.aim import aim_terms, is_known

            told = evidence.table(terms)
            if not is_known(terms, told, cache_of(self.run)):
                return None  # whoever asks finds it in a thread then
            terms = aim_terms(terms, told, cache_of(self.run))
        return await learn_elsewhere(terms, evidence, upto, memory=cache_of(self.run))

    def policy_about(self, policy: "AnyPolicy", id: str) -> "SamplePolicy | Policy":
        """The policy for the Sample of this id, where pictures are heard; else that of all."""
        from cotforge.consensus.image.pictured_policy import PicturedPolicy

        return policy.about(id) if isinstance(policy, PicturedPolicy) else policy


SEQUENTIAL = Sequential()
