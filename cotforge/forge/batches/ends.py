"""How the attempts of one Part end in the journal."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cotforge.forge.batches.parts import BatchPart, PartMember, Parts
from cotforge.forge.batches.spool import CALLS
from cotforge.replies.attempt import Attempt

TURNS = 2
"""Times that a Call is put into a batch before it is given up (ours)."""


@dataclass
class PartEnds:
    """Of one Part; what may be asked once more is noted in `again`."""

    part: BatchPart
    parts: Parts
    tell: Callable[[Attempt], object]
    """Is told of every attempt that ended, once that is on the disk."""
    turns: int = 1
    """A Call of a Part of an earlier turn than this may be asked once more; 1: of none."""
    again: dict[str, tuple[str, int]] = field(default_factory=dict)
    """`custom_id` to (key, input tokens)."""
    plain: bool = False
    """Whether that is asked without what the provider may have refused: log probabilities."""

    async def put(self, ends: list[tuple[Attempt, PartMember]]) -> None:
        """Into the journal. Raises JournalError where they cannot be kept."""
        rows = []
        for end, member in ends:
            self.plain = self.plain or bool(end.refused_field)
            more = end.outcome.retry and self.part.turn < self.turns
            if more:
                self.again[member.name] = (member.key, member.input_tokens)
            rows.append(replace(end, final=not more, url=self.part.url))
        await asyncio.gather(*map(self.parts.journal.end, rows))
        for row in rows:
            self.tell(row)

    async def rest(self, fate: Callable[[PartMember], Attempt]) -> None:
        """End every member that has no result."""
        members = self.parts.unanswered(self.part)
        for start in range(0, len(members), CALLS):
            await self.put([(fate(member), member) for member in members[start : start + CALLS]])
