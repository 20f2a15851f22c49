"""The Calls that wait for one teacher, where they go, and whether one that failed is tried again."""

import asyncio
import random
import time
from dataclasses import dataclass

from cotforge.forge.work import Work
from cotforge.records import Call
from cotforge.teachers.ended import Ended
from cotforge.teachers.teacher import Teacher

ATTEMPTS = 4
"""Attempts at a Call that fails for a passing reason, before it is given up (ours)."""
TIMEOUTS = 2
"""Attempts that may end by timeout: the server probably did, and charged, the work each time (ours)."""
THROTTLED = 60
"""Attempts that a server may turn away with 429 (ours); they cost nothing."""
AWAY_S = 60.0
"""Seconds (ours) that all replicas of a teacher may be out of reach before its remaining Calls are given up for this run."""


@dataclass(slots=True)
class Job:
    """A Call on its way."""

    call: Call
    work: Work
    attempt: int
    begun: asyncio.Future[None]
    """When the attempt stands in the journal: nothing is sent before."""
    failures: int = 0
    timeouts: int = 0
    throttled: int = 0


class Replica:
    """One URL of a teacher, with the time until which it is left alone."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.rest_until = 0.0
        self.down_since: float | None = None
        self.refused = 0

    def reached(self) -> None:
        self.down_since, self.refused = None, 0

    def unreached(self, now: float) -> None:
        self.down_since = self.down_since or now
        self.refused += 1
        self.rest_until = max(self.rest_until, now + min(10.0, 0.25 * 2 ** min(self.refused, 6)) * random.uniform(0.5, 1.0))


class Line:
    """The Calls waiting for one teacher. At most `room` are under way at a time, those that wait to be tried again included."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.replicas = [Replica(url) for url in teacher.url] or [Replica(f"replay:{teacher.path}")]
        self.slots = teacher.concurrency * len(self.replicas)
        self.room = asyncio.Semaphore(2 * self.slots + 64)
        self.queue: asyncio.Queue[Job] = asyncio.Queue()
        self.under_way = 0

    def away(self, now: float) -> bool:
        """Whether no replica could be reached for too long."""
        return all(replica.down_since is not None and now - replica.down_since > AWAY_S for replica in self.replicas)

    def again(self, job: Job, ended: Ended, replica: Replica) -> tuple[bool, float]:
        """Whether the Call is tried again, and after how many seconds."""
        now = time.monotonic()
        if ended.unreached:
            replica.unreached(now)
            return not self.away(now) and ended.retry, 0.0
        replica.reached()
        error = ended.stored.error
        if error == "429":
            job.throttled += 1
            if ended.after is not None:
                replica.rest_until = max(replica.rest_until, now + ended.after)
            return ended.retry and job.throttled < THROTTLED, jittered(job.throttled)
        job.timeouts += error == "timeout"
        job.failures += error is not None
        return ended.retry and job.failures < ATTEMPTS and job.timeouts < TIMEOUTS, max(ended.after or 0.0, jittered(job.failures))


def jittered(times: int) -> float:
    """Seconds until the next attempt: full jitter, so that many that failed together do not come back together."""
    return random.uniform(0.0, min(20.0, 0.5 * 2**times))
