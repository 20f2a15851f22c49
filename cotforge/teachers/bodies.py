"""Receiving bodies of any size from servers that may be hostile: over all that are in flight, memory is bounded.

A body of up to SMALL bytes, as nearly every reply is, waits for nobody. Larger ones share a Room: they are received while there is room,
and one after another becomes text and is parsed, which takes many times its bytes.
"""

import asyncio
from itertools import count

import aiohttp

MOST_BYTES = 16 * 2**20
"""Of a body (default chosen by us); more is an error. No honest reply is as long: a stream of 35,000 tokens, each in an event of its own of
450 bytes, fits."""
MOST_BYTES_OF_AN_ERROR = 2**20
"""Of a body that says why nothing was done (default chosen by us)."""
SMALL = 2**18
"""Bytes of a body that is received whatever else is in flight (default chosen by us): what a connection holds in its buffer anyway."""
RECEIVED = 32 * 2**20
"""Bytes of larger bodies that are held at a time (default chosen by us); the oldest one is received to its end all the same."""
UNFOLDED = 96 * 2**20
"""Bytes that those which are being read, and not in the journal yet, may take together (default chosen by us)."""
FOLDS = 5
"""Bytes that a byte of a body takes once it is text: one emoji makes every character of a Python text four bytes (PEP 393)."""


class Room:
    """What all larger bodies of one session share."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        """Bytes that each holds, the oldest first."""
        self._numbers = count()
        self._waiting: list[asyncio.Future[None]] = []

    def holding(self) -> "Holding":
        return Holding(self, next(self._numbers))

    async def take(self, number: int, size: int, *, most: int) -> None:
        """Wait until so many bytes fit for it, with what the others hold, or it is the oldest."""
        held = self._sizes.setdefault(number, 0)
        while sum(self._sizes.values()) - held + size > most and next(iter(self._sizes)) != number:
            changed = asyncio.get_running_loop().create_future()
            self._waiting.append(changed)
            await changed
        self._sizes[number] = size

    def leave(self, number: int) -> None:
        if self._sizes.pop(number, None) is None:
            return
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            if not changed.done():
                changed.set_result(None)


class Holding:
    """What one body holds of a Room, for as long as this object is held: pass it on with whatever is made of the body."""

    __slots__ = ("_number", "_room", "size")

    def __init__(self, room: Room, number: int) -> None:
        self._room, self._number = room, number
        self.size = 0

    async def grow(self, size: int) -> None:
        """Wait until there is room to receive a body up to this size."""
        await self._room.take(self._number, size, most=RECEIVED)
        self.size = size

    async def unfold(self) -> None:
        """Wait until there is room to read what was received."""
        if self.size:
            await self._room.take(self._number, FOLDS * self.size, most=UNFOLDED)

    def __del__(self) -> None:
        self._room.leave(self._number)


async def receive_body(answer: aiohttp.ClientResponse, holding: Holding, *, most: int = MOST_BYTES) -> bytes | bytearray:
    """The whole body. Raises ValueError above `most` bytes, aiohttp.ClientError where it does not come to its end."""
    told = answer.content_length or 0
    if told <= SMALL:  # in one piece; the usual case
        body = await answer.content.read(SMALL)
        if answer.content.at_eof():
            return body
    else:
        body = b""
    if told > most:
        raise ValueError(f"the reply is larger than {most} bytes")
    received = bytearray(body)
    async for chunk in answer.content.iter_chunked(2**16):
        if len(received) + len(chunk) > most:
            raise ValueError(f"the reply is larger than {most} bytes")
        received += chunk
        if len(received) > max(SMALL, holding.size):
            await holding.grow(min(most, len(received) + SMALL))
    return received
