"""Plots of classes, of label conflicts, and of how long and how good the texts are."""

from collections.abc import Sequence

from cotforge.filters import Bound
from cotforge.plots.bars import Change, Histogram, HistogramBin, NamedBar, Piece, bar_chart, change_chart
from cotforge.plots.scales import round_span
from cotforge.plots.svg import shorten_text
from cotforge.report.figures import ROWS, TABLE, WORD, Figure
from cotforge.tally import Tally
from cotforge.tally.quantiles import Spread

BARS = 28
"""Bars of a histogram, at most."""
PAIRS = 10
"""Pairs of label and answer in a plot."""
FINEST = 0.025
"""Width of a bar, as a share of the largest value, that the 2 % steps of `Spread` over many numbers fill evenly."""
SPREAD_HEAD = ("", "count", "mean", "least", "5 %", "median", "95 %", "most")


def classes_figure(tally: Tally) -> Figure | None:
    """Each class's share of the raw labels and of the lessons; None without classes of both."""
    labels, answers = sum(one.labels for one in tally.classes.values()), sum(one.answers for one in tally.classes.values())
    if not labels or not answers:
        return None
    shares = [(name, one.labels / labels, one.answers / answers) for name, one in sorted(tally.classes.items())]
    most = sorted(shares, key=lambda one: -abs(one[2] - one[1]))[:ROWS] if len(shares) > ROWS else shares
    changes = [
        Change(name, before, after, f"{name}: {before:.1%} of the raw labels, {after:.1%} of the lessons")
        for name, before, after in sorted(most, key=lambda one: -one[1])
    ]
    name, before, after = max(shares, key=lambda one: abs(one[2] - one[1]))
    title = "Classes before and after"
    finding = f"Class {shorten_text(name, WORD)} changes most: {before:.1%} of the raw labels, {after:.1%} of the lessons."
    if f"{before:.1%}" == f"{after:.1%}":
        finding = "Every class has the same share of the lessons as of the raw labels."
    table = [
        (shorten_text(name, WORD), f"{before:.1%}", f"{after:.1%}", f"{tally.classes[name].labels:,}", f"{tally.classes[name].answers:,}")
        for name, before, after in shares[:TABLE]
    ]
    head = ("class", "share of raw labels", "share of lessons", "raw labels", "lessons")
    legend = (("ring", "raw labels"), ("square", "lessons"))
    return Figure(title, finding, change_chart("classes", title, finding, changes), head, table, legend)


def conflicts_figure(tally: Tally) -> Figure | None:
    """Where vote and label differ most often; None where they never do."""
    ranked = [(label, answer, count) for (label, answer), count in tally.corrections.most_common(TABLE)]
    if not ranked:
        return None
    bars = []
    for label, answer, count in ranked[:PAIRS]:
        piece = Piece(count, "r1", f"label {label}, agreed answer {answer}: {count:,}")
        bars.append(NamedBar(f"{shorten_text(label, 15)} → {shorten_text(answer, 15)}", (piece,), f"{count:,}"))
    label, answer, count = ranked[0]
    title = "Where vote and label differ"
    finding = f"Most often the label is {shorten_text(label, WORD)} and the agreed answer {shorten_text(answer, WORD)} ({count:,} times)."
    table = [(shorten_text(one, WORD), shorten_text(other, WORD), f"{times:,}") for one, other, times in ranked[:50]]
    return Figure(title, finding, bar_chart("conflicts", title, finding, bars), ("raw label", "agreed answer", "samples"), table)


