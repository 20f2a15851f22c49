"""Where metrics go beside `metrics.jsonl`: any tracker that transformers knows, by its name there."""

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cotforge.errors import PipelineError
from cotforge.plan import Plan

PLACE = "TENSORBOARD_LOGGING_DIR"
"""The variable that says where tensorboard's files go; else they would go with the checkpoints, and be removed with them."""


def check_trackers(plan: Plan) -> None:
    """Raises PipelineError where a tracker is not known, or its package is not installed: before anything is trained."""
    given = [("train.report_to", plan.report_to)]
    given += [(f"train.stages: {stage.name!r}: trl.report_to", _listed_trackers(stage.trl_fields)) for stage in plan.expanded()]
    for where, names in given:
        _check_names(where, names)


def _listed_trackers(trl: dict[str, Any]) -> tuple[str, ...]:
    """What a stage's `trl:` says, but for `all` and `none`, which name no tracker."""
    said = trl.get("report_to") or ()
    names = [said] if isinstance(said, str) else said
    return tuple(str(name) for name in names if name not in ("all", "none"))


def _check_names(where: str, names: Iterable[str]) -> None:
    for name in names:
        from cotforge.train.trl_seam import INTEGRATION_TO_CALLBACK as KNOWN

        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KNOWN)}"
            raise PipelineError(f"{where}: no tracker named {name!r}; {hint}")
        try:
            KNOWN[name]()
        except (RuntimeError, ImportError) as fault:
            raise PipelineError(f"{where}: {name!r} needs a package that is not installed; pip install {name}") from fault


@contextmanager
def place_tensorboard(folder: Path) -> Iterator[None]:
    """Has tensorboard write below a stage's folder, unless the user says where."""
    ours = PLACE not in os.environ
    if ours:
        os.environ[PLACE] = str(folder / "tensorboard")
    try:
        yield
    finally:
        if ours:
            del os.environ[PLACE]
