"""How long a server asks to be left alone, in whatever form it says so."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

MOST_WAIT_S = 60.0
"""Seconds that a Call is kept back at most, whatever a server asks: windows of rate limits are a minute, and who has still no room says so
again. It is then waited for once more, an hour in all (`forge.tries.THROTTLED`)."""


def asked_wait(headers: Iterable[tuple[str, str]]) -> float | None:
    """Seconds that the headers of an answer ask to wait, by `Retry-After` or `Retry-After-Ms`, as often as they stand there; the longest.

    None where nothing readable is asked. Never raises.
    """
    named = [(name.lower(), value) for name, value in headers]
    date = next((value for name, value in named if name == "date"), None)
    waits = [retry_after(None, value) for name, value in named if name == "retry-after-ms"]
    waits = waits if any(wait is not None for wait in waits) else [retry_after(v, date=date) for name, v in named if name == "retry-after"]
    return max((wait for wait in waits if wait is not None), default=None)


def retry_after(seconds: str | None, milliseconds: str | None = None, *, date: str | None = None) -> float | None:
    """Seconds to wait as a server's headers say: a number, a date, or milliseconds; None where they say nothing readable. Never raises.

    A date is counted from the server's own `date`, where it sent one: the clock of this machine may be wrong, or have been set.
    """
    if (asked := _finite_number(milliseconds)) is not None:
        return asked / 1000
    if (asked := _finite_number(seconds)) is not None:
        return asked
    if (until := _date_moment(seconds)) is None:
        return None
    now = _date_moment(date)
    return max(0.0, until - (time.time() if now is None else now))


def _finite_number(text: str | None) -> float | None:
    """The number, at least 0; None where there is none: `inf` is one to Python, and a run would wait for it."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if isfinite(number) else None


def _date_moment(text: str | None) -> float | None:
    """Seconds since the epoch of a date as in HTTP (all three forms, RFC 9110) or ISO 8601; None where it is none."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read((text or "").strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError, TypeError, IndexError):  # the reader of mail dates raises all of them
            continue
    return None
