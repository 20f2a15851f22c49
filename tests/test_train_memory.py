"""Memory: nothing of a stage is alive in the next, the longest batch comes first, and memory that is short is one line."""

import gc
import re
from collections import Counter
from pathlib import Path
from weakref import WeakSet

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from cotforge.errors import PipelineError
from cotforge.train.command import run_training
from cotforge.train.data.grouped import Grouped
from cotforge.train.explained_errors import explain_memory
from cotforge.train.stage_run import newest_whole
from tests.nursery import Nursery
from tests.squares import project

SFT = {"name": "inject", "kind": "sft", "steps": 2, "batch": 4}
GRPO = {
    "name": "reason", "kind": "grpo", "steps": 2, "batch": 4, "group": 2, "max_completion": 8, "beta": 0.1, "learning_rate": 1e-5,
    "rewards": [{"measure": "well_formed"}],
}  # fmt: skip
DPO = {"name": "prefer", "kind": "dpo", "steps": 2, "batch": 4}


@pytest.mark.parametrize("student", [{}, {"lora": {"rank": 2}}])
def test_nothing_of_a_stage_is_alive_in_the_next(tmp_path: Path, student: dict[str, object]) -> None:
    """Each line that is told finds no model and no optimizer but those that were there before."""
    folder = project(tmp_path, SFT, GRPO, DPO, {"name": "again", "kind": "sft", "steps": 1, "batch": 4}, student=student)
    alive: list[Counter[str]] = []
    kinds = (PreTrainedModel, torch.optim.Optimizer)
    known = WeakSet(each for each in gc.get_objects() if issubclass(type(each), kinds))

    def tell(line: str) -> None:
        if line[:2].isdigit() or "held out" in line or "done in" in line:
            found = [each for each in gc.get_objects() if issubclass(type(each), kinds) and each not in known]
            alive.append(Counter(type(each).__name__ for each in found))

    told = run_training(str(folder / "squares.yaml"), out=folder / "run", tell=tell)
    assert told.startswith("the student: ")
    assert len(alive) >= 8
    assert not any(alive)


@given(lengths=st.lists(st.integers(1, 100), min_size=1, max_size=600), batch=st.integers(1, 5), seed=st.integers(0, 3))
def test_the_first_batch_of_the_first_epoch_is_the_largest_of_all(lengths: list[int], batch: int, seed: int) -> None:
    def padded(rows: list[int]) -> list[int]:
        return [max(lengths[row] for row in cut) * len(cut) for at in range(0, len(rows), batch) if (cut := rows[at : at + batch])]

    sampler = Grouped(lengths, batch, seed)
    first = list(sampler)
    assert padded(first)[0] == max(padded(first))
    assert sorted(first) == list(range(len(lengths)))
    sampler.set_epoch(1)
    assert sorted(sampler) == sorted(first)


PROGRAM = """
import resource, sys
from pathlib import Path
from cotforge.errors import PipelineError
from cotforge.train.command import quiet_libraries
quiet_libraries()
from cotforge.train.kinds import sft
from tests.squares import SIZE, TEXTS, write
from cotforge.train.data.lessons import find_lessons
from tests.test_train_sft import work
from cotforge.train.students import tiny
import torch, trl
torch.set_num_threads(1)
folder = Path(sys.argv[1])
lessons = find_lessons(write(folder / "dataset", 16), cache=folder)
model = tiny.make_llava(folder / "model", TEXTS, SIZE)

class Limited(type(work(folder / "x", model, lessons).record)):
    def row(self, step, metrics):
        super().row(step, metrics)
        if step == 2:
            held = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
            resource.setrlimit(resource.RLIMIT_AS, (held + (8 << 20), -1))

job = work(folder / "stage", model, lessons, steps=3, batch=16, trl={"save_steps": 1})
job = type(job)(**vars(job) | {"record": Limited(folder / "stage" / "metrics.jsonl", "inject")})
def large(module, args):
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        torch.empty(1 << 30)  # more than may be had: torch's own allocator says so
torch.nn.modules.module.register_module_forward_pre_hook(large)
try:
    sft.train(job.stage, job)
except PipelineError as fault:
    print(fault)
"""


def test_memory_that_is_short_is_one_line_and_the_stage_can_be_resumed(tmp_path: Path, nursery: Nursery) -> None:
    """The process may hold no more after its second step, and the next forward pass asks torch for more."""
    done = nursery.train(tmp_path, tmp_path, program=PROGRAM)
    told = done.stdout.strip()
    assert re.fullmatch(
        r"stage 'inject': out of memory at step 3 in a batch of 16 x \d+ tokens \(\d+\.\d GB at its peak\); "
        r"set batch: 8 and accumulate: 2, which is the same step, or lower longest, or lower train.student.max_pixels, or take lora; "
        r"then run the same command again",
        told,
    ), done.stderr
    left = newest_whole(tmp_path / "stage" / "checkpoints")
    assert left is not None
    assert left.name == "checkpoint-2"


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError("std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_each_way_to_say_that_memory_is_short_is_known(fault: Exception) -> None:
    with (
        pytest.raises(PipelineError, match=r"^stage 'here': out of memory .*GB at its peak\); set it lower$"),
        explain_memory("here", "set it lower"),
    ):
        raise fault
    with pytest.raises(RuntimeError, match="size mismatch"), explain_memory("here", "set it lower"):
        raise RuntimeError("size mismatch")
