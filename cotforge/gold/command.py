"""The two halves of `cotforge gold`: samples for a person to check, and the answers back into the run."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from cotforge.errors import PipelineError
from cotforge.folder import RunFolder
from cotforge.gold.cells import put, table, unguarded, written
from cotforge.gold.page import page
from cotforge.gold.pick import pick
from cotforge.gold.reading import FILE, Checked, Options, agreed, checked, place
from cotforge.images import FileRef
from cotforge.images.loading import Loading
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Picture, Sample
from cotforge.tally.claims import best_case

PAGE, SHEET = "gold.html", "gold-to-fill.csv"
Samples = Callable[[], Iterator[Sample | Fault]]
"""Reads the source from its beginning."""


def ask(loaded: Loaded, folder: RunFolder, samples: Samples, *, count: int | None = None) -> str:
    """Pick Samples and write the page and the sheet for them; what the command prints. Nothing that a person filled in is overwritten."""
    picked, met = pick(samples(), count)
    then = f"cotforge gold {shlex.quote(str(folder.path))} --read"
    folder.write(PAGE, page(loaded.pipeline.name, picked, then=f"{then} {FILE}"))
    sheet = folder.path / SHEET
    kept = _filled(sheet)
    if not kept:
        put(sheet, written([("id", "image", "answer"), *((sample.id, _file(sample.pictures), "") for sample in picked)]))
    return "\n".join(
        [
            f"{len(picked):,} of {met:,} samples picked by chance, the same ones at every run",
            f"{folder.path / PAGE}: open it in a browser, answer, and save {FILE}",
            f"{sheet}: {'has answers in it, and is left as it was' if kept else 'the same for a spreadsheet'}",
            f"then: {then} {FILE}",
            best_case(len(picked), loaded.pipeline.consensus),
        ]
    )


def take(loaded: Loaded, folder: RunFolder, samples: Samples, path: Path) -> str:
    """Put the answers in a file to those that the run has; what the command prints. Raises PipelineError, having changed nothing."""
    target, task = place(loaded, folder.path), loaded.pipeline.task
    given = table(path, ("id", "answer"))
    had = table(target, ("id", "answer")) if target.exists() else None
    asked = _ids(given.rows)
    options = _options(samples(), asked | (_ids(had.rows) if had else set()), asked)
    answers = checked(path, given, task, options=options)
    _demand_known(path, answers, options)
    before = checked(target, had, task, options=options) if had else []
    fresh = _new(answers, before)
    if fresh:
        columns = had.columns if had else ("id", "answer", *(["person"] if any(one.person for one in fresh) else []))
        text = had.text if had else written([columns])
        lines = written((_cells(one, columns, closed=bool(options[one.id])) for one in fresh), had.delimiter if had else ",")
        put(target, text + ("" if text.endswith("\n") else "\n") + lines)
    return _told(loaded, folder, path, target, answers=answers, before=before, fresh=fresh)


def _told(
    loaded: Loaded,
    folder: RunFolder,
    path: Path,
    target: Path,
    *,
    answers: Sequence[Checked],
    before: Sequence[Checked],
    fresh: Sequence[Checked],
) -> str:
    gold = agreed([*before, *fresh])
    lines = [
        f"{path}: {len(answers):,} answers to {len({one.id for one in answers}):,} samples",
        f"{target}: {len(fresh):,} rows added; {len(gold.answers):,} samples have an answer, {len(gold.ambiguous):,} are ambiguous",
    ]
    if gold.ambiguous:
        lines.append(f"ambiguous, as people disagree or cannot tell: {_few(sorted(gold.ambiguous))}; settle them in {target} if you can")
    lines.append(best_case(len(gold.checked), loaded.pipeline.consensus))
    return "\n".join([*lines, f"next: cotforge curate {shlex.quote(str(folder.path))}"])


def _filled(sheet: Path) -> bool:
    """Whether there is something in the sheet that a person may miss; one that cannot be read may hold anything."""
    if not sheet.exists():
        return False
    try:
        return any(cells.get("answer", "").strip() for _, cells in table(sheet, ("id", "answer")).rows)
    except PipelineError:
        return True


def _file(pictures: Iterable[Picture]) -> str:
    """Where the pictures lie, for a person who opens them one by one; empty for those in a tar or table."""
    found = []
    for picture in pictures:
        source = picture.load.source if isinstance(picture.load, Loading) else None
        found.append(source.path if isinstance(source, FileRef) else picture.file or "")
    return " ".join(filter(None, found))


def _ids(rows: Iterable[tuple[int, dict[str, str]]]) -> set[str]:
    return {unguarded(cells["id"]) for _, cells in rows if "id" in cells}


def _options(samples: Iterator[Sample | Fault], wanted: set[str], needed: set[str]) -> Options:
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


def _demand_known(path: Path, answers: Sequence[Checked], options: Options) -> None:
    """Raises PipelineError where there is no answer, or one to a sample that is not there."""
    if not answers:
        raise PipelineError(f"{path}: holds no answer yet; fill in the column 'answer'")
    if unknown := list(dict.fromkeys(one.id for one in answers if one.id not in options)):
        raise PipelineError(
            f"{path}: id: {_few(unknown)} {'is' if len(unknown) == 1 else 'are'} not in the source; ids stay as {SHEET} has them "
            "(a spreadsheet may have made 7 of 007)"
        )


def _new(answers: Sequence[Checked], before: Sequence[Checked]) -> list[Checked]:
    """Those that are not there yet. A person's second answer to a sample does not replace the first: that is for people to settle."""
    known = {(one.id, one.answer, one.person) for one in before}
    fresh = []
    for one in answers:
        if (one.id, one.answer, one.person) not in known:
            known.add((one.id, one.answer, one.person))
            fresh.append(one)
    return fresh


def _cells(one: Checked, columns: Sequence[str], *, closed: bool) -> list[str]:
    """A row of the gold file: of a closed set the canonical label, else what the person wrote, which is read the same way again."""
    cells = {"id": one.id, "answer": one.answer if closed else one.text, "person": one.person}
    return [cells.get(column, "") for column in columns]


def _few(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(id[:60]) for id in ids[:5])
    return shown + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")
