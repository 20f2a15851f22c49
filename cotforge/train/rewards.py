"""Rewards are measures with weights: found by name, tried on the lessons themselves, and taken of what the student says."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, Self

from cotforge.answers import Task, placeholders_of_call, read_reply
from cotforge.errors import PipelineError
from cotforge.filters import Taken
from cotforge.plan import Reward
from cotforge.records import Call, Reply, Sample, Trace, Verdict

FULL = 0.9
"""From here on a value counts as full marks, and from 1 - FULL down as none (ours): a lesson may repeat a few words."""
STUDENT = "student"
Decoder = Callable[[Sequence[int]], tuple[str, str]]
"""A completion's tokens to its text, with the tags in it, and its finish_reason."""


@dataclass(frozen=True, slots=True)
class PromptedSample:
    """What the student was asked, and the right answer."""

    sample: Sample
    verdict: Verdict
    placeholders: frozenset[str] = frozenset()
    """What the prompt shows in place of an answer: a copy of it is none."""

    @classmethod
    def of(cls, row: Mapping[str, Any], task: Task) -> Self:
        """From a row of the training data: `answer`, and where there are any `id`, `label`, `question`, `options`."""
        options = tuple(row.get("options") or task.closed)
        question = row.get("question") or task.question or _prompt_text(row.get("prompt"))
        sample = Sample(str(row.get("id") or ""), (), question, options, row.get("label"))
        confidence = row.get("confidence")
        verdict = Verdict(row["answer"], 1.0 if confidence is None else confidence, accepted=row["answer"] is not None)
        prompt = row.get("prompt") or ()
        return cls(sample, verdict, placeholders_of_call([{"content": prompt}] if isinstance(prompt, str) else prompt))

    def trace(self, text: str, task: Task, *, finish: str, tokens: int = 0) -> Trace:
        """What the student said, read as a teacher's reply is."""
        call = Call("", self.sample, STUDENT, STUDENT, 0, ())
        return read_reply(Reply("", text, finish_reason=finish, output_tokens=tokens), call, task, refused=self.placeholders)


def _prompt_text(prompt: Any) -> str:
    """The text of the user's message."""
    content = prompt[-1]["content"] if isinstance(prompt, Sequence) and not isinstance(prompt, str) and prompt else prompt or ""
    return content if isinstance(content, str) else " ".join(part.get("text") or "" for part in content)


class ReadCompletion(NamedTuple):
    """A completion, read."""

    asked: PromptedSample
    trace: Trace
    text: str


TakenOfAll = Callable[[Sequence[ReadCompletion], Any], list[float | None]]
"""(completions of a rollout, TRL's `log_metric` or None) to a value each."""


class RolloutReward(NamedTuple):
    """A reward that is given to all completions of a rollout at once."""

    name: str
    """In metrics and tables."""
    weight: float
    """Normalised, as those of the measures."""
    take: TakenOfAll


