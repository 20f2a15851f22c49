"""What a run leaves behind beside its journal: dataset with card, losses, summary and report."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from cotforge.budget import format_usd
from cotforge.card import dataset_card
from cotforge.card_example import ExampleChooser
from cotforge.card_extras import add_card_extras
from cotforge.consensus.claim import FEW
from cotforge.consensus.image.admitted import Admission
from cotforge.curation import Curation
from cotforge.dedup.found import FoundDuplicates
from cotforge.dedup.sample_rule import DuplicateReading
from cotforge.export import Exported, conflicts, duplicates, export_dataset
from cotforge.export.previous import KeepOldDataset, Previous
from cotforge.filters import filters_in_words, language_bounds
from cotforge.finished import QUIET
from cotforge.folder import RunFolder
from cotforge.forge import Progress, TeacherCounts
from cotforge.gold.people_marks import find_people_marks
from cotforge.history import ended_calls, simulated_teachers, teacher_histories, unanswered_attempts
from cotforge.journal import Journal
from cotforge.pages import About, AboutTeacher, Spent
from cotforge.pipeline import Loaded
from cotforge.prompts import as_text
from cotforge.records import CuratedSample, Fault, Lesson
from cotforge.redaction import redact_text
from cotforge.report import PageCollector, report_page
from cotforge.sources import Counts
from cotforge.sources.sample_stream import LABELS_NAMED
from cotforge.sources.values import clean_value
from cotforge.tally import Tally, claims
from cotforge.tally.blindness import Blindness
from cotforge.tally.counts import FollowUpTally, TeacherTally
from cotforge.tally.finding_rows import check_lines
from cotforge.tally.findings import FindingTally
from cotforge.tally.funnel import funnel_steps
from cotforge.tally.idle_filters import build_command, idle_filters
from cotforge.tally.unused import not_used
from cotforge.tally.words import loss_lines, origin_lines, per_class, rule_line, vanished_classes, weave_lines
from cotforge.version import __version__


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one command did, and may do to the dataset that is there."""

    progress: Progress
    begun: float
    """By `time.monotonic`."""
    counts: Callable[[], Counts]
    """What the last reading of the source met."""
    keep_larger: bool = False
    """Whether a dataset stays that was made of more samples, or of replies that are gone."""


@dataclass(frozen=True, slots=True)
class WrittenResults:
    """What came of an export."""

    told: str
    """For the user."""
    told_next: str | None
    """The same for an invocation that asks nothing and changes nothing; None where something is left to ask, or to export."""


