"""Makes vLLM stand still in the midst of its answers while a file is there, so that a test kills it with requests in it for sure."""

import os
import time
from pathlib import Path
from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

FILE = "COTFORGE_TEST_HOLD"
"""The environment variable that names the file."""
STEPS = 60
"""Tokens that are drawn before: the first answers of `tests/tiny_vlm.py` have come, and forty, four at a time, have not by far."""


class Hold(LogitsProcessor):
    """Leaves every token as it is: `engine: {logits_processors: ["tests.vllm_cpu.hold:Hold"]}`."""

    def __init__(self, *_: Any) -> None:
        self._steps = 0

    def is_argmax_invariant(self) -> bool:
        return True

    def apply(self, logits: Any) -> Any:
        return logits

    def update_state(self, batch_update: Any) -> None:
        self._steps += 1
        while self._steps > STEPS and Path(os.environ[FILE]).exists():
            time.sleep(0.05)
