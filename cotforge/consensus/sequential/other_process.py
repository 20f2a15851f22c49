"""Learning in a process of its own: in a thread it would hold the interpreter's lock for seconds, and the asking would wait."""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from cotforge import version
from cotforge.consensus.sequential.answer_table import AnswerTable, Evidence
from cotforge.consensus.sequential.learning import Grounds, recall_policy, remember_policy, teach_policy
from cotforge.consensus.sequential.learning_cache import LearningCache
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.terms import Terms

T = TypeVar("T")

PROGRAM = (
    "import sys; sys.path.insert(0, {!r}); from cotforge.consensus.sequential.other_process import serve_work; "
    "del sys.path[0]; serve_work()"
)
BEHIND = 5
"""How nice the process is (ours): what asks goes first."""


async def learn_elsewhere(terms: Terms, evidence: Evidence | AnswerTable, upto: int, *, memory: LearningCache) -> Policy | None:
    """`learning.learn_policy`, once it is done elsewhere; None where no process can be had, or it came to nothing."""
    grounds = Grounds.of(terms, evidence, upto)
    policy = recall_policy(grounds, memory)
    if policy is None and (policy := await run_elsewhere(partial(teach_policy, grounds))) is not None:
        remember_policy(grounds, policy, memory)
    return policy


async def run_elsewhere(work: Callable[[], T]) -> T | None:
    """What `work`, which can be pickled, comes to in another process; None where no process can be had, or it came to nothing."""
    program = PROGRAM.format(str(Path(version.__file__).parents[1]))  # the same cotforge, wherever this one was found
    pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", program, stdin=pipe, stdout=pipe, stderr=quiet)
    except OSError:
        return None
    try:
        said, _ = await process.communicate(pickle.dumps(work))
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    return cast(T, pickle.loads(said)) if process.returncode == 0 else None


def serve_work() -> None:
    """Work on standard input to what it comes to on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks
    os.nice(BEHIND)
    pickle.dump(pickle.load(sys.stdin.buffer)(), sys.stdout.buffer)
