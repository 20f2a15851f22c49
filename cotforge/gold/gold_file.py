"""What people answered, read from a CSV and made comparable with what teachers answer."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from cotforge.answers import Task
from cotforge.answers.text import clean_text, normal_form
from cotforge.errors import PipelineError, show_value
from cotforge.given_answers import FILE as FILE
from cotforge.given_answers import UNTOLD as UNTOLD
from cotforge.gold.csv_cells import FORM, CsvTable, demand_faultless, read_table, unguard_cell
from cotforge.plain_record import Record
from cotforge.records import Gold

if TYPE_CHECKING:  # whoever only reads a file needs no pipeline, which takes a second to import
    from cotforge.pipeline import Loaded

DRAWN = "drawn"
"""The column with the probability of being drawn; a file may lack it."""

Options = Mapping[str, tuple[str, ...]]
"""Closed sets of Samples by id, where rows may bring their own."""


@dataclass(frozen=True, slots=True)
class CheckedAnswer(Record):
    """One answer of one person."""

    line: int
    id: str
    text: str
    """As the person wrote it."""
    answer: str
    """Canonical label or comparable free answer, or `UNTOLD`."""
    person: str = ""
    drawn: float | None = None
    """Probability of being drawn, in (0, 1], where the file has it."""


def find_gold(loaded: "Loaded", folder: Path) -> Gold:
    """The gold of a run: of the file that the pipeline names, else of `gold.csv` in the run folder, else none.

    Raises PipelineError with every fault of the file, also where the pipeline names one that is not there.
    """
    path = gold_path(loaded, folder)
    if loaded.pipeline.gold is None and not path.exists():
        return Gold()
    if loaded.pipeline.gold is not None:
        demand_named(path, "gold", loaded.unexpanded.get("gold"), loaded.root)
    columns = getattr(loaded.pipeline.source, "columns", None)
    return read_gold(path, loaded.pipeline.task, strict=getattr(columns, "options", None) is None)


def unmet_ids(path: Path, people: Gold, unmet: Collection[str], *, holds_out: bool = False) -> list[str]:
    """A line where people checked samples that a reading of the whole source has not met; with `holds_out` it has not met all."""
    astray = [id for id in (*people.answers, *sorted(people.ambiguous)) if id in unmet]
    if not astray:
        return []
    ids, them = f"{len(astray):,} of {len(people.checked):,} ids", ("is", "it") if len(astray) == 1 else ("are", "them")
    unknown = f"; eval.share may hold {them[1]} out" if holds_out else ""
    return [f"{path}: {ids} {them[0]} not among the samples of the source, the first: {show_value(astray[0])}{unknown}"]


def demand_named(path: Path, key: str, written: object, root: Path, *, form: str = FORM) -> None:
    """Raises PipelineError where a file is not there, with the key of the pipeline file that names it, and the variables in it."""
    if not path.exists():
        from cotforge.pipeline_paths import path_origin  # a second: only where something is wrong

        origin = path_origin(key, written, root)
        raise PipelineError(f"{key}: {path} is not there; {form} is wanted{origin and f'; {origin}'}")


def names_content(loaded: "Loaded", folder: Path) -> bool:
    """Whether the gold there is names all its samples by a hash of image and question, as it does where it is from an older run."""
    path = gold_path(loaded, folder)
    with suppress(PipelineError):  # whoever reads the answers tells what is wrong
        ids = [unguard_cell(cells.get("id", "")) for _, cells in read_table(path, ("id", "answer")).rows] if path.exists() else []
        return bool(ids) and all(re.fullmatch("[0-9a-f]{32}", id) for id in ids)
    return False


def gold_path(loaded: "Loaded", folder: Path) -> Path:
    """Where the gold of a run lies, or will."""
    named = loaded.pipeline.gold
    return folder / FILE if named is None else loaded.root / named


def read_gold(path: Path, task: Task, *, options: Options | None = None, strict: bool = True) -> Gold:
    """What the people in this file agree on. Raises PipelineError with its faults, a line each.

    `options` are the sets of samples whose rows bring their own. Where they do and `options` lacks a sample, its answer stands as
    its text; unless `strict`, so does any that is none of the task's labels.
    """
    return agree_people(checked_answers(path, read_table(path, ("id", "answer")), task, options=options or {}, strict=strict))


def agree_people(answers: Iterable[CheckedAnswer]) -> Gold:
    """What all agree on, and where they do not."""
    given: defaultdict[str, set[str]] = defaultdict(set)
    drawn: dict[str, float] = {}
    for one in answers:
        given[one.id].add(one.answer)
        if one.drawn is not None:
            drawn[one.id] = max(one.drawn, drawn.get(one.id, 0.0))
    clear = {id: next(iter(said)) for id, said in given.items() if len(said) == 1 and UNTOLD not in said}
    return Gold(clear, frozenset(given.keys() - clear.keys()), drawn)


def checked_answers(path: Path, found: CsvTable, task: Task, *, options: Options, strict: bool = True) -> list[CheckedAnswer]:
    """Every answer in the file; rows without one are not checked yet. Raises PipelineError."""
    answers, faults = [], []
    for line, cells in found.rows:
        text, id = unguard_cell(cells.get("answer", "")), unguard_cell(cells.get("id", ""))
        if not clean_text(text):
            continue
        answer = _canonical_answer(text, task, options.get(id, task.closed), strict)
        drawn, wrong = drawn_probability(cells.get(DRAWN, ""))
        if not id:
            faults.append(f"{path}:{line}: id: is missing; it is that of the sample which the answer {text[:60]!r} belongs to")
        elif answer is None:
            faults.append(f"{path}:{line}: answer: {text[:60]!r} {_wanted_answer(text, task, options.get(id, task.closed))}")
        elif wrong:
            faults.append(f"{path}:{line}: {wrong}")
        else:
            answers.append(CheckedAnswer(line, id, text, answer, cells.get("person", "").strip(), drawn))
    demand_faultless(faults)
    return answers


def drawn_probability(cell: str) -> tuple[float | None, str]:
    """(what a cell of the column `drawn` says, what is wrong with it); None where it is empty. A decimal comma is read as a point."""
    text = unguard_cell(cell).strip()
    if not text:
        return None, ""
    with suppress(ValueError):
        if 0 < (share := float(text.replace(",", "."))) <= 1:
            return share, ""
    return None, f"{DRAWN}: {text[:60]!r} is no probability; a number above 0 and at most 1, or nothing, is wanted"


def _canonical_answer(text: str, task: Task, options: tuple[str, ...], strict: bool) -> str | None:
    """As raw labels are: see `Task.comparable`; None where it is no answer."""
    if clean_text(text) == UNTOLD:
        return UNTOLD
    answer = task.comparable(text, options)
    closed = task.kind == "classify" or task.verifier == "choice"
    if answer is None and closed and not (strict and options):
        return " ".join(clean_text(text).split()) or None
    return answer


def _wanted_answer(text: str, task: Task, options: tuple[str, ...]) -> str:
    """What is wrong with an answer, and what would be right."""
    if not options:
        return f"is no answer that the verifier {task.verifier!r} can read"
    names = {normal_form(option): option for option in options} | (dict(task.names) if options is task.closed else {})
    near = get_close_matches(normal_form(text), names, n=1)
    there = ", ".join(options[:10]) + (", ..." if len(options) > 10 else "")
    return "is not in the set; " + (f"did you mean {names[near[0]]!r}?" if near else f"there are {there}, and {UNTOLD} for cannot tell")
