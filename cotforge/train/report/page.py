"""The training's part of a run's `report.html`: written while it goes on, and kept by whoever writes the rest anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from cotforge.folder import RunFolder
from cotforge.pages import page_environment
from cotforge.plan import Plan
from cotforge.report import with_training
from cotforge.report.excerpts import text_excerpt
from cotforge.train.evaluation.evaluate import figure_text
from cotforge.train.evaluation.one_sided import commonest_label, one_sided
from cotforge.train.report import curves
from cotforge.train.report.past import Chapter, base_figures, past_chapters
from cotforge.train.report.recall import recall_table

SHOWN = 2
"""Completions of the first rollout, and of the last, on the page (ours)."""
LONGEST = 4_000
"""Bytes of one completion on the page (ours)."""
SAID = ("step", "id", "truth", "answer", "fault", "said", "advantage")


def write_page(folder: RunFolder, plan: Plan) -> None:
    """Bring `report.html` of a run up to date; what else stands in it stays. Raises JournalError where it cannot be written."""
    page = with_training(folder.read("report.html"), training_section(plan, folder.path), title=folder.owner() or folder.path.name)
    folder.write("report.html", page)


def training_section(plan: Plan, run: Path) -> Markup:
    """All that there is to see of a training. What data and models say stands in it as text."""
    chapters = past_chapters(plan, run)
    first = base_figures(run, chapters)
    tried = [("nothing", first), *((chapter.title, chapter.tried) for chapter in chapters)]
    students = [(name, found) for name, found in tried if found]
    pages = page_environment(autoescape=True)
    pages.filters["figure"] = figure_text
    return Markup(
        pages.get_template("training.html").render(
            student=plan.student.named,
            stages=len(plan.expanded()),
            chapters=chapters,
            tried=[*students, *_commonest_figures([found for _, found in students])],
            guards=[(name, line) for name, found in students for line in one_sided(found)],
            recall=recall_table(students),
            plots=curves.plots(chapters, first),
            examples=[(chapter.stage.name, said) for chapter in chapters if (said := completion_examples(chapter))],
        )
    )


def _commonest_figures(tried: Sequence[dict[str, Any]]) -> Sequence[tuple[str, dict[str, Any]]]:
    """The commonest label of the samples that were tried last, given to everything, as if it were a student."""
    always = commonest_label(tried[-1]) if tried else None
    return [(always.row, always.figures(tried[-1]["n"]))] if always else []


def completion_examples(chapter: Chapter) -> Sequence[dict[str, Any]]:
    """A few completions of the first rollout and of the last."""
    files = sorted((chapter.folder / "completions").glob("*.parquet"))
    rows = [row for file in dict.fromkeys([*files[:1], *files[-1:]]) for row in _first_rows(file)]
    return [row | {"said": text_excerpt(row["said"], LONGEST).text} for row in rows]


def _first_rows(file: Path) -> Sequence[dict[str, Any]]:
    """The first of a file; none where it is damaged."""
    try:
        found: list[dict[str, Any]] = pq.read_table(file, columns=list(SAID)).to_pylist()
        return found[:SHOWN]
    except (OSError, pa.ArrowException):
        return []
