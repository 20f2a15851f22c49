"""How far an upload is, told by the threads that send, and shown by another."""

import threading
import time
from collections import deque
from collections.abc import Callable

RATE_S = 30.0
"""Seconds whose bytes make the rate."""
STALL_S = 60.0
"""Seconds without a byte after which it is told."""
NOTED_S = 15.0
"""Seconds for which a note is shown."""
_LONGEST = 200


class UploadMeter:
    """Bytes of an upload, and what it waits for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._at: dict[str, int] = {}
        self._began = self._moved = clock()
        self._looks: deque[tuple[float, int]] = deque([(self._began, 0)])
        self.total = 0
        """Bytes to read and send; what the Hub has already is read and not sent."""
        self.sent: int | None = None
        """Bytes that went over the network; None where that is not known."""
        self.cancelled = False
        """Whether nobody waits for it any more."""
        self.phase = "looking at the Hub"
        self.notes: list[str] = []
        """What is still of interest when it is over."""
        self._latest, self._noted = "", self._began

    def begin_phase(self, phase: str, total: int = 0) -> None:
        """Something new is done."""
        with self._lock:
            self.phase, self.total = phase, total
            self._at, self._began = {}, self._clock()
            self._moved = self._began
            self._looks = deque([(self._began, 0)])

    def set_place(self, name: str, place: int) -> None:
        """So many bytes of a file are read; "" is all files together."""
        with self._lock:
            if self._at.get(name) != place:
                self._at[name] = place
                self._moved = self._clock()

    def set_sent(self, count: int) -> None:
        """So many bytes went over the network, since the start."""
        with self._lock:
            if count != self.sent:
                self.sent, self._moved = count, self._clock()

    def add_note(self, text: str, *, keep: bool = False) -> None:
        """Something that a person should know for the moment, or with `keep` afterwards too."""
        with self._lock:
            self._latest, self._noted = text[:_LONGEST], self._clock()
            if keep and self._latest not in self.notes:
                self.notes.append(self._latest)

    def progress_line(self) -> str:
        """How far it is, in one line."""
        with self._lock:
            now, done = self._clock(), min(sum(self._at.values()), self.total)
            self._looks.append((now, done))
            while len(self._looks) > 2 and self._looks[1][0] <= now - RATE_S:
                self._looks.popleft()
            (since, before) = self._looks[0]
            rate = (done - before) / max(now - since, 1e-9)
            if not self.total:
                return self._waited(self.phase, now)
            told = f"{self.phase}: {done / self.total:.0%} of {in_bytes(self.total)}, {in_bytes(rate)}/s"
            if rate > 0 and done < self.total:
                told += f", about {clock_time((self.total - done) / rate)} left"
            return self._waited(told, now)

    def _waited(self, told: str, now: float) -> str:
        still = now - self._moved
        if still < STALL_S:
            return f"{told}; {self._latest}" if self._latest and now - self._noted < NOTED_S else told
        stall = f"{told}; no byte has moved for {clock_time(still)}"
        last = f" ({self._latest})" if self._latest else ""
        return f"{stall}{last}. Ctrl-C loses nothing: the same command resumes, and --no-xet sends by plain HTTP"


def in_bytes(count: float) -> str:
    """`3.1 GB`, in powers of 1,000 as the Hub counts."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:.1f} TB"


def clock_time(seconds: float) -> str:
    """`2:13`, or `1:02:13`."""
    hours, rest = divmod(int(seconds), 3_600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