@dataclass
class Rewards:
    """The rewards of one stage; a total of 1 is full marks where no weight is negative."""

    task: Task
    names: tuple[str, ...]
    """Of the measures, in metrics and tables; one that is taken twice is `<measure>_2` then."""
    takes: tuple[Taken, ...]
    weights: tuple[float, ...]
    """Normalised: their sizes, and that of `rollout`, add up to 1."""
    rollout: RolloutReward | None = None
    """One more, of whole rollouts."""
    _read: tuple[Any, list[ReadCompletion]] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rewards: Sequence[Reward], task: Task, root: Path, *, beside: float = 0.0) -> Self:
        """`beside` is the weight of what will be added. Raises PipelineError where a measure cannot be found, or all weights are 0."""
        whole = sum(abs(reward.weight) for reward in rewards) + beside
        if not whole:
            raise PipelineError("rewards: every weight is 0; nothing would be learned")
        names: list[str] = []
        for reward in rewards:
            name = reward.measure.rpartition(":")[2]
            names.append(name if name not in names else f"{name}_{sum(each.rpartition('_')[0] == name for each in names) + 2}")
        takes = tuple(reward.found(root) for reward in rewards)
        return cls(task, tuple(names), takes, tuple(reward.weight / whole for reward in rewards))

    def values(self, asked: PromptedSample, trace: Trace) -> list[float | None]:
        """Each reward's value, without its weight; None where it does not apply. Raises PipelineError where a user's own fails."""
        return [take(asked.sample, trace, asked.verdict) for take in self.takes]

    def total(self, values: Sequence[float | None]) -> float:
        """The weighted sum; what does not apply adds nothing."""
        return sum(weight * value for weight, value in zip(self.weights, values, strict=True) if value is not None)

    def tried(self, lessons: Iterable[tuple[PromptedSample, str]], *, made_up: bool = False) -> None:
        """See that each reward gives full marks to what the student is to learn, and not to an empty text.

        A reward is in [0, 1]; with a negative weight 0 is full marks. Of lessons that are `made_up` no marks are wanted, only the range.
        Raises PipelineError with a line for each that fails.
        """
        told, silent = [], []
        for asked, completion in lessons:
            told.append(self.values(asked, asked.trace(completion, self.task, finish="stop")))
            silent.append(self.values(asked, asked.trace("", self.task, finish="")))
        if not told:
            raise PipelineError("rewards: there is no lesson to try them on; build the dataset first")
        columns = zip(self.names, self.weights, zip(*told, strict=True), zip(*silent, strict=True), strict=True)
        faults = [f"rewards[{place}] {fault}" for place, column in enumerate(columns) if (fault := _reward_fault(*column, made_up=made_up))]
        if faults:
            raise PipelineError(*faults)

    def functions(self, said: Decoder) -> list[Callable[..., list[float | None]]]:
        """The rewards as TRL's trainers call them, one function per reward.

        Texts are decoded by `said`, because TRL leaves out the tags where a tokenizer calls them special.
        """
        takes: list[tuple[str, TakenOfAll]] = [
            (name, partial(_measure_each, take)) for name, take in zip(self.names, self.takes, strict=True)
        ]
        takes += [(self.rollout.name, self.rollout.take)] if self.rollout else []
        return [self._reward_function(name, take, said, logs=not place) for place, (name, take) in enumerate(takes)]

    @property
    def all_weights(self) -> list[float]:
        """Of the `functions`."""
        return [*self.weights, *([self.rollout.weight] if self.rollout else [])]

    def _reward_function(self, name: str, take: TakenOfAll, said: Decoder, *, logs: bool) -> Callable[..., list[float | None]]:
        def function(
            *,
            prompts: Sequence[Any],
            completion_ids: Sequence[Sequence[int]],
            log_extra: Any = None,
            log_metric: Any = None,
            **columns: Any,
        ) -> list[float | None]:
            read = self._read_completions(prompts, completion_ids, columns, said)
            if logs and log_extra is not None:
                _log_readings(read, log_extra, log_metric)
            return take(read, log_metric)

        function.__name__ = name
        return function

    def _read_completions(
        self, prompts: Sequence[Any], completion_ids: Sequence[Sequence[int]], columns: Mapping[str, Any], said: Decoder
    ) -> list[ReadCompletion]:
        """Each completion read; once for all rewards, which TRL gives the very same list."""
        if self._read is not None and self._read[0] is completion_ids:
            return self._read[1]
        lists = {name: column for name, column in columns.items() if isinstance(column, list) and len(column) == len(prompts)}
        found = []
        for place, tokens in enumerate(completion_ids):
            asked = PromptedSample.of({"prompt": prompts[place], **{name: column[place] for name, column in lists.items()}}, self.task)
            text, finish = said(tokens)
            found.append(ReadCompletion(asked, asked.trace(text, self.task, finish=finish, tokens=len(tokens)), text))
        self._read = (completion_ids, found)
        return found


def _measure_each(take: Taken, read: Sequence[ReadCompletion], log_metric: Any) -> list[float | None]:
    """A measure of each completion."""
    return [take(asked.sample, trace, asked.verdict) for asked, trace, _ in read]


def _log_readings(read: Sequence[ReadCompletion], log_extra: Callable[..., None], log_metric: Callable[..., None]) -> None:
    """Into the table of completions and the metrics: what was right, what was said, whether it could be read."""
    log_extra("id", [asked.sample.id for asked, _, _ in read])
    log_extra("truth", [asked.verdict.answer for asked, _, _ in read])
    log_extra("said", [text for _, _, text in read])
    log_extra("answer", [trace.answer for _, trace, _ in read])
    log_extra("fault", [trace.fault or "" for _, trace, _ in read])
    log_metric("accuracy", fmean(trace.answer is not None and trace.answer == asked.verdict.answer for asked, trace, _ in read))
    log_metric("format_rate", fmean(trace.well_formed for _, trace, _ in read))


def _reward_fault(name: str, weight: float, told: Sequence[float | None], silent: Sequence[float | None], *, made_up: bool) -> str:
    """What is wrong with a reward by what it gives the lessons and empty texts; empty where nothing is."""
    given = [value for value in told if value is not None]
    if made_up and not given:
        return ""
    if not given:
        return f"{name}: is None for every lesson it was tried on ({len(told)}); it does not apply here, leave it out"
    if min(given) < 0 or max(given) > 1:
        return f"{name}: gives {min(given):g} to {max(given):g}; a reward gives 0 to 1, where 1 (with a negative weight 0) is full marks"
    if made_up:
        return ""
    mean, good = fmean(given), weight > 0
    if (mean < FULL) if good else (mean > 1 - FULL):
        return (
            f"{name}: gives the lessons themselves {mean:.2f} in the mean, where {int(good)} is full marks; "
            "filter the lessons by it (filters:), or leave it out"
        )
    empty = [value for value in silent if value is not None]
    if good and empty and fmean(empty) >= FULL:
        return f"{name}: gives an empty text {fmean(empty):.2f}, as much as a lesson; it cannot tell one from the other"
    return ""
