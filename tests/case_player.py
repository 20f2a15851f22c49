"""Cases from the world, as data: rows, what a scripted server answers about them, commands, and what must hold after each.

Every file of `tests/cases/` is one `Case`. In its texts `<<thought>>` stands for a sound reasoning, `<<first>>` and `<<rest>>` for its
parts. A request is known to its row by the words `Form 007` before the row's question. The server answers by the first rule of the step
that applies, else by the row's own reply, which is sound where nothing else is said.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from tests.case_files import File
from tests.teacher import Raw

FIRST = "A small boat lies under a huge pale sky, and the eye is drawn upwards again and again."
REST = " Nothing in it is a danger to anybody, so fear is less likely here."
TEXTS = {"<<thought>>": FIRST + REST, "<<first>>": FIRST, "<<rest>>": REST}
LABELS = ["awe", "fear", "joy", "anger"]
SOUND = "<think><<thought>></think>\n<answer>awe</answer>"


class Data(BaseModel):
    """A part of a case; a key that means nothing is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reply(Data):
    """What the server sends: a chat completion, or with `body` anything."""

    text: str | None = SOUND.replace("<<thought>>", FIRST + REST)
    finish: str | None = "stop"
    message: dict[str, Any] = {}
    """Further fields of the message."""
    choice: dict[str, Any] = {}
    """Further fields of the choice."""
    usage: dict[str, Any] | None = {"prompt_tokens": 300, "completion_tokens": 80, "total_tokens": 380}
    stream: bool = False
    """As server-sent events, ten characters each, though nobody asked for a stream."""
    before: str = ""
    """Sent before the JSON of the completion."""
    body: Any = None
    """Instead of a completion: a text as it is, all else as JSON."""
    status: int = 200
    content_type: str = "application/json"

    def raw(self) -> Raw:
        """As it goes over the wire."""
        if self.stream:
            return Raw("".join(f"data: {data}\n\n" for data in self._chunks()), content_type="text/event-stream")
        if self.body is not None:
            return Raw(self.body if isinstance(self.body, str) else json.dumps(self.body), self.status, self.content_type)
        return Raw(self.before + json.dumps(self._completion()), self.status, self.content_type)

    def _completion(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text, **self.message}
        choices = [{"index": 0, "message": message, "finish_reason": self.finish, **self.choice}]
        whole = {"id": "c-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m", "choices": choices}
        return whole if self.usage is None else whole | {"usage": self.usage}

    def _chunks(self) -> Iterator[str]:
        text = self.text or ""
        deltas = [({"content": text[at : at + 10]}, None) for at in range(0, len(text), 10)]
        for delta, finish in [*deltas, ({}, self.finish)]:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            yield json.dumps({"id": "c-1", "object": "chat.completion.chunk", "choices": [choice]})
        yield "[DONE]"


class Rule(Data):
    """A reply to some of a step's requests."""

    reply: Reply
    first: int | None = None
    """Only to so many requests from the step's beginning."""
    after: int = 0
    """Not to so many."""
    every: int = 1
    """2: to the first, the third, ..."""
    max_tokens_above: int = 0
    """Only where the request allows more than that."""

    def applies(self, number: int, body: dict[str, Any]) -> bool:
        """Whether to the step's request of this number, from 1."""
        counted = self.after < number <= (self.first or number) and number % self.every == 1 % self.every
        return counted and int(body.get("max_tokens") or 0) >= self.max_tokens_above


class Row(Data):
    """A row of the data, with a picture of its own, and the reply to questions about it."""

    id: str
    question: str = "which emotion does this image evoke?"
    label: str | None = "awe"
    options: Any = None
    reply: Reply = Reply()


class Wanted(Data):
    """What a row's trace must be; what is left out may be anything."""

    answer: tuple[str | None, ...] = Field(default=(), description="any of these")
    answer_like: str | None = None
    """A pattern for the whole of an answer that is there."""
    reasoning: str | None = None
    """Exactly this."""
    reasoning_has: str | None = None
    fate: str | None = None
    """How it begins."""


