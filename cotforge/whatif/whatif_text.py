"""A what-if as the command prints it."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from cotforge.consensus.promise import needed_checks
from cotforge.consensus.until_label import CASCADE, LABEL_MATCH
from cotforge.replies.text import one_line
from cotforge.whatif.answers import Answers, Unit
from cotforge.whatif.choice import LACKING, Compared, Row, class_coverage, lacking_text, row_name, setting_line

CLASSES, LONGEST = 8, 60
"""Classes that a line names, and characters of each."""
RULES_BY_LABEL = (LABEL_MATCH.name, CASCADE.name)
"""Rules that accept an answer only where a teacher says the label."""
LACKED = "replies never asked for"
HEADS = {"usd": "cost", "seconds": "seconds", "calls": "price"}


def whatif_text(found: Compared, answers: Answers, folder: Path, files: Sequence[Path]) -> str:
    """What was compared, a row for each variant, what the figures are worth, and the row to take."""
    calls, ids = len(answers.frame), len(answers.labels)
    missing = f" (of {answers.samples:,}; nothing was heard of the others)" if ids < answers.samples else ""
    return "\n".join(
        [
            f"{ids:,} samples{missing}, {calls:,} calls in the journal, of which {answers.readable:,} gave an answer that could be read, "
            f"{found.gold:,} samples checked by people; nothing was asked",
            "",
            *_table_lines(found, answers.unit),
            "",
            *_reading_notes(found, answers),
            *_per_class(found),
            ", ".join(map(str, files)),
            *row_advice(found, answers.unit, folder),
        ]
    )


def _table_lines(found: Compared, unit: Unit) -> Iterator[str]:
    lacking = any(row["lacking"] for row in found.rows)
    heads = ["", "calls", HEADS[unit], "coverage", "at least", "about", "against label", *([LACKED] if lacking else [])]
    lines = [heads] + [_row_cells(row, place == found.present, unit, lacking) for place, row in enumerate(found.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        yield f"{first:<{widths[0]}}  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))


def _row_cells(row: Row, present: bool, unit: Unit, lacking: bool) -> list[str]:
    return [
        f"{'*' if present else ' '} {row_name(row)}",
        number_text(row["calls_per_accepted"]),
        price_text(row["cost_per_accepted"], unit),
        percent_text(row["coverage"]),
        number_text(row["low"], 3),
        number_text(row["precision"], 3),
        percent_text(row["against_label"]),
        *([lacking_text(row)] if lacking else []),
    ]


def _reading_notes(found: Compared, answers: Answers) -> Iterator[str]:
    """What must be known to read the table."""
    yield f"calls and {HEADS[answers.unit]} per accepted sample" + ("; * is the present setting" if found.present is not None else "")
    yield from follow_up_notes(found)
    if found.calibrated:
        yield "at least, about: precision of accepted answers that nobody checked, as gold shows it; the bound is one-sided 95 %"
    else:
        yield "no precision is told: nobody checked enough answers, and agreement of teachers is no precision"
    if (promise := found.consensus.promise) is not None:
        sure = f"{promise.precision:g} with {100 * promise.confidence:g} % confidence"
        yield f"every row accepts only what keeps the promise of {sure}, and nothing where it cannot be given"
    yield from gold_notes(found)
    if any(row["lacking"] for row in found.rows):
        yield (
            "calls and cost count the calls that a row lacks too; of a rule that asks in turn they are an estimate; "
            f"a row that lacks more than {LACKING:.0%} is never recommended"
        )


def follow_up_notes(found: Compared) -> Iterator[str]:
    """What the calls and costs of the rows leave out."""
    if found.follow_ups:
        yield f"calls and cost are those of the vote alone: what is asked after it ({', '.join(found.follow_ups)}) is in no row"


def gold_notes(found: Compared) -> Iterator[str]:
    """What the answers of people do to the figures, where that may surprise."""
    if found.gold:
        yield "coverage, calls and cost are those of a rule alone: no sample counts as accepted because people answered it"
    if found.calibrated and found.all_checked:
        yield "people checked all samples, so nothing is left that nobody checked: the figures tell how a row does without these answers"
    if any(row["rule"] in RULES_BY_LABEL and row["against_label"] for row in found.rows):
        yield f"against label, of {' and '.join(RULES_BY_LABEL)}: answers of people alone, which hold under every rule"


def _per_class(found: Compared) -> Iterator[str]:
    """The coverage of each class, the lowest first, of the present setting and of the row to take."""
    for place in dict.fromkeys(place for place in (found.present, found.best) if place is not None):
        classes = sorted(class_coverage(found.rows[place]).items(), key=lambda one: (one[1], one[0]))
        if classes:
            more = f", and {len(classes) - CLASSES:,} classes more" if len(classes) > CLASSES else ""
            parts = ", ".join(f"{one_line(label)[:LONGEST]} {percent_text(share)}" for label, share in classes[:CLASSES])
            yield f"coverage by label, {row_name(found.rows[place])}: {parts}{more}"


def row_advice(found: Compared, unit: Unit, folder: Path) -> list[str]:
    """The row to take and one sentence about it, or why there is none."""
    gold = f"cotforge gold {shlex.quote(str(folder))}"
    if (promise := found.consensus.promise) is not None and found.best is None:
        takes = f"it takes at least {needed_checks(promise.wish):,} checked samples whose answer a row accepts, without an error"
        return [f"no row keeps the promise of {promise.precision:g} with {found.gold:,} checked samples; {takes}; more gold: {gold}"]
    if not found.calibrated:
        few = f"{found.gold:,} checked samples are too few" if found.gold else "no person has checked a sample"
        return [f"nothing is calibrated: {few}, so no row can be recommended; {gold} picks samples to check"]
    if found.best is None:
        near = found.nearest
        told = f"; {row_name(near)} comes nearest with at least {near['low']:.3f}" if near is not None else ""
        if any(row["lacking"] > LACKING and (row["low"] or 0) >= found.target for row in found.rows):
            return ["the rows that reach the target rest on calls that were never made; a build with rule majority asks everybody"]
        none = f"no row is shown to reach the target {found.target:g}{found.target_source}{told}; more gold narrows the bounds: {gold}"
        if found.better is None:
            return [none]
        return [none, f"in nothing worse than the present setting, and asks less: {_row_text(found.rows[found.better], found, unit)}"]
    row = found.rows[found.best]
    return [
        f"recommended: {_row_text(row, found, unit)}",
        f"it is the cheapest row {_reached_line(found)}; as the best of {len(found.rows)} on the same "
        f"{found.gold:,} checked samples it may flatter itself a little",
    ]


def _row_text(row: Row, found: Compared, unit: Unit) -> str:
    """A row's figures, and the line that sets it."""
    return (
        f"{row_name(row)}: {number_text(row['calls_per_accepted'])} calls{_costing_text(row, unit)} per accepted sample, "
        f"coverage {percent_text(row['coverage'])}, precision at least {row['low']:.3f}, about {row['precision']:.3f}; "
        f"in the pipeline file: {setting_line(row, found.consensus)}"
    )


def _reached_line(found: Compared) -> str:
    promise = found.consensus.promise
    if promise is not None:
        return f"that keeps the promise of {promise.precision:g}"
    return f"whose lower bound reaches the target {found.target:g}{found.target_source}"


def _costing_text(row: Row, unit: Unit) -> str:
    return "" if unit == "calls" else f" and {price_text(row['cost_per_accepted'], unit)}"


def number_text(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def percent_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def price_text(value: float | None, unit: Unit) -> str:
    """An amount in its unit."""
    if value is None:
        return "-"
    if unit != "usd":
        return f"{value:,.2f}" + (" s" if unit == "seconds" else "")
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}" if value >= 0.001 or not value else f"${value:.2g}"
