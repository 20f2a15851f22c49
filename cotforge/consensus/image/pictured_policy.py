"""A policy that hears pictures, as a run uses it: what each Sample's picture says is known before anybody is asked."""

from collections.abc import Collection, Mapping
from functools import partial

from cotforge.consensus.image.admission import PictureAdmission, admit_pictures, evidence_of
from cotforge.consensus.image.evidence import PicturedEvidence
from cotforge.consensus.image.samples import with_codes
from cotforge.consensus.image.voter import Pictures
from cotforge.consensus.sequential import other_process
from cotforge.consensus.sequential.aim import aim_terms, is_known
from cotforge.consensus.sequential.answer_table import NONE, AnswerTable, Ints
from cotforge.consensus.sequential.learning import learn_policy
from cotforge.consensus.sequential.learning_cache import LearningCache
from cotforge.consensus.sequential.policy import NOTHING, Policy, Probabilities
from cotforge.consensus.sequential.terms import Terms


def learn_pictured_policy(terms: Terms, evidence: PicturedEvidence, upto: int, hasty: bool, *, memory: LearningCache) -> "PicturedPolicy":
    """The policy by what Samples of the waves up to `upto` said, and their pictures. Takes seconds."""
    told = evidence.told(terms)
    terms = aim_terms(terms, evidence_of(terms, told), memory)
    found = admit_pictures(terms, evidence.samples.padded(len(told)), told, upto)
    policy = learn_policy(terms, evidence_of(terms, with_codes(told, found.code_N)), upto, hasty, memory=memory)
    return PicturedPolicy(policy, found.code_N, evidence.samples.places)


async def learned_apart(terms: Terms, evidence: PicturedEvidence, upto: int, *, memory: LearningCache) -> "PicturedPolicy | None":
    """The same, in processes of their own; None where none can be had."""
    told = evidence.told(terms)
    if not is_known(terms, evidence_of(terms, told), memory):
        return None  # whoever asks finds it in a thread then
    terms = aim_terms(terms, evidence_of(terms, told), memory)
    found = await _looked_apart(terms, evidence.samples.padded(len(told)), told, upto)
    if found is None:
        return None
    policy = await other_process.learn_elsewhere(terms, evidence_of(terms, with_codes(told, found.code_N)), upto, memory=memory)
    return None if policy is None else PicturedPolicy(policy, found.code_N, evidence.samples.places)


async def _looked_apart(terms: Terms, pictures: Pictures, told: AnswerTable, upto: int) -> PictureAdmission | None:
    return await other_process.run_elsewhere(partial(admit_pictures, terms, pictures, told, upto))


class PicturedPolicy:
    """The policy of all Samples; `about` one, it is asked as any other."""

    def __init__(self, policy: Policy, code_N: Ints, places: Mapping[str, int]) -> None:
        self._policy, self._code_N, self._places = policy, code_N, places

    def about(self, id: str) -> "SamplePolicy":
        """The policy for the Sample of this id."""
        place = self._places.get(id)
        return SamplePolicy(self._policy, NONE if place is None else int(self._code_N[place]))


class SamplePolicy:
    """The policy for one Sample, whose picture says something."""

    def __init__(self, policy: Policy, picture: int) -> None:
        self._policy, self._picture = policy, picture

    def next(
        self, label: str | None, answers: Mapping[str, str | None], probabilities: Probabilities = NOTHING, *, without: Collection[str] = ()
    ) -> str | None:
        """See `Policy.next`."""
        return self._policy.next(label, answers, probabilities, without=without, picture=self._picture)

    def accepted(self, label: str | None, answers: Mapping[str, str | None], probabilities: Probabilities = NOTHING) -> str | None:
        """See `Policy.accepted`."""
        return self._policy.accepted(label, answers, probabilities, picture=self._picture)
