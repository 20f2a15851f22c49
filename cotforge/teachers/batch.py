"""The batch API in OpenAI's form: a file of requests goes up, a batch is made of it, and hours later files of results come down.

One request is one HTTP request here; nothing is repeated. A file of results is read line by line and never held.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import quote

import aiohttp

from cotforge.answers import answer_span
from cotforge.records import Outcome, OutcomeKind
from cotforge.redaction import holds_credential
from cotforge.regular_files import open_regular
from cotforge.replies.attempt import Attempt, answered_attempt, failed_attempt
from cotforge.replies.refusals import read_refusal
from cotforge.replies.retry_after import asked_wait
from cotforge.replies.text import LOOKED_AT, is_dense, one_line
from cotforge.replies.usage import Most
from cotforge.teachers.bodies import MOST_BYTES, Room, receive_body
from cotforge.teachers.connections import http_client
from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.openai import CONNECT_S, auth_header, find_proxy
from cotforge.teachers.teacher import Batched, Teacher
from cotforge.teachers.wire import LOGPROBS, believable_input, longest_output, refuses_logprobs
from cotforge.teachers.within import Within

ENDPOINT = "/v1/chat/completions"
"""What every line of a batch asks, whatever path the provider's own URL has."""
OVER = frozenset({"completed", "expired", "cancelled", "failed"})
"""States in which nothing more comes."""
BYTES_A_SECOND = 100_000
"""The slowest upload that is waited for (ours)."""
PICTURES = 4
"""Pictures that a request counts as, when it is judged what its provider counts: which they were is not known any more."""
PAGE = 100
"""Batches in one page of the list: the most that the API gives."""
PAGES = 1000
"""Pages of the list that are looked through (default chosen by us)."""
ANSWER_BYTES = 4 * 2**20
"""Of an answer that is no file of results, at most (default chosen by us): 100 batches with full metadata take 1 MiB."""
MOST_FILE_BYTES = 2**33
"""Of a file of results, at most (default chosen by us): 50,000 results of 160 KiB."""


_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a stranger's JSON can raise."""


class ApiRefused(Exception):
    """The provider answered with another status than 200."""

    def __init__(self, status: int, outcome: Outcome) -> None:
        super().__init__(f"{outcome.error}: {outcome.detail}")
        self.status, self.outcome = status, outcome


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as its provider describes it."""

    id: str
    status: str
    """validating, in_progress, finalizing, completed, failed, expired, cancelling or cancelled."""
    input_file: str
    output_file: str
    """Id of the file of answers; empty where there is none (yet)."""
    error_file: str
    metadata: Mapping[str, str]
    total: int
    done: int
    """Requests that were answered or failed: as many lines stand in the two files."""
    code: str
    """Of the first error of a batch that failed as a whole."""
    detail: str

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """Raises one of _MALFORMED where it is no batch."""
        counts = said.get("request_counts") or {}
        first = ((said.get("errors") or {}).get("data") or [{}])[0]
        return cls(
            _checked_id(said["id"]),
            one_line(str(said["status"])),
            str(said.get("input_file_id") or ""),
            str(said.get("output_file_id") or ""),
            str(said.get("error_file_id") or ""),
            said["metadata"] if isinstance(said.get("metadata"), dict) else {},
            int(counts.get("total") or 0),
            int(counts.get("completed") or 0) + int(counts.get("failed") or 0),
            one_line(str(first.get("code") or "")),
            one_line(str(first.get("message") or "")),
        )


def _checked_id(said: Any) -> str:
    """An id, which the journal keeps and the provider is asked for. Raises ValueError where it holds a credential."""
    if holds_credential(name := str(said)):
        raise ValueError("an id that holds a credential")
    return name


class Api:
    """The files and batches of one teacher; use it as an async context.

    Every method raises Refused where the provider says no, and aiohttp.ClientError or OSError (TimeoutError) where no whole answer came.
    """

    def __init__(self, teacher: TeacherKind) -> None:
        """`teacher.batched` says how its Calls go there."""
        self.teacher, self.url, self.how = teacher, teacher.urls[0], teacher.batched or Batched()
        self._room = Room()

    async def __aenter__(self) -> Self:
        self._http = http_client()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def upload(self, path: Path) -> str:
        """The id under which the provider keeps the file; it is streamed from the disk."""
        with open(open_regular(path), "rb") as file:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field("file", file, filename=path.name, content_type="application/jsonl")
            seconds = self.teacher.timeout + path.stat().st_size / BYTES_A_SECOND
            return self._file_id(await self._ask_json("POST", "/files", data=form, seconds=seconds))

    async def create(self, input_file: str, metadata: Mapping[str, str]) -> Batch:
        """A batch of an uploaded file. Where no answer comes it may have been made none the less."""
        fields = {"input_file_id": input_file, "endpoint": ENDPOINT, "completion_window": self.how.window, "metadata": metadata}
        return self._read_batch(await self._ask_json("POST", "/batches", json=fields))

    async def look(self, batch: str) -> Batch:
        return self._read_batch(await self._ask_json("GET", f"/batches/{quote(batch, safe='')}"))

    async def listed(self) -> AsyncIterator[Batch]:
        """All batches of this key, page by page."""
        after = ""
        for _ in range(PAGES):
            page = await self._ask_json("GET", "/batches", params={"limit": str(PAGE)} | ({"after": after} if after else {}))
            found = [self._read_batch(said) for said in page.get("data") or []]
            for batch in found:
                yield batch
            if not page.get("has_more") or not found or found[-1].id == after:
                return
            after = found[-1].id
        raise ApiRefused(404, Outcome(OutcomeKind.PASSING, "endless_list", "the list of batches has no end"))

    async def lines(self, file: str) -> AsyncGenerator[bytes, None]:
        """The lines of a file; of one longer than MOST_BYTES, the beginning; of a file longer than MOST_FILE_BYTES as well.

        Raises TimeoutError where it comes slower than BYTES_A_SECOND, beside the teacher's `timeout`.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        held, received = bytearray(), 0
        async with (
            Within(lambda: self.teacher.timeout + received / BYTES_A_SECOND),
            self._send_request("GET", f"/files/{quote(file, safe='')}/content", timeout=timeout) as answer,
        ):
            if answer.status != 200:
                raise self._read_refusal(answer, await self._read_body(answer))
            async for chunk in answer.content.iter_chunked(2**16):
                received += len(chunk)
                first, *others = chunk.split(b"\n")
                if len(held) < MOST_BYTES:
                    held += first
                for other in others:
                    yield bytes(held)
                    held = bytearray(other)
                if received > MOST_FILE_BYTES:
                    return
            if held:
                yield bytes(held)

    async def _ask_json(self, method: str, path: str, *, seconds: float | None = None, **sent: Any) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=seconds or self.teacher.timeout, sock_connect=CONNECT_S)
        body: bytes | bytearray = b""
        try:
            async with self._send_request(method, path, timeout=timeout, **sent) as answer:
                body = await self._read_body(answer)
            if answer.status not in (200, 201):
                raise self._read_refusal(answer, body)
            return dict(json.loads(body))
        except (ValueError, TypeError, RecursionError):
            raise self._unreadable_answer(body) from None

    def _send_request(self, method: str, path: str, **sent: Any) -> Any:
        return self._http.request(
            method, f"{self.url}{path}", headers=auth_header(self.teacher), allow_redirects=False, proxy=find_proxy(self.url), **sent
        )

    async def _read_body(self, answer: aiohttp.ClientResponse) -> bytes | bytearray:
        return await receive_body(answer, self._room.holding(), most=ANSWER_BYTES)

    def _read_refusal(self, answer: aiohttp.ClientResponse, body: bytes | bytearray) -> ApiRefused:
        after = asked_wait(answer.headers.items())
        return ApiRefused(answer.status, read_refusal(answer.status, body.decode("utf-8", "replace"), after=after))

    def _unreadable_answer(self, body: bytes | bytearray) -> ApiRefused:
        """Some gateway's page."""
        return ApiRefused(200, Outcome(OutcomeKind.PASSING, "bad_body", one_line(body[:LOOKED_AT].decode("utf-8", "replace")), retry=True))

    def _file_id(self, said: Mapping[str, Any]) -> str:
        if not isinstance(name := said.get("id"), str) or holds_credential(name):
            raise self._unreadable_answer(json.dumps(said).encode())
        return name

    def _read_batch(self, said: Any) -> Batch:
        try:
            return Batch.of(said)
        except _MALFORMED:
            raise self._unreadable_answer(json.dumps(said).encode()) from None


