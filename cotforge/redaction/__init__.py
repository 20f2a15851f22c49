"""Redaction: what this process knows to be a key, or another credential, is cut out of all that it keeps, shows and publishes.

    remember(os.environ["OPENAI_API_KEY"])
    redact("incorrect API key: c2stMDEyMzQ1Njc4OWFi...")        'incorrect API key: ***'

A reply is redacted as it comes in, before anything is cut short (`replies`), and once more as it leaves the journal for a dataset
(`Attempt.reply`); the words of servers and libraries where they are put on one line (`replies.text`, `errors`).
"""

import re
from urllib.parse import unquote, urlsplit

from cotforge.redaction.redactor import MARK as MARK
from cotforge.redaction.redactor import SHORTEST as SHORTEST
from cotforge.redaction.redactor import Redactor, is_weak

__all__ = [
    "MARK", "SHORTEST", "Redactor", "forget_secrets", "holds_credential", "is_weak", "redact_text", "remember_secrets", "remember_userinfo",
    "remembered_secrets", "without_userinfo",
]  # fmt: skip

_USERINFO = re.compile(r"(://)[^/@\s]{1,1000}@")

_given: set[str] = set()
_known = Redactor()


def remember_secrets(*values: str) -> None:
    """From now on this process cuts these values out of what it keeps, shows and publishes. A set of values that only grows."""
    global _known
    if not _given.issuperset(values):
        _given.update(values)
        _known = Redactor(_given)


def remembered_secrets() -> frozenset[str]:
    """The values that this process cuts out."""
    return _known.values


def forget_secrets() -> None:
    """Forget every value: for a process that goes on to work with other keys, as a notebook or a test does."""
    global _known
    _given.clear()
    _known = Redactor()


def redact_text(text: str) -> str:
    """The text without what is known to be a credential: see `Redactor.redact`."""
    return _known.redact(text)


def holds_credential(text: str) -> bool:
    """Whether a text that is not to be changed, such as an id, holds what is known to be a credential."""
    return _known.redact(text) != text


def without_userinfo(text: str) -> str:
    """The text without `user:password@` in the URLs in it."""
    return _USERINFO.sub(r"\1", text) if "://" in text else text


def remember_userinfo(url: str) -> None:
    """Remember the password in a URL, and what a proxy is sent of it."""
    userinfo = urlsplit(url).netloc.rpartition("@")[0]
    user, _, password = userinfo.partition(":")
    if password:
        remember_secrets(password, unquote(password), f"{unquote(user)}:{unquote(password)}")
