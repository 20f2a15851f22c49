"""What a kind of teacher is: keys of its own in the pipeline file, what it can do, and a place where it is asked.

To add one: a file in `teachers/kinds/` with a `TeacherKind` and its `TeacherBackend`, and an entry in `teachers.kinds.KINDS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cotforge.images import Urls
from cotforge.records import Call
from cotforge.replies.attempt import Attempt
from cotforge.teachers.openai import Session
from cotforge.teachers.teacher import Batched, Teacher


class TeacherBackend(ABC):
    """One teacher, ready to be asked, at one address or at several with the same model."""

    addresses: Sequence[str]
    """URLs, or names of workers: whatever tells them apart. At least one."""
    most: int
    """Calls in flight at each address, at most."""
    adaptive: bool = False
    """Whether fewer in flight than `most` may serve better, as at a server that others use too: how many is found out then."""

    def prepare(self, images: Urls | None) -> None:
        """Make what is sent of the pictures, ahead of the Call. Raises Fault where one of them is not there any more."""
        return

    @abstractmethod
    async def ask(self, call: Call, images: Urls | None, at: str, *, number: int, timeout: Callable[[], float]) -> Attempt:
        """Ask once at an address and wait for the end of it, `timeout()` seconds at most. Never raises but on cancellation.

        `images` holds what is sent of the pictures where the kind `sends_pictures`; else it may be None.
        """

    async def reached(self, at: str) -> bool:
        """Whether anything answers at an address that could not be reached."""
        return True

    async def queue(self, at: str) -> tuple[int, int] | None:
        """(requests that wait, requests that are worked on) at an address; None where it does not tell."""
        return None


@dataclass(frozen=True, slots=True)
class Opening:
    """What a run has for its places."""

    root: Path
    """The pipeline file's folder."""
    session: Session
    """The connections that all teachers share."""
    share: float
    """Of the connections that all teachers may have, those that this process can hold, in (0, 1]."""
    stack: AsyncExitStack
    """What is entered here ends when nothing is asked at the place any more."""


class TeacherKind(Teacher):
    """The base of every kind. The defaults are those of a kind that has nothing, needs nothing and costs nothing.

    A key named `path` is relative to the pipeline file, and made absolute in what the run folder keeps.
    """

    sends_pictures: ClassVar[bool] = False
    """Whether its place is given the pictures as URLs."""
    may_charge: ClassVar[bool] = False
    """Whether somebody may ask money for its Calls."""
    instant: ClassVar[bool] = False
    """Whether its answers take no time worth counting."""
    takes_follow_ups: ClassVar[bool] = True
    """Whether it can be asked whatever follows from what teachers said; not where its replies exist already."""
    playable: ClassVar[bool] = False
    """Whether `cotforge simulate` can stand in for it: OpenAI's chat protocol at its `urls`."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Base URLs of the servers behind it."""
        return ()

    @property
    def connections(self) -> int:
        """Connections that it holds open at a time, at most."""
        return 0

    @property
    def batched(self) -> Batched | None:
        """How its Calls go to a batch API at its URL, which answers in hours (`forge.batches`); None where it is asked Call by Call."""
        return None

    def devices(self) -> frozenset[str]:
        """What it holds of this machine while it is asked: teachers that share a device take turns. Raises TeacherError."""
        return frozenset()

    def look(self, root: Path) -> None:
        """See that what it needs on this machine is there. Raises TeacherError. `root` is the pipeline file's folder."""
        return

    async def preflight(self, session: Session) -> tuple[list[str], list[str]]:
        """(faults, warnings) of what it needs elsewhere, a line each, before anything is paid."""
        return [], []

    async def open(self, opening: Opening) -> TeacherBackend:
        """The place where it is asked Call by Call. Raises TeacherError where it cannot be."""
        raise TypeError(f"kind {self.kind!r} is not asked Call by Call")
