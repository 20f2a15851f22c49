"""Markdown."""

from collections.abc import Iterable, Sequence


def print_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A table, each line as it comes; all columns but the first to the right."""
    print(f"| {' | '.join(head)} |")
    print("|---|" + "---:|" * (len(head) - 1), flush=True)
    for line in lines:
        print(f"| {' | '.join(line)} |", flush=True)
