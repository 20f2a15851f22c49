"""The asking half of `cotforge gold`: samples for a person to check, drawn by chance and by doubt, or the likeliest wrong labels."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cotforge.errors import PipelineError
from cotforge.folder import RunFolder
from cotforge.gold.audit import Audit, audit_rows
from cotforge.gold.csv_cells import read_table, unguard_cell
from cotforge.gold.drawing import Doubt, Drawing, draw_samples
from cotforge.gold.gold_file import DRAWN, FILE, find_gold, gold_path
from cotforge.gold.page import gold_page
from cotforge.gold.pick import APART, LEAST, MOST, WARM, pick_samples
from cotforge.gold.sheet import AUDIT, SHEET, Known, keep_sheet, to_fill
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.tally.claims import told_even

PAGE = "gold.html"
FEW_SUSPECTS = 20
"""Samples on the page of an audit where no label is likelier wrong than right, unless a count is given."""
Samples = Callable[[], Iterator[Sample | Fault]]
"""Reads the source from its beginning."""
Doubts = Callable[[], Iterator[tuple[Sample, Doubt]]]
"""Every Sample with what the vote makes of it, in the source's order."""

_BY_CHANCE = "{:,} of {:,} samples picked by chance, the same ones at every run"
_REPLACES = "this page replaces the one that was there; cotforge gold {run} writes a page of drawn samples again"
_WHOLE = "{:,} of {:,} samples picked: all that nobody checked, each picture once"
_NOTHING = "nothing to pick: people checked all {:,} samples"


def ask_people(loaded: Loaded, folder: RunFolder, samples: Samples, *, count: int | None = None, doubts: Doubts | None = None) -> str:
    """Draw Samples and write the page and the sheet for them; what the command prints. Nothing that a person filled in is overwritten.

    Without `doubts`, where nobody has been asked yet, all are picked by chance.
    """
    known, then, before = _known_answers(gold_path(loaded, folder.path)), _what_next(folder), list[tuple[str, str]]()
    seed = WARM if loaded.pipeline.consensus.rule == "sequential" else APART
    if doubts is None:
        picked, met = pick_samples(samples(), count, seed=seed)
        even, whole = len(picked), len(picked) == met or len(picked) < (count or min(MOST, max(LEAST, met // 10)))
        drawn = {} if whole else dict.fromkeys((sample.id for sample in picked), len(picked) / met)
        told = [(_WHOLE if whole else _BY_CHANCE).format(len(picked), met)]
    else:
        drawing = draw_samples(doubts(), find_gold(loaded, folder.path), count, seed=seed)
        if not drawing.ids:
            return _NOTHING.format(drawing.met)
        picked, drawn, told, even = _samples_by_id(samples(), drawing.ids), dict(drawing.drawn), _drawing_notes(drawing), drawing.even
        before = [one for one in known if one[0] in drawn]
    folder.write(PAGE, gold_page(loaded.pipeline.name, picked, then=f"{then} {FILE}", drawn=drawn, known=before))
    sheet = folder.path / SHEET
    kept = keep_sheet(sheet, to_fill(picked, drawn, before), known)
    return "\n".join(
        [
            *told,
            f"{folder.path / PAGE}: open it in a browser, answer, and save {FILE}",
            f"{sheet}: {'has answers in it, and is left as it was' if kept else 'the same for a spreadsheet'}",
            f"then: {then} {FILE}",
            at_best(even, len(picked) + len(before), loaded),
        ]
    )


def audit_labels(loaded: Loaded, folder: RunFolder, doubts: Doubts, *, count: int | None = None) -> str:
    """Write `audit.csv` and the page with the labels that are likeliest wrong, and nobody checked; what the command prints.

    Where people checked all of them, it writes nothing. Raises PipelineError where no sample has both a label and an answer.
    """
    known, then, found = _known_answers(gold_path(loaded, folder.path)), _what_next(folder), find_gold(loaded, folder.path)
    seen, met = Audit(found, count or MOST), 0
    for met, (sample, doubt) in enumerate(doubts(), 1):  # noqa: B007
        seen.add(sample, doubt)
    if not seen.labelled:
        raise PipelineError(f"{loaded.path}: source: no sample has a label and an answer of a teacher; there is no label to audit")
    if not seen.first:
        return f"nothing to audit: people checked all {seen.labelled:,} samples that have a label and an answer"
    del seen.first[count or (min(MOST, max(LEAST, met // 10)) if seen.likelier else FEW_SUSPECTS) :]
    drawn, suspects = seen.drawn(), seen.suspects()
    before = [one for one in known if one[0] in drawn]
    replaces = [_REPLACES.format(run=shlex.quote(str(folder.path)))] if (folder.path / PAGE).exists() else []
    folder.write(PAGE, gold_page(loaded.pipeline.name, seen.picked, then=f"{then} {FILE}", drawn=drawn, known=before))
    sheet = folder.path / AUDIT
    kept = keep_sheet(sheet, audit_rows(suspects), known)
    several = "1 sample" if len(suspects) == 1 else f"{len(suspects):,} samples, the likeliest first"
    listed = "has answers in it, and is left as it was" if kept else f"{several}, with posterior odds"
    return "\n".join(
        [
            *seen.notes(),
            f"{sheet}: {listed}",
            f"{folder.path / PAGE}: the {len(seen.first):,} likeliest to be wrong; open it in a browser, answer, and save {FILE}",
            *replaces,
            f"then: {then} {FILE}",
        ]
    )


def at_best(even: int, checked: int, loaded: Loaded) -> str:
    """What checked samples can certify at best, where `even` of them are as if drawn by chance alone."""
    return told_even(even, checked, loaded.pipeline.consensus)


def _drawing_notes(drawing: Drawing) -> list[str]:
    """What a person should know of how samples were drawn."""
    targeted = len(drawing.ids) - drawing.by_chance
    told = [(_BY_CHANCE if drawing.drawn else _WHOLE).format(len(drawing.ids), drawing.met)]
    if targeted:
        told = [
            f"{len(drawing.ids):,} of {drawing.met:,} samples picked, {drawing.by_chance:,} by chance and {targeted:,} where teachers are "
            f"unsure or contradict the label; column {DRAWN}: how likely each was"
        ]
    if drawing.before:
        samples, are = ("1 sample", "is") if drawing.before == 1 else (f"{drawing.before:,} samples", "are")
        told.append(f"{samples} that people checked before {are} not asked about again")
    return told


def _samples_by_id(samples: Iterator[Sample | Fault], ids: Sequence[str]) -> list[Sample]:
    """The Samples of these ids, in their order."""
    wanted = set(ids)
    found = {sample.id: sample for sample in samples if isinstance(sample, Sample) and sample.id in wanted}
    return [found[id] for id in ids if id in found]


def _known_answers(path: Path) -> Known:
    """What people answered, as the file of gold has it: one answer of each Sample. Raises PipelineError where the file is wrong."""
    answers: dict[str, str] = {}
    for _, cells in read_table(path, ("id", "answer")).rows if path.exists() else ():
        if answer := unguard_cell(cells.get("answer", "")).strip():
            answers.setdefault(unguard_cell(cells.get("id", "")), answer)
    return list(answers.items())


def _what_next(folder: RunFolder) -> str:
    return f"cotforge gold {shlex.quote(str(folder.path))} --read"
