"""What a run leaves behind beside its journal: dataset with card, losses, summary and report."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cotforge import __version__
from cotforge.budget import dollars
from cotforge.card import card
from cotforge.consensus.claim import FEW, Claim
from cotforge.curate import Curation
from cotforge.export import Exported, export
from cotforge.filters import Filter
from cotforge.folder import RunFolder
from cotforge.forge import Meter, Progress
from cotforge.pages import About, AboutTeacher
from cotforge.pipeline import Loaded, dumped
from cotforge.redaction import redact
from cotforge.report import Gallery, report
from cotforge.sources import Counts
from cotforge.tally import Tally
from cotforge.tally.counts import TeacherTally


def write(curation: Curation, folder: RunFolder, *, counts: Callable[[], Counts], progress: Progress, begun: float) -> str:
    """Export everything that `curation` yields, then summary and report; the text that says what came of it.

    `counts` tells what the last reading of the source met, `begun` is when the invocation began, by `time.monotonic`.
    Raises JournalError on a full disk; the old dataset is whole then.
    """
    loaded, journal = curation.loaded, curation.journal
    totals = journal.totals()
    tally = Tally(teachers={teacher.name: TeacherTally() for teacher in loaded.pipeline.teachers})
    gallery = Gallery()

    def told(exported: Exported) -> str:
        tally.estimated, tally.twins = curation.estimates(), curation.twins()
        tally.claim, tally.bins = curation.claim(), curation.bins()
        tally.labels_unknown = counts().labels_unknown
        return redact(card(about(loaded, totals), tally, exported))

    watched = gallery.watch(curation.outcomes())
    exported = export(watched, folder.path, measures=curation.measures, tally=tally, card=told)
    met = counts()
    summary = summarise(tally, totals, progress) | {"duplicates": met.duplicates, "unused_files": met.unused}
    summary["seconds"] = round(time.monotonic() - begun, 3)
    folder.write("summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    page = folder.path / "report.html"
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    folder.write(page.name, report(about(loaded, totals), tally, gallery, before=before))
    least = "at least " if loaded.pipeline.consensus.sequential else ""
    return "\n".join([*met.notes(), said(summary, exported, folder.path, progress.teachers, tally.claim, least=least)])


def summarise(tally: Tally, totals: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """`summary.json`: tokens and cost are those of the whole journal, `calls`, `calls_failed` and `attempts` those of this invocation."""
    return {
        **tally.summary(),
        "calls": progress.asked,
        "calls_failed": progress.failed,
        "attempts": sum(meter.attempts for meter in progress.teachers.values()),
        "calls_total": totals["calls_total"],
        "attempts_total": totals["attempts"],
        "attempts_unknown": totals["unknown"],
        "tokens": {"input": totals["input"], "output": totals["output"]},
        "cost_usd": totals["cost_usd"],
        "stopped": progress.told,
    }


def said(summary: dict[str, Any], exported: Exported, folder: Path, teachers: Mapping[str, Meter], claim: Claim, *, least: str) -> str:
    """What the command prints; `least` stands before the number of calls that are missing."""
    twins = {name: about["twin_of"] for name, about in summary["teachers"].items() if "twin_of" in about}
    rejected = sorted(summary["rejected"].items(), key=lambda item: (-item[1], item[0]))
    lines = [
        f"{summary['accepted']:,} of {summary['samples']:,} samples accepted; {summary['label_conflicts']:,} against their label",
        *([f"not accepted: {', '.join(f'{reason} {count:,}' for reason, count in rejected)}"] if rejected else []),
        *([claimed(claim)] if summary["accepted"] else []),
        *([_CONTRADICTED] if 2 * summary["label_conflicts"] > summary["accepted"] >= FEW else []),
        *(f"teacher {name} is {twin} behind a second name: its answers count once" for name, twin in twins.items()),
        f"{summary['calls']:,} calls now, {summary['calls_failed']:,} given up; "
        f"in all {summary['calls_total']:,} calls, {dollars(summary['cost_usd'])}",
        *([f"{least}{summary['calls_missing']:,} calls are not asked yet"] if summary["calls_missing"] else []),
        *(f"teacher {name}: {meter.failed:,} given up, the last: {meter.last_error}" for name, meter in teachers.items() if meter.failed),
        *(told_redacted(name, meter.redacted) for name, meter in teachers.items() if meter.redacted),
        *unread(summary["teachers"], summary["unread"]),
        *([exported.note] if exported.note else []),
        f"{folder / 'dataset'}, {folder / 'report.html'}, {folder / 'losses.parquet'}",
    ]
    return "\n".join(lines)


def told_redacted(teacher: str, count: int) -> str:
    """The line about a server that repeated a credential."""
    answers = "1 answer" if count == 1 else f"{count:,} answers"
    return f"teacher {teacher}: {answers} held a key of yours, which is cut out; its server may have logged it too: change the key"


def unread(teachers: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A line for each teacher of which more than UNREAD_SHARE of the replies are of no use, with the remedy where there is one."""
    for name, counts in found.items():
        lost, came = sum(counts.values()), teachers[name]["calls"] - teachers[name]["failed"]
        if lost > UNREAD_SHARE * came:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))
            remedy = "; a higher max_tokens asks those again that were cut off" if counts.get("truncated") else ""
            yield f"teacher {name}: {lost:,} of {came:,} replies are of no use: {reasons}{remedy}"


