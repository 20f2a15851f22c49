"""Attempts as a journal would give them back."""

from typing import Any

from cotforge.replies.attempt import Attempt, outcome_of_row


def attempt(
    number: int = 1,
    key: bytes = b"",
    *,
    status: int | None = 200,
    error: str | None = None,
    detail: str = "",
    passing: bool = False,
    finish_reason: str = "stop",
    body: str = "{}",
    **fields: Any,
) -> Attempt:
    """A whole reply, unless `error` or `finish_reason` says otherwise."""
    outcome = outcome_of_row(status, error, detail, passing=passing, finish_reason=finish_reason, body=body)
    counts = {"final": True, "input_tokens": 10, "output_tokens": 20, "cost_usd": 0.5, "seconds": 1.0, "max_tokens": 100} | fields
    return Attempt(number, key, status, outcome, finish_reason=finish_reason, body=body, **counts)