def write_results(curation: Curation, folder: RunFolder, now: Invocation, *, settled: Callable[[], object]) -> WrittenResults:
    """Export everything that `curation` yields, then summary and report.

    `settled` is called once the new dataset is in place; where an older, larger one stays, all in the folder stays, and it is not.
    Raises JournalError on a full disk, or where a link has been put in the folder meanwhile; the old dataset is whole then.
    """
    folder.demand_sound()
    loaded, journal, previous = curation.loaded, curation.journal, Previous.of(folder.path)
    totals, simulated = journal.totals() | {"calls_ended": ended_calls(journal)}, simulated_teachers(journal)
    tally = Tally(
        teachers={teacher.name: TeacherTally() for teacher in loaded.pipeline.teachers},
        follow_ups={name: FollowUpTally() for name in loaded.follow_up_names},
        finds_repeats=curation.repeats is not None,
    )
    page, blindness = page_collector(curation), Blindness(curation.setting.gold)
    findings = FindingTally(loaded.pipeline.judge.dimensions if loaded.pipeline.judge else (), find_people_marks(loaded))
    wrong = conflicts.Conflicts(loaded.root / loaded.pipeline.source.path, folder.path)
    made: list[Exported] = []
    shown: list[Lesson] = []
    unrated, chooser = Unrated(curation.rates), ExampleChooser()

    def told(exported: Exported) -> str:
        decider = curation.decider
        tally.estimated, tally.twins, tally.claim, tally.bins = decider.estimates, decider.twins, decider.claim, decider.bins
        if loaded.pipeline.consensus.image is not None:
            tally.admission = decider.admission or Admission(False, len(curation.setting.gold.answers))
        tally.unseen, tally.findings = blindness.unseen(), findings.summary(curation.barred)
        tally.remarks = decider.remarks
        tally.promise, tally.simpler = decider.promised, claims.find_simpler(tally, curation.trial)
        tally.labels_unknown, tally.held_out = now.counts().labels_unknown, now.counts().held_out
        made.append(exported)
        if now.keep_larger and previous.larger_than(tally, totals["calls_total"]):
            raise KeepOldDataset
        about = replace(about_run(loaded, totals, simulated), asked=asked_for(loaded, shown))
        about = add_card_extras(about, loaded, exported=exported, tally=tally, lessons=chooser.lessons, dataset=folder.dataset)
        return redact_text(dataset_card(about, tally, exported))

    try:
        watched = wrong.watch(page.watch(blindness.watch(chooser.watch(findings.watch(with_first(curation.outcomes(), shown))))))
        stream, optional = unrated.watch(watched), curation.optional_columns
        export_dataset(stream, folder.path, measures=curation.measures, tally=tally, card=told, optional=optional)
    except KeepOldDataset:
        stays = True
        first = _KEPT.format(dataset=folder.dataset, more=previous.larger_than(tally, totals["calls_total"]))
    else:
        stays = False
        settled()
        first = _REPLACED.format(more=more) if (more := previous.larger_than(tally, totals["calls_total"])) else ""
    met = now.counts()
    summary = make_summary(tally, totals, now.progress) | {
        "duplicates": met.duplicates,
        "unused_files": met.unused,
        "held_out": met.held_out,
    }
    summary |= {"labels_astray": dict(met.astray.most_common(LABELS_NAMED)), "label_clashes": met.clashes.count}
    summary["attempts_charged"] = unanswered_attempts(journal)
    summary |= unrated.summary()
    if loaded.pipeline.dedup.looks_for_any:
        found = sum((one.counts for one in found_duplicates(curation, met)), Counter())
        summary["dedup"] = {f"{kind}:{fate}": count for (kind, fate), count in sorted(found.items())}
    summary["seconds"] = round(time.monotonic() - now.begun, 3)
    listed = 0
    if not stays:
        folder.write_object("summary.json", summary)
        folder.write(conflicts.FILE, wrong.text())
        if loaded.pipeline.dedup.looks_for_any:
            listed = duplicates.write_duplicates(folder.path, chain(*found_duplicates(curation, met)))
        seen = replace(
            about_run(loaded, totals, simulated), spent=spent_by_teachers(journal), seconds=summary["seconds"], run=str(folder.path)
        )
        folder.write("report.html", report_page(seen, tally, page, before=folder.read("report.html") or ""))
    curator, build = curation.curator, build_command(loaded, folder.path)
    # First of all what changes what all that follows is worth.
    blind = [*idle_filters(curator.bounds, curator.marks, tally, build=build), *(clean_value(one.line()) for one in tally.unseen)]
    repeats = [*(curation.repeats.found.notes() if curation.repeats is not None else ())]
    repeats += [f"dedup: {folder.path / duplicates.FILE} lists each"] if listed else []
    above = [*blind, *met.notes(), *repeats, *findings.warnings()]
    ending = Ending(loaded, tally, summary, folder.path, made[0], written=not stays)
    lines = [*above, *filter(None, [first]), *map(clean_value, ending.lines(now.progress.teachers))]
    is_whole = not stays and not summary["calls_missing"] and not any(reason.startswith("export:") for reason in tally.rejected)
    lines_next = [*above, *map(clean_value, replace(ending, summary=summary | QUIET).lines({}))]
    return WrittenResults("\n".join(lines), "\n".join(lines_next) if is_whole else None)


def found_duplicates(curation: Curation, met: Counts) -> list[FoundDuplicates]:
    """Those among the samples, then those among the lessons."""
    of_samples = [met.repeated.found] if isinstance(met.repeated, DuplicateReading) else []
    return [*of_samples, *([curation.repeats.found] if curation.repeats is not None else [])]


def page_collector(curation: Curation) -> PageCollector:
    """What looks at every sample for the page, with the filters and the target of the run."""
    pipeline = curation.loaded.pipeline
    target = pipeline.consensus.target if pipeline.consensus.make_rule.targeted else None
    fixed = len(language_bounds(pipeline.reasoning_language))
    return PageCollector(curation.curator.bounds, target=target, per_sample=pipeline.select.per_sample, fixed=fixed)


def spent_by_teachers(journal: Journal) -> list[Spent]:
    """What each teacher took over all invocations, the most expensive one first. Reads every row of the journal once."""
    found = [
        Spent(name, model, one.replies, one.input_tokens, one.output_tokens, one.cost_usd, one.seconds)
        for (name, model), one in teacher_histories(journal).items()
    ]
    return sorted(found, key=lambda one: (-one.cost_usd, -one.seconds, one.teacher))


