"""`cotforge train` in one of several processes, where accelerate takes CPUs for GPUs so that FSDP2 and ZeRO split a student for real.

Run by tests/test_train_sharding.py. Without GPUs accelerate ignores both; torch's `fully_shard` and DeepSpeed work on CPUs over gloo all
the same.
"""

import importlib
import os
import sys
from typing import Any

from accelerate import DistributedType, PartialState
from accelerate.state import AcceleratorState

from cotforge.cli import main

_begin, _take = PartialState.__init__, AcceleratorState.__init__


def _as_gpus(self: Any, *given: Any, **named: Any) -> None:
    _begin(self, *given, **named)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


def _takes_deepspeed(self: Any, mixed_precision: Any = None, cpu: bool = False, **named: Any) -> None:
    _take(self, mixed_precision, False, **named)


if __name__ == "__main__":
    PartialState.__init__ = _as_gpus
    if "ACCELERATE_USE_DEEPSPEED" in os.environ:
        AcceleratorState.__init__ = _takes_deepspeed
        backend: Any = importlib.import_module("deepspeed.comm.torch")
        backend.build_shm_op = lambda: None  # or a compiler would be needed
    main(sys.argv[1:])
