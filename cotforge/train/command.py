"""`cotforge train`: a pipeline's plan in its run folder. Nothing with torch is imported before it is seen to be there."""

import gc
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from importlib.util import find_spec
from logging import ERROR, getLogger
from pathlib import Path
from typing import TYPE_CHECKING

from cotforge.difficulty import pass_rates
from cotforge.errors import JournalError, PipelineError
from cotforge.folder import RunFolder
from cotforge.images import PictureStore
from cotforge.optional import pass_over_torchvision
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.sources import read_samples
from cotforge.train import processes, ranks, sharding, versions

if TYPE_CHECKING:
    from cotforge.train.data.lessons import Lessons
    from cotforge.train.stages import Choice

NEEDED = ("torch", "transformers", "trl", "peft", "accelerate")


def missing_library() -> str | None:
    """The first library that training needs and that is not installed."""
    return next((name for name in NEEDED if find_spec(name) is None), None)


def run_training(
    pipeline: str,
    *,
    out: Path | None = None,
    sets: Sequence[str] = (),
    stage: str | None = None,
    first: str | None = None,
    smoke: bool = False,
    trust: bool = True,
    tell: Callable[[str], object] = print,
) -> str:
    """Every stage of the pipeline's plan that is not done yet, told line by line; what came of it, from the first of several processes.

    Raises CotforgeError where something is wrong.
    """
    processes.end_with_parent()
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    plan = loaded.pipeline.train
    if plan is None:
        raise PipelineError(f"{loaded.path}: train: is missing; it says which student is trained, and in what stages")
    if lacking := missing_library():
        raise PipelineError(f"cotforge train needs {lacking}: pip install 'cotforge[train]'")
    for line in versions.out_of_range(versions.wanted_releases()) if ranks.is_first() else ():
        tell(line)
    run = out or Path("runs") / loaded.pipeline.name
    with RunFolder(run, name=loaded.pipeline.name) if ranks.is_first() else nullcontext() as folder:
        if folder is not None and not folder.pipeline.exists():
            folder.write(RunFolder.PIPELINE, loaded.text())
        for line in folder.notes() if folder is not None else ():
            tell(line)
        loaded = loaded.in_run(run)
        for line in filter(None, (quiet_libraries(), _choose_sharding(loaded))):
            tell(line)
        ranks.join_processes()
        from cotforge.train.report import page
        from cotforge.train.stages import Choice

        shown = partial(page.write_page, folder, plan) if folder is not None and not smoke else bool
        done = _run_stages(loaded, run, Choice(stage, first, smoke), tell if ranks.is_first() else lambda line: None, shown)
        ranks.leave_processes()
        return done


def _choose_sharding(loaded: Loaded) -> str:
    """In a process of our own on a GPU, a line from the first: whether the student is split over processes, and why; it is then set up."""
    plan = loaded.pipeline.train
    assert plan is not None
    if not os.environ.pop(sharding.CHOOSE, None) or plan.student.model is None:
        return ""
    import torch

    if not torch.cuda.is_available():
        return ""
    from cotforge.train.students import loaded_student

    held = min(torch.cuda.get_device_properties(gpu).total_memory for gpu in range(torch.cuda.device_count()))
    needed = sharding.memory_needed(plan, loaded_student.model_folder(plan.student.model, loaded.root))
    best = loaded.pipeline.eval is not None and loaded.pipeline.eval.best is not None
    line = sharding.choose_sharding(plan, needed, held, os.environ, best=best)
    return line if ranks.is_first() else ""


