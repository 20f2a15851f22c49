"""How one attempt to ask a teacher ended, whatever kind of teacher it is."""

from dataclasses import dataclass
from typing import Protocol

from cotforge.journal import Stored
from cotforge.teachers.teacher import Teacher


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, and what it says about trying again."""

    stored: Stored
    retry: bool
    """Whether asking again within this run makes sense."""
    after: float | None = None
    """Seconds the server asked to be left alone; None where it did not say."""
    unreached: bool = False
    """No connection was made: the replica may be gone, and nothing was paid."""
    refused: bool = False
    """The server had no room for it (429, or an overload that says so): nothing was paid, and fewer should be in flight."""
    closes: str = ""
    """Why nothing more should be asked there in this run: `quota`, `key`, `model`, `files` or `engine`; empty where asking can go on."""


class Asked(Protocol):
    """A Call, or what is left of it where only its results are awaited."""

    @property
    def key(self) -> str: ...


def failure(
    call: Asked,
    teacher: Teacher,
    attempt: int,
    error: str,
    detail: str,
    *,
    seconds: float = 0.0,
    status: int | None = None,
    passing: bool = True,
) -> Stored:
    """An attempt that brought no reply, as the journal keeps it. `error` is a short word, `detail` one line without secrets."""
    return Stored(
        attempt=attempt, key=bytes.fromhex(call.key), status=status, error=error, detail=detail, passing=passing, final=False,
        finish_reason="", input_tokens=0, output_tokens=0, cost_usd=0.0, seconds=seconds, max_tokens=teacher.max_tokens, body="",
    )  # fmt: skip
