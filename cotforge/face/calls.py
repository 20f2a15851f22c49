"""A function for each command. Nothing is printed: notices go to the logger `cotforge`, results are returned, errors are raised.

`set` changes values of the file, as in `{"consensus.rule": "unanimous"}`. `trust` is what `--trust` is: without it, a file from outside
the present folder may not run Python, read variables into the dataset, or send keys and files. `progress` shows on stderr what the
command shows there. All work in a notebook, whose event loop runs in the same thread; an interrupt finishes what is in flight, a second
one drops it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotforge.errors import Interrupted, PipelineError, Stopped, demand_count
from cotforge.face.run import Run
from cotforge.face.typed_results import CheckResult, Evaluation, TrainingResult
from cotforge.notices import collected_notices, shown_on_stderr

if TYPE_CHECKING:
    from cotforge.pipeline import Pipeline
    from cotforge.session import RunSession


def check(
    pipeline: "Pipeline | str | Path",
    *,
    out: Path | str | None = None,
    set: Mapping[str, Any] | None = None,
    limit: int | None = None,
    probe: int = 0,
    offline: bool = False,
    trust: bool = False,
    progress: bool = False,
) -> CheckResult:
    """Look at the file, the prompts, the source and the teachers, and estimate what a build would ask. Asks nothing without `probe`.

    `probe` asks about that many samples, which is paid for, so that the figures are measured. `offline` looks at no teacher.
    Raises PipelineError, SourceError, TeacherError or JournalError for what is wrong.
    """
    from cotforge.face.checking import check_session

    demand_count("probe", probe, least=0)
    lines: list[str] = []
    with _show_progress(progress), collected_notices() as notices, _open_session(pipeline, out, set, limit=limit, trust=trust) as session:
        found = check_session(session, lines.append, probe=probe, offline=offline)
    return CheckResult(found, "\n".join(lines), tuple(notices))


def build(
    pipeline: "Pipeline | str | Path",
    *,
    out: Path | str | None = None,
    set: Mapping[str, Any] | None = None,
    limit: int | None = None,
    offline: bool = False,
    refresh: Sequence[str] = (),
    retry: Sequence[str] = (),
    replace: bool = False,
    trust: bool = False,
    progress: bool = False,
) -> Run:
    """Ask the teachers what the journal lacks, vote, filter, and write the dataset. A second build asks nothing.

    `limit` takes so many samples, `offline` asks nothing, `refresh` names teachers to be asked again, `retry` reasons for which calls are;
    `replace` lets a dataset made of fewer samples take the place of a larger one; a build of the whole source always may.
    Raises Stopped where a budget or too many failures ended it: its `run` is the folder, with a dataset of what there is. Raises
    KeyboardInterrupt after an interrupt, with everything paid for kept; and PipelineError, SourceError, TeacherError or JournalError.
    """
    options = {"offline": offline, "refresh": refresh, "retry": retry, "replace": replace}
    return _build_run(pipeline, out, set, limit, trust=trust, progress=progress, options=options)


async def build_async(
    pipeline: "Pipeline | str | Path",
    *,
    out: Path | str | None = None,
    set: Mapping[str, Any] | None = None,
    limit: int | None = None,
    offline: bool = False,
    refresh: Sequence[str] = (),
    retry: Sequence[str] = (),
    replace: bool = False,
    trust: bool = False,
    progress: bool = False,
) -> Run:
    """As `build`, in a thread of its own, so that the event loop stays free. Cancelled, it finishes what is in flight, then ends."""
    options = {"offline": offline, "refresh": refresh, "retry": retry, "replace": replace}
    running: list[RunSession] = []

    def build_apart() -> Run:
        try:
            return _build_run(pipeline, out, set, limit, trust=trust, progress=progress, options=options, begun=running.append)
        except KeyboardInterrupt as end:  # a loop would end with it
            raise Stopped("interrupted; what was paid for is kept: the same call goes on from there") from end

    work = asyncio.create_task(asyncio.to_thread(build_apart))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        for session in running:
            session.interrupt()
        with suppress(Stopped):
            await work
        raise


def curate(run: "Run | str | Path", *, set: Mapping[str, Any] | None = None, replace: bool = False, trust: bool = False) -> Run:
    """Vote, filter and write the dataset again from the journal of a run. Asks nothing; what `set` changes holds this once.

    Without `replace`, a dataset that was made of more samples stays. Raises PipelineError, SourceError or JournalError.
    """
    from cotforge.session import RunSession

    with RunSession.reopen(_run_folder(run), sets=_key_assignments(set), trust=trust) as session:
        session.curate(replace=replace)
    return Run(_run_folder(run))


def train(
    pipeline: "Pipeline | str | Path",
    *,
    out: Path | str | None = None,
    set: Mapping[str, Any] | None = None,
    stage: str | None = None,
    first: str | None = None,
    smoke: bool = False,
    gpus: str | None = None,
    trust: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Train the student, stage by stage; stages that are done are skipped. Needs the extra `train`.

    `stage` trains that one alone; `first` trains that stage and all that descend from it again; `smoke` takes two steps of each.
    `gpus` names GPUs as in "0,2": with several, each stage is trained in processes of its own, whose progress is on stderr.
    In the main thread an interrupt ends the step and saves, so that the same call goes on. Raises CotforgeError where something is wrong.
    """
    from cotforge.pipeline import Loaded
    from cotforge.train import launched

    if first and (smoke or (stage and stage != first)):
        raise PipelineError("first: chooses the stages, as stage and smoke do; give one of them")
    loaded = Loaded.load(pipeline, _key_assignments(set), trust=trust, sends=False)
    lines: list[str] = []
    with _show_progress(progress), collected_notices() as notices:
        text = launched.train_launched(
            str(loaded.path), gpus=gpus, out=_as_path(out), sets=loaded.sets, stage=stage, first=first, smoke=smoke,
            trust=_is_trusted(pipeline, trust), tell=lines.append,
        )  # fmt: skip
    run = _as_path(out) or Path("runs") / loaded.pipeline.name
    student = None if smoke else Run(run).student
    return TrainingResult(run, student, text, (*lines, *notices))