class Expected(Data):
    """What must hold after a step; what is left out may be anything. `says` are patterns, whatever the case."""

    exit: tuple[int, ...] = ()
    says: tuple[str, ...] = ()
    never_says: tuple[str, ...] = ("Traceback",)
    asked: int | None = None
    """Requests for a completion in this step."""
    asked_at_least: int = 0
    asked_at_most: int | None = None
    lessons: int | None = None
    lessons_lack: tuple[str, ...] = ()
    traces: dict[str, Wanted] = {}
    losses: dict[str, int] | None = None
    """Of stage `ask`, by reason."""
    source_losses: dict[str, int] | None = None
    """Of stage `source`, by reason."""
    lesson_labels: dict[str, int] | None = None
    """How many lessons have each label."""
    losses_say: str | None = None
    prompts_have: dict[str, tuple[str, ...]] = {}
    """By row; each must have been asked about."""
    prompts_lack: dict[str, tuple[str, ...]] = {}
    ends_of_turn: int | None = None
    """Tokens that end a turn in each prepared completion, the last of which is its last token."""
    either: tuple["Expected", ...] = ()
    """At least one of these."""


class Step(Data):
    """One command."""

    command: Literal["check", "build", "train"]
    set: dict[str, Any] = {}
    key: str | None = None
    """Value of the environment variable `CASE_KEY`."""
    models: Reply | None = None
    """What /models answers."""
    serves: tuple[Rule, ...] = ()
    within: float | None = None
    """Seconds, in a process of its own that is ended then."""
    expect: Expected


class Case(Data):
    """One report."""

    report: tuple[str, ...] = Field(min_length=1)
    """Where it was seen: public addresses."""
    right: str
    """What is right, in a sentence."""
    rows: int | tuple[Row, ...]
    task: dict[str, Any] = {"kind": "classify", "question": "Which emotion does this image evoke?", "labels": LABELS}
    teachers: tuple[dict[str, Any], ...] = ({"name": "one", "model": "m"},)
    columns: dict[str, Any] = {}
    files: dict[str, File] = {}
    """Beside the rows, by path."""
    source: dict[str, Any] = {}
    """Instead of the rows; the server knows a file's questions by `Form 007:` as well."""
    table: Literal["jsonl", "parquet"] = "jsonl"
    """`parquet` holds the pictures, in a column `image_1`."""
    sections: dict[str, Any] = {}
    """Of the pipeline file."""
    key: str | None = None
    """The one that the server takes."""
    refusal: Reply | None = None
    """What a wrong key is told."""
    student: bool = False
    """Whether there is a tiny model `student` to be trained."""
    steps: tuple[Step, ...]

    def samples(self) -> Sequence[Row]:
        """Every row."""
        return [Row(id=f"r{number}") for number in range(self.rows)] if isinstance(self.rows, int) else self.rows

    def write(self, folder: Path, url: str) -> None:
        """The pictures, the rows and `pipeline.yaml`."""
        rows = [self._record(folder, number, row) for number, row in enumerate(self.samples())]
        if self.table == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
        else:
            (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for name, file in self.files.items():
            file.write(folder / name)
        source = {"kind": "table", "path": f"rows.{self.table}"} | ({"columns": self.columns} if self.columns else {}) | self.source
        teachers = [teacher | {"url": url} for teacher in self.teachers]
        pipeline = {"name": "run", "source": source, "task": self.task, "teachers": teachers, **self.sections}
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))

    def _record(self, folder: Path, number: int, row: Row) -> dict[str, Any]:
        path = folder / f"{number}.png"
        Image.new("RGB", (64, 48), (number * 67 % 256, number * 101 % 256, 60)).save(path)
        image = {"image_1": {"bytes": path.read_bytes(), "path": None}} if self.table == "parquet" else {"image": path.name}
        given = {name: value for name in ("label", "options") if (value := getattr(row, name)) is not None}
        return {"id": row.id, "question": f"Form {number:03d}: {row.question}", **image, **given}

    def row_of(self, prompt: str) -> Row | None:
        """The row that a request asks about."""
        found = re.search(r"Form (\d{3}):", prompt)
        return self.samples()[int(found[1])] if found else None

    def reply(self, step: Step, number: int, body: dict[str, Any]) -> Reply:
        """The reply to the step's request of this number, from 1."""
        row = self.row_of(json.dumps(body["messages"]))
        own = Reply() if row is None else row.reply
        return next((rule.reply for rule in step.serves if rule.applies(number, body)), own)


def load(path: Path) -> Case:
    """The case in a file."""
    return Case.model_validate(_filled(yaml.safe_load(path.read_text(encoding="utf-8"))))


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    for name, text in TEXTS.items() if isinstance(value, str) else ():
        value = value.replace(name, text)
    return value
