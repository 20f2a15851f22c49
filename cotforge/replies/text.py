"""A stranger's message on one line."""

from cotforge.redaction import redact

LONGEST = 300
"""Characters that are kept."""
LOOKED_AT = 2**16
"""Characters in which credentials are looked for: those behind them are never kept."""


def one_line(text: str) -> str:
    """The beginning of a message on one line: no credentials, control characters or halves of surrogate pairs, 300 characters at most."""
    text = redact(text[:LOOKED_AT])[: 2 * LONGEST]
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]
