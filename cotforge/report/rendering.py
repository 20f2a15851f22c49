"""The text of `report.html`, of a run and of a training. All that data and models say stands in it as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from cotforge.consensus.claim import certifiable_bound
from cotforge.pages import About, page_environment
from cotforge.pages.scripts import page_file, safe_json, script_hash
from cotforge.plots.svg import shorten_text
from cotforge.report.collecting import PageCollector
from cotforge.report.data_figures import classes_figure, conflicts_figure, constant_measures, lengths_figure, measure_figures
from cotforge.report.exhibits import make_exhibit
from cotforge.report.figures import TABLE, Figure, cost_figure, duration_text, funnel_figure
from cotforge.report.gallery import KINDS
from cotforge.report.trust_figures import agreement_figure, calibration_figure, confidence_figure
from cotforge.tally import Tally, claims
from cotforge.tally.counts import share_of
from cotforge.tally.finding_rows import FOUND_WORDS
from cotforge.tally.funnel import funnel_steps

BEGIN, END = "<!-- training -->", "<!-- /training -->"
"""Around what a page tells of a training."""
UNTRAINED = Markup('<h2>Training</h2>\n<p class="soft">Nothing was trained yet: <code>cotforge train</code> writes its curves here.</p>')
CHECKS = (20, 50, 100, 300)
"""Counts of checked answers whose worth is told."""
NAME = 80
"""Characters of a name that comes from the data, in a table."""
SENTENCE = 300
"""The same of a sentence with such names in it."""


def report_page(about: About, tally: Tally, collected: PageCollector, *, before: str = "") -> str:
    """The text of `report.html`. What the page `before` it told of a training stays."""
    shown = [make_exhibit(kind, candidate) for kind, candidate in collected.gallery.chosen()]
    script = page_file("report.js")
    pages = page_environment(autoescape=True)
    pages.filters["short"] = lambda text: shorten_text(str(text), NAME)
    pages.filters["sentence"] = lambda text: shorten_text(str(text), SENTENCE)
    return pages.get_template("report.html").render(
        about=about,
        tally=tally,
        share=share_of,
        claims=claims,
        checks=FOUND_WORDS,
        headline=headline_sentences(about, tally),
        certified=certified_bounds(tally.accepted),
        shown=shown,
        kinds=[(kind, *words, count) for kind, words in KINDS.items() if (count := sum(one.kind == kind for one in shown))],
        names=sorted(tally.teachers)[:TABLE],
        classes=sorted(tally.classes.items())[:TABLE],
        models=_model_names(about),
        reasons=_loss_reasons(tally),
        training=_training_part(before),
        recount=_recount_data(about, tally, collected),
        sliders=_slider_names(collected),
        script=script,
        trusted=script_hash(script),
        **_all_figures(about, tally, collected),
    )


def headline_sentences(about: About, tally: Tally) -> list[str]:
    """What came of the run, in a few sentences: how much, how sure, at what price."""
    if not tally.samples:
        return ["No sample was read."]
    became = "became lessons" if tally.lessons == tally.accepted else f"gave {tally.lessons:,} lessons"
    told = [f"{tally.accepted:,} of {tally.samples:,} samples ({tally.accepted / tally.samples:.1%}) {became}."]
    if tally.claim.calibrated and tally.claim.low is not None:
        told.append(f"At least {tally.claim.low:.1%} of the accepted answers that nobody checked are right, with 95 % confidence.")
    else:
        told.append("How many of the accepted answers are right is not known: people checked too few of them.")
    if about.cost_usd and tally.lessons:
        told.append(f"A lesson cost ${about.cost_usd / tally.lessons:,.4f}.")
    return told


def certified_bounds(accepted: int) -> list[tuple[int, float]]:
    """(answers checked, what they certify without an error) of the two largest usual counts that there are accepted answers for."""
    return [(checked, certifiable_bound(checked)) for checked in CHECKS if checked <= accepted][-2:]


def with_training(page: str | None, training: Markup, *, title: str) -> str:
    """The page with a training's part, in the place of an earlier one; without a page, one that has nothing else."""
    if page is None:
        return page_environment(autoescape=True).get_template("trained.html").render(title=title, training=training, trusted="none")
    begin, found, rest = page.partition(BEGIN)
    if not found:  # written before there were trainings
        begin, found, rest = page.rpartition("</body>")[0], BEGIN, f"{END}\n</body>\n</html>\n"
    return f"{begin}{BEGIN}{training}{END}{rest.partition(END)[2]}"


def _training_part(page: str) -> Markup:
    """A training's part of a page that was written here; text from elsewhere cannot hold these marks, `<` is never left in it."""
    return Markup(page.partition(BEGIN)[2].partition(END)[0]) or UNTRAINED


def _model_names(about: About) -> Mapping[str, str]:
    return {teacher.name: teacher.model for teacher in about.teachers}


def _loss_reasons(tally: Tally) -> list[tuple[str, str, str, int]]:
    """(step, published reason, in words, count), by step, the most frequent first."""
    lost = [(step.name, reason, tally.reason_in_words(reason, count), count) for step in funnel_steps(tally) for reason, count in step.lost]
    return lost[:TABLE]


def _all_figures(about: About, tally: Tally, collected: PageCollector) -> dict[str, Any]:
    """Every plot by its name; None where there is nothing to plot."""
    plots: dict[str, Figure | None] = {
        "funnel": funnel_figure(tally),
        "agreement": agreement_figure(tally),
        "calibration": calibration_figure(tally),
        "confidence": confidence_figure(collected.confidences, collected.recount.target),
        "balance": classes_figure(tally),
        "conflicts": conflicts_figure(tally),
        "lengths": lengths_figure(collected.lessons, collected.others),
        "cost": cost_figure(about.spent, tally.lessons),
    }
    return {**plots, "measures": measure_figures(tally, collected.bounds), "constants": constant_measures(tally), "duration": duration_text}


def _recount_data(about: About, tally: Tally, collected: PageCollector) -> Markup:
    """What the sliders count, as JSON; empty where there is nothing to count."""
    if not collected.recount.seen:
        return Markup("")
    data = collected.recount.page_data()
    data["classes"] = [shorten_text(name, NAME) for name in data["classes"]]
    known = {step.key: step.left for step in funnel_steps(tally)} | {"lessons": tally.lessons}
    return Markup(safe_json(data | {"known": known, "run": about.run or "RUN"}))


def _slider_names(collected: PageCollector) -> Sequence[Mapping[str, Any]]:
    """Each slider with its name; the target's is the first."""
    recount = collected.recount
    name = "Target of the vote" if recount.target is not None else "Confidence, at least"
    made = [{"path": "consensus.target" if recount.target is not None else "", "name": name}]
    words = {"min": "at least", "max": "at most"}
    return made + [{"path": one.path, "name": f"{one.measure}, {words[one.side]}"} for one in recount.sliders]
