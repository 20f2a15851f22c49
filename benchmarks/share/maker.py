"""Makes the run folder that a build of many samples leaves, without asking anybody: pictures, a table, and a journal of replies.

python -m benchmarks.share.maker FOLDER SAMPLES

`FOLDER/run` is then curated by `cotforge curate`. The same numbers give the same run but for times.
"""

import asyncio
import csv
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.forge import data
from benchmarks.forge.data import LABELS
from cotforge.journal import Journal
from cotforge.records import Call, Outcome, OutcomeKind, Sample
from cotforge.replies.attempt import Attempt, failed_attempt
from cotforge.session import RunSession
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import attempt_of

TEACHERS = {"ann": 0.92, "bob": 0.88, "cyd": 0.85, "dan": 0.8, "eve": 0.75}
"""The teachers, and the share of their answers that is right."""
PICTURE = (208, 156), 8 * 1024
"""Pixels of a picture, and about how many bytes it has."""
MISLABELLED, UNREAD, FAILED = 0.08, 0.02, 0.01
"""Shares of wrong labels, of replies without an answer, and of calls that came to nothing."""
CHECKED = 600
"""Samples that people checked, at most."""
WORDS = (50, 350)
"""Of reasoning, in a reply: one in thirty is shorter than the filter allows."""
AT_ONCE = 64
"""Samples whose replies are committed together."""
_VOCABULARY = 4_096


@dataclass(frozen=True)
class MadeRun:
    """Where everything of a run lies that was made."""

    folder: Path

    @property
    def pipeline(self) -> Path:
        return self.folder / "pipeline.yaml"

    @property
    def table(self) -> Path:
        return self.folder / "data" / "rows.jsonl"

    @property
    def run(self) -> Path:
        return self.folder / "run"


class Reasoner:
    """Replies as a reasoning model writes them, of random words."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)
        syllables = ["ka", "lo", "mi", "ren", "tas", "vel", "dor", "nim", "sul", "par"]
        self._words = ["".join(self.chance.choices(syllables, k=self.chance.randint(1, 3))) for _ in range(_VOCABULARY)]

    def body(self, truth: str, accuracy: float) -> str:
        """A chat completion whose answer is `truth` with probability `accuracy`; some have no answer at all."""
        words = self.chance.choices(self._words, k=self.chance.randint(*WORDS))
        answer = truth if self.chance.random() < accuracy else self.chance.choice(LABELS)
        content = "I cannot tell." if self.chance.random() < UNREAD else f"<answer>{answer}</answer>"
        message = {"role": "assistant", "content": f"<think>It shows {' '.join(words)}.</think>\n{content}"}
        usage = {"prompt_tokens": 700, "completion_tokens": 2 * len(words)}
        return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})


def make_run(folder: Path, samples: int) -> MadeRun:
    """Everything but the dataset: `cotforge curate` makes that."""
    made = MadeRun(folder)
    side, size = PICTURE
    data.rows(folder / "data", samples, side=side, size=size)
    write_table(made.table, samples)
    write_pipeline(made)
    with RunSession.open(made.pipeline, out=made.run) as run:
        run.folder.write("pipeline.yaml", run.loaded.text())
        asyncio.run(_fill(run))
    _check(made, samples)
    return made


def write_table(path: Path, samples: int) -> None:
    """Rows with ids, labels of which some are wrong, and pictures."""
    chance = random.Random(1)
    with path.open("w") as file:
        for number in range(samples):
            label = chance.choice(LABELS) if chance.random() < MISLABELLED else truth_of(number)
            file.write(json.dumps({"id": f"{number:07}", "image": f"images/{number}.jpg", "label": label}) + "\n")


def truth_of(number: int) -> str:
    """The true label of a row; the first ones are more frequent than the last."""
    place = random.Random(number).random() ** 1.5
    return LABELS[int(place * len(LABELS))]


def write_pipeline(made: MadeRun) -> None:
    """A pipeline file with the filters of a real one."""
    teachers: Sequence[dict[str, object]] = [
        {
            "name": name,
            "model": f"org/{name}-7b",
            "url": "http://127.0.0.1:9/v1",
            "price": {"input": 0.1, "output": 0.4},
            "license": "apache-2.0",
        }
        for name in TEACHERS
    ]
    data.pipeline(made.pipeline, made.table, teachers)
    spec = yaml.safe_load(made.pipeline.read_text())
    spec["source"]["license"] = "cc-by-4.0"
    made.pipeline.write_text(yaml.safe_dump(spec | {"name": "share"}, sort_keys=False))


async def _fill(run: RunSession) -> None:
    """Replies of every teacher about every sample, into the journal."""
    reasoner = Reasoner()
    for place, item in enumerate(run.samples(), 1):
        assert isinstance(item, Sample), str(item)
        kept = [
            run.journal.end(attempt)
            for teacher, call in run.loaded.calls(item)
            for attempt in _attempts(run.journal, teacher, call, reasoner)
        ]
        if place % AT_ONCE == 0:
            await kept[-1]
    await kept[-1]


def _attempts(journal: Journal, teacher: Teacher, call: Call, reasoner: Reasoner) -> Iterator[Attempt]:
    number, _ = journal.begin(call.key, teacher.name, teacher.model, about=call.sample)
    if reasoner.chance.random() < FAILED:
        attempt = failed_attempt(call.key, Outcome(OutcomeKind.PASSING, "timeout", "no answer after 60 s"), number=number, max_tokens=None)
        attempt.final = True
        yield attempt
    else:
        body = reasoner.body(truth_of(int(call.sample.id)), TEACHERS[teacher.name])
        yield attempt_of(body, number=number, call=call, teacher=teacher, seconds=1.0)


def _check(made: MadeRun, samples: int) -> None:
    """What people found out about some of the samples, so that the report has a claim and a calibration."""
    with (made.run / "gold.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("id", "answer"))
        for number in sorted(random.Random(2).sample(range(samples), min(CHECKED, samples // 2))):
            lines.writerow((f"{number:07}", truth_of(number)))


def change_labels(path: Path, count: int, *, seed: int) -> None:
    """Give `count` rows of the table, spread over it, another label."""
    lines = path.read_text().splitlines()
    for place in random.Random(seed).sample(range(len(lines)), min(count, len(lines))):
        row = json.loads(lines[place])
        row["label"] = LABELS[(LABELS.index(row["label"]) + 1) % len(LABELS)]
        lines[place] = json.dumps(row)
    path.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    make_run(Path(sys.argv[1]), int(sys.argv[2]))
