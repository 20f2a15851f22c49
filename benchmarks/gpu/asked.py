"""Evaluation of a student and local teachers, by transformers and by vLLM. In a process of its own each."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from benchmarks.cells import Figures
from cotforge.cli import main
from cotforge.records import Call, Picture, Sample
from cotforge.teachers.kinds import AnyTeacher
from cotforge.teachers.local import Local
from cotforge.teachers.local.spec import LocalTeacher

PROMPT = "What is it? Reason about what you see, then answer."
ANSWER_S = 300.0


def evaluated(file: Path, run: Path, student: Path, *, sets: Sequence[str], tokens: int, batch: int) -> Figures:
    """`cotforge eval` of a student on what the pipeline holds out: samples, and seconds from the first question to the last answer."""
    words = ["eval", str(file), "--out", str(run), "--model", str(student), "--max-tokens", str(tokens), "--batch", str(batch)]
    begun = time.perf_counter()
    try:
        main([*words, *(word for given in sets for word in ("--set", given))])
    except SystemExit as end:
        if end.code:
            raise
    found = json.loads((run / "eval" / f"{student.name}.json").read_text(encoding="utf-8"))
    return {"count": found["n"], "seconds": found["seconds"], "whole": time.perf_counter() - begun}


def taught(kind: str, students: Sequence[Path], pictures: Path, *, asked: int, tokens: int, concurrency: int, spare_gb: float) -> Figures:
    """Teachers of one kind in turns on the card, each asked about so many pictures.

    With `spare_gb` above 0, all but so many GB of the card are taken before, so that the engine has to make its batches smaller.
    """
    with _taken(spare_gb):
        turns = [asyncio.run(_turn(_teacher(kind, student, tokens, concurrency), pictures, asked)) for student in students]
    return {"turns": turns}


def _teacher(kind: str, student: Path, tokens: int, concurrency: int) -> LocalTeacher:
    engine: dict[str, Any] = {"max_model_len": 4096, "gpu_memory_utilization": 0.6} if kind == "vllm" else {}
    given = {"name": student.name, "model": str(student), "kind": kind, "temperature": 0, "max_tokens": tokens, "engine": engine}
    made: Any = TypeAdapter(AnyTeacher).validate_python({**given, "concurrency": concurrency})
    assert isinstance(made, LocalTeacher)
    return made


async def _turn(teacher: LocalTeacher, pictures: Path, asked: int) -> Figures:
    """Seconds until a teacher is ready, until all is answered and until it is gone; how many Calls came to nothing."""
    begun = time.perf_counter()
    async with Local(teacher, Path()) as local:
        ready = time.perf_counter()
        places = [local.addresses[number % len(local.addresses)] for number in range(asked)]
        calls = list(_calls(pictures, asked))
        done = await asyncio.gather(
            *(local.ask(call, None, at, number=0, timeout=lambda: ANSWER_S) for call, at in zip(calls, places, strict=True))
        )
        answered = time.perf_counter()
    lost = [each.error for each in done if each.error]
    return {
        "ready": ready - begun, "asking": answered - ready, "gone": time.perf_counter() - answered, "asked": asked, "lost": len(lost),
        "why": lost[0] if lost else "",
    }  # fmt: skip


def _calls(pictures: Path, asked: int) -> Iterator[Call]:
    files = sorted(pictures.glob("*.jpg"))
    for number in range(asked):
        file = files[number % len(files)]
        picture = Picture(hashlib.sha256(file.read_bytes()).hexdigest(), "image/jpeg", 0, 0, file.stat().st_size, _reader(file), str(file))
        content = [{"type": "image", "digest": picture.digest}, {"type": "text", "text": f"{PROMPT} ({number})"}]
        yield Call(f"{number:064x}", Sample(f"{number}", (picture,), PROMPT), "one", "model", 0, ({"role": "user", "content": content},))


def _reader(file: Path) -> Callable[[], bytes]:
    return file.read_bytes


@contextmanager
def _taken(spare_gb: float) -> Iterator[None]:
    """While it is entered, all of the card's memory but so many GB is taken; nothing where that is 0."""
    held = None
    if spare_gb and torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        held = torch.empty(max(0, free - int(spare_gb * 1e9)), dtype=torch.uint8, device="cuda")
    try:
        yield
    finally:
        del held