class BatchMember(Protocol):
    """One request of a batch, as it is remembered until its result comes."""

    @property
    def attempt(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def input_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Result:
    """A line of a file of results."""

    name: str
    """The request's `custom_id`."""
    status: int | None
    """None where the request was never made."""
    text: str
    """The body of the answer."""
    code: str
    """Of the error, where there is no answer."""
    detail: str


def read_result(line: bytes) -> Result | None:
    """A line read; None where it is no result."""
    try:
        if is_dense(line.decode("ascii", "replace")):
            return None
        said = json.loads(line)
        name, response, error = said["custom_id"], said.get("response"), said.get("error") or {}
        if not isinstance(name, str):
            return None
        if response is None:
            return Result(name, None, "", one_line(str(error.get("code") or "error")), one_line(str(error.get("message") or "")))
        return Result(name, int(response.get("status_code", 200)), json.dumps(response.get("body")), "", "")
    except _MALFORMED:
        return None


def result_attempt(found: Result, member: BatchMember, teacher: Teacher) -> Attempt:
    """How the attempt ended that the result belongs to. What was never made may be asked once more; a cancelled request is meant to be."""
    if found.status == 200:
        return answered_attempt(
            member.key, found.text, number=member.attempt, max_tokens=teacher.max_tokens, usd=teacher.price.usd,
            estimate=lambda: member.input_tokens,
            most=Most(lambda: believable_input(member.input_tokens, pictures=PICTURES), longest_output(teacher)),
            span=answer_span, keeps_logprobs=not teacher.asks_logprobs,
        )  # fmt: skip
    word = found.code.removeprefix("batch_")
    if found.status is None:
        outcome = Outcome(OutcomeKind.PASSING, word, found.detail, retry=word != "cancelled")
    else:
        outcome = read_refusal(found.status, found.text)
    attempt = failed_attempt(
        member.key, outcome, number=member.attempt, max_tokens=teacher.max_tokens, status=found.status, body=found.text
    )
    return refusing_logprobs(attempt, teacher)


def refusing_logprobs(attempt: Attempt, teacher: Teacher) -> Attempt:
    """The same; to be asked once more, and without log probabilities, where it may be these that the provider refused."""
    if not teacher.asks_logprobs or attempt.outcome.has_text or not refuses_logprobs(f"{attempt.detail} {attempt.body}"):
        return attempt
    return replace(attempt.with_retry(True), refused_field=LOGPROBS)
