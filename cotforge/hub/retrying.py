"""Calls to the Hub that failed for a passing reason are made again; any other failure is told in one line.

The client repeats some of its own calls (uploads, `preupload`), and not others (`create_repo`, `validate-yaml`, a commit, a tag). The waits
are its own. Source: huggingface_hub, `utils/_http.py: http_backoff`.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from cotforge.errors import HubError, in_words

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
WAITS_S = (1.0, 2.0, 4.0, 8.0, 8.0)
LONGEST_WAIT_S = 300.0
"""Of a wait that the Hub asks for: its limits begin anew every five minutes (https://huggingface.co/docs/hub/rate-limits)."""
Result = TypeVar("Result")
Note = Callable[[str], object]
"""Told, in a few words, what is waited for."""


def retry_transient(call: Callable[[], Result], *, note: Note) -> Result:
    """What the call gives; made again while it fails for a passing reason, at most six times. Raises what it raised last."""
    for wait in WAITS_S:
        try:
            return call()
        except Exception as fault:
            if not is_transient(fault):
                raise
            wait_before_retry(fault, wait, note=note)
    return call()


def wait_before_retry(fault: BaseException, wait: float, *, note: Note) -> None:
    """Wait as long as the Hub asks for, else for `wait` seconds."""
    asked = _asked_wait_s(fault)
    seconds = wait if asked is None else min(asked, LONGEST_WAIT_S)
    note(f"{_reason_in_words(fault)}; trying again in {seconds:.0f} s")
    time.sleep(seconds)


def is_transient(fault: BaseException) -> bool:
    """Whether the same call may succeed later: the server is busy, or the connection broke."""
    return any(_status_of(each) in TRANSIENT or _is_connection_error(each) for each in _causes(fault))


def status_of(fault: BaseException) -> int | None:
    """The HTTP status that a failure goes back to; None where there was no answer."""
    return next((status for each in _causes(fault) if (status := _status_of(each)) is not None), None)


def hub_error(fault: BaseException, where: str) -> HubError:
    """The failure as one line that begins with `where`."""
    names = {type(each).__name__ for each in _causes(fault)}
    status = status_of(fault)
    if any("xet-write-token" in str(each) and ("404" in str(each) or _status_of(each) == 404) for each in _causes(fault)):
        return HubError(f"{where}: the server has no Xet storage (404 for xet-write-token); --no-xet sends whole files by HTTP")
    if "OfflineModeIsEnabled" in names:
        return HubError(f"{where}: HF_HUB_OFFLINE is set, and a push needs the Hub; unset it")
    if status == 401 or "RepositoryNotFoundError" in names:
        return HubError(f"{where}: is not there, or your token may not see it; `hf auth whoami` shows whose token is used")
    if status == 403:
        return HubError(f"{where}: your token may not write there; https://huggingface.co/settings/tokens makes one that may")
    if status == 402:
        return HubError(f"{where}: the Hub wants payment for more private storage; see https://huggingface.co/settings/billing")
    if status == 413:
        return HubError(f"{where}: the Hub says that a file is too large")
    if found := re.match(r"Invalid metadata in README\.md\.?\s*(.*)", str(fault), re.DOTALL):
        return HubError(f"{where}: the Hub refuses the header of README.md: {in_words(ValueError(found[1]))}")
    if is_transient(fault):
        return HubError(f"{where}: {_reason_in_words(fault)} repeatedly; run the same command later, which sends nothing twice")
    return HubError(f"{where}: {in_words(fault)}")


def _causes(fault: BaseException | None) -> Iterator[BaseException]:
    """The failure and those that it goes back to."""
    seen: set[int] = set()
    while fault is not None and id(fault) not in seen:
        seen.add(id(fault))
        yield fault
        fault = fault.__cause__ or fault.__context__


def _status_of(fault: BaseException) -> int | None:
    status = getattr(getattr(fault, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _is_connection_error(fault: BaseException) -> bool:
    """Whether it is a broken or slow connection, as the client's HTTP library has it (httpx, or httpx2 since huggingface_hub 2)."""
    names = {base.__name__ for base in type(fault).__mro__ if base.__module__.partition(".")[0] in ("httpx", "httpx2")}
    return "TransportError" in names and "UnsupportedProtocol" not in names


def _asked_wait_s(fault: BaseException) -> float | None:
    """Seconds that the answer asks to wait for. Source: https://huggingface.co/docs/hub/rate-limits, RFC 9110 section 10.2.3."""
    answers = (getattr(each, "response", None) for each in _causes(fault) if _status_of(each) is not None)
    headers: Mapping[str, str] = getattr(next(answers, None), "headers", {})
    if found := re.search(r"\br=0\s*;.*?\bt=(\d+)", headers.get("ratelimit") or ""):
        return float(found[1])
    after = headers.get("retry-after") or ""
    return float(after) if re.fullmatch(r"\d{1,5}(\.\d+)?", after) else None


def _reason_in_words(fault: BaseException) -> str:
    status = status_of(fault)
    if status == 429:
        return "the Hub has had too many requests"
    return f"the Hub answered {status}" if status else "the connection to the Hub broke"
