"""The tables of all reasons, as the reference has them."""

from collections.abc import Mapping, Sequence

from cotforge.reasons import ASKING, CHECKS, DEDUP, FATES, OTHERS, READING, SKIPPED, SOURCE, VOTING, Explained
from cotforge.reference.markdown import markdown_table

PARTS: Sequence[tuple[str, str, Mapping[str, str | Explained]]] = (
    ("Rows of the source", "Counted as `source:<reason>`; stage `source` in `losses.parquet`.", SOURCE),
    ("Duplicates", "Counted as `dedup:<reason>`; stage `dedup` in `losses.parquet`. `duplicates.csv` has each.", DEDUP),
    ("Calls without a reply", "Stages `forge` and `ask` in `losses.parquet`; the words that `cotforge build --retry` takes.", ASKING),
    ("Replies that cannot be used", "Fate `unread:<reason>` in `traces`; stage `read` in `losses.parquet`.", READING),
    ("Samples that are not accepted", "Counted as `vote:<reason>`; stage `vote` in `losses.parquet`.", VOTING),
    ("Accepted samples without a lesson", "Counted under this word.", OTHERS),
    (
        "Rescued and woven texts that did not pass",
        "Fate `gate:<check>` in `traces`; stage `rescue` or `weave` in `losses.parquet`.",
        CHECKS,
    ),
    (
        "After the vote",
        "Why there was nothing to explain, verify or weave, or nothing came of it; stage and reason of a loss.",
        SKIPPED,
    ),
    ("Fates of a trace", "The column `fate` of `traces`.", FATES),
)


def reasons_tables() -> str:
    """A heading and a table for each place where something may be lost."""
    parts = []
    for title, where, reasons in PARTS:
        parts += [
            f"## {title}\n",
            f"{where}\n",
            markdown_table(("reason", "meaning"), ([_reason_cell(word), _meaning_of(told)] for word, told in reasons.items())),
        ]
    return "\n".join(parts)


def _reason_cell(reason: str) -> str:
    return ", ".join(f"`{word}`" if word != "..." else word for word in reason.split(", "))


def _meaning_of(told: str | Explained) -> str:
    return told.meaning if isinstance(told, Explained) else told
