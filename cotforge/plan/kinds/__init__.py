"""The kinds of training stages, a file each; `train/kinds/<kind>.py` does what one says. A new kind gets a file and an entry in KINDS."""

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from cotforge.plan.kinds.dpo import Dpo
from cotforge.plan.kinds.grpo import Grpo
from cotforge.plan.kinds.merge import Merge
from cotforge.plan.kinds.sft import Sft
from cotforge.plan.kinds.trial import Try
from cotforge.plan.stage import Stage

KINDS: tuple[type[Stage], ...] = (Sft, Grpo, Dpo, Merge, Try)
"""Every kind there is."""

if TYPE_CHECKING:
    AnyStage = Stage
else:
    AnyStage = Annotated[Union[KINDS], Field(discriminator="kind")]  # noqa: UP007
    """An entry of `train.stages`, by its `kind`."""
