"""Questions about squares, and completions, that a tiny model makes in one of several processes. For tests/test_evaluation_engines.py."""

import json
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from cotforge.records import Picture, Reply, Sample
from cotforge.train import ranks
from cotforge.train.evaluation.askers import CheckpointAsker, Question
from cotforge.train.evaluation.engines import Shared
from tests import squares

COUNT = 23
"""An odd number: one process gets one more than the other."""

SCORED = 5
"""Questions with a text whose perplexity is taken."""


def questions(side: int = 24) -> list[Question]:
    """Of various length, every fifth with two pictures; what is right follows from the first one's colour."""
    found = []
    for number in range(COUNT):
        colours = [*squares.COLOURS, *squares.COLOURS][number % 4 :][: 2 if number % 5 == 0 else 1]
        pictures = tuple(picture(squares.square(colour, side + number)) for colour in colours)
        text = "Which colour is it? " + "Look well. " * (number % 7)
        content = [*({"type": "image", "digest": each.digest} for each in pictures), {"type": "text", "text": text}]
        found.append(Question(Sample(str(number), pictures, text), ({"role": "user", "content": content},)))
    return found


def picture(data: bytes) -> Picture:
    return Picture(sha256(data).hexdigest(), "image/png", 24, 24, len(data), lambda: data)


class Counting:
    """An asker that counts what it is asked."""

    def __init__(self, asker: CheckpointAsker) -> None:
        self.asker, self.own = asker, 0
        self.name, self.dtype, self.engine = asker.name, asker.dtype, asker.engine

    def answers(
        self, asked: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
    ) -> list[Reply]:
        self.own += len(asked)
        return self.asker.answers(asked, max_tokens=max_tokens, done=done, temperature=temperature)


def answered(model: Path) -> dict[str, Any]:
    """All replies, how many of them are this process's own, and what was told of the progress."""
    told: list[int] = []
    asker = Counting(CheckpointAsker.load(str(model), batch=4))
    replies = Shared(asker).answers(questions(), max_tokens=48, done=told.append)
    surprise = Shared(asker.asker).perplexities([(question, "<answer>red</answer>") for question in questions()[:SCORED]])
    return {"said": [reply.content for reply in replies], "own": asker.own, "told": sum(told), "perplexities": surprise}


def drawn(model: Path, dataset: Path, folder: Path) -> dict[str, Any]:
    """Completions of a stage on the student's own, and its pairs, as all processes make them together."""
    import pyarrow.parquet as pq

    from cotforge.plan import Dpo
    from cotforge.train.rollouts.own_pairs import own_pairs  # TRL, which need not be where vLLM is
    from tests import test_dpo

    work = test_dpo.work_in(folder, model, dataset, **test_dpo.OWN)
    assert isinstance(work.stage, Dpo)
    pairs = [[row["id"], row["chosen"], row["rejected"]] for row in own_pairs(work.stage, work).rows()]
    made = [row for file in sorted((work.out / "rollouts").iterdir()) for row in pq.read_table(file).to_pylist()]
    return {"pairs": pairs, "made": made}


def fault() -> str:
    """What all processes are told of one that fails."""

    def fail() -> None:
        if ranks.process_number() == 1:
            raise ValueError("a fault of process 1")

    try:
        ranks.gather_processes(fail)
    except ValueError as found:
        return str(found)
    return ""


if __name__ == "__main__":
    torch.set_num_threads(1)
    ranks.join_processes()
    model, dataset, folder = map(Path, sys.argv[1:])
    made = answered(model) | drawn(model, dataset, folder) | {"fault": fault()}
    (folder / f"process-{ranks.process_number()}.json").write_text(json.dumps(made))
    ranks.leave_processes()
