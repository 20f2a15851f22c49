"""A short pipeline file with comments, for data that was looked at."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from cotforge.bounded_yaml import dump_inline
from cotforge.scaffold.label_survey import LabelSurvey

INLINE = 100
"""Characters of a list of labels that stands on one line."""
LABELS_COUNTED = 12
"""Labels that are shown with how often each was met."""
TEACHERS = """\
teachers:                         # change: at least two models of 7B or more, each behind an OpenAI-compatible server
  - {name: qwen, model: Qwen/Qwen2.5-VL-7B-Instruct, url: "http://localhost:8000/v1"}
  - {name: intern, model: OpenGVLab/InternVL3-8B-hf, url: "http://localhost:8001/v1"}
  # behind an API: {name: api, model: ..., url: "https://...", key_env: API_KEY, price: {input: 0.5, output: 1.5}}
"""
REST = """\
filters:                          # bounds of a reasoning; `cotforge check` lists what else can be measured
  - {measure: well_formed, min: 1}
  - {measure: reasoning_words, min: 40, max: 1200}
  - {measure: repeated_ngrams, with: {n: 4}, max: 0.2}

eval: {share: 0.1}                # a tenth of the samples is held out to try the student on: no teacher is asked about it
# budget: {usd: 20}               # the build stops there, and keeps what was paid for
"""


def pipeline_text(name: str, file: str, section: Mapping[str, Any], survey: LabelSurvey) -> str:
    """The text of the pipeline `name`, to be written to `file`."""
    return "\n".join([*_head_lines(name, file), *_source_lines(section, survey), "", *_task_lines(survey), "", TEACHERS, REST])


def _head_lines(name: str, file: str) -> Iterator[str]:
    yield "# Written by `cotforge init`, which looked at the data. What it guessed is marked with: change"
    file = re.sub(r"[^ -~]", "?", shlex.quote(file))
    yield f"#   cotforge check {file} --offline     looks at the file and the data"
    yield f"#   cotforge simulate {file}            serves the teachers on this machine, to rehearse"
    yield f"#   cotforge build {file} --limit 20    asks about 20 samples, a first try"
    yield f"name: {dump_inline(name)}"
    yield ""


def _source_lines(section: Mapping[str, Any], survey: LabelSurvey) -> Iterator[str]:
    yield "source:"
    yield f"  kind: {section['kind']}"
    yield f"  path: {_yaml_literal(section['path'])}"
    if survey.split != "train":
        yield f"  split: {survey.split:27} # there is no split called train"
    if "columns" in section:
        yield f"  columns: {_yaml_literal(section['columns'])}   # change: which column holds what"


def _task_lines(survey: LabelSurvey) -> Iterator[str]:
    task = survey.task()
    yield "task:"
    yield f"  kind: {task['kind']}"
    if not survey.questions:
        asked = "Which of these does this image show?" if task["kind"] == "classify" else "What does this image show?"
        yield f"  question: {asked}    # change: as a person would ask it"
    if "labels" in task:
        yield from _label_lines(task["labels"], survey)
    elif task["kind"] == "classify":
        yield "  # the options are those of each row"
    else:
        yield f"  verifier: {task['verifier']:24} # change: what makes two answers the same: exact, number, choice or math"


def _label_lines(labels: list[str], survey: LabelSurvey) -> Iterator[str]:
    counted = ", ".join(f"{count:,} {_comment_text(label)}" for label, count in survey.labels.most_common(LABELS_COUNTED))
    yield f"  # {counted}{', ...' if len(survey.labels) > LABELS_COUNTED else ''}"
    line = _yaml_literal(labels)
    if len(line) <= INLINE:
        yield f"  labels: {line}"
        return
    yield "  labels:"
    yield from (f"    - {_yaml_literal(label)}" for label in labels)


def _yaml_literal(value: Any) -> str:
    """As YAML on one line; `$` begins a variable in a pipeline file, and stands twice for itself."""
    return dump_inline(value).replace("$", "$$")


def _comment_text(text: str) -> str:
    """A stranger's text within a comment: nothing in it ends the line."""
    return re.sub(r"[^ -~\u00a1-\u024f\u0370-\u1fff\u3040-\u9fff\uac00-\ud7a3]", "?", text)[:40]
