"""The student tried on held-out labels before, between and after stages; what was tried is not tried again."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from cotforge.plan import Eval, Student
from cotforge.train import ranks
from cotforge.train.evaluation import engines, routing, swapped
from cotforge.train.evaluation.askers import Asker, CheckpointAsker, Question
from cotforge.train.evaluation.engines import Candidate
from cotforge.train.evaluation.evaluate import Probe, evaluate_asker, figure_text, write_figures
from cotforge.train.evaluation.held_out import HeldOutSamples
from cotforge.train.evaluation.mean_entropy import MOST, mean_entropy
from cotforge.train.evaluation.one_sided import commonest_label, one_sided
from cotforge.train.report.record import count_progress

PROBES: Mapping[str, tuple[Probe, Callable[[Mapping[str, Any]], str]]] = {
    swapped.NAME: (swapped.measure_swaps, swapped.swaps_text),
    routing.NAME: (routing.measure_routing, routing.routing_text),
}
"""By the word in the pipeline file: what measures, and its figures in a line."""


@dataclass(frozen=True)
class Trials:
    """Files `eval/<name>.json` of one run folder. All processes of a run call each method; the first one writes and tells."""

    plan: Eval
    held: Callable[[], HeldOutSamples]
    """Read once, when it is first needed."""
    folder: Path
    """The run's."""
    max_tokens: int
    student: Student
    """Whose dtype and budget of pixels hold for every trial."""
    smoke: bool = False
    """Whether the figures are those of a smoke, which stay in its folder."""

    def of(
        self, name: str, weights: Path, key: str, tell: Callable[[str], object], *, whole: bool, probe: str | None = None
    ) -> dict[str, Any]:
        """The figures of a student's folder, whose weights are known by `key`, on all samples (`whole`) or on those of `eval.between`.

        With `probe`, one of PROBES, those of it too. Raises PipelineError where nothing is held out.
        """
        known = f"{key} {json.dumps(self.plan.measured(whole=whole))} {self.max_tokens} {self.student.dtype} {self.student.max_pixels}"
        known += f" {probe}" if probe else ""
        found = ranks.from_first(lambda: self._figures_before(name, known))
        if found is None:
            held = self.held() if whole else self.held().between(self.plan.between)
            candidate, cache = Candidate(str(weights), self.student), self.folder / "train" / "cache"
            by = partial(self._ask_figures, held=held, name=name, probe=probe)
            engine = "transformers" if probe == routing.NAME else self.plan.engine  # it tells perplexities
            figures = engines.evaluate_candidate(candidate, engine, len(held.samples), cache=cache, tell=tell, by=by)
            found = {"key": known} | figures
            ranks.from_first(partial(write_figures, self._figures_folder, name, found))
        shown, always = [f"{metric} {figure_text(found, metric)}" for metric in self.plan.metrics], commonest_label(found)
        tell(f"  {name}: held out ({found['n']:,}): {', '.join(shown)}" + (f"; {always.name}: {always.share:.3f}" if always else ""))
        for line in one_sided(found):
            tell(f"  {name}: guard: {line}")
        if probe:
            tell(f"  {name}: {PROBES[probe][1](found)}")
        return found

    def figures(self, asker: Asker, name: str) -> dict[str, Any]:
        """Those of a student in memory on the samples of `eval.between`, which are not written down; progress is told by its name."""
        return self._ask_figures(engines.Shared(asker), held=self.held().between(self.plan.between), name=name)

    def entropy(self, checkpoint: CheckpointAsker, name: str) -> float:
        """Nats of a token of a student in memory, over completions that it draws for samples of `eval.between`, 256 at most."""
        held = self.held().between(min(self.plan.between or MOST, MOST))
        questions = [Question(sample, held.messages(sample)) for sample in held.samples]
        with self._count_progress(f"entropy of {name}", -(-len(questions) // ranks.process_count())) as done:
            return mean_entropy(checkpoint, questions, max_tokens=self.max_tokens, done=done)

    def _count_progress(self, what: str, whole: int) -> AbstractContextManager[Callable[[int], object]]:
        return count_progress(what, whole, console=None if ranks.is_first() else Console(quiet=True))

    def _ask_figures(self, asker: Asker, *, held: HeldOutSamples, name: str, probe: str | None = None) -> dict[str, Any]:
        with self._count_progress(f"trying {name}", len(held.samples)) as done:
            more = PROBES[probe][0] if probe else None
            return evaluate_asker(asker, held, max_tokens=self.max_tokens, rescue=self.plan.rescue, done=done, probe=more)

    @property
    def _figures_folder(self) -> Path:
        return self.folder / "train" / "smoke" if self.smoke else self.folder

    def _figures_before(self, name: str, known: str) -> dict[str, Any] | None:
        """What was written for the same weights."""
        with suppress(OSError, ValueError):
            found = json.loads((self._figures_folder / "eval" / f"{name}.json").read_text(encoding="utf-8"))
            return found if isinstance(found, dict) and found.get("key") == known else None
        return None
