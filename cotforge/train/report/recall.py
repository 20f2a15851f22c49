"""The recall of each class, before training and after each stage, as a table whose cells are the fuller the more is found."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from cotforge.plots.heat import heat_chart
from cotforge.plots.svg import shorten_text

CLASSES = 24
"""Classes of the plot; of more, those with the lowest recall at the end."""
COLUMNS = 8
"""Stages of the plot; of more, the base and the last ones."""


class RecallTable(NamedTuple):
    """Recall by class and stage, and the same as a plot."""

    finding: str
    svg: Markup
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float | None], int | None]]
    """(class, recall after each stage, held-out samples of that class)."""


def recall_table(tried: Sequence[tuple[str, dict[str, Any]]]) -> RecallTable | None:
    """By the figures of `eval/*.json`, each under the name of its stage; None where there are none by class."""
    found = [(name, figures) for name, figures in tried if figures.get("recall")]
    if not found:
        return None
    found = found if len(found) <= COLUMNS else [found[0], *found[1 - COLUMNS :]]
    last = found[-1][1]
    names = sorted(last["recall"], key=lambda name: (last["recall"][name] is None, last["recall"][name] or 0.0, name))[:CLASSES]
    support = last.get("support") or {}
    rows = [(name, [figures["recall"].get(name) for _, figures in found], support.get(name)) for name in names]
    known = [(values[-1], name) for name, values, _ in rows if values[-1] is not None]
    finding = "No class has a known recall."
    if known:
        (low, worst), (high, best) = min(known), max(known)
        least, most = f"{low:.1%} ({shorten_text(worst, 40)})", f"{high:.1%} ({shorten_text(best, 40)})"
        finding = f"After {found[-1][0]} the lowest recall is {least}, the highest {most}."
    head = [name for name, _ in found]
    svg = heat_chart("recall", "Recall of each class", finding, names, head, [values for _, values, _ in rows])
    return RecallTable(finding, svg, head, rows)