@dataclass(slots=True)
class Unrated:
    """Counts accepted samples that `select.difficulty` takes because they have no pass rate."""

    rates: Mapping[str, float] | None
    """By the samples' ids; None where lessons are not selected by them."""
    count: int = 0

    def watch(self, stream: Iterable[CuratedSample | Fault]) -> Iterator[CuratedSample | Fault]:
        """The stream as it is."""
        for item in stream:
            if self.rates is not None and isinstance(item, CuratedSample) and item.lessons:
                self.count += item.sample.id not in self.rates
            yield item

    def summary(self) -> dict[str, int]:
        """As `summary.json` has it."""
        return {} if self.rates is None else {"unrated": self.count}


def with_first(stream: Iterable[CuratedSample | Fault], first: list[Lesson]) -> Iterator[CuratedSample | Fault]:
    """The stream as it is; its first Lesson is put into `first` in passing."""
    for item in stream:
        if not first and isinstance(item, CuratedSample):
            first += item.lessons[:1]
        yield item


def asked_for(loaded: Loaded, lessons: Sequence[Lesson]) -> str:
    """What the teacher of the first of these Lessons was asked, for a person to read; empty where that holds what is not published."""
    if not lessons or "meta" in loaded.prompts.solve.inputs:
        return ""
    calls = [call for _, call in loaded.calls(lessons[0].sample) if call.key == lessons[0].judged.trace.call]
    return as_text(calls[0]) if calls else ""


