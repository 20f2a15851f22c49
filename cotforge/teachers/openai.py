"""Asking a teacher over HTTP: one attempt at a time, every way it can end turned into an `Attempt`.

aiohttp is the transport: the same calls through the official client cost two to three times the CPU (`benchmarks/README.md`), and its
own retries would ask, and pay, three times for one call that timed out. Nothing is retried here: that is the forge's to decide.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from cotforge.records import Call, Outcome, OutcomeKind
from cotforge.replies.attempt import Attempt, failed
from cotforge.replies.chat import refused_in
from cotforge.replies.refusals import refusal, without_key
from cotforge.replies.retry_after import asked_wait
from cotforge.replies.text import one_line
from cotforge.teachers.metrics import queue_of
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import attempt_of, request
from cotforge.teachers.within import Within

CONNECT_S, CONNECT_SHARE = 30.0, 0.5
"""Seconds to connect, and share of an attempt's time that this may take (ours): a stalled event loop must not look like a dead server, and
a connection that is not made, which costs nothing, not like an answer that does not come."""
MOST_BYTES = 32 * 2**20
"""Of a reply (ours); more is an error."""


class Listing(NamedTuple):
    """What a server says about its models."""

    status: int
    models: list[str]
    """Ids; empty where there is no list."""
    refused: Outcome | None = None
    """What its refusal means; None where it did not refuse."""


class Session:
    """One pool of connections for all teachers; use it as an async context."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            auto_decompress=True,
            skip_auto_headers=("User-Agent",),
            read_bufsize=2**18,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def ask(
        self,
        call: Call,
        teacher: Teacher,
        url: str,
        *,
        images: Mapping[str, bytes],
        number: int,
        timeout: Callable[[], float] | None = None,
    ) -> Attempt:
        """Send the Call to one replica and wait for its end, `timeout()` (`teacher.timeout`) seconds at most; it may change meanwhile.

        Never raises but on cancellation.
        """
        seconds = timeout or (lambda: teacher.timeout)
        trial = _Trial(call, teacher, number, time.monotonic())
        body = b"".join(request(call, teacher, images))
        limits = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, CONNECT_SHARE * seconds()))
        headers = {"Content-Type": "application/json", **authorization(teacher)}
        try:
            async with (
                Within(seconds),
                self._http.post(
                    f"{url}/chat/completions", data=body, headers=headers, timeout=limits, allow_redirects=False, proxy=proxy(url)
                ) as answer,
            ):
                text, broken = await text_of(answer)
            return trial.answered(answer, text, broken) if answer.status == 200 else trial.refused(answer, text)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as fault:
            return trial.failed("connection", said_by(fault), unreached=True)
        except TimeoutError:
            return trial.failed("timeout", f"no whole answer within {round(seconds(), 1):g} s")
        except (aiohttp.ClientError, OSError, ValueError) as fault:  # ValueError: a header or URL that cannot be sent
            return trial.failed("connection", said_by(fault))

    async def models(self, teacher: Teacher, url: str) -> Listing:
        """The models that are served. Raises aiohttp.ClientError, OSError or TimeoutError where no answer comes."""
        timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
        async with self._http.get(
            f"{url}/models", headers=authorization(teacher), timeout=timeout, allow_redirects=False, proxy=proxy(url)
        ) as answer:
            text = without_key((await text_of(answer))[0], teacher.key())
        if answer.status != 200:
            return Listing(answer.status, [], refusal(answer.status, text))
        try:
            said = json.loads(text)
            if (refused := refused_in(text)) is not None:
                return Listing(200, [], refused)
            return Listing(200, [str(model["id"]) for model in (said if isinstance(said, list) else said["data"])])
        except (ValueError, KeyError, TypeError, RecursionError):
            return Listing(404, [])  # some gateway's page: there is no list here

    async def reached(self, teacher: Teacher, url: str) -> bool:
        """Whether anything answers there."""
        try:
            await self.models(teacher, url)
        except (aiohttp.ClientError, OSError, ValueError):
            return False
        return True

    async def queue(self, url: str, model: str) -> tuple[int, int] | None:
        """(requests that wait, requests that are worked on) of a model, as vLLM's page of metrics counts them.

        None where there is no such page. It stands beside the API and wants no key, so none is sent.
        """
        timeout = aiohttp.ClientTimeout(total=10, sock_connect=5)
        place = url.removesuffix("/v1") + "/metrics"
        try:
            async with self._http.get(place, timeout=timeout, allow_redirects=False, proxy=proxy(url)) as answer:
                page = await bounded(answer) if answer.status == 200 else b""
        except (aiohttp.ClientError, OSError, ValueError):
            return None
        return queue_of(page.decode("utf-8", "replace"), model)


