"""`kind: replay`: replies someone already has, as JSON lines, one each, found by the Sample's id and the sample index.

{"id": "7", "content": "<think>...</think><answer>awe</answer>"}
{"id": "7", "index": 1, "reasoning": "...", "content": "awe", "finish_reason": "stop", "usage": {...}}
{"id": "7", "response": {<a chat completion>}}                       what a proxy logged
{"custom_id": "7", "response": {"body": {<a chat completion>}}}      what a batch API returned
"""

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from cotforge.errors import TeacherError, group_faults
from cotforge.images import Urls
from cotforge.records import Call, Outcome, OutcomeKind
from cotforge.regular_files import open_regular
from cotforge.replies.attempt import Attempt, failed_attempt
from cotforge.spec import PathText
from cotforge.teachers.kind import Opening, TeacherBackend, TeacherKind
from cotforge.teachers.wire import attempt_of


class ReplayTeacher(TeacherKind):
    """Replies that exist already, read from a file."""

    instant: ClassVar[bool] = True
    takes_follow_ups: ClassVar[bool] = False

    kind: Literal["replay"] = "replay"
    """`replay`: replies from a file."""
    path: PathText | None = None
    """JSON lines, one reply each, matched by the row's `id`. Required. Null is refused."""

    @model_validator(mode="after")
    def _has_a_path(self) -> Self:
        if self.path is None:
            raise ValueError("path is missing: the JSON lines that hold the replies")
        return self

    def look(self, root: Path) -> None:
        Replay(self, root).close()

    async def open(self, opening: Opening) -> TeacherBackend:
        return opening.stack.enter_context(closing(Replay(self, opening.root)))


class Replay(TeacherBackend):
    """The replies of one file, indexed on disk (its size never matters to memory).

    Raises TeacherError where the file is not there, or where a line is not a reply (all such lines are named, ten at most).
    """

    def __init__(self, teacher: ReplayTeacher, root: Path) -> None:
        """`root` is the folder that the file's path is relative to."""
        self.teacher, self.addresses, self.most = teacher, (f"replay:{teacher.path}",), teacher.concurrency
        path = root / str(teacher.path)
        try:
            self._file = open(open_regular(os.path.realpath(path)), "rb")  # noqa: SIM115 - closed by `close`
        except OSError as fault:
            raise TeacherError(f"teacher {teacher.name!r}: {path}: {fault.strerror}") from fault
        self._folder = tempfile.TemporaryDirectory(prefix="cotforge-replay-")
        self._index = sqlite3.connect(Path(self._folder.name) / "index.sqlite", isolation_level=None)
        self._index.execute("PRAGMA synchronous = OFF")
        self._index.execute("CREATE TABLE at (id TEXT, number INTEGER, offset INTEGER, PRIMARY KEY (id, number)) WITHOUT ROWID")
        try:
            self._read_through(path)
        except BaseException:
            self.close()
            raise

    def _read_through(self, path: Path) -> None:
        faults: list[str] = []
        offset = 0
        self._index.execute("BEGIN")
        for number, line in enumerate(self._file, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                    name = row.get("id", row.get("custom_id"))
                    if name is None:
                        raise ValueError("has neither 'id' nor 'custom_id'")
                    _row_body(row)
                    self._index.execute("INSERT OR REPLACE INTO at VALUES (?, ?, ?)", (str(name), int(row.get("index", 0)), offset))
                except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as fault:
                    missing = isinstance(fault, KeyError) and f"field {fault} is missing"
                    faults.append(f"{path}:{number}: not a reply: {missing or fault}")
            offset += len(line)
        self._index.execute("COMMIT")
        if faults := group_faults(faults):
            more = [f"{path}: and {len(faults) - 10:,} more lines"] if len(faults) > 10 else []
            raise TeacherError(*faults[:10], *more)

    def close(self) -> None:
        self._file.close()
        self._index.close()
        self._folder.cleanup()

    async def ask(self, call: Call, images: Urls | None, at: str, *, number: int, timeout: Callable[[], float]) -> Attempt:
        """The reply to the Call's Sample and index; a passing error where the file has none (it may grow)."""
        found = self._index.execute("SELECT offset FROM at WHERE id = ? AND number = ?", (call.sample.id, call.index)).fetchone()
        if found is None:
            nothing = Outcome(OutcomeKind.PASSING, "no_reply", f"{self.teacher.path} has none for this sample")
            return failed_attempt(call.key, nothing, number=number, max_tokens=self.teacher.max_tokens)
        self._file.seek(found[0])
        body = json.dumps(_row_body(json.loads(self._file.readline())))  # in ASCII: half a surrogate pair stays an escape
        return attempt_of(body, number=number, call=call, teacher=self.teacher, seconds=0.0).with_retry(False)


def _row_body(row: dict[str, Any]) -> dict[str, Any]:
    """The row as a chat completion."""
    if (response := row.get("response")) is not None:
        return dict(response.get("body", response))
    message = {"role": "assistant", "content": row["content"]}
    if reasoning := row.get("reasoning", row.get("reasoning_content")):
        message["reasoning_content"] = reasoning
    return {"choices": [{"index": 0, "message": message, "finish_reason": row.get("finish_reason", "stop")}], "usage": row.get("usage")}
