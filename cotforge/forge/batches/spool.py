"""Files of requests for a batch API: JSON lines, written as the Calls come and never held in memory."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cotforge.errors import JournalError
from cotforge.forge.pending import PendingSample
from cotforge.images import data_url
from cotforge.records import Call, Fault
from cotforge.regular_files import open_regular
from cotforge.teachers.batch import ENDPOINT
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import build_request, input_tokens, without_logprobs

MOST_BYTES = 190_000_000
"""Of a file (ours): OpenAI's limit is 200 MB, whichever megabyte is meant."""
CHUNK = 8 * 2**20
"""Bytes of requests (ours) that are on their way from the source to the file at a time."""
CALLS = 256
"""Calls in such a chunk at most (ours)."""

_HEAD, _MIDDLE, _TAIL = b'{"custom_id":"', f'","method":"POST","url":"{ENDPOINT}","body":'.encode(), b"}\n"


@dataclass(frozen=True, slots=True)
class Request:
    """What one line asks."""

    key: str
    input_tokens: int
    """Estimated."""
    body: bytes
    call: Call | None = None
    """None where it is taken from an earlier file."""


def missing_requests(
    works: Iterator[PendingSample | Fault], teacher: Teacher, held: Callable[[list[str]], set[str]], *, logprobs: bool = True
) -> Iterator[Request | Fault]:
    """The teacher's missing Calls as requests, without those that `held` knows to be asked already; a Fault where a picture is gone."""
    for work in works:
        if isinstance(work, Fault):
            yield work
            continue
        calls = [call for asked, call in work.calls if asked.name == teacher.name]
        taken = held([call.key for call in calls])
        calls = [call for call in calls if call.key not in taken]
        try:
            images = {picture.digest: data_url(picture) for picture in work.sample.pictures} if calls else {}
        except Fault as fault:
            yield fault
            continue
        for call in calls:
            yield Request(call.key, input_tokens(call), b"".join(build_request(call, teacher, images, logprobs=logprobs)), call)


def chunk_requests(found: Iterator[Request | Fault]) -> Iterator[list[Request | Fault]]:
    """The same in lists that are small enough to be held."""
    chunk: list[Request | Fault] = []
    size = 0
    for one in found:
        chunk.append(one)
        size += len(one.body) if isinstance(one, Request) else 0
        if size >= CHUNK or len(chunk) >= CALLS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@contextmanager
def explain_disk(path: Path) -> Iterator[None]:
    """Says in one line where a file cannot be written: a JournalError."""
    try:
        yield
    except OSError as fault:
        raise JournalError(f"{path}: {fault.strerror}; make room, then run the same command again: nothing is lost") from fault


class Spool:
    """One file being written, readable by its owner alone. Raises JournalError where it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with explain_disk(path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._waiting: list[bytes] = []
        self.count = self.size = 0

    def takes(self, request: Request, *, most: int, most_bytes: int) -> bool:
        """Whether the request still fits, within so many requests and bytes; the first always does."""
        return self.count == 0 or (self.count < most and self.size + len(request.body) + 200 <= most_bytes)

    def add(self, name: str, request: Request) -> None:
        """Take the request, under its `custom_id`; `flush` writes it."""
        line = b"".join((_HEAD, name.encode(), _MIDDLE, request.body, _TAIL))
        self._waiting.append(line)
        self.count += 1
        self.size += len(line)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        with explain_disk(self.path):
            self._file.writelines(waiting)
            self._file.flush()

    def close(self) -> None:
        """Once is enough; more often does no harm."""
        if not self._file.closed:
            self.flush()
            self._file.close()


def requests_again(path: Path, wanted: Mapping[str, tuple[str, int]], *, plain: bool = False) -> Iterator[Request]:
    """The requests of a file whose `custom_id` is in `wanted`, which maps it to (key, input tokens). A line that is torn is left out.

    `plain` ones ask for no log probabilities.
    """
    with open(open_regular(path), "rb") as file:
        for line in file:
            name = line[len(_HEAD) :].partition(b'"')[0]
            if line.endswith(_TAIL) and (found := wanted.get(name.decode("ascii", "replace"))) is not None:
                body = line[len(_HEAD) + len(name) + len(_MIDDLE) : -len(_TAIL)]
                yield Request(*found, without_logprobs(body) if plain else body)
