"""`cotforge eval`: a model on the held-out labels of a pipeline, beside `cotforge train` and after it."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cotforge.errors import CotforgeError, PipelineError
from cotforge.folder import RunFolder
from cotforge.images import Sending
from cotforge.pipeline import Loaded
from cotforge.train.evaluation.askers import Asker, Checkpoint, Endpoint
from cotforge.train.evaluation.evaluate import evaluate, longest, told, write
from cotforge.train.evaluation.held import Held
from cotforge.train.report.record import counting

STUDENT = Path("train") / "student"
"""Of a run folder: the trained student."""


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
    batch: int = 16,
    trust: bool = True,
    tell: Callable[[str], object] = print,
) -> Path:
    """Evaluate, tell the figures, and return the file of `eval/` that holds them.

    `model` is a folder, a Hub id, or with `url` a name that is served there; left out, it is the student that was trained, else the one
    that would be. Raises CotforgeError where the pipeline, the model or the server is wrong, or the run folder is in use.
    """
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    plan = loaded.pipeline.eval
    with RunFolder(out or Path("runs") / loaded.pipeline.name, name=loaded.pipeline.name) as run:
        for line in run.notes():
            _say(line)
        held = Held.of(loaded.in_run(run.path), run.path)
        asker, name = _asker(loaded, run.path, model=model, url=url, key_env=key_env, batch=batch)
        _say(f"{len(held.samples):,} held-out samples, {held.unlabelled:,} more without a label; asking {asker.name}")
        with counting("answered", len(held.samples)) as done:
            found = evaluate(
                asker,
                held,
                max_tokens=max_tokens or longest(loaded.pipeline.train),
                rescue=plan.rescue if rescue is None and plan is not None else rescue or 0,
                done=done,
            )
        if found["failed"]:
            _say(f"{found['failed']:,} of {found['failed'] + found['n']:,} questions were not answered, and count in no figure")
        path = write(run.path, name, found)
    tell(told(found, plan.metrics if plan else ()))
    tell(f"figures: {path}")
    return path


def _asker(loaded: Loaded, folder: Path, *, model: str | None, url: str | None, key_env: str | None, batch: int) -> tuple[Asker, str]:
    """Whom to ask, and the name of the file."""
    if url is not None:
        served = Endpoint.at(url, model, sending=Sending(loaded.pipeline.images, folder), key_env=key_env)
        return served, name_of(served.name.partition(" at ")[0])
    trained = folder / STUDENT
    if model is None or Path(model).resolve() == trained.resolve():
        if (trained / "config.json").is_file():
            return _checkpoint(trained.resolve(), batch), "student"
        if loaded.pipeline.train is None:
            raise PipelineError(f"{loaded.path}: train: is missing, so there is no student; name a model with --model or --url")
        return _checkpoint(loaded.pipeline.train.student.model, batch, loaded.root), "base"
    return _checkpoint(model, batch), name_of(model)


def _checkpoint(model: str | Path, batch: int, root: Path = Path()) -> Checkpoint:
    try:
        return Checkpoint.load(str(model), root=root, batch=batch)
    except ImportError as fault:
        raise CotforgeError(f"cotforge eval needs {fault.name} for a model in this process: pip install 'cotforge[train]'") from fault


def name_of(model: str) -> str:
    """The end of a path or id, as a file's name; of a student that was trained in another run, that run's and the stage's."""
    run, trained, place = model.rpartition("/train/")
    parts = [Path(run).name, *(part for part in Path(place).parts if part not in ("student", "weights"))] if trained else [Path(model).name]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-.") or "model"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
