"""Asking a teacher over HTTP: one attempt at a time, every way it can end turned into an `Attempt`.

aiohttp is the transport: the same calls through the official client cost two to three times the CPU (`benchmarks/README.md`), and its
own retries would ask, and pay, three times for one call that timed out. Nothing is retried here: that is the forge's to decide.
"""

import codecs
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from cotforge.records import Call, Outcome, OutcomeKind
from cotforge.redaction import redact_text, remember_userinfo
from cotforge.replies.attempt import BROKEN_OFF, NOT_HTTP, Attempt, failed_attempt
from cotforge.replies.chat import refused_in
from cotforge.replies.refusals import read_refusal
from cotforge.replies.retry_after import asked_wait
from cotforge.replies.text import is_dense, one_line
from cotforge.teachers.bodies import MOST_BYTES as MOST_BYTES
from cotforge.teachers.bodies import MOST_BYTES_OF_AN_ERROR, SMALL, Holding, Room, receive_body
from cotforge.teachers.connections import http_client
from cotforge.teachers.metrics import queue_of
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import LOGPROBS, attempt_of, build_request, refuses_logprobs, without_logprobs
from cotforge.teachers.within import Within

CONNECT_S, CONNECT_SHARE = 30.0, 0.5
"""Seconds to connect, and share of an attempt's time that this may take (ours): a stalled event loop must not look like a dead server, and
a connection that is not made, which costs nothing, not like an answer that does not come."""
SLOW_CHARSETS = ("punycode", "idna")
"""Codecs for names of hosts, which take the square of the time for a longer text."""
METRICS_BYTES = 4 * 2**20
"""Of a page of metrics, at most (default chosen by us)."""


PAGE_SHOWN = 80
"""Characters of a web page's text that are told."""


class Listing(NamedTuple):
    """What a server says about its models."""

    status: int
    models: list[str]
    """Ids as they are, to be redacted where they are told; empty where there is no list."""
    refused: Outcome | None = None
    """What its refusal means; None where it did not refuse."""
    page: str | None = None
    """The words of a web page that came with 200 instead, as of a log-in; None where there was none."""


class Session:
    """One pool of connections for all teachers; use it as an async context."""

    def __init__(self, *, logprobs: bool = False) -> None:
        """`logprobs`: whether teachers that ask for log probabilities do so here."""
        self._logprobs = logprobs
        self._http = http_client()
        self._room = Room()
        self._without_logprobs: set[tuple[str, str]] = set()
        """(URL, model) of servers that refuse to be asked for log probabilities."""

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

        A server that refuses the field `logprobs` is asked again without it, and without it from then on: a refusal costs nothing. Never
        raises but on cancellation.
        """
        asks = self._logprobs and teacher.asks_logprobs and (url, teacher.model) not in self._without_logprobs
        sent = b"".join(build_request(call, teacher, images, logprobs=asks))
        trial, seconds = _Trial(call, teacher, number, time.monotonic()), timeout or (lambda: teacher.timeout)
        ended = await self._read_response(trial, url, sent, seconds)
        if not asks or ended.outcome.has_text or not refuses_logprobs(f"{ended.detail} {ended.body}"):
            return ended
        again = await self._read_response(trial, url, without_logprobs(sent), seconds)
        if not again.outcome.has_text:  # it may have been refused for something else
            return again
        self._without_logprobs.add((url, teacher.model))
        return replace(again, refused_field=LOGPROBS)

    async def _read_response(self, trial: "_Trial", url: str, sent: bytes, seconds: Callable[[], float]) -> Attempt:
        """How a request ends that is sent to one replica."""
        teacher = trial.teacher
        limits = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, CONNECT_SHARE * seconds()))
        headers = {"Content-Type": "application/json", **auth_header(teacher)}
        holding = self._room.holding()
        try:
            async with (
                Within(seconds),
                self._http.post(
                    f"{url}/chat/completions", data=sent, headers=headers, timeout=limits, allow_redirects=False, proxy=find_proxy(url)
                ) as answer,
            ):
                body, broken = await body_of(answer, holding)
            await holding.unfold()
            text = decode_body(body, answer.charset)
            if answer.status != 200:
                return trial.refused(answer, text)
            ended = trial.answered(answer, text, broken)
            return replace(ended, held=holding) if len(ended.body) > SMALL else ended
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as fault:
            return trial.failed("connection", said_by(fault), unreached=True)
        except TimeoutError:
            return trial.failed("timeout", f"no whole answer within {round(seconds(), 1):g} s")
        except (aiohttp.ClientError, OSError, ValueError) as fault:  # ValueError: a header or URL that cannot be sent
            if isinstance(fault, aiohttp.ClientResponseError) and "content-encoding" in fault.message.casefold():
                return trial.unreadable(one_line(fault.message.partition(".")[0]))
            return trial.failed("connection", _break_words(fault))

    async def models(self, teacher: Teacher, url: str) -> Listing:
        """The models that are served. Raises aiohttp.ClientError, OSError or TimeoutError where no answer comes."""
        timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
        async with self._http.get(
            f"{url}/models", headers=auth_header(teacher), timeout=timeout, allow_redirects=False, proxy=find_proxy(url)
        ) as answer:
            body, _ = await body_of(answer, holding := self._room.holding())
        await holding.unfold()
        text = decode_body(body, answer.charset)
        if answer.status != 200:
            return Listing(answer.status, [], read_refusal(answer.status, text))
        try:
            if is_dense(text):
                return Listing(404, [])
            if (refused := refused_in(text)) is not None:
                return Listing(200, [], refused)
            said = json.loads(text)
            return Listing(200, [str(model["id"]) for model in (said if isinstance(said, list) else said["data"])])
        except (ValueError, KeyError, TypeError, RecursionError):
            is_page = text.lstrip("\ufeff \t\r\n")[:20].casefold().startswith(("<!doctype html", "<html", "<head", "<body"))
            return Listing(
                404, [], page=one_line(read_refusal(404, text).detail)[:PAGE_SHOWN] if is_page else None
            )  # else there is no list

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
            async with self._http.get(place, timeout=timeout, allow_redirects=False, proxy=find_proxy(url)) as answer:
                page = await receive_body(answer, self._room.holding(), most=METRICS_BYTES) if answer.status == 200 else b""
            return queue_of(page.decode("utf-8", "replace"), model)
        except (aiohttp.ClientError, OSError, ValueError, OverflowError):
            return None


@cache
def find_proxy(url: str) -> str | None:
    """The proxy that the environment names for a server. Found once: aiohttp's own `trust_env` looks anew at every request, in a thread."""
    parts = urlsplit(url)
    found = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    remember_userinfo(found or "")  # exceptions name the proxy with its password
    return found


