"""Why a teacher is asked nothing more, and why a run stops asking."""

from enum import StrEnum


class Closing(StrEnum):
    """Why a teacher is asked nothing more in this run."""

    QUOTA = "quota"
    KEY = "key"
    MODEL = "model"
    ACCOUNT = "account"
    """The account, or this machine's address, is shut out: only a person can settle it."""
    FILES = "files"
    """The server cannot read images by `file:` URL."""
    ENGINE = "engine"
    """The engine on this machine died again."""
    TROUBLE = "trouble"
    """A batch provider failed for too long."""
    REPEATED = "repeated"
    """It ended one Call after another in the same words, and answered none in between."""
    COUNTS = "counts"
    """It counts, or writes, more tokens than can be, and a budget could not hold."""
    OUT_OF_REACH = "out of reach"
    """No replica can be reached; it is asked again once one can."""
    OVER = "over"
    """Its turn, or the run, has ended."""


class Stop(StrEnum):
    """Why a run stopped asking before all was asked."""

    INTERRUPTED = "interrupted"
    """By Ctrl-C or SIGTERM."""
    FAILURES = "failures"
    """More Calls were given up than `max_failures` allows."""
    BUDGET = "budget"
    """`budget.usd`, `tokens` or `calls` is used up; a higher bound goes on."""
    MINUTES = "minutes"
    """`budget.minutes` are over."""
    UNREACHABLE = "unreachable"
    """No teacher at all could be reached."""
    FAULT = "fault"
    """A bug, or a journal that can keep no more."""
