"""The student's own completions of a stage's samples, made with the weights it begins with, by the engines that evaluate students.

Each is drawn by a seed that follows from the stage's, the sample and its number: the same after a kill, whatever is made beside it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from cotforge.errors import PipelineError
from cotforge.plan import SMOKE_TOKENS, Dpo
from cotforge.plan.kinds.dpo import SMOKE_SAMPLES
from cotforge.records import Picture, Reply, Sample
from cotforge.train import precheck, ranks
from cotforge.train.data.learnable import text_of
from cotforge.train.data.lessons import Lessons
from cotforge.train.evaluation import engines
from cotforge.train.evaluation.askers import Asker, Question
from cotforge.train.evaluation.engines import Candidate, Shared
from cotforge.train.evaluation.in_vllm import InVllm
from cotforge.train.report.record import count_progress
from cotforge.train.rewards import PromptedSample, Rewards
from cotforge.train.rollouts.completion_files import CompletionFiles, file_spans
from cotforge.train.rollouts.rollout_prompts import size_of
from cotforge.train.stage_run import StageRun, replaced_folder
from cotforge.train.students.loaded_student import release_memory, weights_fingerprint

COLUMNS = ("id", "prompt", "images", "question", "options", "answer", "label", "confidence")
"""Of the stage's data, where they have them."""


@dataclass(frozen=True)
class Sampling:
    """What is sampled for one stage, the same in every process."""

    stage: Dpo
    work: StageRun
    lessons: Lessons
    rewards: Rewards
    places: Sequence[int]
    """Rows of the lessons, one of each sample, ascending."""
    files: CompletionFiles

    @classmethod
    def of(cls, stage: Dpo, work: StageRun) -> "Sampling":
        """Raises PipelineError where there are no data, or a reward cannot be taken."""
        lessons, rewards = work.data(), precheck.try_rewards(stage, work)
        at_most = SMOKE_SAMPLES if work.smoke else stage.rollouts.at_most
        places = ranks.from_first(lambda: samples_of(lessons, at_most=at_most, seed=stage.seed))
        files = CompletionFiles(work.out / "rollouts", ranks.from_first(lambda: key_of(stage, work, lessons)))
        return cls(stage, work, lessons, rewards, places, files)

    @property
    def spans(self) -> list[range]:
        """Which of the samples each file holds, by their place among `places`."""
        return list(file_spans(len(self.places), self.stage.rollouts.per_sample))

    @property
    def max_tokens(self) -> int:
        """Of a completion, at most."""
        most = self.stage.rollouts.max_completion
        return min(most, SMOKE_TOKENS) if self.work.smoke else most

    def complete(self) -> None:
        """Make the completions that are not there yet; in all processes. Raises PipelineError where the engine cannot."""
        earlier = replaced_folder(self.work.out) / self.files.folder.name
        missing = ranks.from_first(lambda: self.files.missing(len(self.spans), before=earlier))
        if not missing:
            return
        count = sum(len(self.spans[number]) for number in missing) * self.stage.rollouts.per_sample
        candidate = Candidate(str(self.work.begin), self.work.plan.student)
        engines.evaluate_candidate(
            candidate, self.stage.rollouts.engine, count, cache=self.work.cache, tell=self.work.record.say,
            by=partial(self._fill_files, missing=missing, count=count), key="rollouts.engine",
        )  # fmt: skip
        release_memory()

    def _fill_files(self, asker: Asker, *, missing: Sequence[int], count: int) -> None:
        """Have an asker make the files that are missing. Without vLLM all processes make each together."""
        write: Callable[[Callable[[], None]], None] = ranks.from_first if isinstance(asker, Shared) else _call_after
        temperature = self.stage.rollouts.temperature
        held = asker.kept(max_tokens=self.max_tokens, temperature=temperature) if isinstance(asker, InVllm) else nullcontext()
        quiet = None if ranks.is_first() else Console(quiet=True)
        with held, count_progress(f"{self.stage.name}: completions", count, console=quiet) as done:
            for number in missing:
                rows = self.rows(number)
                questions = [question for row in rows for question in self._row_questions(row)]
                replies = asker.answers(questions, max_tokens=self.max_tokens, done=done, temperature=temperature)
                write(partial(self._write_file, number, rows, replies))

    def rows(self, number: int, columns: Sequence[str] = COLUMNS) -> list[dict[str, Any]]:
        """The samples of a file as rows of the lessons."""
        known = set(pq.read_schema(self.lessons.files[0]).names)
        return list(self.lessons.rows_at([self.places[place] for place in self.spans[number]], [name for name in columns if name in known]))

    def _row_questions(self, row: Mapping[str, Any]) -> Iterator[Question]:
        """One for each completion of a sample."""
        shown = tuple(map(picture_of, row["images"] or ()))
        sample, messages = Sample(str(row["id"]), shown, ""), tuple(messages_of(row["prompt"], shown))
        for number in range(self.stage.rollouts.per_sample):
            yield Question(sample, messages, seed_of(self.stage.seed, sample.id, number))

    def _write_file(self, file: int, rows: Sequence[Mapping[str, Any]], replies: Sequence[Reply]) -> None:
        each, found = self.stage.rollouts.per_sample, list[tuple[Any, ...]]()
        for place, (index, row) in enumerate(zip(self.spans[file], rows, strict=True)):
            asked = PromptedSample.of(row, self.work.task)
            for number, reply in enumerate(replies[place * each : (place + 1) * each]):
                found.append((str(row["id"]), self.places[index], number, *self._judge_completion(asked, reply)))
        self.files.write(file, found)

    def _judge_completion(self, asked: PromptedSample, reply: Reply) -> tuple[Any, ...]:
        """`said`, `answer`, `reward`, `tokens`, `finish_reason` and `error` of a completion."""
        if reply.error is not None:
            return "", None, None, 0, "", f"{reply.error}: {reply.detail}"
        trace = asked.trace(reply.content, self.work.task, finish=reply.finish_reason, tokens=reply.output_tokens)
        values = self.rewards.values(asked, trace)
        reward = None if all(value is None for value in values) else self.rewards.total(values)
        return reply.content, trace.answer, reward, reply.output_tokens, reply.finish_reason, None


