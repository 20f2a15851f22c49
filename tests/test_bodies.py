"""Bodies that are meant to fill memory: over all that are in flight a client holds less than 300 MB, and goes on."""

import asyncio
import gc
from collections.abc import Callable, Iterable
from itertools import repeat

import pytest

from cotforge.replies.attempt import Attempt
from cotforge.replies.text import MOST_PARTS, MOST_TEXT
from cotforge.teachers.bodies import FOLDS, MOST_BYTES, RECEIVED, UNFOLDED, Room
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.wire import attempt_of
from tests.hostile import CALL, MB, bomb, chunked, client, endless, head, text_with_an_emoji, values, whole
from tests.stranger import Stranger, completion, http

MOST_MB = 300
TOO_LARGE = f"not a chat completion: the reply is larger than {MOST_BYTES} bytes"
TOO_MANY = f"not a chat completion: it has more than {MOST_PARTS:,} parts"
LARGE, LARGEST = text_with_an_emoji(32 * MB), text_with_an_emoji(16 * MB)
PADDED = text_with_an_emoji(16 * MB, field="padding")
"""A sound reply, most of which is in a field that nobody reads."""


def pieces(body: bytes) -> Iterable[bytes]:
    """With no length told before."""
    yield head()
    yield from (body[place : place + 2**16] for place in range(0, len(body), 2**16))


@pytest.mark.parametrize(
    ("says", "errors", "detail"),
    [
        (lambda: whole(LARGE), "bad_body", TOO_LARGE),
        (lambda: pieces(LARGE), "bad_body", TOO_LARGE),
        (lambda: pieces(LARGEST), "bad_body", "not a chat completion: its text has 16,777,112 characters; at most 1,048,576 are read"),
        (lambda: pieces(PADDED), "None", "tokens are estimated: the server did not count"),
        (lambda: endless(b"x" * 2**16), "bad_body", TOO_LARGE),
        (lambda: chunked(b"x" * 2**16), "bad_body", TOO_LARGE),
        (lambda: bomb("gzip"), "bad_body", TOO_LARGE),
        (lambda: bomb("deflate"), "bad_body", TOO_LARGE),
        (lambda: values(b"{}", 11_000_000), "bad_body", TOO_LARGE),
        (lambda: values(b'{"a":1}', 1_900_000), "bad_body", TOO_MANY),
        (lambda: values(b'"ab"', 3_000_000), "bad_body", TOO_MANY),
        (lambda: [head(), b"data:1", *[b"\n" * 2**16] * 240], "bad_body", TOO_MANY),
        (lambda: endless(b"x" * 2**16, status=403), "403", ""),
        (lambda: endless(b"x" * 2**16, "Content-Encoding: br"), "bad_body", None),
        (lambda: endless(b"x" * 2**16, "Content-Encoding: zstd"), "bad_body", None),
    ],
    ids=["32 MiB", "32 MiB unannounced", "text", "padding", "endless", "chunks", "gzip", "deflate", "11 million objects", "objects",
         "texts", "lines", "error", "br", "zstd"],
)  # fmt: skip
def test_twelve_hostile_bodies_at_once_take_less_than_300_mb(says: Callable[[], Iterable[bytes]], errors: str, detail: str | None) -> None:
    with Stranger(lambda number, body: says()) as server:
        took = client(server.url, 12)
    assert took.errors == {errors: 12}
    assert detail is None or took.details == {detail}
    assert took.mb < MOST_MB
    assert took.seconds < 100, "and nobody waits for the deadline"


@pytest.mark.parametrize(
    "says", [lambda: whole(LARGE), lambda: pieces(PADDED), lambda: values(b"{}", 11_000_000), lambda: values(b'{"a":1}', 1_900_000)]
)
def test_twelve_hostile_lists_of_models_take_no_more(says: Callable[[], Iterable[bytes]]) -> None:
    with Stranger(lambda number, body: says(), lists=True) as server:
        took = client(server.url, 12, what="models")
    assert (took.errors, took.mb < MOST_MB) == ({"404": 12}, True)


def test_a_page_of_metrics_that_says_nothing_sensible_says_nothing() -> None:
    with Stranger(lambda number, body: endless(b"vllm:num_requests_waiting 9e999\n" * 2000), lists=True) as server:
        assert client(server.url, 2, what="metrics").errors == {"None": 2}
    with Stranger(
        lambda number, body: http(200, "vllm:num_requests_waiting 9e999\nvllm:num_requests_running 1.2.3\n"), lists=True
    ) as server:
        assert client(server.url, 1, what="metrics").errors == {"None": 1}


