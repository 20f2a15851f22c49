"""The reading half of `cotforge gold`: the answers of a person, put to those that the run has."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cotforge.consensus.drawn import even_part
from cotforge.errors import PipelineError
from cotforge.folder import RunFolder
from cotforge.gold.command import Samples, at_best
from cotforge.gold.csv_cells import CsvTable, csv_text, put_text, read_table, unguard_cell
from cotforge.gold.gold_file import DRAWN, CheckedAnswer, Options, agree_people, checked_answers, gold_path
from cotforge.gold.review import locked_gold
from cotforge.gold.sheet import SHEET, share_cell
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample


def take_answers(loaded: Loaded, folder: RunFolder, samples: Samples, path: Path) -> str:
    """Put the answers in a file to those that the run has; what the command prints. Raises PipelineError, having changed nothing."""
    with locked_gold(folder.path):
        return _take_locked(loaded, folder, samples, path)


def _take_locked(loaded: Loaded, folder: RunFolder, samples: Samples, path: Path) -> str:
    target, task = gold_path(loaded, folder.path), loaded.pipeline.task
    given = read_table(path, ("id", "answer"))
    had = read_table(target, ("id", "answer")) if target.exists() else None
    asked = _row_ids(given.rows)
    options = _sample_options(samples(), asked | (_row_ids(had.rows) if had else set()), asked)
    answers = checked_answers(path, given, task, options=options)
    _demand_known(path, answers, options)
    before = checked_answers(target, had, task, options=options) if had else []
    fresh, again = _new_answers(answers, before), _drawn_again(answers, before)
    if fresh or again:
        text, columns = _kept_text(had, fresh, again)
        rows = csv_text((_answer_cells(one, columns, closed=bool(options[one.id])) for one in fresh), had.delimiter if had else ",")
        put_text(target, text + ("" if text.endswith("\n") else "\n") + rows)
    before = [replace(one, drawn=float(again[one.line])) if one.line in again else one for one in before]
    have = agree_people([*before, *fresh])
    has, are = "has" if len(have.answers) == 1 else "have", "is" if len(have.ambiguous) == 1 else "are"
    lines = [
        f"{path}: {_count_text(len(answers), 'answer')} to {_count_text(len({one.id for one in answers}), 'sample')}",
        f"{target}: {_count_text(len(fresh), 'row')} added; {_count_text(len(have.answers), 'sample')} {has} an answer, "
        f"{len(have.ambiguous):,} {are} ambiguous",
    ]
    if have.ambiguous:
        lines.append(
            f"ambiguous, as people disagree or cannot tell: {_few_ids(sorted(have.ambiguous))}; settle them in {target} if you can"
        )
    ids = [*have.answers, *have.ambiguous]
    lines.append(at_best(len(even_part(ids, have.drawn)), len(ids), loaded))
    return "\n".join([*lines, f"next: cotforge curate {shlex.quote(str(folder.path))}"])


def _count_text(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count:,} {thing}s"


def _row_ids(rows: Iterable[tuple[int, dict[str, str]]]) -> set[str]:
    return {unguard_cell(cells["id"]) for _, cells in rows if "id" in cells}


def _sample_options(samples: Iterator[Sample | Fault], wanted: set[str], needed: set[str]) -> Options:
    """The closed sets of the Samples of these ids; reads the source until all that are `needed` are found, and others on the way."""
    found: dict[str, tuple[str, ...]] = {}
    missing = set(needed)
    for sample in samples:
        if isinstance(sample, Sample) and sample.id in wanted:
            found[sample.id] = sample.options
            missing.discard(sample.id)
            if not missing:
                break
    return found


def _demand_known(path: Path, answers: Sequence[CheckedAnswer], options: Options) -> None:
    """Raises PipelineError where there is no answer, or one to a sample that is not there."""
    if not answers:
        raise PipelineError(f"{path}: holds no answer yet; fill in the column 'answer'")
    if unknown := list(dict.fromkeys(one.id for one in answers if one.id not in options)):
        raise PipelineError(
            f"{path}: id: {_few_ids(unknown)} {'is' if len(unknown) == 1 else 'are'} not in the source; ids stay as {SHEET} has them "
            "(a spreadsheet may have made 7 of 007)"
        )


def _new_answers(answers: Sequence[CheckedAnswer], before: Sequence[CheckedAnswer]) -> list[CheckedAnswer]:
    """Those that are not there yet. A person's second answer to a sample does not replace the first: that is for people to settle."""
    known = {(one.id, one.answer, one.person) for one in before}
    known |= {(one.id, one.answer, "") for one in before}  # an answer without a name adds nothing to the same one with a name
    fresh = []
    for one in answers:
        if (one.id, one.answer, one.person) not in known:
            known.add((one.id, one.answer, one.person))
            fresh.append(one)
    return fresh


def _drawn_again(answers: Sequence[CheckedAnswer], before: Sequence[CheckedAnswer]) -> dict[int, str]:
    """The cells `drawn`, by line, of rows that are there whose Sample has become likelier to be drawn: by another drawing."""
    told: dict[str, float] = {}
    for one in answers:
        if one.drawn is not None:
            told[one.id] = max(one.drawn, told.get(one.id, 0.0))
    return {one.line: share_cell(told[one.id]) for one in before if one.id in told and told[one.id] > (one.drawn or 0.0)}


def _kept_text(had: CsvTable | None, fresh: Sequence[CheckedAnswer], again: Mapping[int, str]) -> tuple[str, Sequence[str]]:
    """(the text of the gold file before the new rows, its columns)."""
    drawn = bool(again) or any(one.drawn is not None for one in fresh)
    if had is None:
        columns = ["id", "answer", *["person"] * any(one.person for one in fresh), *[DRAWN] * drawn]
        return csv_text([columns]), columns
    if again or (drawn and DRAWN not in had.columns):
        return had.with_cells(DRAWN, again), had.columns if DRAWN in had.columns else (*had.columns, DRAWN)
    return had.text, had.columns


def _answer_cells(one: CheckedAnswer, columns: Sequence[str], *, closed: bool) -> list[str]:
    """A row of the gold file: of a closed set the canonical label, else what the person wrote, which is read the same way again."""
    cells = {"id": one.id, "answer": one.answer if closed else one.text, "person": one.person, DRAWN: share_cell(one.drawn)}
    return [cells.get(column, "") for column in columns]


def _few_ids(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(id[:60]) for id in ids[:5])
    return shown + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")