def samples_of(lessons: Lessons, *, at_most: int | None, seed: int) -> tuple[int, ...]:
    """The first row of each sample, by id and prompt, ascending; of more than `at_most` those that a hash with the seed takes."""
    first: dict[bytes, int] = {}
    for place, row in enumerate(lessons.rows(["id", "prompt"])):
        first.setdefault(sha256(f"{row['id']}\n{text_of(row['prompt'])}".encode()).digest(), place)
    if at_most is not None and at_most < len(first):
        drawn = nsmallest(at_most, first, key=lambda name: sha256(f"{seed} ".encode() + name).digest())
        return tuple(sorted(first[name] for name in drawn))
    return tuple(first.values())


def key_of(stage: Dpo, work: StageRun, lessons: Lessons) -> str:
    """Of everything that decides what the completions and their rewards are; how they are paired is no part of it."""
    chosen = {"pairs_per_sample", "margin", "length_ratio"}
    parts = {
        "rollouts": stage.rollouts.model_dump(mode="json", exclude=chosen),
        "rewards": [reward.model_dump(mode="json", by_alias=True) for reward in stage.rewards],
        "seed": stage.seed,
        "begin": weights_fingerprint(work.begin),
        "student": work.plan.student.model_dump(mode="json", include={"dtype", "max_pixels"}),
        "data": lessons.digest,
        "smoke": work.smoke,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def seed_of(seed: int, sample: str, number: int) -> int:
    """Of one completion of a sample, in [0, 2**63)."""
    return int.from_bytes(sha256(f"{seed}\n{number}\n{sample}".encode()).digest()[:8], "big") >> 1


def picture_of(cell: Mapping[str, Any]) -> Picture:
    """A picture as it stands in a row; whoever decodes it finds out whether it is one. Raises PipelineError where its file is gone."""
    try:
        data = bytes(cell["bytes"]) if cell["bytes"] is not None else Path(cell["path"]).read_bytes()
    except OSError as fault:
        raise PipelineError(f"a lesson's picture cannot be read: {fault}") from fault
    try:
        width, height = size_of({"bytes": data})
    except Exception:  # of any kind, by what it holds; the engine tells of it
        width, height = 0, 0
    return Picture(sha256(data).hexdigest(), "", width, height, len(data), lambda: data)


def messages_of(prompt: Sequence[Mapping[str, Any]], shown: Sequence[Picture]) -> Iterator[Mapping[str, Any]]:
    """A lesson's prompt as engines take it: the pictures stand before the first text of the user, as in training."""
    left = [{"type": "image", "digest": picture.digest} for picture in shown]
    for message in prompt:
        text = {"type": "text", "text": str(message["content"] or "")}
        if message["role"] == "user":
            yield {"role": "user", "content": [*left, text]}
            left = []
        else:
            yield {"role": message["role"], "content": [text]}


def _call_after(do: Callable[[], None]) -> None:
    do()
