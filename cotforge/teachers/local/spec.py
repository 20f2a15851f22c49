"""What local kinds have in common: where the model lies, and which devices its workers get; all that can be told without loading it."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from cotforge.errors import TeacherError
from cotforge.teachers.kind import TeacherKind

ANSWER_S = 60.0
"""Seconds (ours) in which nvidia-smi lists the GPUs; it takes one, or ten where they sleep."""
SAMPLING = ("min_p", "no_repeat_ngram_size", "repetition_penalty", "top_k", "typical_p")
"""Fields of `body` that transformers' `generate` knows by the same name."""


class LocalTeacher(TeacherKind):
    """A model in worker processes on this machine, one worker per GPU, each with the whole model."""

    libraries: ClassVar[tuple[str, ...]]
    """What has to be installed; the extra of the kind's name brings them."""
    loader: ClassVar[str]
    """Module whose `load(teacher, model)` gives the worker its engine."""
    body_keys: ClassVar[tuple[str, ...] | None] = None
    """All that `body` may hold; None leaves that to the library."""
    ahead: ClassVar[int] = 1
    """Times `concurrency` that each worker should have, so that it never waits: with 2 a next batch lies ready beside the one in work."""

    gpus: Literal["all"] | tuple[Annotated[int, Field(ge=0)], ...] = "all"
    """Numbers of the GPUs, one worker each; `all` takes every GPU. `[]`, or no GPU on the machine:
    the CPU."""
    engine: dict[str, JsonValue] = Field(default_factory=dict)
    """Further arguments of `from_pretrained` or `vllm.LLM`, such as `dtype`, `max_model_len` or
    `tensor_parallel_size`. Never part of a call's key."""

    @model_validator(mode="after")
    def _trusts_code_openly(self) -> Self:
        if self.engine.get("trust_remote_code", True) is not True:
            raise ValueError("engine.trust_remote_code runs the model's own code; write true, or leave it out")
        return self

    def devices(self) -> frozenset[str]:
        return frozenset(device or "cpu" for visible in self.workers().values() for device in visible.split(","))

    def look(self, root: Path) -> None:
        self.model_at(root)
        self.workers()

    def needs(self) -> str:
        """The line for a library that is not installed."""
        return f"kind {self.kind!r} needs {' and '.join(self.libraries)}: pip install 'cotforge[{self.kind}]'"

    def model_at(self, root: Path) -> str:
        """The model's folder, absolute, where there is one beside the pipeline file; else its id on the Hub.

        Raises TeacherError where the library that loads it is not installed, where `body` holds what it does not know, or where the model
        can only be a folder and is none.
        """
        who = f"teacher {self.name!r}"
        if self.body_keys is not None and (unknown := sorted(set(self.body) - set(self.body_keys))):
            raise TeacherError(f"{who}: body: kind {self.kind!r} knows no {unknown[0]!r}; it knows {', '.join(sorted(self.body_keys))}")
        if any(importlib.util.find_spec(name) is None for name in self.libraries):
            raise TeacherError(f"{who}: {self.needs()}")
        folder = root / self.model
        if (folder / "config.json").is_file():
            return str(folder.resolve())
        if folder.is_dir():
            raise TeacherError(f"{who}: model: {folder} is no model folder; there is no config.json in it")
        if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", self.model):
            raise TeacherError(f"{who}: model: no such model folder: {folder}")
        return self.model

    def workers(self) -> dict[str, str]:
        """One worker each: its name (`gpu:0`, `gpu:0+1`, `cpu`) and what it sees as CUDA_VISIBLE_DEVICES.

        A model that is spread over several GPUs gets as many per worker. Raises TeacherError where there are not enough.
        """
        visible = _visible_gpus() if self.gpus else []
        wanted = tuple(range(len(visible))) if self.gpus == "all" else self.gpus
        if missing := [gpu for gpu in wanted if gpu >= len(visible)]:
            raise TeacherError(f"teacher {self.name!r}: gpus: there is no gpu {missing[0]}; {len(visible)} are visible")
        if not wanted:
            return {"cpu": ""}
        each = self._gpus_per_worker(len(wanted))
        if each > len(wanted):
            raise TeacherError(f"teacher {self.name!r}: engine: spreads the model over {each} gpus, and has {len(wanted)}")
        groups = [wanted[start : start + each] for start in range(0, len(wanted) - each + 1, each)]
        return {"gpu:" + "+".join(map(str, group)): ",".join(visible[gpu] for gpu in group) for group in groups}

    def _gpus_per_worker(self, all: int) -> int:
        """How many GPUs one worker needs."""
        if "device_map" in self.engine:
            return all
        sizes = [self.engine.get(f"{axis}_parallel_size", 1) for axis in ("tensor", "pipeline")]
        return max(1, sizes[0] * sizes[1]) if all and isinstance(sizes[0], int) and isinstance(sizes[1], int) else 1


def _visible_gpus() -> list[str]:
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