def test_large_honest_replies_are_read_beside_one_that_stalls() -> None:
    """A body of 15 MiB that never ends holds its room until its deadline, and the others have theirs."""
    honest = completion("awe", padding="x" * 600_000).encode()

    def stalls() -> Iterable[bytes]:
        yield head(f"Content-Length: {16 * MB}")
        yield b"x" * (15 * MB)
        yield from repeat(b"")

    with Stranger(lambda number, body: whole(honest) if number > 1 else stalls(), pause=0.01) as server:
        took = client(server.url, 24, timeout=8)
    assert took.errors == {"None": 23, "timeout": 1}


def attempt(body: str) -> Attempt:
    teacher = OpenAITeacher(name="one", model="m", url=("http://h/v1",))
    return attempt_of(body, number=1, call=CALL, teacher=teacher, seconds=1.0)


def test_a_text_longer_than_any_model_writes_is_no_reply_and_one_a_little_shorter_is() -> None:
    assert attempt(completion("a" * MOST_TEXT)).error is None
    longer = attempt(completion("a" * MOST_TEXT + "b"))
    assert (longer.error, longer.outcome.retry, len(longer.body)) == ("bad_body", True, 2000)


def test_a_long_honest_stream_and_one_with_all_its_logprobs_are_replies() -> None:
    one = 'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}],"x":"' + "y" * 300 + '"}\n\n'
    found = attempt(one * 32_000 + "data: [DONE]\n\n")
    assert (found.error, len(found.reply.content)) == (None, 5 * 32_000)
    top = '{"token":"a","logprob":-0.1,"bytes":[97]}'
    logprobs = ",".join('{"token":"a","logprob":-0.1,"bytes":[97],"top_logprobs":[' + ",".join([top] * 20) + "]}" for _ in range(8000))
    whole_reply = completion("word").replace('"finish_reason"', f'"logprobs":{{"content":[{logprobs}]}},"finish_reason"', 1)
    assert attempt(whole_reply).error is None


def test_an_attempt_that_is_kept_holds_no_more_than_its_reply() -> None:
    found = attempt(completion("awe"))
    found.let_go()
    assert (found.body, found.reply.content) == ("", "awe")


# the room


def test_the_oldest_body_always_has_room_and_the_others_wait_for_theirs() -> None:
    async def run() -> None:
        room = Room()
        first, second, third = (room.holding() for _ in range(3))
        await first.grow(RECEIVED)
        await first.grow(2 * RECEIVED)
        waits = asyncio.create_task(second.grow(1))
        later = asyncio.create_task(third.grow(1))
        await asyncio.sleep(0)
        assert not waits.done()
        del first
        gc.collect()
        await asyncio.wait_for(asyncio.gather(waits, later), 5)

    asyncio.run(run())


def test_a_body_that_was_cancelled_while_it_waited_leaves_its_place() -> None:
    async def run() -> None:
        room = Room()
        first, third = room.holding(), room.holding()
        await first.grow(2 * RECEIVED)
        cancelled = asyncio.create_task(room.holding().grow(1))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        waits = asyncio.create_task(third.grow(2 * RECEIVED))
        await asyncio.sleep(0)
        del first, cancelled
        gc.collect()
        await asyncio.wait_for(waits, 5)

    asyncio.run(run())


def test_what_is_read_and_not_kept_yet_takes_room_too() -> None:
    async def run() -> None:
        room = Room()
        first, second = room.holding(), room.holding()
        await first.grow(UNFOLDED // FOLDS // 2 + 1)
        await second.grow(UNFOLDED // FOLDS // 2 + 1)
        await first.unfold()
        waits = asyncio.create_task(second.unfold())
        await asyncio.sleep(0)
        assert not waits.done()
        del first
        gc.collect()
        await asyncio.wait_for(waits, 5)

    asyncio.run(run())


def test_a_small_body_waits_for_nobody() -> None:
    async def run() -> None:
        room = Room()
        large, small = room.holding(), room.holding()
        await large.grow(2 * RECEIVED)
        await asyncio.wait_for(small.unfold(), 5)

    asyncio.run(run())