def _run_stages(loaded: Loaded, run: Path, choice: "Choice", tell: Callable[[str], object], shown: Callable[[], object]) -> str:
    from cotforge.plan import plan_notes
    from cotforge.train import stages
    from cotforge.train.data import lessons
    from cotforge.train.evaluation import engines
    from cotforge.train.evaluation.evaluate import most_tokens
    from cotforge.train.evaluation.held_out import HeldOutSamples
    from cotforge.train.evaluation.split_overlap import demand_apart
    from cotforge.train.evaluation.trials import Trials
    from cotforge.train.report import card
    from cotforge.train.stage_run import TrainingRun
    from cotforge.train.students import loaded_student, rehearsal
    from cotforge.train.students.student_folder import demand_student, passed_over

    gc.collect()
    gc.freeze()  # what is imported stays: to look through it takes 0.2 s, at each of several collections a stage
    pipeline, plan = loaded.pipeline, loaded.pipeline.train
    assert plan is not None
    place = run / "train"
    ranks.from_first(lambda: _folder_made(place / "cache"))
    held_out = pipeline.eval

    @cache
    def dataset() -> "Lessons":
        folder = run / "dataset" if plan.data is None else loaded.root / plan.data
        if plan.data is None and not folder.exists():
            raise PipelineError(f"{folder}: there are no lessons yet; `cotforge build` makes them, or train.data names others")
        named = plan.data if plan.data is not None and not folder.exists() else folder
        return lessons.find_lessons(named, cache=place / "cache", without=held_out.split if held_out else None)

    @cache
    def source() -> "Lessons":
        ranks.from_first(lambda: len(_source_lessons(loaded, run, place)))
        return lessons.Lessons((place / "source.parquet",), place / "cache")

    used = {stage.learns_from for stage in plan.expanded()}
    if (family := plan.student.tiny) is not None:
        data = [find() for find, names in ((dataset, {"lessons", "pairs"}), (source, {"source"})) if used & names]
        begin = ranks.from_first(lambda: rehearsal.of_run(place, data, family=family))
    else:
        begin = loaded_student.model_folder(str(plan.student.model), loaded.root)
    demand_student(begin)
    if line := passed_over(begin):
        tell(line)

    def told() -> str:
        license = pipeline.source.license
        hub = plan.data if plan.data and not (loaded.root / plan.data).exists() else None
        data = [card.lessons_of(dataset(), hub, license=None if plan.data else license)] if used & {"lessons", "pairs"} else []
        if "source" in used:
            data.append(card.TrainingData("raw samples with their labels", len(source()), source().digest, license))
        return card.student_card(loaded, run, data, begin=begin, smoke=choice.smoke)

    @cache
    def held() -> HeldOutSamples:
        """Read by the first process, because a source that is read writes into the run folder."""
        return replace(
            HeldOutSamples(pipeline.task, loaded.prompts.student, ()), **ranks.from_first(lambda: HeldOutSamples.of(loaded, run).read())
        )

    def apart(lessons: "Lessons") -> None:
        known = held()
        ranks.from_first(lambda: demand_apart(loaded, run, known, lessons))

    if held_out is not None:
        engines.check_engine(held_out.engine)
    else:
        tell("no eval: in the pipeline file, so the student is tried on nothing")
    for line in plan_notes(plan):
        tell(line)
    trials = Trials(held_out, held, run, most_tokens(plan), plan.student, smoke=choice.smoke) if held_out else None
    training = TrainingRun(
        plan=plan, begin=begin, out=place, lessons=dataset, source=source, task=pipeline.task, prompts=loaded.prompts, held_out=held_out,
        cache=place / "cache", root=loaded.root, trials=trials, tell=tell, page=shown, apart=apart,
        pass_rates=cache(partial(pass_rates, run)), card=told,
    )  # fmt: skip
    trained = stages.run_plan(training, choice)
    if not ranks.is_first():
        return ""
    return (
        f"the student: {trained}"
        if trained
        else f"stage {choice.only or choice.first} is done; others are not, so there is no new train/student"
    )


def _source_lessons(loaded: Loaded, run: Path, place: Path) -> "Lessons":
    """The raw source, written down once for the pipeline as it is."""
    from cotforge.train import precheck
    from cotforge.train.data.lessons import write_source

    pipeline, prompts = loaded.pipeline, loaded.prompts
    says = precheck.label_only(loaded)
    sections = {name: getattr(pipeline, name).model_dump(mode="json", exclude={"ids"}) for name in ("source", "task", "images")}
    limit, spreads = loaded.limit(run)
    sampled = f"{limit} spread" if limit and spreads else limit
    named = [sections, prompts.student.text, says.text, sampled, pipeline.eval and pipeline.eval.held_out()]
    store = PictureStore(run, pipeline.images)

    def read() -> Iterator[Sample | Fault]:
        yield from read_samples(
            pipeline.source, pipeline.task, store, root=loaded.root, limit=limit, spreads=spreads, held_out=pipeline.eval
        )

    try:
        return write_source(
            read(), place / "source.parquet", key=sha256(json.dumps(named, sort_keys=True).encode()).hexdigest(),
            prompt=prompts.student.render, completion=lambda answer: says.complete("", answer), held_out=pipeline.eval,
        )  # fmt: skip
    finally:
        store.close()


def _folder_made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise JournalError(f"{folder}: {fault.strerror}; choose another folder with --out") from fault


def quiet_libraries() -> str:
    """Have the libraries neither call home nor fill the terminal; what matters is told by us: the line about one that is passed over."""
    passed = pass_over_torchvision()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    import warnings

    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    getLogger("bitsandbytes").setLevel(ERROR)
    for category in (FutureWarning, UserWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(torch|transformers|trl|peft|accelerate|multiprocessing)(\.|$)")
    return passed
