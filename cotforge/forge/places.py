"""Where teachers are asked: servers behind URLs, files of replies, engines on this machine."""

import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Protocol, Self

from cotforge.errors import TeacherError
from cotforge.forge.replica import Replica
from cotforge.forge.sockets import sockets
from cotforge.forge.work import Work
from cotforge.records import Call
from cotforge.teachers.ended import Ended
from cotforge.teachers.kinds.replay import Replay
from cotforge.teachers.local import Local
from cotforge.teachers.local.spec import places
from cotforge.teachers.openai import Session
from cotforge.teachers.teacher import LOCAL, Teacher


class Place(Protocol):
    """One teacher, ready to be asked."""

    def replicas(self, chance: random.Random) -> Sequence[Replica]:
        """Where it can be asked."""

    def prepare(self, work: Work) -> None:
        """Make what is sent of the pictures. Raises Fault where one of them is not there any more."""

    async def ask(self, call: Call, work: Work, at: str, *, attempt: int, timeout: Callable[[], float]) -> Ended:
        """Ask once, and wait for the end of it. Never raises but on cancellation."""


class Servers:
    """A teacher behind one URL or several."""

    def __init__(self, teacher: Teacher, session: Session, *, share: float) -> None:
        """`share`: of the connections it may have, those that this process can hold, in (0, 1]."""
        self._teacher, self._session = teacher, session
        self._most = max(1, int(share * teacher.concurrency))

    def replicas(self, chance: random.Random) -> Sequence[Replica]:
        return [Replica(url, self._most, chance, adaptive=True) for url in self._teacher.url]

    def prepare(self, work: Work) -> None:
        if work.images is not None:
            work.images.encode()

    async def ask(self, call: Call, work: Work, at: str, *, attempt: int, timeout: Callable[[], float]) -> Ended:
        return await self._session.ask(call, self._teacher, at, images=work.images or {}, attempt=attempt, timeout=timeout)


class Replies:
    """A teacher whose replies are in a file."""

    def __init__(self, teacher: Teacher, replay: Replay) -> None:
        self._teacher, self._replay = teacher, replay

    def replicas(self, chance: random.Random) -> Sequence[Replica]:
        return [Replica(f"replay:{self._teacher.path}", self._teacher.concurrency, chance, adaptive=False)]

    def prepare(self, work: Work) -> None:
        pass  # nobody looks at pictures

    async def ask(self, call: Call, work: Work, at: str, *, attempt: int, timeout: Callable[[], float]) -> Ended:
        return await self._replay.ask(call, attempt=attempt)


class Engines:
    """A teacher in processes of its own on this machine."""

    def __init__(self, local: Local) -> None:
        self._local = local

    def replicas(self, chance: random.Random) -> Sequence[Replica]:
        return [Replica(place, self._local.in_flight, chance, adaptive=False) for place in self._local.specs]

    def prepare(self, work: Work) -> None:
        pass  # pictures go by reference

    async def ask(self, call: Call, work: Work, at: str, *, attempt: int, timeout: Callable[[], float]) -> Ended:
        return await self._local.ask(call, at, attempt=attempt, timeout=timeout())


class Places:
    """All of them, with one pool of connections; an async context."""

    def __init__(self, root: Path, teachers: Sequence[Teacher], tell: Callable[[str], object]) -> None:
        """`tell` gets a line where this process cannot hold all the connections that the `teachers` may have."""
        self._root = root
        self.session = Session()
        wanted = sum(teacher.concurrency * len(teacher.url) for teacher in teachers if teacher.kind == "openai")
        held = sockets(wanted)
        self._share = held / max(1, wanted)
        if held < wanted:
            tell(f"at most {held:,} of {wanted:,} calls are made at a time: the limit on open files is too low; `ulimit -n` raises it")

    async def __aenter__(self) -> Self:
        await self.session.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.__aexit__()

    async def open(self, teacher: Teacher, stack: AsyncExitStack) -> Place:
        """The teacher, ready to be asked until `stack` is closed. Raises TeacherError where it cannot be."""
        if teacher.kind == "replay":
            assert teacher.path is not None
            return Replies(teacher, stack.enter_context(closing(Replay(teacher, self._root / teacher.path))))
        if teacher.kind in LOCAL:
            return Engines(await stack.enter_async_context(Local(teacher, self._root)))
        return Servers(teacher, self.session, share=self._share)


def together(teachers: Sequence[Teacher]) -> list[Teacher]:
    """All of them, where they can be asked side by side. Raises TeacherError where some would have to take turns."""
    for turns in in_turns(teachers):
        if len(turns) > 1:
            one, other = turns[0][0].name, turns[1][0].name
            raise TeacherError(
                f"teacher {other!r}: shares a GPU with {one!r}, and consensus.rule 'sequential' asks now the one, now the other; "
                "give each its own in `gpus`, or use another rule"
            )
    return list(teachers)


def in_turns(teachers: Sequence[Teacher]) -> list[list[list[Teacher]]]:
    """Groups that are asked side by side; in each, the turns that follow one another; in each, the teachers that are asked together.

    Teachers behind batch APIs are in none. All servers are one group of one turn; teachers that share a GPU (or the CPU) of this machine
    are a group of a turn each.
    Raises TeacherError where a teacher wants a GPU that is not there.
    """
    groups: list[tuple[set[str], list[Teacher]]] = []
    for teacher in teachers:
        if teacher.kind in LOCAL:
            devices = {device for each in places(teacher).values() for device in each.split(",")}
            shared = [group for group in groups if group[0] & devices]
            groups = [group for group in groups if group not in shared]
            groups.append((devices.union(*(group[0] for group in shared)), [*(one for group in shared for one in group[1]), teacher]))
    remote = [teacher for teacher in teachers if teacher.kind not in (*LOCAL, "batch")]
    return ([[remote]] if remote else []) + [[[teacher] for teacher in group[1]] for group in groups]
