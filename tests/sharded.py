"""`cotforge train` in one of several processes, where accelerate takes CPUs for GPUs so that FSDP2 splits the student for real.

Run by tests/test_train_sharding.py. Without GPUs accelerate ignores FSDP; torch's `fully_shard` works on CPUs over gloo all the same.
"""

import sys
from typing import Any

from accelerate import DistributedType, PartialState

from cotforge.cli import main

_begin = PartialState.__init__


def _as_gpus(self: Any, *given: Any, **named: Any) -> None:
    _begin(self, *given, **named)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState.__init__ = _as_gpus
    main(sys.argv[1:])
