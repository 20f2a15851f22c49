"""Asking a teacher over HTTP: one attempt at a time, every way it can end turned into a `Stored` row.

aiohttp is the transport: the same calls through the official client cost two to three times the CPU (`benchmarks/README.md`), and its
own retries would ask, and pay, three times for one call that timed out. Nothing is retried here: that is the forge's to decide.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from cotforge.records import Call
from cotforge.teachers.ended import Ended, failure
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import one_line, request, stored_of

PASSING = frozenset({401, 402, 403, 404, 405, 408, 409, 425, 429})
"""With every 5xx: statuses after which a rerun asks again. All other 4xx mean that the server refused this very request."""
HOPELESS = frozenset({401, 402, 403, 404, 405})
"""Passing, but not within this run: asking again at once says the same."""
CONNECT_S = 30.0
"""Seconds to connect (ours): a stalled event loop must not look like a dead server."""
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

    async def ask(self, call: Call, teacher: Teacher, url: str, *, images: Mapping[str, bytes], attempt: int) -> Ended:
        """Send the Call to one replica and wait for its end, `teacher.timeout` seconds at most. Never raises but on cancellation."""
        trial = _Trial(call, teacher, attempt, time.monotonic())
        body = b"".join(request(call, teacher, images))
        timeout = aiohttp.ClientTimeout(total=teacher.timeout, sock_connect=min(CONNECT_S, teacher.timeout))
        headers = {"Content-Type": "application/json", **authorization(teacher)}
        try:
            async with self._http.post(
                f"{url}/chat/completions", data=body, headers=headers, timeout=timeout, allow_redirects=False, proxy=proxy(url)
            ) as answer:
                text = (await _bounded(answer)).decode("utf-8", "replace")
            return trial.answered(text) if answer.status == 200 else trial.refused(answer, text)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as fault:
            return trial.failed("connection", str(fault), retry=True, unreached=True)
        except TimeoutError:
            return trial.failed("timeout", f"no whole answer within {teacher.timeout:g} s", retry=True)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            return trial.failed("connection", str(fault) or type(fault).__name__, retry=True)

    async def models(self, teacher: Teacher, url: str) -> tuple[int, list[str]]:
        """(status, ids of the models that are served). Raises aiohttp.ClientError, OSError or TimeoutError where no answer comes."""
        timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
        async with self._http.get(
            f"{url}/models", headers=authorization(teacher), timeout=timeout, allow_redirects=False, proxy=proxy(url)
        ) as answer:
            text = await _bounded(answer)
        if answer.status != 200:
            return answer.status, []
        try:
            return 200, [str(model["id"]) for model in json.loads(text)["data"]]
        except (ValueError, KeyError, TypeError):
            return 404, []  # some gateway's page: there is no list here


@cache
def proxy(url: str) -> str | None:
    """The proxy that the environment names for a server. Found once: aiohttp's own `trust_env` looks anew at every request, in a thread."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def authorization(teacher: Teacher) -> dict[str, str]:
    """The header that carries the key, for this teacher's own URLs alone."""
    key = teacher.key()
    return {"Authorization": f"Bearer {key}"} if key else {}


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
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
        return Ended(stored, retry=stored.error is not None)

    def refused(self, answer: aiohttp.ClientResponse, text: str) -> Ended:
        status, (code, message) = answer.status, _error_of(text)
        if 300 <= status < 400:
            return self.failed("redirect", f"{status}: redirects are not followed; write the final URL", status=status)
        if "content_filter" in code or "content_policy" in code:
            return self.failed("content_filter", message, status=status, passing=False)
        passing = status in PASSING or status >= 500
        retry = passing and status not in HOPELESS and "insufficient_quota" not in code
        after = retry_after(answer.headers.get("Retry-After"), answer.headers.get("Retry-After-Ms"))
        ended = self.failed(str(status), message, status=status, passing=passing, retry=retry)
        return replace(ended, after=after, stored=replace(ended.stored, body=self._without_key(text[:2000])))

    def failed(
        self, error: str, detail: str, *, status: int | None = None, passing: bool = True, retry: bool = False, unreached: bool = False
    ) -> Ended:
        stored = failure(
            self.call, self.teacher, self.attempt, error, one_line(self._without_key(detail)),
            seconds=time.monotonic() - self.begun, status=status, passing=passing,
        )  # fmt: skip
        return Ended(stored, retry=retry, unreached=unreached)

    def _without_key(self, text: str) -> str:
        """Servers repeat the key they refuse; a secret never reaches a file."""
        key = self.teacher.key()
        return text.replace(key, "***") if key and key in text else text


def _error_of(text: str) -> tuple[str, str]:
    """(code, message) of an error body in OpenAI's form, or its first words."""
    try:
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        if isinstance(error, dict):
            return f"{error.get('code')} {error.get('type')}", one_line(str(error.get("message", error)))
        return "", one_line(str(error))
    except ValueError:
        return "", one_line(text)


def retry_after(seconds: str | None, milliseconds: str | None = None) -> float | None:
    """Seconds to wait as a server's headers say: a number, a date, or milliseconds; None where they say nothing readable."""
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        if seconds is None:
            return None
        return max(0.0, float(seconds))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(seconds or "").timestamp() - time.time())
    except ValueError:
        return None
