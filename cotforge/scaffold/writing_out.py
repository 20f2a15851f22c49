"""From a folder or file of data to a pipeline file that loads."""

import os
import re
import shlex
from pathlib import Path

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.scaffold.data_layout import find_source
from cotforge.scaffold.label_survey import LabelSurvey, survey_labels
from cotforge.scaffold.pipeline_text import pipeline_text
from cotforge.sources.sample_stream import count_rows
from cotforge.sources.values import clean_value

LABELS_TOLD = 8


def write_scaffold(place: Path, file: Path | None = None) -> str:
    """Write a pipeline file for the data at `place`: to `file`, else to `<name of the folder>.yaml` here; the lines that tell of it.

    The pipeline is named as its file is.

    Raises SourceError where there is no data, PipelineError where the file is there already or cannot be written.
    """
    named = place.resolve() if file is None else file
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", named.stem).strip("-._") or "data"
    file = file or Path(f"{name}.yaml")
    if file.exists():
        raise PipelineError(f"{file}: is there already; name another with --out")
    section = find_source(place, file.parent)
    survey = survey_labels(section, file.parent)
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(pipeline_text(name[:100], str(file), section, survey))
    except OSError as fault:
        raise PipelineError(f"{file}: {fault.strerror}; name another with --out") from fault
    Loaded.load(file)
    return "\n".join(
        [*_found_lines(place, section["kind"], survey), f"{file}: written; change what is marked in it, then:", _next_command(file)]
    )


def _found_lines(place: Path, kind: str, survey: LabelSurvey) -> list[str]:
    rows = f"{'' if survey.whole else 'more than '}{count_rows(survey.rows)}"
    lines = [f"{place}: {kind}, {rows} of split {survey.split}"]
    if classes := survey.classes:
        spelled = survey.spelled
        named = ", ".join(f"{clean_value(label)[:40]} {count:,}" for label, count in spelled.most_common(LABELS_TOLD))
        alike = len(survey.labels) - len(spelled)
        merged = f"; {alike:,} other spelling{'s' * (alike > 1)} counted with them" if alike else ""
        lines.append(f"{len(classes)} labels: {named}{', ...' if len(spelled) > LABELS_TOLD else ''}{merged}")
    elif survey.labels:
        only = f"one label, {clean_value(next(iter(survey.labels)))[:40]}: {_more_classes(place)}a free answer is asked for"
        many = f"{len(survey.labels):,} different answers: a free answer is asked for"
        lines.append(only if len(survey.labels) == 1 else many)
    else:
        unused = f"; unused columns: {survey.met.name_columns()}" if survey.met.unused_columns else ""
        lines.append(f"no labels: {_more_classes(place) if kind == 'imagefolder' else ''}a free answer is asked for{unused}")
    if survey.faults:
        lines.append(f"{count_rows(survey.faults.total())} cannot be used, the first: {clean_value(survey.first_fault)}")
    return [*lines, *survey.met.notes()]


def _more_classes(place: Path) -> str:
    """What may have been meant where a folder with one class, or the folder of one class, is given."""
    below = any(entry.is_dir() for entry in place.iterdir()) if place.is_dir() else True
    beside = [] if below else [entry for entry in place.resolve().parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    above = os.path.relpath(place.resolve().parent)
    return "" if below else "there are no folders in it; " + (f"did you mean {above}? " if len(beside) > 1 else "") + "otherwise "


def _next_command(file: Path) -> str:
    return f"cotforge check {shlex.quote(str(file))} --offline"
