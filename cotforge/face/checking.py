"""What `check` looks at, training included."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cotforge.session import RunSession

if TYPE_CHECKING:
    from cotforge.estimate import Estimate


def check_session(
    session: RunSession, tell: Callable[[str], object], *, probe: int = 0, show: int | None = None, offline: bool = False
) -> "Estimate":
    """As `RunSession.check`, after what a training would need; `tell` gets the lines that the command prints. Raises CotforgeError."""
    plan = session.loaded.pipeline.train
    if plan is not None:
        from cotforge.train import precheck

        precheck.check_training(session.loaded, session.folder.path, session.samples)
        for line in precheck.without_vllm(plan.expanded()):  # the training may be for another machine
            tell(line)
    return session.check(tell, probe=probe, show=show, offline=offline)
