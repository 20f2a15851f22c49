"""The page of a what-if: one file without scripts, that loads nothing."""

from pathlib import Path

from cotforge.pages import page_environment
from cotforge.whatif import plot
from cotforge.whatif.answers import Answers
from cotforge.whatif.choice import LACKING, Compared, class_coverage, lacking_text, row_name
from cotforge.whatif.whatif_text import HEADS, follow_up_notes, gold_notes, number_text, percent_text, price_text, row_advice


def whatif_page(run: str, found: Compared, answers: Answers, folder: Path) -> str:
    """The text of `what-if.html`. All that comes from data stands in it as text."""
    there = {row["rule"] for row in found.rows}
    standing = [found.rows[place] for place in dict.fromkeys((found.present, found.best)) if place is not None]
    shares = [class_coverage(row) for row in standing]
    return (
        page_environment(autoescape=True)
        .get_template("whatif.html")
        .render(
            run=run,
            found=found,
            answers=answers,
            advice=row_advice(found, answers.unit, folder),
            notes=[*follow_up_notes(found), *gold_notes(found)],
            plots=plot.plots(found, answers.unit),
            rules=[(place, rule) for place, rule in enumerate(plot.RULES) if rule in there],
            color=plot.RULES.index,
            head=HEADS[answers.unit],
            much=LACKING,
            lacks=lacking_text,
            lacking=any(row["lacking"] for row in found.rows),
            compared=standing,
            shares={label: [each.get(label) for each in shares] for label in sorted({label for each in shares for label in each})},
            name=row_name,
            number=number_text,
            percent=percent_text,
            price=price_text,
        )
    )
