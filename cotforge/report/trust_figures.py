"""Plots of how far teachers agree, and of what their confidence is worth."""

from collections.abc import Sequence

from cotforge.consensus.claim import lower_bound, upper_bound
from cotforge.plots.bars import Histogram, HistogramBin
from cotforge.plots.heat import heat_chart
from cotforge.plots.points import CalibrationPoint, calibration_chart
from cotforge.report.figures import ROWS, Figure, percent_text
from cotforge.tally import Tally


def agreement_figure(tally: Tally) -> Figure | None:
    """How often two teachers gave the same answer; None with fewer than two."""
    names = sorted(tally.teachers)[:ROWS]
    if len(names) < 2:
        return None
    shares = [[1.0 if one == other else tally.agreement(one, other) for other in names] for one in names]
    pairs = [(value, one, other) for one in names for other in names if one < other and (value := tally.agreement(one, other)) is not None]
    title = "How often two teachers agree"
    finding = "No two teachers answered the same sample."
    if pairs:
        (low, *least), (high, *most) = min(pairs), max(pairs)
        finding = f"{' and '.join(most)} agree most often ({high:.1%})"
        finding += f", {' and '.join(least)} least often ({low:.1%})." if len(pairs) > 1 else "."
    table = [(one, *(percent_text(value) for value in values)) for one, values in zip(names, shares, strict=True)]
    return Figure(title, finding, heat_chart("agreement", title, finding, names, names, shares), ("teacher", *names), table)


def calibration_figure(tally: Tally) -> Figure | None:
    """Confidence against what people found; None where nobody checked."""
    if not tally.bins:
        return None
    readings = []
    for one in tally.bins:
        right = round(one.right * one.count)
        low, high = lower_bound(right, one.count, sure=0.975), upper_bound(right, one.count, sure=0.975)
        readings.append(CalibrationPoint(one.claimed, one.right, low, high, one.count))
    modest, bold = sum(one.claimed < one.low for one in readings), sum(one.claimed > one.high for one in readings)
    inside = len(readings) - modest - bold
    title = "Is the confidence worth what it says?"
    finding = f"{inside} of {len(readings)} groups of checked samples lie on the diagonal within their 95 % intervals"
    finding += f"; {modest} are right more often than the confidence says" if modest else ""
    finding += f"; {bold} are right less often than the confidence says." if bold else "."
    table = [(f"{one.count:,}", percent_text(one.claimed), percent_text(one.right), f"{one.low:.1%} to {one.high:.1%}") for one in readings]
    svg = calibration_chart("calibration", title, finding, readings)
    return Figure(title, finding, svg, ("checked", "mean confidence", "found right", "95 % interval"), table)


def confidence_figure(confidences: Sequence[Sequence[int]], target: float | None) -> Figure | None:
    """How sure the leading answers are; None where there is none."""
    whole = sum(map(sum, confidences))
    if not whole:
        return None
    size = 1 / len(confidences)
    bins = [HistogramBin(place * size, (place + 1) * size, counts) for place, counts in enumerate(confidences)]
    first = next(place for place, one in enumerate(confidences) if sum(one))
    title = "How sure the leading answers are"
    sure = sum(map(sum, confidences[int(0.9 * len(confidences)) :]))
    finding = f"{sure / whole:.1%} of {whole:,} leading answers have a confidence of 90 % or more."
    kinds, limits = ("accepted", "not accepted"), () if target is None else (target,)
    plot = Histogram(bins[first:], kinds, ("r0", "rest"), "confidence", bounds=limits, percent=True)
    table = [(f"{one.low:.0%} to {one.high:.0%}", *(f"{count:,}" for count in one.counts)) for one in bins[first:]]
    legend = (("r0", "accepted"), ("rest", "not accepted"))
    return Figure(title, finding, plot.draw("confidence", title, finding), ("confidence", "accepted", "not accepted"), table, legend)
