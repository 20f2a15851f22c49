"""A stranger's text: on one line, and how much of memory it may take once it is read."""

from cotforge.redaction import redact_text

LONGEST = 300
"""Characters that are kept."""
MOST_PARTS = 400_000
"""Objects and lists in one body, and half of its lines (default chosen by us): each takes 60 to 250 bytes of memory for two of text.
No honest reply has as many: 8,000 tokens with 20 logprobs each have 350,000."""
MOST_VALUES = 2_000_000
"""Commas in one body (default chosen by us): a value takes up to 60 bytes of memory for five of text."""
MOST_TEXT = 2**20
"""Characters of one reply's text (default chosen by us): about 250,000 tokens, twice what any model writes."""
LOOKED_AT = 2**16
"""Characters in which credentials are looked for: those behind them are never kept."""


def one_line(text: str) -> str:
    """The beginning of a message on one line: no credentials, control characters or halves of surrogate pairs, 300 characters at most."""
    text = redact_text(text[:LOOKED_AT])[: 2 * LONGEST]
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]


def is_dense(text: str) -> bool:
    """Whether a JSON text, or a stream of them, may have more parts than MOST_PARTS or MOST_VALUES say: some milliseconds per megabyte."""
    if len(text) <= MOST_PARTS:
        return False
    return (
        text.count("{") + text.count("[") > MOST_PARTS
        or text.count("\n") + text.count("\r") > 2 * MOST_PARTS
        or text.count(",") > MOST_VALUES
    )
