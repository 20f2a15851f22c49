"""Cases from the world: public reports of what servers, models and data files do, each played from its file in `tests/cases/`."""

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.case_player import Case, Expected, Step, Wanted, load
from tests.nursery import Nursery
from tests.project import cotforge, ran, table
from tests.teacher import Entry, Raw, Teacher

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
RUN = Path("runs/run")


@dataclass(frozen=True)
class Played:
    """A step that was played, and the folder as it left it."""

    case: Case
    folder: Path
    code: int
    said: str
    entries: list[Entry]
    """The requests of this step."""

    @cached_property
    def lessons(self) -> list[dict[str, Any]]:
        return table(self.folder / RUN, "data")

    @cached_property
    def traces(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in table(self.folder / RUN, "traces")}

    @cached_property
    def losses(self) -> list[dict[str, Any]]:
        return table(self.folder / RUN, "losses") if (self.folder / RUN / "losses.parquet").exists() else []

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The last request about each row."""
        rows = [(self.case.row_of(entry.prompt), entry.prompt) for entry in self.entries]
        return {row.id: prompt for row, prompt in rows if row is not None}

    def wrong(self, expected: Expected) -> list[str]:
        """A line for everything that does not hold."""
        found = [*self._command(expected), *self._files(expected), *self._prompts(expected)]
        if expected.either and all(alternatives := [self.wrong(one) for one in expected.either]):
            found.append(f"neither of: {alternatives}")
        return found

    def _command(self, expected: Expected) -> Iterator[str]:
        if expected.exit and self.code not in expected.exit:
            yield f"exit {self.code}, not {expected.exit}"
        yield from (f"does not say {text!r}" for text in expected.says if not re.search(text, self.said, re.IGNORECASE))
        yield from (f"says {text!r}" for text in expected.never_says if re.search(text, self.said))
        asked, most = len(self.entries), expected.asked_at_most
        if (
            (expected.asked is not None and asked != expected.asked)
            or asked < expected.asked_at_least
            or asked > (asked if most is None else most)
        ):
            yield f"{asked} requests"

    def _files(self, expected: Expected) -> Iterator[str]:
        if expected.lessons is not None and len(self.lessons) != expected.lessons:
            yield f"{len(self.lessons)} lessons, not {expected.lessons}"
        for text in expected.lessons_lack:
            yield from (f"{text!r} in the lesson of {row['id']!r}" for row in self.lessons if text in json.dumps(row["completion"]))
        for id, wanted in expected.traces.items():
            yield from (f"{id}: {line}" for line in _unlike(self.traces.get(id), wanted))
        lost = Counter(row["reason"] for row in self.losses if row["stage"] == "ask")
        if expected.losses is not None and lost != expected.losses:
            yield f"losses {dict(lost)}"
        lost = Counter(row["reason"] for row in self.losses if row["stage"] == "source")
        if expected.source_losses is not None and lost != expected.source_losses:
            yield f"losses of the source {dict(lost)}"
        labels = Counter(row["label"] for row in self.lessons)
        if expected.lesson_labels is not None and labels != expected.lesson_labels:
            yield f"labels of lessons {dict(labels)}"
        if expected.losses_say and not any(re.search(expected.losses_say, row["detail"] or "") for row in self.losses):
            yield f"no loss says {expected.losses_say!r}: {[row['detail'] for row in self.losses][:3]}"
        if expected.ends_of_turn is not None:
            yield from _turns(self.folder, expected.ends_of_turn)

    def _prompts(self, expected: Expected) -> Iterator[str]:
        for id, texts in expected.prompts_have.items():
            yield from (f"{id}: {text!r} is not asked: {self.prompts.get(id)}" for text in texts if text not in self.prompts.get(id, ""))
        for id, texts in expected.prompts_lack.items():
            yield from (f"{id}: {text!r} is asked" for text in texts if text in self.prompts.get(id, ""))


def _unlike(trace: dict[str, Any] | None, wanted: Wanted) -> Iterator[str]:
    """In what a trace is not as wanted."""
    if trace is None:
        yield "no trace"
        return
    answer, reasoning = trace["answer"], trace["reasoning"] or ""
    if wanted.answer and answer not in wanted.answer:
        yield f"read as {answer!r}, not as {' or '.join(map(repr, wanted.answer))}"
    if wanted.answer_like and re.fullmatch(wanted.answer_like, answer or "") is None:
        yield f"read as {answer!r}"
    if wanted.reasoning is not None and reasoning != wanted.reasoning:
        yield f"the reasoning {reasoning!r}"
    if wanted.reasoning_has and wanted.reasoning_has not in reasoning:
        yield f"the reasoning {reasoning!r}"
    if wanted.fate and not trace["fate"].startswith(wanted.fate):
        yield f"its fate {trace['fate']!r}"


def _turns(folder: Path, wanted: int) -> Iterator[str]:
    """In what the prepared completions do not end as many turns as wanted."""
    import numpy as np
    from safetensors.torch import load as tensors

    from cotforge.train.students import processors

    end = processors.load_processor(folder / "student").tokenizer.eos_token_id
    found = sorted((folder / RUN / "train").rglob("index.npy"))
    if not found:
        yield "no lesson was prepared"
    for index in found:
        data = (index.parent / "tokens.bin").read_bytes()
        for number, (begin, stop, *_) in enumerate(np.load(index)):
            if begin == stop:
                continue  # left out
            said = tensors(data[begin:stop])["completion"].tolist()
            if said.count(end) != wanted or end not in said[-2:]:  # a template may end a turn with a line break
                yield f"lesson {number} ends {said.count(end)} turns"


def write_student(folder: Path, case: Case) -> None:
    """A tiny model that has a token for what the lessons say."""
    from cotforge.train.students import tiny

    texts = [row.reply.text or "" for row in case.samples()]
    tiny.make_llava(folder / "student", [*texts, "Form 000: which?", "awe", "fear"])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_report_from_the_world_comes_out_right(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    case = load(path)
    if case.student:
        pytest.importorskip("torch")
        write_student(tmp_path, case)
    with Teacher(key=case.key, refusal=case.refusal.raw() if case.refusal else None) as server:
        case.write(tmp_path, server.url)
        for number, step in enumerate(case.steps, start=1):
            monkeypatch.setenv("CASE_KEY", step.key or "none")
            before = len(server.ledger)
            server.listing = step.models.raw() if step.models else None
            server.answer = answering(case, step)
            code, said = played(step, tmp_path, request)
            wrong = Played(case, tmp_path, code, said, server.ledger[before:]).wrong(step.expect)
            assert not wrong, f"step {number}, {step.command}: {'; '.join(wrong)}\n{case.right}\n{said}"


def answering(case: Case, step: Step) -> Any:
    """The server's answers during a step."""
    count = 0

    def answer(body: dict[str, Any]) -> Raw:
        nonlocal count
        count += 1
        return case.reply(step, count, body).raw()

    return answer


def played(step: Step, folder: Path, request: pytest.FixtureRequest) -> tuple[int, str]:
    """Exit status and all that the command said."""
    words = [step.command, "pipeline.yaml", *(word for key, value in step.set.items() for word in ("--set", f"{key}={json.dumps(value)}"))]
    if step.command == "train":
        nursery: Nursery = request.getfixturevalue("nursery")
        return nursery.run(folder, *words)
    if step.within is None:
        done = ran(*words, cwd=folder)
    else:
        try:
            done = cotforge(*words, cwd=folder, timeout=step.within, env=dict(os.environ))
        except subprocess.TimeoutExpired as late:
            return -1, f"still running after {late.timeout:g} s"
    return done.returncode, done.stdout + done.stderr


def test_every_case_names_public_reports_and_asks_for_something() -> None:
    for path in CASES:
        case = load(path)
        assert all(re.match("https://(github.com|huggingface.co)/", address) for address in case.report), path
        assert all(step.expect != Expected() for step in case.steps), path
