"""Markdown."""

from collections.abc import Sequence


def print_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table; all columns but the first to the right."""
    print(f"| {' | '.join(head)} |")
    print("|---|" + "---:|" * (len(head) - 1))
    for line in lines:
        print(f"| {' | '.join(line)} |")
