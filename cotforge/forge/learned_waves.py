"""What the walks of one reading have shown, and what is learned from it."""

import asyncio
from typing import TYPE_CHECKING

from cotforge.consensus.sequential import Terms
from cotforge.consensus.sequential.terms import mean_prices
from cotforge.coroutines import in_thread
from cotforge.forge.sample_path import SamplePath
from cotforge.sequence import Basis, Guide, voter_names

if TYPE_CHECKING:
    from cotforge.consensus.sequential.rule import AnyPolicy


class Notes:
    """What the walks of one reading have shown, and what is learned from it."""

    def __init__(self, guide: Guide) -> None:
        about = guide.terms({})
        self._guide, self._evidence = guide, guide.rule.evidence(about, guide.pictures(about))
        self._took: dict[str, list[tuple[float, float]]] = {name: [] for name in voter_names(guide.pipeline)}
        self._learning = asyncio.Lock()
        self._held: list[SamplePath] = []

    def add(self, walk: SamplePath) -> None:
        """A walk is over. While something is learned it is held back."""
        if self._learning.locked():
            self._held.append(walk)
            return
        if walk.wave == 0:
            for name, took in walk.took.items():
                self._took[name].append(took)
        if walk.answers:
            gold = self._guide.gold
            self._evidence.add(
                walk.wave,
                label=walk.label,
                answers=walk.answers,
                gold=gold.answers.get(walk.id),
                untold=walk.id in gold.ambiguous,
                everybody=walk.everybody,
                probabilities=walk.probabilities,
                id=walk.id,
            )

    def learn(self, basis: Basis) -> "AnyPolicy":
        """The policy that follows from some waves."""
        return self._guide.rule.policy(self._priced_terms, self._evidence, *basis)

    @property
    def _priced_terms(self) -> Terms:
        return self._evidence.parted(self._guide.terms(mean_prices(self._took)))

    async def learned(self, basis: Basis) -> "AnyPolicy":
        """The same, in a process of its own, or in a thread: in haste, or where there is no process."""
        async with self._learning:  # one after another: what was held back meanwhile belongs to the next
            policy = None if basis.hasty else await self._guide.rule.policy_apart(self._priced_terms, self._evidence, basis.upto)
            if policy is None:
                policy = await in_thread(lambda: self.learn(basis))
            held, self._held = self._held, []
        for walk in held:
            self.add(walk)
        return policy