def auth_header(teacher: Teacher) -> dict[str, str]:
    """The header that carries the key, for this teacher's own URLs alone."""
    key = teacher.key()
    return {"Authorization": f"Bearer {key}"} if key else {}


async def body_of(answer: aiohttp.ClientResponse, holding: Holding) -> tuple[bytes | bytearray, str]:
    """(the body, "") or (nothing, why it can never be read). Raises aiohttp.ClientError where it does not come to its end."""
    try:
        return await receive_body(answer, holding, most=MOST_BYTES if answer.status == 200 else MOST_BYTES_OF_AN_ERROR), ""
    except ValueError as fault:
        return b"", str(fault)
    except aiohttp.ClientPayloadError as fault:
        if "content-encoding" not in str(fault).casefold():
            raise
        return b"", f"it is not in its content-encoding, {one_line(answer.headers.get('Content-Encoding', ''))!r}"


def decode_body(body: bytes | bytearray, charset: str | None) -> str:
    """A body as text: in UTF-8 where it is that, else as its content type says. Never raises."""
    with suppress(ValueError):
        return body.decode("utf-8")
    with suppress(ValueError, LookupError):
        if charset and codecs.lookup(charset).name not in SLOW_CHARSETS:
            return body.decode(charset)
    return body.decode("utf-8", "replace")


def said_by(fault: BaseException) -> str:
    """What a failed connection is about, in words for a person: never a credential, or the name of a class."""
    inner = getattr(fault, "os_error", None) or fault
    if isinstance(inner, aiohttp.ClientHttpProxyError):
        return one_line(f"the proxy said {inner.status}: {inner.message}")
    if isinstance(inner, aiohttp.ClientResponseError):
        return one_line(f"{NOT_HTTP}: {inner.message}")
    if isinstance(inner, aiohttp.ClientPayloadError) and isinstance(inner.__cause__, aiohttp.http_exceptions.HttpProcessingError):
        return one_line(f"its answer is not whole: {inner.__cause__.message}")
    if isinstance(inner, OSError) and inner.errno and inner.errno > 0:
        return os.strerror(inner.errno).lower()
    known = {aiohttp.ServerDisconnectedError: "the server closed the connection", TimeoutError: "no connection in time"}
    words = next((words for kind, words in known.items() if isinstance(inner, kind)), "")
    return words or redact_text(str(getattr(inner, "strerror", None) or inner)).strip() or "the connection broke off"


def _break_words(fault: Exception) -> str:
    """The same of a connection that was made: where the request went out, it begins so that it counts as perhaps charged."""
    words = said_by(fault)
    if words.startswith(NOT_HTTP) or isinstance(fault, aiohttp.ClientHttpProxyError | ValueError):
        return words
    return f"{BROKEN_OFF}: {words}"


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
            return self.unreadable(broken)
        attempt = attempt_of(
            text, number=self.number, call=self.call, teacher=self.teacher,
            seconds=time.monotonic() - self.begun, content_type=answer.headers.get("Content-Type", ""),
        )  # fmt: skip
        return attempt.with_retry(attempt.outcome.retry or attempt.is_blank)

    def unreadable(self, why: str) -> Attempt:
        return self._failed_attempt(Outcome(OutcomeKind.PASSING, "bad_body", f"not a chat completion: {why}", retry=True), status=200)

    def refused(self, answer: aiohttp.ClientResponse, text: str) -> Attempt:
        after = asked_wait(answer.headers.items())
        return self._failed_attempt(read_refusal(answer.status, text, after=after), status=answer.status, body=text)

    def failed(self, error: str, detail: str, *, unreached: bool = False) -> Attempt:
        return self._failed_attempt(Outcome(OutcomeKind.PASSING, error, detail, retry=True, unreached=unreached))

    def _failed_attempt(self, outcome: Outcome, *, status: int | None = None, body: str = "") -> Attempt:
        seconds = time.monotonic() - self.begun
        return failed_attempt(
            self.call.key, outcome, number=self.number, max_tokens=self.teacher.max_tokens, seconds=seconds, status=status, body=body
        )