UNREAD_SHARE = 0.05
"""Share of a teacher's replies above which it is told that they are of no use. Chosen by us: a few are no news."""
_CONTRADICTED = (
    "most accepted answers contradict their label: the labels are wrong, the teachers are one model, or they cannot see it; "
    "check some by hand"
)


def claimed(claim: Claim) -> str:
    """A claim in one line."""
    if not claim.calibrated:
        known = "" if claim.precision is None else f"; the model of the teachers says {claim.precision:.3f}"
        return f"precision: uncalibrated, nobody checked enough answers{known}; cotforge gold picks some to check"
    if claim.precision is None:
        return "precision: no answer that nobody checked is accepted yet"
    parts = [("with their label", claim.with_label), ("against it", claim.against_label)]
    strata = ", ".join(f"{share:.3f} {name}" for name, share in parts if share is not None)
    bound = "no bound, for no checked answer was accepted on the teachers' word"
    if claim.low is not None:
        bound = f"at least {claim.low:.3f} with 95 % confidence: {claim.right:,} of {claim.checked:,} checked answers are right"
    return f"precision: {claim.precision:.3f} claimed{f' ({strata})' if strata else ''}; {bound}"


def about(loaded: Loaded, totals: dict[str, Any]) -> About:
    """What card and report say of the run beside its counts; `${VAR}` stays as written."""
    pipeline, kept = loaded.pipeline, loaded.unexpanded
    consensus = pipeline.consensus
    target = f", target {consensus.target:g}" if consensus.rule in ("dawid_skene", "sequential") else ""
    asked = ["solve", "vote"] if consensus.short_votes else ["solve"]
    return About(
        name=pipeline.name,
        version=__version__,
        task=pipeline.task.kind,
        question=pipeline.task.question,
        teachers=[
            AboutTeacher(one.name, one.model, (one.price.input, one.price.output) if one.price.given else None, one.license)
            for one in pipeline.teachers
        ],
        source=f"{kept['source']['kind']}: {Path(kept['source']['path']).name}",
        license=pipeline.source.license,
        consensus=f"rule {consensus.rule}, label {consensus.label}{target}",
        filters=[bounds(bound) for bound in pipeline.filters],
        prompts={name: getattr(loaded.prompts, name).text for name in (*asked, "student", "completion")},
        pipeline=dumped(kept),
        command="cotforge build pipeline.yaml",
        calls=totals["calls_total"],
        input_tokens=totals["input"],
        output_tokens=totals["output"],
        cost_usd=totals["cost_usd"],
    )


def bounds(bound: Filter) -> str:
    """A filter in a few words."""
    sides: Sequence[str] = [f"{side} {value:g}" for side, value in (("min", bound.min), ("max", bound.max)) if value is not None]
    options = f" {bound.with_}" if bound.with_ else ""
    return f"{bound.measure}{options} {', '.join(sides)}"
