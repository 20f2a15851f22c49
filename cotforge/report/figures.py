"""The plots of a run's page: each has a title, a sentence that states its finding, and the table of its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cotforge.pages import Spent
from cotforge.plots.bars import NamedBar, Piece, bar_chart
from cotforge.tally import Tally
from cotforge.tally.counts import share_of
from cotforge.tally.funnel import FunnelStep, funnel_steps

ROWS = 14
"""Rows of a plot; the table below it has more."""
TABLE = 250
"""Rows of a table."""
WORD = 60
"""Characters of a class or reason."""

Rows = Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its words and numbers."""

    title: str
    finding: str
    svg: Markup
    head: Sequence[str]
    rows: Rows
    legend: Sequence[tuple[str, str]] = ()
    """(class, name) of each colour or mark."""


def percent_text(value: float | None) -> str:
    """A share as a page shows it."""
    return "-" if value is None else f"{value:.1%}"


def funnel_figure(tally: Tally) -> Figure:
    """From raw rows to samples with lessons, with the reasons for the loss at each step."""
    steps, rows = funnel_steps(tally), tally.rows()
    bars = []
    for step in steps:
        told = share_of(step.left, rows)
        text = f"{step.left:,}" + (f" · {told:.1%}" if told is not None else "")
        piece = Piece(step.left, "r0", f"{step.name}: {step.left:,} of {rows:,} rows")
        bars.append(NamedBar(step.name, (piece,), text, _step_note(step, tally), f"step-{step.key}"))
    title = "What is left at each step"
    several = f"{tally.lessons:,} " if tally.lessons != tally.accepted else ""
    kept = f"{tally.accepted:,} of {rows:,} rows {'gave ' + several if several else 'became '}lessons" if rows else "No row was read"
    worst = tally.largest_reason()
    why = f"; the largest loss: {worst[1]:,} {tally.reason_in_words(*worst)}" if worst and worst[1] else ""
    finding = f"{kept}{why}."
    table = [(step.name, f"{step.left:,}", percent_text(share_of(step.left, rows)), _step_note(step, tally)) for step in steps]
    return Figure(title, finding, bar_chart("funnel", title, finding, bars, most=rows), ("step", "left", "of all rows", "lost here"), table)


def _step_note(step: FunnelStep, tally: Tally) -> str:
    """What was lost or gained on the way to a step."""
    if step.gained:
        return f"gained: {step.gained:,} by rescue"
    if not (reasons := step.lost):
        return ""
    some = ", ".join(f"{count:,} {tally.reason_in_words(reason, count)}" for reason, count in reasons[:2])
    more = sum(count for _, count in reasons[2:])
    return f"lost: {some}" + (f", {more:,} for other reasons" if more else "")


def cost_figure(spent: Sequence[Spent], lessons: int) -> Figure | None:
    """What each teacher cost, or where no price is given how long its server took; None where nothing was asked."""
    if not any(one.replies for one in spent):
        return None
    priced = any(one.cost_usd for one in spent)
    bars = []
    for one in spent[:ROWS]:
        value = one.cost_usd if priced else one.seconds
        text = f"${one.cost_usd:,.2f}" if priced else duration_text(one.seconds)
        each = f"{one.replies:,} replies, {one.seconds / one.replies:,.1f} s each" if one.replies else "no reply"
        note = f"{each}; {one.input_tokens:,} tokens in, {one.output_tokens:,} out"
        bars.append(NamedBar(one.teacher, (Piece(value, "r0", f"{one.teacher}: {text}, {note}"),), text, note))
    title = "What each teacher cost" if priced else "How long each teacher took"
    finding = _cost_finding(spent, lessons, priced=priced)
    head = ("teacher", "model", "replies", "tokens in", "tokens out", "seconds each", "server time", "cost")
    table = [_cost_row(one, priced=priced) for one in spent[:TABLE]]
    return Figure(title, finding, bar_chart("cost", title, finding, bars), head, table)


def _cost_finding(spent: Sequence[Spent], lessons: int, *, priced: bool) -> str:
    total, seconds = sum(one.cost_usd for one in spent), sum(one.seconds for one in spent)
    if not priced:
        each = f", {seconds / lessons:,.1f} s a lesson" if lessons else ""
        return f"No price is given. The servers worked for {duration_text(seconds)}{each}."
    each = f"; a lesson cost ${total / lessons:,.4f}" if lessons else ""
    return f"In all ${total:,.2f} and {duration_text(seconds)} of the servers' time{each}."


def _cost_row(one: Spent, *, priced: bool) -> tuple[str, ...]:
    each = f"{one.seconds / max(1, one.replies):,.1f}"
    counts = (f"{count:,}" for count in (one.replies, one.input_tokens, one.output_tokens))
    return (one.teacher, one.model, *counts, each, duration_text(one.seconds), f"${one.cost_usd:,.4f}" if priced else "-")


def duration_text(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5_400 else f"{seconds / 3_600:,.1f} h"
