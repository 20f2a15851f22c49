"""What a vote over a table of answers gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cotforge.errors import CotforgeError

if TYPE_CHECKING:
    import polars as pl

    from cotforge.consensus.claim import Claim
    from cotforge.consensus.image.admitted import Admission
    from cotforge.consensus.promise import Promised


class AnswersError(CotforgeError):
    """A table of answers, or what was handed over with it, is not as `decide` needs it."""


@dataclass(frozen=True)
class Decisions:
    """What a vote decided, what it cost, and what may be said of it."""

    frame: "pl.DataFrame"
    """One row per id in order of first appearance: `id`, `answer` (null if not accepted), `confidence` in [0, 1], `accepted`, `calls`
    (everything charged), `asked` (teachers, in turn), `against_label`."""
    claim: "Claim"
    """What is claimed of accepted answers that nobody checked."""
    teachers: "pl.DataFrame"
    """`teacher`, `calls`, `accuracy` (estimated, in [0, 1]; null where nothing tells), `twin_of` (the teacher it repeats; else null)."""
    cost: float
    """Of all calls, in the unit of the prices."""
    lacking: int = 0
    """Calls that the rule would have made and the table does not hold; of a Sample asked in turn the first counts, as it may have changed
    all that follow."""
    promise: "Promised | None" = None
    """What became of the promise that was wanted; None without one."""
    remarks: tuple[str, ...] = ()
    """Sentences about how the rule came to its verdicts, where that is not as usual."""
    admission: "Admission | None" = None
    """Whether pictures were heard, where there were features of them."""
    lacking_by: Mapping[str, int] = field(default_factory=dict)
    """The calls that are lacking, by teacher."""
    by_rule: Mapping[str, bool] = field(default_factory=dict)
    """Of each id that people checked, as a text: whether the rule accepts its answer as if they had not."""
