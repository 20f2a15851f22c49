"""A made project in which everything is known: what is true of every row, and what every teacher says of it, whenever it is asked."""

import base64
import csv
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from tests.project import LABELS, said, teacher, write_pipeline
from tests.teacher import Failure, Teacher
from tests.test_forge import picture_of

ACCURACIES = {"ann": 0.92, "bob": 0.86, "cyd": 0.8, "dee": 0.7}
UNREAD, FAILED = 0.02, 0.02
"""Shares of a teacher's replies in which no answer can be read, and of its Calls that fail for good."""
PRICE = {"input": 1.0, "output": 2.0}
IN_TURN = {"rule": "sequential"}


def drawn(*what: object) -> float:
    """In [0, 1), and always the same."""
    return int(hashlib.sha256(repr(what).encode()).hexdigest()[:12], 16) / 16**12


@dataclass
class Crowd:
    """Rows and the teachers that are asked about them."""

    folder: Path
    truth: dict[str, str] = field(default_factory=dict)
    """By id."""
    asked: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    """How often (teacher, id, whether for a short vote) was asked."""
    sure: bool = False
    """Whether servers give log probabilities; those of right answers are higher, mostly."""
    _ids: dict[str, str] = field(default_factory=dict)
    """From a picture, as it is sent, to its row's id."""

    @classmethod
    def of(cls, folder: Path, rows: int, *, wrong: float = 0.1, unlabelled: float = 0.0) -> "Crowd":
        """So many rows, some with a wrong label, some with none."""
        crowd, lines = cls(folder), []
        (folder / "images").mkdir(parents=True)
        for number in range(rows):
            id, path = f"row-{number}", folder / "images" / f"{number}.png"
            Image.new("RGB", (32, 32), (number % 256, number // 256, 7)).save(path)
            crowd._ids[base64.b64encode(path.read_bytes()).decode()] = id
            crowd.truth[id] = LABELS[int(len(LABELS) * drawn(id))]
            label = _other(crowd.truth[id], id) if drawn("label", id) < wrong else crowd.truth[id]
            line = {"id": id, "image": f"images/{number}.png"} | ({} if drawn("none", id) < unlabelled else {"label": label})
            lines.append(json.dumps(line) + "\n")
        (folder / "rows.jsonl").write_text("".join(lines))
        return crowd

    def answer(self, name: str, id: str, accuracy: float | None = None) -> str | None:
        """What a teacher says of a row; None where it cannot be read."""
        if drawn("unread", name, id) < UNREAD:
            return None
        right = drawn("right", name, id) < (ACCURACIES[name] if accuracy is None else accuracy)
        return self.truth[id] if right else _other(self.truth[id], (name, id))

    def says(self, name: str, accuracy: float, *, told: str = "") -> Callable[[dict[str, Any]], str | dict[str, Any]]:
        """A teacher, in as many words as it is asked for, under its name or as `told`."""

        def answer(body: dict[str, Any]) -> str | dict[str, Any]:
            self.asked[self.key(told or name, body)] += 1
            choice = self.answer(name, self.id(body), accuracy)
            if choice is None:
                return "I cannot tell."
            whole = said(choice)
            whole = whole[whole.index("<answer>") :] if is_vote(body) else whole
            return self._told(whole, choice, name, self.id(body)) if self.sure and body.get("logprobs") else whole

        return answer

    def _told(self, text: str, answer: str, name: str, id: str) -> dict[str, Any]:
        """A message with its log probabilities, the answer's in two tokens."""
        start = text.rindex(answer)
        sure = 0.4 + 0.35 * (answer == self.truth[id]) + 0.25 * drawn("sure", name, id)
        pieces = [(text[:start], -0.01), (answer[:2], math.log(sure)), (answer[2:], 0.0), (text[start + len(answer) :], -0.01)]
        return {"content": text, "logprobs": {"content": [{"token": token, "logprob": logprob} for token, logprob in pieces]}}

    def fails(self, name: str) -> Callable[[dict[str, Any]], Failure]:
        """Some Calls are refused, for good."""
        return lambda body: 400 if drawn("failed", name, self.id(body)) < FAILED else None

    def key(self, name: str, body: dict[str, Any]) -> tuple[str, str, bool]:
        """As in `asked`."""
        return name, self.id(body), is_vote(body)

    def id(self, body: dict[str, Any]) -> str:
        return self._ids[picture_of(body).partition(",")[2]]

    @contextmanager
    def servers(self, accuracies: Mapping[str, float] = ACCURACIES, **fields: Any) -> Iterator[dict[str, Teacher]]:
        """A server for each teacher."""
        with ExitStack() as stack:
            yield {
                name: stack.enter_context(Teacher(self.says(name, accuracy), fail=self.fails(name), **fields))
                for name, accuracy in accuracies.items()
            }

    def pipeline(self, servers: Mapping[str, Teacher], *, concurrency: int = 8, **sections: Any) -> Path:
        """The project's file; every teacher has a price."""
        asked = [teacher(server, name, concurrency=concurrency, price=PRICE) for name, server in servers.items()]
        return write_pipeline(self.folder, *asked, **{"consensus": IN_TURN, "max_failures": 0.2} | sections)

    def gold(self, ids: Sequence[str], **answers: str) -> None:
        """`gold.csv` beside the pipeline, with the true answers, or others."""
        with (self.folder / "gold.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id", "answer"), *((id, self.truth[id]) for id in ids), *answers.items()])

    def right(self, lessons: Sequence[Mapping[str, Any]]) -> float:
        """Share of true answers."""
        return sum(self.truth[row["id"]] == row["answer"] for row in lessons) / len(lessons)


def is_vote(body: dict[str, Any]) -> bool:
    return "Explain nothing" in json.dumps(body["messages"][0]["content"][-1])


def late(servers: Mapping[str, Teacher], seed: int, most: float = 0.03) -> None:
    """From now on answers come in any order."""
    chance = Random(seed)
    for server in servers.values():
        refused = server.fail

        def fail(body: dict[str, Any], server: Teacher = server, refused: Any = refused) -> Failure:
            server.latency = chance.uniform(0, most)
            return refused(body) if refused else None  # type: ignore[no-any-return]

        server.fail = fail


def _other(true: str, about: object) -> str:
    return [label for label in LABELS if label != true][int(3 * drawn("other", about))]
