"""A stranger's message on one line."""

LONGEST = 300
"""Characters that are kept."""


def one_line(text: str) -> str:
    """The beginning of a message on one line: no control characters, no halves of surrogate pairs, 300 characters at most."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * LONGEST]).split())[:LONGEST]
