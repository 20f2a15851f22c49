"""`cotforge eval`: a model on the held-out labels of a pipeline, beside `cotforge train` and after it."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cotforge.errors import CotforgeError, PipelineError
from cotforge.folder import RunFolder
from cotforge.images import Sending
from cotforge.optional import pass_over_torchvision
from cotforge.pipeline import Loaded
from cotforge.train.evaluation.askers import Asker, Endpoint
from cotforge.train.evaluation.engines import Candidate, Engine, evaluated
from cotforge.train.evaluation.evaluate import evaluate, longest, told, write
from cotforge.train.evaluation.held import Held
from cotforge.train.report.record import counting

STUDENT = Path("train") / "student"
"""Of a run folder: the trained student."""
TINY = Path("train") / "tiny"
"""Of a run folder: the student that `train.student.tiny` begins with."""


def try_out(
    pipeline: str | Path,
    *,
    out: Path | None = None,
    sets: Sequence[str] = (),
    model: str | None = None,
    url: str | None = None,
    key_env: str | None = None,
    max_tokens: int | None = None,
    rescue: int | None = None,
    batch: int | None = None,
    trust: bool = True,
    tell: Callable[[str], object] = print,
) -> Path:
    """Evaluate, tell the figures, and return the file of `eval/` that holds them.

    `model` is a folder, a Hub id, or with `url` a name that is served there; left out, it is the student that was trained, else the one
    that would be. All held-out samples are asked about, `batch` at a time at most where the model is in this process.
    Raises CotforgeError where the pipeline, the model or the server is wrong, or the run folder is in use.
    """
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    plan = loaded.pipeline.eval
    with RunFolder(out or Path("runs") / loaded.pipeline.name, name=loaded.pipeline.name) as run:
        for line in run.notes():
            _say(line)
        held = Held.of(loaded.in_run(run.path), run.path)
        tokens = max_tokens or longest(loaded.pipeline.train)
        more = plan.rescue if rescue is None and plan is not None else rescue or 0

        def ask(asker: Asker) -> dict[str, Any]:
            with counting("answered", len(held.samples)) as done:
                return evaluate(asker, held, max_tokens=tokens, rescue=more, done=done)

        said = f"{len(held.samples):,} held-out samples, {held.unlabelled:,} more without a label; asking"
        if url is not None:
            served = Endpoint.at(url, model, sending=Sending(loaded.pipeline.images, run.path), key_env=key_env)
            _say(f"{said} {served.name}")
            found, name = ask(served), name_of(served.name.partition(" at ")[0])
        else:
            candidate, name = _candidate(loaded, run.path, model, batch)
            _say(f"{said} {candidate.model}")
            found = _evaluated(candidate, plan.engine if plan else "auto", len(held.samples), run.path / "train" / "cache", ask)
        if found["failed"]:
            _say(f"{found['failed']:,} of {found['failed'] + found['n']:,} questions were not answered, and count in no figure")
        path = write(run.path, name, found)
    tell(told(found, plan.metrics if plan else ()))
    tell(f"figures: {path}")
    return path


def _candidate(loaded: Loaded, folder: Path, model: str | None, batch: int | None) -> tuple[Candidate, str]:
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


def _evaluated(candidate: Candidate, engine: Engine, questions: int, cache: Path, ask: Callable[[Asker], dict[str, Any]]) -> dict[str, Any]:
    if line := pass_over_torchvision():
        _say(line)
    try:
        return evaluated(candidate, engine, questions, cache=cache, tell=_say, by=ask)
    except ImportError as fault:
        raise CotforgeError(f"cotforge eval needs {fault.name} for a model in this process: pip install 'cotforge[train]'") from fault


def name_of(model: str) -> str:
    """The end of a path or id, as a file's name; of a student that was trained in another run, that run's and the stage's."""
    run, trained, place = model.rpartition("/train/")
    parts = [Path(run).name, *(part for part in Path(place).parts if part not in ("student", "weights"))] if trained else [Path(model).name]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-.") or "model"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
