"""What it means that a server says no: whether the Call is lost, may pass, or the teacher should be asked nothing more."""

import json
import re
from dataclasses import replace
from typing import Any

from cotforge.endings import Closing
from cotforge.records import Outcome, OutcomeKind
from cotforge.replies.refusal_codes import Meaning, codes_and_message, refusal_meaning
from cotforge.replies.retry_after import MOST_WAIT_S
from cotforge.replies.text import one_line

PASSING = frozenset({401, 402, 403, 404, 405, 407, 408, 409, 425, 429})
"""With every 5xx: statuses after which the next build asks again. All other 4xx mean that the server refused this very request."""
HOPELESS = frozenset({401, 402, 403, 404, 405, 407})
"""Passing, but not within this run: asking again at once says the same."""
UNREAD_FILES = ("--allowed-local-media-path", "[Errno 2] No such file", "[Errno 13] Permission denied")
"""What vLLM 0.32 says, with 400 or 500, where it cannot read a `file:` URL."""
BUSY = frozenset({429, 529})
LONGEST_WAIT_S = 3600.0
"""Seconds of `Retry-After` above which a server probably means an allowance for the day or the month."""
_CODES = ("status", "status_code", "statusCode", "error_code", "errorCode")
"""Fields of an error object without a `code` that may hold a number instead."""
_MENDABLE = re.compile(
    r"\b(?:api[ _-]?keys?|access[ _-]?tokens?|auth(?:entication|orization|enticated)?|unauthori[sz]ed|credentials?|log ?in"
    r"|permissions?|forbidden"
    r"|balance|quota|credits?|billing|payments?|unpaid|arrears?|arrearage|overdue|recharge|top[ -]?up|spending|subscri(?:be|ption)"
    r"|suspended|deactivated|expired|(?:your|this|the) account|plan)\b"
    r"|\b(?:unknown|unsupported|invalid|no such|missing) (?:model|deployment)\b"
    r"|\b(?:model|deployment)\b.{0,80}\b(?:not (?:found|exist|available|loaded|served|supported|ready|enabled)|unavailable|does ?n.t exist"
    r"|no access|deprecated|retired|decommissioned)\b"
    r"|余额|欠费|充值|额度|密钥|令牌|账户|账号|模型不存在",
    re.IGNORECASE,
)
"""Words of refusals that a changed key, balance, account or served model would heal."""
_BY_MEANING = {
    Meaning.KEY: (OutcomeKind.ACCOUNT, Closing.KEY),
    Meaning.QUOTA: (OutcomeKind.ACCOUNT, Closing.QUOTA),
    Meaning.MODEL: (OutcomeKind.GONE, Closing.MODEL),
    Meaning.HELP: (OutcomeKind.ACCOUNT, Closing.ACCOUNT),
}


def read_refusal(status: int, text: str, *, after: float | None = None) -> Outcome:
    """What the status and body of an error mean; `after` is what its Retry-After says, in seconds."""
    codes, message = codes_and_message(text)
    if 300 <= status < 400:
        return Outcome(OutcomeKind.PASSING, "redirect", f"{status}: redirects are not followed; write the final URL")
    return _cap_wait(_refusal_outcome(status, str(status), message, refusal_meaning(status, codes, message), codes=codes, after=after))


def _cap_wait(outcome: Outcome) -> Outcome:
    """The same with a wait that ends, and a note of the one that was asked."""
    if outcome.after is None or outcome.after <= MOST_WAIT_S:
        return outcome
    note = f"Retry-After asked for {outcome.after:,.0f} s; at most {MOST_WAIT_S:g} s are waited"
    detail = f"{outcome.detail}; {note}" if outcome.detail else note
    return replace(outcome, after=MOST_WAIT_S, detail=detail, asked_wait=outcome.after)


def inside_ok(error: Any) -> Outcome:
    """What an error object means that came with status 200: gateways say 200 where they mean 400 or 500."""
    codes, message = codes_and_message(json.dumps({"error": error}))
    word = one_line(_error_code(error))
    number = int(word) if word.isascii() and word.isdigit() and len(word) == 3 else 0
    status = number if 400 <= number < 600 else 500
    return _refusal_outcome(status, word, message, refusal_meaning(200, codes, message), codes=codes, after=None)


def _error_code(error: Any) -> str:
    """What names an error: its code, or a number in a field of that kind."""
    if not isinstance(error, dict):
        return "error"
    numbers = [str(error[name]) for name in _CODES if str(error.get(name)).isdigit()]
    return str(error.get("code") or next(iter(numbers), "error"))


def _refusal_outcome(status: int, word: str, message: str, means: Meaning | None, *, codes: str, after: float | None) -> Outcome:
    if any(told in message for told in UNREAD_FILES):
        return Outcome(OutcomeKind.GONE, word, message, after=after, closes=Closing.FILES)
    if means is Meaning.FILTER:
        return Outcome(OutcomeKind.FILTERED, "content_filter", message)
    if means in _BY_MEANING:
        kind, closes = _BY_MEANING[means]
        return Outcome(kind, word, message, after=after, closes=closes)
    busy = means is Meaning.BUSY or status in BUSY or (status == 503 and after is not None)
    if means is None and status < 500 and not busy and _MENDABLE.search(f"{codes.replace('_', ' ')} {message}"):
        return Outcome(OutcomeKind.PASSING, word, message, after=after)
    if means is Meaning.PROMPT or not (busy or status in PASSING or status >= 500):
        return Outcome(OutcomeKind.REFUSED, word, message, of_request=means is Meaning.PROMPT)
    return Outcome(OutcomeKind.PASSING, word, message, retry=busy or status not in HOPELESS, after=after, busy=busy)