def make_summary(tally: Tally, totals: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """`summary.json`: tokens and cost are those of the whole journal, `calls`, `calls_failed` and `attempts` those of this invocation."""
    return {
        **tally.summary(),
        "funnel": {step.key: step.left for step in funnel_steps(tally)},
        "samples_asked": tally.asked,
        "calls": progress.asked,
        "calls_failed": progress.failed,
        "attempts": sum(meter.attempts for meter in progress.teachers.values()),
        "calls_total": totals["calls_total"],
        "calls_ended_total": totals["calls_ended"],
        "attempts_total": totals["attempts"],
        "attempts_unknown": totals["unknown"],
        "tokens": {"input": totals["input"], "output": totals["output"]},
        "cost_usd": totals["cost_usd"],
        "stopped": progress.told,
    }


@dataclass(frozen=True, slots=True)
class Ending:
    """The last lines of a command: what matters most comes first."""

    loaded: Loaded
    tally: Tally
    summary: Mapping[str, Any]
    folder: Path
    exported: Exported
    written: bool = True
    """Whether all this is in the folder; else an older, larger dataset stayed."""

    def lines(self, teachers: Mapping[str, TeacherCounts]) -> Iterator[str]:
        """All of them; `teachers` are the counts of this invocation."""
        summary = self.summary
        if self.tally.promise is not None and self.tally.unpromised:
            yield self.tally.promise.left_out(self.tally.unpromised)
        yield from vanished_classes(self.loaded, self.tally)
        several = f", {summary['lessons']:,} lessons in all" if summary["lessons"] != summary["accepted"] else ""
        gave = f"{summary['accepted']:,} of {summary['samples']:,} samples gave a lesson{several}"
        yield f"{gave}; the answer of {summary['label_conflicts']:,} of these is not their label"
        if self.exported.note:
            yield self.exported.note if self.written else self.exported.note.partition(";")[0]
        yield from per_class(self.loaded, self.tally)
        yield from origin_lines(self.tally)
        yield from weave_lines(self.loaded, self.tally)
        yield from check_lines(self.tally.findings)
        if summary.get("unrated"):
            yield (
                f"select.difficulty: {summary['unrated']:,} accepted samples have no pass rate and stay; "
                "cotforge eval --write-back writes it"
            )
        if (count := self.tally.conflicts) and self.written:
            files = f"{'1 file' if count == 1 else f'{count:,} files'} whose agreed answer is not the label"
            yield f"perhaps mislabelled: {files}, with a lesson or without; {self.folder / conflicts.FILE} lists them, the surest first"
        yield rule_line(self.loaded)
        yield from self.tally.remarks
        lost = loss_lines(summary["rejected"], words=self.tally.reason_in_words)
        yield from (f"{line}{'; losses.parquet has each' * self.written}" for line in lost)
        if self.tally.promise is not None:
            yield self.tally.promise.told()
        if summary["accepted"]:
            yield from claims.claim_sentences(self.tally)
        if self.tally.simpler is not None:
            yield claims.does_better(str(self.folder))
        if self.tally.admission is not None:
            yield f"the picture ({self.loaded.pipeline.consensus.describe_pictures}) {self.tally.admission.words}"
        if 2 * summary["label_conflicts"] > summary["accepted"] >= FEW:
            yield _CONTRADICTED
        for name, about in summary["teachers"].items():
            if "twin_of" in about:
                yield f"teacher {name} is {about['twin_of']} behind a second name: its answers count once"
        if summary["calls_missing"]:
            leads_on = self.loaded.pipeline.consensus.sequential or self.loaded.follow_up_names  # what is said may lead to more calls
            least = "at least " if leads_on else ""
            yield f"{least}{summary['calls_missing']:,} calls are not asked yet"
        for name, meter in teachers.items():
            if meter.failed:
                yield f"teacher {name}: {meter.failed:,} given up, the last: {meter.last_error}"
        yield from (told_redacted(name, meter.redacted) for name, meter in teachers.items() if meter.redacted)
        yield from (told_without(name, meter.without_logprobs) for name, meter in teachers.items() if meter.without_logprobs)
        refusals, prompt = sum(one.refusals for one in self.tally.teachers.values()), self.loaded.prompts.solve.text
        unused = (summary["unread"], summary["unread_fields"], summary["attempts_charged"])
        yield from not_used(*unused, refusals=refusals, prompt=prompt, astray=summary["answers_astray"])
        yield self._paid_line()
        if self.written:
            yield f"{self.folder / 'dataset'}, {self.folder / 'report.html'}, {self.folder / 'losses.parquet'}"

    def _paid_line(self) -> str:
        """This invocation's Calls, then those of the whole journal: also the ones that were asked again, or are not of this pipeline."""
        summary = self.summary
        times, tokens = summary["calls_ended_total"], summary["tokens"]
        different = f" ({summary['calls_total']:,} different ones)" if times != summary["calls_total"] else ""
        priced = any(teacher.price.given for teacher in self.loaded.pipeline.teachers) or summary["cost_usd"]
        usd = format_usd(summary["cost_usd"]) if priced else "no price given"
        return (
            f"{summary['calls']:,} calls now, {summary['calls_failed']:,} given up; in all {times:,} calls{different} "
            f"since this folder began, {tokens['input']:,} tokens in + {tokens['output']:,} out, {usd}"
        )


def told_redacted(teacher: str, count: int) -> str:
    """The line about a server that repeated a credential."""
    answers = "1 answer" if count == 1 else f"{count:,} answers"
    return f"teacher {teacher}: {answers} held a key of yours, which is cut out; its server may have logged it too: change the key"


def told_without(teacher: str, count: int) -> str:
    """The line about a server that gives no log probabilities."""
    requests = "1 request was" if count == 1 else f"{count:,} requests were"
    return f"teacher {teacher}: its server refuses logprobs; {requests} sent again without them, and its answers have no probability"


_KEPT = "{dataset} stays as it was: it is made of {more}; --replace takes the smaller one, --out DIR writes it elsewhere"
_REPLACED = "the dataset that was here before was made of {more}"
_CONTRADICTED = (
    "most accepted answers contradict their label: the labels are wrong, the teachers are one model, or they cannot see it; "
    "check some by hand"
)


def about_run(loaded: Loaded, totals: dict[str, Any], simulated: Collection[str] = ()) -> About:
    """What card and report say of the run beside its counts; `${VAR}` stays as written."""
    pipeline, kept = loaded.pipeline, loaded.unexpanded
    consensus = pipeline.consensus
    target = f", target {consensus.target:g}" if consensus.make_rule.targeted else ""
    promise = f", {consensus.promise.wish.told()}" if consensus.promise is not None else ""
    asked = ["solve", "vote"] if consensus.short_votes else ["solve"]
    return About(
        name=pipeline.name,
        version=__version__,
        task=pipeline.task.kind,
        question=pipeline.task.question,
        teachers=[
            AboutTeacher(
                one.name,
                one.model,
                (one.price.input, one.price.output) if one.price.given else None,
                one.license,
                one.name in simulated,
            )
            for one in pipeline.teachers
        ],
        source=f"{kept['source']['kind']}: {Path(kept['source']['path']).name}",
        license=pipeline.source.license,
        pictures=consensus.describe_pictures,
        consensus=f"{consensus.rule}, label {consensus.label}{target}{promise}",
        filters=[*filters_in_words(pipeline.filters, loaded.root, pipeline.reasoning_language), *pipeline.dedup.in_words()],
        prompts={name: getattr(loaded.prompts, name).text for name in (*asked, "student", "completion")},
        pipeline=loaded.written,
        command="cotforge build pipeline.yaml",
        calls=totals["calls_ended"],
        input_tokens=totals["input"],
        output_tokens=totals["output"],
        cost_usd=totals["cost_usd"],
        label_votes=consensus.label == "vote" and (consensus.rule == "sequential" or not consensus.sequential),
    )
