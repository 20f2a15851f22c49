"""`cotforge eval`: a model on the held-out labels of a pipeline, beside `cotforge train` and after it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cotforge.errors import CotforgeError, PipelineError
from cotforge.folder import RunFolder
from cotforge.images import Sending
from cotforge.notices import give_notice
from cotforge.optional import pass_over_torchvision
from cotforge.pipeline import Loaded
from cotforge.train.evaluation.askers import Asker, Endpoint
from cotforge.train.evaluation.engines import Candidate, Engine, evaluate_candidate
from cotforge.train.evaluation.evaluate import evaluate_asker, figures_text, most_tokens, write_figures
from cotforge.train.evaluation.held_out import HeldOutSamples
from cotforge.train.report.record import count_progress

T = TypeVar("T")
STUDENT = Path("train") / "student"
"""Of a run folder: the trained student."""
TINY = Path("train") / "tiny"
"""Of a run folder: the student that `train.student.tiny` begins with."""


@dataclass(frozen=True, kw_only=True)
class AskedModel:
    """Who is asked: a model in this process, or behind a URL."""

    model: str | None = None
    """A folder, a Hub id, or with `url` a name that is served there; None is the student that was trained, else the one that would be."""
    url: str | None = None
    key_env: str | None = None
    max_tokens: int | None = None
    """Of an answer; None leaves that to the plan."""
    batch: int | None = None
    """Questions at a time, at most, where the model is in this process."""

    def of(self, loaded: Loaded, run: Path, said: str, questions: int, ask: Callable[[Asker], T]) -> tuple[str, T]:
        """(the model's name as a file's, what `ask` makes of the asker); `said` is told with the model. Raises CotforgeError."""
        if self.url is not None:
            served = Endpoint.at(self.url, self.model, sending=Sending(loaded.pipeline.images, run), key_env=self.key_env)
            give_notice(f"{said} {served.name}")
            return name_of(served.name.partition(" at ")[0]), ask(served)
        candidate, name = _find_candidate(loaded, run, self.model, self.batch)
        give_notice(f"{said} {candidate.model}")
        engine = loaded.pipeline.eval.engine if loaded.pipeline.eval else "auto"
        try:
            return name, _ask_candidate(candidate, engine, questions, run / "train" / "cache", ask)
        except PipelineError as fault:
            if self.model is None:
                raise
            raise PipelineError(*(line.replace("train.student.model: ", "model: ", 1) for line in fault.faults)) from fault


def try_out(
    pipeline: str | Path,
    *,
    asked: AskedModel,
    out: Path | None = None,
    sets: Sequence[str] = (),
    rescue: int | None = None,
    trust: bool = True,
    tell: Callable[[str], object] = print,
) -> Path:
    """Evaluate, tell the figures, and return the file of `eval/` that holds them. All held-out samples are asked about.

    Raises CotforgeError where the pipeline, the model or the server is wrong, or the run folder is in use.
    """
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    plan = loaded.pipeline.eval
    with RunFolder(out or Path("runs") / loaded.pipeline.name, name=loaded.pipeline.name) as run:
        for line in run.notes():
            give_notice(line)
        held = HeldOutSamples.of(loaded.in_run(run.path), run.path)
        tokens = asked.max_tokens or most_tokens(loaded.pipeline.train)
        more = plan.rescue if rescue is None and plan is not None else rescue or 0

        def ask(asker: Asker) -> dict[str, Any]:
            with count_progress("answered", len(held.samples)) as done:
                return evaluate_asker(asker, held, max_tokens=tokens, rescue=more, done=done)

        said = f"{len(held.samples):,} held-out samples, {held.unlabelled:,} more without a label; asking"
        name, found = asked.of(loaded, run.path, said, len(held.samples), ask)
        if found["failed"]:
            give_notice(f"{found['failed']:,} of {found['failed'] + found['n']:,} questions were not answered, and count in no figure")
        path = write_figures(run.path, name, found)
    tell(figures_text(found, plan.metrics if plan else ()))
    tell(f"figures: {path}")
    return path


def _find_candidate(loaded: Loaded, folder: Path, model: str | None, batch: int | None) -> tuple[Candidate, str]:
    """Which model is tried, and the name of the file. The student and its base have the dtype and the budget of pixels of the plan."""
    trained, plan = folder / STUDENT, loaded.pipeline.train
    spec = plan.student if plan is not None else None
    if model is not None and Path(model).resolve() != trained.resolve():
        return Candidate(model, batch=batch), name_of(model)
    if (trained / "config.json").is_file():
        return Candidate(str(trained.resolve()), spec, batch=batch), "student"
    if spec is None:
        raise PipelineError(f"{loaded.path}: train: is missing, so there is no student; name a model with --model or --url")
    if spec.model is not None:
        return Candidate(spec.model, spec, loaded.root, batch), "base"
    if not (folder / TINY / "config.json").is_file():
        raise PipelineError(
            f"{folder / TINY}: there is no tiny student yet; cotforge train makes it, or name a model with --model or --url"
        )
    return Candidate(str((folder / TINY).resolve()), spec, batch=batch), "base"


def _ask_candidate(candidate: Candidate, engine: Engine, questions: int, cache: Path, ask: Callable[[Asker], T]) -> T:
    if line := pass_over_torchvision():
        give_notice(line)
    try:
        return evaluate_candidate(candidate, engine, questions, cache=cache, tell=give_notice, by=ask)
    except ImportError as fault:
        raise CotforgeError(f"cotforge eval needs {fault.name} for a model in this process: pip install 'cotforge[train]'") from fault


def name_of(model: str) -> str:
    """The end of a path or id, as a file's name; of a student that was trained in another run, that run's and the stage's."""
    run, trained, place = model.rpartition("/train/")
    parts = [Path(run).name, *(part for part in Path(place).parts if part not in ("student", "weights"))] if trained else [Path(model).name]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-.") or "model"