def evaluate(
    pipeline: "Pipeline | str | Path",
    *,
    out: Path | str | None = None,
    set: Mapping[str, Any] | None = None,
    model: str | Path | None = None,
    url: str | None = None,
    key_env: str | None = None,
    max_tokens: int | None = None,
    rescue: int | None = None,
    batch: int | None = None,
    trust: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Try a model on held-out labels, greedily, and write the figures to `eval/` of the run folder.

    `model` is a folder or an id on the Hub, or with `url` a name that is served there; None is the trained student, else its base.
    `key_env` names the environment variable with the server's key. `rescue` gives a thought that was cut off so many tokens more.
    Raises CotforgeError where the pipeline, the model or the server is wrong.
    """
    from cotforge.pipeline import Loaded
    from cotforge.train.evaluation.tryout import AskedModel, try_out

    loaded = Loaded.load(pipeline, _key_assignments(set), trust=trust, sends=False)
    asked = AskedModel(model=None if model is None else str(model), url=url, key_env=key_env, max_tokens=max_tokens, batch=batch)
    with _show_progress(progress):
        path = try_out(
            loaded.path, asked=asked, out=_as_path(out), sets=loaded.sets, rescue=rescue,
            trust=_is_trusted(pipeline, trust), tell=_ignore_line,
        )  # fmt: skip
    return Evaluation.read(path)


def _build_run(
    pipeline: "Pipeline | str | Path",
    out: Path | str | None,
    set: Mapping[str, Any] | None,
    limit: int | None,
    *,
    trust: bool,
    progress: bool,
    options: Mapping[str, Any],
    begun: "Callable[[RunSession], object]" = bool,
) -> Run:
    if options["offline"] and (options["refresh"] or options["retry"]):
        raise PipelineError("offline: asks nothing, and refresh and retry ask again; give one of them")
    with (
        _show_progress(progress),
        _open_session(pipeline, out, set, limit=limit, trust=trust, sends=not options["offline"]) as session,
    ):
        begun(session)
        try:
            session.build(**options)
        except Interrupted as end:  # a program is told as by any other call
            raise KeyboardInterrupt(str(end)) from end
        return Run(session.folder.path)


def _open_session(pipeline: "Pipeline | str | Path", out: Path | str | None, set: Mapping[str, Any] | None, **options: Any) -> "RunSession":
    from cotforge.session import RunSession

    return RunSession.open(pipeline, out=_as_path(out), sets=_key_assignments(set), **options)


def _key_assignments(set: Mapping[str, Any] | None) -> list[str]:
    from cotforge.tree import key_assignments

    return key_assignments(set)


def _is_trusted(pipeline: "Pipeline | str | Path", trust: bool) -> bool:
    """Whether the file is trusted: by the caller now, or when it was loaded."""
    return trust or (not isinstance(pipeline, str | Path) and pipeline.trusted)


def _show_progress(progress: bool) -> AbstractContextManager[None]:
    return shown_on_stderr() if progress else nullcontext()


def _as_path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


def _run_folder(run: "Run | str | Path") -> Path:
    return run.path if isinstance(run, Run) else Path(run)


def _ignore_line(line: str) -> None:
    """The figures are returned."""
