"""Where teachers are asked: their places, opened over one pool of connections, and who shares a device and so takes turns."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from cotforge.errors import TeacherError
from cotforge.forge.sockets import allowed_sockets
from cotforge.teachers.kind import Opening, TeacherBackend, TeacherKind
from cotforge.teachers.openai import Session


class Places:
    """All of them, with one pool of connections; an async context."""

    def __init__(self, root: Path, teachers: Sequence[TeacherKind], tell: Callable[[str], object], *, logprobs: bool = False) -> None:
        """`tell` gets a line where this process cannot hold all the connections that the `teachers` may have; `logprobs`: see `Session`."""
        self._root = root
        self._session = Session(logprobs=logprobs)
        wanted = sum(teacher.connections for teacher in teachers)
        held = allowed_sockets(wanted)
        self._share = held / max(1, wanted)
        if held < wanted:
            tell(f"at most {held:,} of {wanted:,} calls are made at a time: the limit on open files is too low; `ulimit -n` raises it")

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.__aexit__()

    async def open(self, teacher: TeacherKind, stack: AsyncExitStack) -> TeacherBackend:
        """The teacher, ready to be asked until `stack` is closed. Raises TeacherError where it cannot be."""
        return await teacher.open(Opening(self._root, self._session, self._share, stack))


def askable_together(teachers: Sequence[TeacherKind]) -> list[TeacherKind]:
    """All of them, where they can be asked side by side. Raises TeacherError where some would have to take turns."""
    for turns in in_turns(teachers):
        if len(turns) > 1:
            one, other = turns[0][0].name, turns[1][0].name
            raise TeacherError(
                f"teacher {other!r}: shares a GPU with {one!r}, and consensus.rule 'sequential' asks now the one, now the other; "
                "give each its own in `gpus`, or use another rule"
            )
    return list(teachers)


def in_turns(teachers: Sequence[TeacherKind]) -> list[list[list[TeacherKind]]]:
    """Groups that are asked side by side; in each, the turns that follow one another; in each, the teachers that are asked together.

    Teachers behind batch APIs are in none. All that hold no device of this machine are one group of one turn; teachers that share one
    (a GPU, or the CPU) are a group of a turn each.
    Raises TeacherError where a teacher wants a GPU that is not there.
    """
    elsewhere: list[TeacherKind] = []
    groups: list[tuple[frozenset[str], list[TeacherKind]]] = []
    for teacher in teachers:
        if teacher.batched:
            continue
        if not (devices := teacher.devices()):
            elsewhere.append(teacher)
            continue
        shared = [group for group in groups if group[0] & devices]
        groups = [group for group in groups if group not in shared]
        groups.append((devices.union(*(group[0] for group in shared)), [*(one for group in shared for one in group[1]), teacher]))
    return ([[elsewhere]] if elsewhere else []) + [[[teacher] for teacher in group[1]] for group in groups]
