"""`cotforge eval --write-back`: how often a student is right about each sample of the build, for `select:` and `curriculum:` to go by."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq

from cotforge.answers import read_reply
from cotforge.difficulty import Rated, write_rated
from cotforge.errors import PipelineError
from cotforge.folder import RunFolder
from cotforge.images import PictureStore
from cotforge.notices import give_notice
from cotforge.order import sample_rank
from cotforge.pipeline import Loaded
from cotforge.records import Call, Fault, Sample
from cotforge.sample_reader import SampleReader
from cotforge.train.evaluation.askers import STUDENT, Asker, Question
from cotforge.train.evaluation.evaluate import most_tokens
from cotforge.train.evaluation.held_out import HeldOutSamples
from cotforge.train.evaluation.tryout import AskedModel
from cotforge.train.report.record import count_progress
from cotforge.train.rollouts.sampling import seed_of

TRIES = 4
"""Answers to a sample, where the command does not say. Default chosen by us."""
TEMPERATURE = 1.0
"""Of several answers: that of grpo's completions, unless a stage says otherwise. One answer is greedy."""


def write_back(
    pipeline: str | Path,
    *,
    asked: AskedModel,
    out: Path | None = None,
    sets: Sequence[str] = (),
    tries: int | None = None,
    at_most: int | None = None,
    trust: bool = True,
    tell: Callable[[str], object] = print,
) -> Path:
    """Ask a model about the samples of the build, `tries` times each, and return `difficulty.parquet` with its shares of right answers.

    Right is what the sample's lesson answers, or the label of a sample without one; samples with neither, and those that `eval:` holds out,
    are not asked about. `at_most` takes so many, by their ids' hash. What is known of other samples stays.
    Raises CotforgeError where the pipeline, the model or the server is wrong, or the run folder is in use.
    """
    loaded = Loaded.load(pipeline, sets, trust=trust, sends=False)
    with RunFolder(out or Path("runs") / loaded.pipeline.name, name=loaded.pipeline.name) as run:
        for line in run.notes():
            give_notice(line)
        samples = choose_right(built_samples(loaded.in_run(run.path), run.path), lesson_answers(run.dataset), at_most)
        if not samples:
            raise PipelineError(f"{loaded.path}: source: no sample has a lesson or a label to hold an answer against")
        held = HeldOutSamples(loaded.pipeline.task, loaded.prompts.student, tuple(samples))
        times, tokens = tries or TRIES, asked.max_tokens or most_tokens(loaded.pipeline.train)
        name, found = asked.of(
            loaded, run.path, f"{len(samples):,} samples of the build, {times} answers each; asking", len(samples) * times,
            lambda asker: rate_samples(asker, held, tries=times, max_tokens=tokens),
        )  # fmt: skip
        path = write_rated(run.path, {id: Rated(rate, count, name) for id, (rate, count) in found.items()})
    tell(rates_summary([rate for rate, _ in found.values()], len(samples)))
    tell(f"pass rates: {path}")
    return path


def built_samples(loaded: Loaded, run: Path) -> list[Sample]:
    """The samples that a build of this run folder asks teachers about. Raises SourceError."""
    limit, spreads = loaded.limit(run)
    store = PictureStore(run, loaded.pipeline.images)
    try:
        with closing(SampleReader(loaded, store, limit, spreads=spreads)) as reader:
            return [sample for sample in reader.samples() if not isinstance(sample, Fault)]
    finally:
        store.close()


def lesson_answers(dataset: Path) -> dict[str, str]:
    """The agreed answers of a dataset's lessons, by the samples' ids."""
    found: dict[str, str] = {}
    for file in sorted((dataset / "data").glob("*.parquet")):
        table = pq.read_table(file, columns=["id", "answer"])
        found |= dict(zip(table["id"].to_pylist(), table["answer"].to_pylist(), strict=True))
    return found


def choose_right(samples: Iterable[Sample], answers: dict[str, str], at_most: int | None) -> list[Sample]:
    """Those with a right answer, which stands as their label then; `at_most` of them, by their ids' hash."""
    known = [replace(sample, label=answers.get(sample.id, sample.label)) for sample in samples]
    known = [sample for sample in known if sample.label is not None]
    return known if at_most is None else heapq.nsmallest(at_most, known, key=lambda sample: sample_rank(sample.id))


def rate_samples(asker: Asker, held: HeldOutSamples, *, tries: int, max_tokens: int) -> dict[str, tuple[float, int]]:
    """(share of right answers, answers) of each sample by its id. One that was never answered is left out.

    Raises PipelineError where none was.
    """
    questions = []
    for sample in held.samples:
        messages = held.messages(sample)
        seeds = [seed_of(0, sample.id, number) for number in range(tries)] if tries > 1 else [None]
        questions += [Question(sample, messages, seed) for seed in seeds]
    with count_progress("answered", len(questions)) as done:
        temperature = TEMPERATURE if tries > 1 else 0.0
        replies = asker.answers(questions, max_tokens=max_tokens, done=done, temperature=temperature)
    right: dict[str, list[bool]] = {}
    for question, reply in zip(questions, replies, strict=True):
        if reply.error is None:
            trace = read_reply(reply, Call("", question.sample, STUDENT, STUDENT, 0, question.messages), held.task)
            right.setdefault(question.sample.id, []).append(trace.answer == question.sample.label)
    if not right:
        failed = replies[0]
        raise PipelineError(f"{asker.name}: none of {len(replies):,} questions was answered; the first: {failed.error}: {failed.detail}")
    return {id: (fmean(each), len(each)) for id, each in right.items()}


def rates_summary(rates: Sequence[float], asked: int) -> str:
    """The rates as a person reads them."""
    never, always = sum(rate == 0 for rate in rates), sum(rate == 1 for rate in rates)
    failed = f", {asked - len(rates):,} failed" if asked > len(rates) else ""
    return f"{len(rates):,} samples{failed}: pass rate {fmean(rates):.3f} in the mean; {never:,} never right, {always:,} always"
