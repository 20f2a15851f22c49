"""Seconds to answer held-out questions: one process beside two that share them (gloo, one thread each), in turns.

    python -m benchmarks.train.evaluation [--questions 256] [--tokens 48] [--times 3]

Pictures of 448 pixels, prompts of 20 to 220 words; a tiny LLaVA of random weights, so that most answers go on to the limit. Loading
and two questions before are not counted: the clock runs from when all processes are ready until each has all answers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median

from benchmarks.forge.table import print_table
from benchmarks.train import ground
from cotforge.plan import Student
from cotforge.records import Picture, Sample
from cotforge.train import ranks
from cotforge.train.data.lessons import find_lessons
from cotforge.train.evaluation.askers import Question
from cotforge.train.evaluation.engines import Candidate

WANTED = 0.6


def main() -> None:
    """The table, on stdout; with `--worker`, one of the processes."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--questions", type=int, default=256)
    asked.add_argument("--tokens", type=int, default=48, help="of an answer, at most")
    asked.add_argument("--times", type=int, default=3)
    asked.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.worker is None:
        measure(given.questions, given.tokens, given.times)
    else:
        _answer(given.worker, given.tokens)


def measure(count: int, tokens: int, times: int) -> None:
    """So many turns of one process and of two; the answers of both have to be the same. Raises RuntimeError where they are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ground.quiet()
        ground.student(folder / "student", width=128)
        ground.write(folder / "dataset", count)
        taken: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        said = set()
        for turn in range(times):
            for processes in (1, 2) if turn % 2 else (2, 1):
                found = _run(folder, tokens, processes)
                taken[processes].append((found["seconds"], found["cpu"]))
                said.add(found["said"])
    if len(said) != 1:
        raise RuntimeError("the answers of one process and of two differ")
    print(f"{count} questions, answers of at most {tokens} tokens, width 128; median of {times}\n")
    whole = median(seconds for seconds, _ in taken[1])
    lines = []
    for processes, each in taken.items():
        seconds, cpu = (median(figures) for figures in zip(*each, strict=True))
        wanted = f"at most {WANTED}" if processes > 1 else ""
        lines.append((f"{processes} process{'es' * (processes > 1)}", f"{seconds:.1f}", f"{seconds / whole:.2f}", f"{cpu:.1f}", wanted))
    print_table(("", "s", "of one's", "CPU s of the first", "wanted"), lines)


def _run(folder: Path, tokens: int, processes: int) -> dict[str, float]:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *launch, "-m", "benchmarks.train.evaluation", "--worker", str(folder), "--tokens", str(tokens)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads((folder / "found.json").read_text())
    return found


def _answer(folder: Path, tokens: int) -> None:
    """One of the processes; the first writes down what all took."""
    ground.quiet()
    ranks.join_processes()
    asker, asked = Candidate(str(folder / "student"), Student(model="student")).loaded(), _questions(folder)
    asker.answers(asked[: 2 * ranks.process_count()], max_tokens=2, done=bool)  # what torch and transformers do once is not counted either
    ranks.gather_processes(bool)
    begun, spent = time.perf_counter(), time.process_time()
    replies = asker.answers(asked, max_tokens=tokens, done=bool)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - spent
    said = sha256(json.dumps([reply.content for reply in replies]).encode()).hexdigest()
    if ranks.is_first():
        (folder / "found.json").write_text(json.dumps({"seconds": seconds, "cpu": cpu, "said": said}))
    ranks.leave_processes()


def _questions(folder: Path) -> list[Question]:
    draw, words, found = Random(0), ground.SENTENCE.split(), []
    for row in find_lessons(folder / "dataset", cache=folder / "cache").rows(["id", "images"]):
        data = row["images"][0]["bytes"]
        picture = Picture(sha256(data).hexdigest(), "image/jpeg", ground.SIDE, ground.SIDE, len(data), partial(bytes, data))
        text = " ".join(draw.choices(words, k=draw.randint(20, 220)))
        content = [{"type": "image", "digest": picture.digest}, {"type": "text", "text": text}]
        found.append(Question(Sample(row["id"], (picture,), text), ({"role": "user", "content": content},)))
    return found


if __name__ == "__main__":
    main()
