"""Asking a teacher over HTTP: one attempt at a time, every way it can end turned into a `Stored` row.

aiohttp is the transport: the same calls through the official client cost two to three times the CPU (`benchmarks/README.md`), and its
own retries would ask, and pay, three times for one call that timed out. Nothing is retried here: that is the forge's to decide.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from cotforge.records import Call
from cotforge.teachers.ended import Ended, failure
from cotforge.teachers.errors import refusal, retry_after, without_key
from cotforge.teachers.metrics import queue_of
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import blank, one_line, request, stored_of
from cotforge.teachers.within import Within

CONNECT_S, CONNECT_SHARE = 30.0, 0.5
"""Seconds to connect, and share of an attempt's time that this may take (ours): a stalled event loop must not look like a dead server, and
a connection that is not made, which costs nothing, not like an answer that does not come."""
MOST_BYTES = 32 * 2**20
"""Of a reply (ours); more is an error."""


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
        attempt: int,
        timeout: Callable[[], float] | None = None,
    ) -> Ended:
        """Send the Call to one replica and wait for its end, `timeout()` (`teacher.timeout`) seconds at most; it may change meanwhile.

        Never raises but on cancellation.
        """
        seconds = timeout or (lambda: teacher.timeout)
        trial = _Trial(call, teacher, attempt, time.monotonic())
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
                text = (await bounded(answer)).decode("utf-8", "replace")
            return trial.answered(text) if answer.status == 200 else trial.refused(answer, text)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as fault:
            return trial.failed("connection", str(fault), retry=True, unreached=True)
        except TimeoutError:
            return trial.failed("timeout", f"no whole answer within {seconds():g} s", retry=True)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            return trial.failed("connection", str(fault) or type(fault).__name__, retry=True)

    async def models(self, teacher: Teacher, url: str) -> tuple[int, list[str]]:
        """(status, ids of the models that are served). Raises aiohttp.ClientError, OSError or TimeoutError where no answer comes."""
        timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
        async with self._http.get(
            f"{url}/models", headers=authorization(teacher), timeout=timeout, allow_redirects=False, proxy=proxy(url)
        ) as answer:
            text = await bounded(answer)
        if answer.status != 200:
            return answer.status, []
        try:
            return 200, [str(model["id"]) for model in json.loads(text)["data"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return 404, []  # some gateway's page: there is no list here

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


@dataclass(frozen=True, slots=True)
class _Trial:
    """One attempt, from its beginning to one of its ends."""

    call: Call
    teacher: Teacher
    attempt: int
    begun: float

    def answered(self, text: str) -> Ended:
        seconds = time.monotonic() - self.begun
        stored = stored_of(self._without_key(text), attempt=self.attempt, call=self.call, teacher=self.teacher, seconds=seconds)
        return Ended(stored, retry=stored.error is not None or blank(stored))

    def refused(self, answer: aiohttp.ClientResponse, text: str) -> Ended:
        after = retry_after(answer.headers.get("Retry-After"), answer.headers.get("Retry-After-Ms"), date=answer.headers.get("Date"))
        said = refusal(answer.status, text, after=after)
        ended = self.failed(said.error, said.detail, status=answer.status, passing=said.passing, retry=said.retry)
        stored = replace(ended.stored, body=self._without_key(text[:2000]))
        return replace(ended, stored=stored, after=after, refused=said.refused, closes=said.closes)

    def failed(
        self, error: str, detail: str, *, status: int | None = None, passing: bool = True, retry: bool = False, unreached: bool = False
    ) -> Ended:
        stored = failure(
            self.call, self.teacher, self.attempt, error, one_line(self._without_key(detail)),
            seconds=time.monotonic() - self.begun, status=status, passing=passing,
        )  # fmt: skip
        return Ended(stored, retry=retry, unreached=unreached)

    def _without_key(self, text: str) -> str:
        return without_key(text, self.teacher.key())