@cache
def proxy(url: str) -> str | None:
    """The proxy that the environment names for a server. Found once: aiohttp's own `trust_env` looks anew at every request, in a thread."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def authorization(teacher: Teacher) -> dict[str, str]:
    """The header that carries the key, for this teacher's own URLs alone."""
    key = teacher.key()
    return {"Authorization": f"Bearer {key}"} if key else {}


async def text_of(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    """(the body as text, "") or ("", why it can never be read). Raises aiohttp.ClientError where it does not come to its end."""
    try:
        return decoded(await bounded(answer), answer.charset), ""
    except ValueError as fault:
        return "", str(fault)
    except aiohttp.ClientPayloadError as fault:
        if "content-encoding" not in str(fault).casefold():
            raise
        return "", f"it is not in its content-encoding, {one_line(answer.headers.get('Content-Encoding', ''))!r}"


def decoded(body: bytes, charset: str | None) -> str:
    """A body as text: in UTF-8 where it is that, else as its content type says. Never raises."""
    with suppress(ValueError):
        return body.decode("utf-8")
    with suppress(ValueError, LookupError):
        return body.decode(charset or "utf-8")
    return body.decode("utf-8", "replace")


async def bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises ValueError above MOST_BYTES."""
    if (answer.content_length or 0) <= 2**18:  # in one piece; the usual case
        body = await answer.content.read(2**18)
        if answer.content.at_eof():
            return body
    else:
        body = b""
    async for chunk in answer.content.iter_chunked(2**16):
        body += chunk
        if len(body) > MOST_BYTES:
            raise ValueError(f"the reply is larger than {MOST_BYTES} bytes")
    return body


def said_by(fault: BaseException) -> str:
    """What a failed connection is about, in words for a person: never the name of a class."""
    inner = getattr(fault, "os_error", None) or fault
    if isinstance(inner, OSError) and inner.errno and inner.errno > 0:
        return os.strerror(inner.errno).lower()
    known = {aiohttp.ServerDisconnectedError: "the server closed the connection", TimeoutError: "no connection in time"}
    words = next((words for kind, words in known.items() if isinstance(inner, kind)), "")
    return words or str(getattr(inner, "strerror", None) or inner).strip() or "the connection broke off"


@dataclass(frozen=True, slots=True)
class _Trial:
    """One attempt, from its beginning to one of its ends."""

    call: Call
    teacher: Teacher
    number: int
    begun: float

    def answered(self, answer: aiohttp.ClientResponse, text: str, broken: str = "") -> Attempt:
        """How a 200 ended; `broken` says why its body can never be read."""
        if broken:
            return self._failed(Outcome(OutcomeKind.PASSING, "bad_body", f"not a chat completion: {broken}", retry=True), status=200)
        attempt = attempt_of(
            self._without_key(text), number=self.number, call=self.call, teacher=self.teacher,
            seconds=time.monotonic() - self.begun, content_type=self._without_key(answer.headers.get("Content-Type", "")),
        )  # fmt: skip
        return attempt.with_retry(attempt.outcome.retry or attempt.is_blank)

    def refused(self, answer: aiohttp.ClientResponse, text: str) -> Attempt:
        after = asked_wait(answer.headers.items())
        text = self._without_key(text)
        return self._failed(refusal(answer.status, text, after=after), status=answer.status, body=text)

    def failed(self, error: str, detail: str, *, unreached: bool = False) -> Attempt:
        return self._failed(Outcome(OutcomeKind.PASSING, error, self._without_key(detail), retry=True, unreached=unreached))

    def _failed(self, outcome: Outcome, *, status: int | None = None, body: str = "") -> Attempt:
        seconds = time.monotonic() - self.begun
        return failed(
            self.call.key, outcome, number=self.number, max_tokens=self.teacher.max_tokens, seconds=seconds, status=status, body=body
        )

    def _without_key(self, text: str) -> str:
        return without_key(text, self.teacher.key())
