"""A reward for words that are enough: a second model answers by them alone, without the picture, and its answer is graded.

Source: RACRO (arXiv 2506.04559), where the student writes a description of the picture. Here that is its reasoning, so that the student's
own answers are read and evaluated as always.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from cotforge.answers import Task, read_text
from cotforge.coroutines import run_coroutine
from cotforge.images import Images, Sending
from cotforge.plan import Grpo
from cotforge.plan.reader import Reader
from cotforge.records import Sample
from cotforge.teachers.preflight import check_teachers
from cotforge.train.data.short_form import short_prompt
from cotforge.train.evaluation.askers import Endpoint, Question
from cotforge.train.rewards import ReadCompletion

FILE = "reader.jsonl"
"""In the stage's folder: what the second model answered, by a hash of what it was asked."""
MANY = 0.5
"""From this share of a rollout on, descriptions without an answer, or with the answer in them, are told of (ours)."""
HEAD = "You cannot see the image that the question is about. Somebody who can has described it:"
STATED = re.compile(r"</?answer>|\\boxed\b|\banswer(?:\s+\w+){0,3}?\s*(?:is|was|:|=)", re.IGNORECASE)
"""An answer is stated, whichever it is."""


class Readings(NamedTuple):
    """What became of a rollout's descriptions."""

    values: list[float | None]
    """1 where the second model is right, 0 where it is wrong or the answer leaked; where it gave no answer, the mean of what it gave to
    other completions of the same prompt, and None where there is none."""
    failed: float
    """The share of descriptions without an answer."""
    leaked: float
    """The share of descriptions that hold the answer."""


class CaptionReader:
    """A second model, asked about a rollout's descriptions all at once. What it has answered it is not asked again."""

    def __init__(self, spec: Reader, task: Task, *, cache: Path | None = None, tell: Callable[[str], object] = bool) -> None:
        """`cache` is a file that keeps the answers, so that a stage which is resumed gives the same rewards; `tell` gets guards' lines."""
        self._spec, self._task, self._tell, self._told = spec, task, tell, set[str]()
        self._asker = Endpoint(spec.teacher(), sending=Sending(Images(), Path()), patience=spec.timeout)
        self._cache, self._known = cache, _kept_answers(cache) if cache is not None else {}

    def __call__(self, said: Sequence[ReadCompletion], log_metric: Callable[[str, float], object] | None) -> list[float | None]:
        """The values of a rollout; what failed and what leaked is told to `log_metric`. Raises as `read`."""
        found = self.read(said)
        if log_metric is not None:
            log_metric("reader/failed", found.failed)
            log_metric("reader/leaked", found.leaked)
        if found.failed >= MANY:
            self._tell_once(
                "failed", f"reader: {found.failed:.0%} of a rollout got no answer of {self._spec.model!r} that can be read; is it there?"
            )
        if found.leaked >= MANY:
            self._tell_once(
                "leaked",
                f"reader: {found.leaked:.0%} of a rollout's reasonings are empty or hold an answer, so they are worth nothing; learn from "
                "lessons that do not state it first",
            )
        return found.values

    def _tell_once(self, kind: str, line: str) -> None:
        """Tell a line of each kind once."""
        if kind not in self._told:
            self._told.add(kind)
            self._tell(f"guard: {line}")

    def read(self, said: Sequence[ReadCompletion]) -> Readings:
        """Raises TeacherError where the server refuses to go on: the key, the quota or the model is gone."""
        asked: list[tuple[str, Question] | None] = [
            None if self._leaks_answer(each) else self._reader_question(each.asked.sample, each.trace.reasoning) for each in said
        ]
        self._ask_reader([each for each in asked if each is not None])
        values = [0.0 if each is None else self._grade_answer(one, each[0]) for one, each in zip(said, asked, strict=True)]
        failed = [each is not None and value is None for each, value in zip(asked, values, strict=True)]
        whole = max(1, len(said))
        return Readings(fill_neutral(values, [prompt_of(each) for each in said]), sum(failed) / whole, asked.count(None) / whole)

    def _leaks_answer(self, said: ReadCompletion) -> bool:
        """Whether a description holds the answer, or there is none: then nobody is asked."""
        text, right = said.trace.reasoning, said.asked.verdict.answer or ""
        if not text.strip() or STATED.search(text):
            return True
        named = re.search(rf"(?<!\w){re.escape(right)}(?!\w)", text, re.IGNORECASE) if right else None
        return self._spec.leak == "named" and named is not None

    def _reader_question(self, sample: Sample, description: str) -> tuple[str, Question]:
        """A hash of what it is asked, and that."""
        text = f"{HEAD}\n\n{description}\n\n{short_prompt().render(sample)}"
        spec = json.dumps([self._spec.model, self._spec.temperature, self._spec.max_tokens, text])
        return sha256(spec.encode()).hexdigest(), Question(sample, ({"role": "user", "content": [{"type": "text", "text": text}]},))

    def _ask_reader(self, wanted: Sequence[tuple[str, Question]]) -> None:
        """Have all of them that are not known be answered; those that fail stay unknown."""
        new = {key: question for key, question in wanted if key not in self._known}
        replies = self._asker.answers(list(new.values()), max_tokens=self._spec.max_tokens, done=bool) if new else []
        answered = [
            (key, read_text(reply, question.sample.options, self._task).answer)
            for (key, question), reply in zip(new.items(), replies, strict=True)
            if reply.error is None
        ]
        self._known.update(answered)
        if self._cache is not None and answered:
            with self._cache.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"asked": key, "answer": answer}) + "\n" for key, answer in answered)

    def _grade_answer(self, said: ReadCompletion, key: str) -> float | None:
        """None where nothing came back that can be read: whether it is right is then unknown."""
        answer = self._known.get(key)
        return None if answer is None else float(answer == said.asked.verdict.answer)


def prompt_of(said: ReadCompletion) -> tuple[str, str, tuple[str, ...]]:
    """What completions of one group have in common."""
    return said.asked.sample.id, said.asked.sample.question, said.asked.sample.options


def fill_neutral(values: Sequence[float | None], groups: Sequence[Any]) -> list[float | None]:
    """The values, with those that are missing at their group's mean, where they move no advantage up or down.

    TRL adds nothing for None, which beside rewards of 1 is a 0. None is left where a whole group is missing.
    """
    known = defaultdict[Any, list[float]](list)
    for value, group in zip(values, groups, strict=True):
        if value is not None:
            known[group].append(value)
    return [
        value if value is not None else fmean(known[group]) if known[group] else None for value, group in zip(values, groups, strict=True)
    ]


def demand_reader(stage: Grpo) -> None:
    """Raises TeacherError where the server of a stage's reader is not there, refuses the key, or does not serve the model."""
    if stage.reader is not None:
        run_coroutine(check_teachers([stage.reader.teacher()]))


def _kept_answers(file: Path) -> dict[str, str | None]:
    """What was answered before; a last line may have been cut short."""
    known: dict[str, str | None] = {}
    with suppress(OSError), file.open(encoding="utf-8") as opened:
        for line in opened:
            with suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                known[row["asked"]] = row["answer"]
    return known
