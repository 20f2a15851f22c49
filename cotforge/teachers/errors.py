"""What it means that a server says no: whether the Call is lost, may pass, or nothing more should be asked there."""

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isfinite

from cotforge.teachers.wire import one_line

PASSING = frozenset({401, 402, 403, 404, 405, 408, 409, 425, 429})
"""With every 5xx: statuses after which a rerun asks again. All other 4xx mean that the server refused this very request."""
HOPELESS = frozenset({401, 402, 403, 404, 405})
"""Passing, but not within this run: asking again at once says the same."""
UNPAID = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
"""Codes that come with 429 or 400 and mean that nothing more is served until somebody pays."""
UNREAD = ("--allowed-local-media-path", "[Errno 2] No such file", "[Errno 13] Permission denied")
"""What vLLM 0.32 says, with 400 or 500, where it cannot read a `file:` URL."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status other than 200, read."""

    error: str
    """A short word, as the journal keeps it."""
    detail: str
    passing: bool
    """Whether a rerun asks again."""
    retry: bool
    """Whether asking again within this run makes sense."""
    refused: bool = False
    """The server had no room: fewer should be in flight."""
    closes: str = ""
    """`quota`, `key`, `model` or `files`: why nothing more should be asked there in this run."""


def refusal(status: int, text: str, *, after: float | None = None) -> Refusal:
    """What the status and body of an error mean; `after` is what its Retry-After says, in seconds."""
    code, message = _error_of(text)
    if 300 <= status < 400:
        return Refusal("redirect", f"{status}: redirects are not followed; write the final URL", passing=True, retry=False)
    if "content_filter" in code or "content_policy" in code:
        return Refusal("content_filter", message, passing=False, retry=False)
    closes = _closes(status, code, message)
    passing = status in PASSING or status >= 500 or closes in ("quota", "files")
    return Refusal(
        str(status),
        message,
        passing=passing,
        retry=passing and not closes and status not in HOPELESS,
        refused=not closes and (status in (429, 529) or (status == 503 and after is not None)),
        closes=closes,
    )


def _closes(status: int, code: str, message: str) -> str:
    if any(word in message for word in UNREAD):
        return "files"
    if status == 402 or any(word in code for word in UNPAID):
        return "quota"
    if status == 401 or (status == 403 and any(word in code for word in ("key", "auth", "permission", "access"))):
        return "key"  # a 403 without such a word may be about this one prompt
    return "model" if status == 404 else ""


def _error_of(text: str) -> tuple[str, str]:
    """(code and type, message) of an error body in OpenAI's form, or its first words."""
    try:
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        if isinstance(error, dict):
            return f"{error.get('code')} {error.get('type')}", one_line(str(error.get("message", error)))
        return "", one_line(str(error))
    except (ValueError, RecursionError):  # a stranger's brackets may go deeper than any parser
        return "", one_line(text)


def retry_after(seconds: str | None, milliseconds: str | None = None, *, date: str | None = None) -> float | None:
    """Seconds to wait as a server's headers say: a number, a date, or milliseconds; None where they say nothing readable.

    A date is reckoned from the server's own `date`, where it sent one: the clock of this machine may be wrong, or have been set.
    """
    if (asked := _finite(milliseconds)) is not None:
        return asked / 1000
    if (asked := _finite(seconds)) is not None:
        return asked
    try:
        until = parsedate_to_datetime(seconds or "").timestamp()
        return max(0.0, until - (time.time() if date is None else parsedate_to_datetime(date).timestamp()))
    except ValueError:
        return None


def _finite(text: str | None) -> float | None:
    """The number, at least 0; None where there is none: `inf` is one to Python, and a run would wait for it."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if isfinite(number) else None


def without_key(text: str, key: str | None) -> str:
    """Servers repeat the key they refuse; a secret never reaches a file."""
    return text.replace(key, "***") if key and key in text else text
