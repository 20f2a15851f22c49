"""Every deadline holds, whatever a server does to keep a client listening."""

import asyncio
import time
from collections.abc import Iterable
from itertools import repeat

import pytest

from cotforge.teachers.batch import Api
from cotforge.teachers.connections import MOST_INFORMATIONAL
from cotforge.teachers.kinds.batch import BatchTeacher
from cotforge.teachers.within import GRACE_MOST_S, Within
from tests.hostile import client, endless, head
from tests.stranger import Stranger, completion, http

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
TIMEOUT = 2.0
SOON = TIMEOUT + GRACE_MOST_S + 8
"""Seconds after which nobody waits any more, on a busy machine."""


@pytest.mark.parametrize("says", [CONTINUE, PROCESSING, HINTS])
@pytest.mark.parametrize("what", ["ask", "models"])
def test_a_flood_of_informational_answers_ends_the_attempt_at_once(says: bytes, what: str) -> None:
    with Stranger(lambda number, body: repeat(says * 1000), lists=True) as server:
        took = client(server.url, 8, what=what, timeout=60)
    assert took.errors == {"connection" if what == "ask" else "ClientPayloadError": 8}
    assert all("more than 1,000 times" in detail for detail in took.details if detail)
    assert (took.seconds < SOON, took.mb < 100) == (True, True)


def test_some_informational_answers_before_the_reply_are_passed_over() -> None:
    whole = CONTINUE + PROCESSING * (MOST_INFORMATIONAL - 2) + HINTS + http(200, completion())
    with Stranger(lambda number, body: whole) as server:
        assert client(server.url, 2).errors == {"None": 2}


def chunk_extension() -> Iterable[bytes]:
    yield head("Transfer-Encoding: chunked") + b"1;a="
    yield from repeat(b"x" * 2**16)


def small_chunks() -> Iterable[bytes]:
    yield head("Transfer-Encoding: chunked")
    yield from repeat(b"1;a=b\r\nx\r\n" * 1000)


@pytest.mark.parametrize(
    ("says", "pause"),
    [
        (lambda: repeat(CONTINUE), 0.01),
        (lambda: (bytes([byte]) for byte in head("a: b") * 100), 0.1),
        (lambda: endless(b"x"), 0.05),
        (lambda: repeat(b"\r\n" * 1000), 0),
        (chunk_extension, 0),
        (small_chunks, 0),
    ],
    ids=["informational", "head", "body", "blank lines", "chunk extension", "chunks"],
)
def test_a_server_that_goes_on_speaking_is_left_at_the_deadline(says: Iterable[bytes], pause: float) -> None:
    with Stranger(lambda number, body: says(), pause=pause) as server:
        took = client(server.url, 3, timeout=TIMEOUT)
    assert took.errors == {"timeout": 3}
    assert took.seconds < SOON


@pytest.mark.parametrize("line", [b"a: b\r\n", b"a" * 9000])
def test_a_head_without_an_end_is_told_in_words(line: bytes) -> None:
    with Stranger(lambda number, body: [b"HTTP/1.1 200 OK\r\n", *[line] * 1000]) as server:
        took = client(server.url, 2)
    assert took.errors == {"connection": 2}
    assert all(detail.startswith("its answer is not HTTP: ") and "<" not in detail for detail in took.details)


def test_a_file_of_results_that_comes_byte_by_byte_is_left_at_the_deadline() -> None:
    async def read(url: str) -> None:
        async with Api(BatchTeacher(name="one", model="m", url=(url,), timeout=1.0)) as api:
            async for _ in api.lines("file"):
                pass

    begun = time.monotonic()
    with Stranger(lambda number, body: endless(b"\n"), lists=True, pause=0.05) as server, pytest.raises(TimeoutError):
        asyncio.run(read(server.url))
    assert time.monotonic() - begun < SOON


def test_a_list_of_batches_without_an_end_is_left() -> None:
    page = '{"data": [{"id": "b-%d", "status": "completed"}], "has_more": true}'

    async def read(url: str) -> int:
        count = 0
        async with Api(BatchTeacher(name="one", model="m", url=(url,))) as api:
            async for _ in api.listed():
                count += 1
        return count

    with Stranger(lambda number, body: http(200, page % number), lists=True) as server, pytest.raises(Exception, match="has no end"):
        asyncio.run(read(server.url))


def test_an_event_loop_that_is_kept_busy_for_ever_does_not_keep_the_deadline_from_coming() -> None:
    async def busy() -> None:
        async with Within(lambda: 0.1):
            while True:
                time.sleep(1.2)  # as a flood does
                await asyncio.sleep(0)

    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(busy())
    assert time.monotonic() - begun < SOON