def lengths_figure(lessons: Spread, others: Spread) -> Figure | None:
    """Tokens of reasoning, of lessons and of all other traces; None without traces."""
    if not lessons.count and not others.count:
        return None
    bins = histogram_bins([lessons, others])
    title = "How long the reasoning is"
    middle = lessons.quantile(0.5)
    finding = f"Half of the lessons have {middle:,.0f} tokens of reasoning or fewer" if middle is not None else "There is no lesson"
    rest = others.quantile(0.5)
    finding += f"; of the other traces {rest:,.0f}." if rest is not None else "."
    svg = Histogram(bins, ("lessons", "other traces"), ("r0", "rest"), "tokens of reasoning").draw("lengths", title, finding)
    table = [_spread_row(name, one) for name, one in (("lessons", lessons), ("other traces", others)) if one.count]
    return Figure(title, finding, svg, SPREAD_HEAD, table, (("r0", "lessons"), ("rest", "other traces")))


def _spread_row(name: str, spread: Spread) -> tuple[str, ...]:
    values = (spread.mean(), spread.least, spread.quantile(0.05), spread.quantile(0.5), spread.quantile(0.95), spread.most)
    return (name, f"{spread.count:,}", *("-" if value is None else f"{value:,.4g}" for value in values))


def measure_figures(tally: Tally, bounds: Sequence[Bound]) -> list[Figure]:
    """A histogram of each measure over all traces, with the bounds of its filters."""
    made = []
    varied = [(name, spread) for name, spread in sorted(tally.measures.items()) if spread.least < spread.most]
    for place, (name, spread) in enumerate(varied[:ROWS]):
        holds = [bound for bound in bounds if bound.name == name]
        limits = [value for bound in holds for value in (bound.min, bound.max) if value is not None]
        finding = f"Median {_rounded_text(spread.quantile(0.5))}; 90 % of {spread.count:,} traces lie between "
        finding += f"{_rounded_text(spread.quantile(0.05))} and {_rounded_text(spread.quantile(0.95))}."
        if limits:
            dropped = tally.fates[f"filter:{name}"]
            finding += f" Its filter drops {f'{dropped:,}' if dropped else 'none'} of those with the agreed answer."
        plot = Histogram(histogram_bins([spread], holds), ("within the bounds", "outside"), ("r0", "bad"), bounds=limits, height=150)
        made.append(Figure(name, finding, plot.draw(f"measure-{place}", name, finding), SPREAD_HEAD, [_spread_row("all traces", spread)]))
    return made


def constant_measures(tally: Tally) -> list[str]:
    """A sentence for each measure that is the same for all traces."""
    same = [(name, spread) for name, spread in sorted(tally.measures.items()) if spread.least == spread.most]
    return [f"{name} is {_rounded_text(spread.least)} for all {spread.count:,} traces." for name, spread in same[:TABLE]]


def _rounded_text(value: float | None) -> str:
    return "-" if value is None else f"{float(f'{value:.3g}'):,.6g}"


def histogram_bins(spreads: Sequence[Spread], holds: Sequence[Bound] | None = None) -> list[HistogramBin]:
    """Bars over what 99.5 % of the numbers reach; the last one has all above. With `holds`, one Spread is parted by whether they hold."""
    least = min(one.least for one in spreads if one.count)
    high = max(one.quantile(0.995) or least for one in spreads if one.count)
    low, top, _ = round_span([least, high])
    bars = max(4, min(BARS, int((top - low) / (FINEST * max(abs(top), abs(low))))))
    size = (top - low) / bars
    kinds = len(spreads) if holds is None else 2
    counts = [[0] * kinds for _ in range(bars)]
    for kind, spread in enumerate(spreads):
        for value, count in spread.buckets():
            where = kind if holds is None else int(not all(_holds(bound, value, exact=spread.is_exact) for bound in holds))
            counts[min(bars - 1, max(0, int((value - low) / size)))][where] += count
    return [HistogramBin(low + place * size, low + (place + 1) * size, found) for place, found in enumerate(counts)]


def _holds(bound: Bound, value: float, *, exact: bool) -> bool:
    """Whether a value is within a bound, or where it is known to 1 % alone may be."""
    return any(bound.holds(value * factor) for factor in ((1,) if exact else (1, 0.989, 1.011)))
