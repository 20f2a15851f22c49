"""Where a local teacher's model lies, and which devices its workers get: all that can be told without loading anything."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from cotforge.errors import TeacherError
from cotforge.teachers.teacher import Teacher

NEEDS = {"transformers": ("torch", "transformers"), "vllm": ("vllm",)}
"""Libraries of each kind; the extra of the same name brings them."""

ANSWER_S = 60.0
"""Seconds (ours) in which nvidia-smi lists the GPUs; it takes one, or ten where they sleep."""
SAMPLING = ("min_p", "no_repeat_ngram_size", "repetition_penalty", "top_k", "typical_p")
"""Fields of `body` that transformers' `generate` knows by the same name."""
BODY = (*SAMPLING, "chat_template_kwargs", "seed", "stop")
"""All that a teacher of kind `transformers` knows."""


def look(teacher: Teacher, root: Path) -> tuple[str, dict[str, str]]:
    """Its model as an engine's `load` wants it, and its `places`. `root` is the pipeline file's folder.

    Raises TeacherError for all that is known to be wrong without loading anything.
    """
    unknown = sorted(set(teacher.body) - set(BODY)) if teacher.kind == "transformers" else []
    if unknown:
        raise TeacherError(
            f"teacher {teacher.name!r}: body: kind 'transformers' knows no {unknown[0]!r}; it knows {', '.join(sorted(BODY))}"
        )
    return model_of(teacher, root), places(teacher)


def model_of(teacher: Teacher, root: Path) -> str:
    """The model's folder, absolute, where there is one beside the pipeline file; else its id on the Hub.

    Raises TeacherError where the library that loads it is not installed, or where it can only be a folder and is none.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDS[teacher.kind]):
        raise TeacherError(f"teacher {teacher.name!r}: {needs(teacher.kind)}")
    folder = root / teacher.model
    if (folder / "config.json").is_file():
        return str(folder.resolve())
    if folder.is_dir():
        raise TeacherError(f"teacher {teacher.name!r}: model: {folder} is no model folder; there is no config.json in it")
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", teacher.model):
        raise TeacherError(f"teacher {teacher.name!r}: model: no such model folder: {folder}")
    return teacher.model


def needs(kind: str) -> str:
    """The line for a kind whose library is not installed."""
    return f"kind {kind!r} needs {' and '.join(NEEDS[kind])}: pip install 'cotforge[{kind}]'"


def places(teacher: Teacher) -> dict[str, str]:
    """One worker each: its name (`gpu:0`, `gpu:0+1`, `cpu`) and what it sees as CUDA_VISIBLE_DEVICES.

    A model that is spread over several GPUs gets as many per worker. Raises TeacherError where there are not enough.
    """
    visible = _visible() if teacher.gpus else []
    wanted = tuple(range(len(visible))) if teacher.gpus == "all" else teacher.gpus
    if missing := [gpu for gpu in wanted if gpu >= len(visible)]:
        raise TeacherError(f"teacher {teacher.name!r}: gpus: there is no gpu {missing[0]}; {len(visible)} are visible")
    if not wanted:
        return {"cpu": ""}
    each = _spread(teacher, len(wanted))
    if each > len(wanted):
        raise TeacherError(f"teacher {teacher.name!r}: engine: spreads the model over {each} gpus, and has {len(wanted)}")
    groups = [wanted[start : start + each] for start in range(0, len(wanted) - each + 1, each)]
    return {"gpu:" + "+".join(map(str, group)): ",".join(visible[gpu] for gpu in group) for group in groups}


def _spread(teacher: Teacher, all: int) -> int:
    """How many GPUs one worker needs."""
    if "device_map" in teacher.engine:
        return all
    sizes = [teacher.engine.get(f"{axis}_parallel_size", 1) for axis in ("tensor", "pipeline")]
    return max(1, sizes[0] * sizes[1]) if all and isinstance(sizes[0], int) and isinstance(sizes[1], int) else 1


def _visible() -> list[str]:
    """The GPUs of this machine as CUDA_VISIBLE_DEVICES names them; those that it leaves visible where it is set."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired as fault:
        raise TeacherError(f"nvidia-smi gives no answer within {ANSWER_S:g} s; set gpus: [] to use the CPU") from fault
    return [str(number) for number, _ in enumerate(re.findall(r"^GPU \d+:", listed.stdout, re.MULTILINE))]
