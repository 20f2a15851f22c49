"""The student tried on held-out labels before, between and after stages; what was tried is not tried again."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotforge.plan import Eval
from cotforge.train.evaluation.askers import Asker, Checkpoint
from cotforge.train.evaluation.evaluate import evaluate, figure, write
from cotforge.train.evaluation.held import Held
from cotforge.train.report.record import counting


@dataclass(frozen=True)
class Trials:
    """Files `eval/<name>.json` of one run folder."""

    plan: Eval
    held: Callable[[], Held]
    """Read once, when it is first needed."""
    folder: Path
    """The run's."""
    max_tokens: int

    def of(self, name: str, weights: Path, key: str, tell: Callable[[str], object]) -> dict[str, Any]:
        """The figures of a student's folder, whose weights are known by `key`. Raises PipelineError where nothing is held out."""
        known = f"{key} {self.plan.model_dump_json()} {self.max_tokens}"
        found = self._before(name, known)
        if found is None:
            found = {"key": known} | self.figures(Checkpoint.load(str(weights)), name)
            write(self.folder, name, found)
        figures = ", ".join(f"{metric} {figure(found, metric)}" for metric in self.plan.metrics)
        tell(f"  held out ({found['n']:,}): {figures}")
        return found

    def figures(self, asker: Asker, name: str) -> dict[str, Any]:
        """Those of a model, which are not written down; progress is told by its name."""
        held = self.held()
        with counting(f"trying {name}", len(held.samples)) as done:
            return evaluate(asker, held, max_tokens=self.max_tokens, rescue=self.plan.rescue, done=done)

    def _before(self, name: str, known: str) -> dict[str, Any] | None:
        """What was written for the same weights."""
        with suppress(OSError, ValueError):
            found = json.loads((self.folder / "eval" / f"{name}.json").read_text(encoding="utf-8"))
            return found if isinstance(found, dict) and found.get("key") == known else None
        return None
