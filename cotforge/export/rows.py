"""An CuratedSample as rows of the four tables, each a tuple in the order of the table's columns."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cotforge import selection
from cotforge.export.shards import SUFFIXES
from cotforge.export.streamed import Row
from cotforge.followups.rescue import why_untrusted
from cotforge.reasons import short_fate, short_reason
from cotforge.records import NOT_ASKED, CuratedSample, Fault, Judged, Lesson, Sample


def split_name(split: str) -> str:
    """`split` as `datasets` and a file system accept it: `all` is a word of theirs, and only letters, digits and `_` are safe."""
    name = re.sub(r"\W", "_", split) or "train"
    return "all_" if name == "all" else name


def lesson_row(lesson: Lesson, measures: Sequence[str], optional: Sequence[str] = ()) -> Row:
    """A row of `data/`, with the pictures' names for the pictures; `optional` are columns that only some pipelines ask for."""
    sample, verdict, trace = lesson.sample, lesson.verdict, lesson.judged.trace
    return (
        sample.id,
        picture_names(sample),
        lesson.prompt,
        lesson.completion,
        sample.question,
        sample.options or None,
        verdict.answer,
        sample.label,
        verdict.label_conflict,
        verdict.confidence,
        tuple((ballot.teacher, ballot.answer) for ballot in verdict.ballots),
        trace.teacher,
        trace.model,
        trace.origin,
        trace.reasoning_tokens,
        *(lesson.judged.measures.get(measure) for measure in measures),
        trace.call,
        lesson.mended,
        *(OPTIONAL[name](lesson) for name in optional),
    )


OPTIONAL: Mapping[str, Callable[[Lesson], Any]] = {
    "soft_label": lambda lesson: lesson.verdict.soft_label or None,
    "segments": lambda lesson: lesson.judged.segments or None,
    "language": lambda lesson: lesson.judged.language,
}
"""What stands in the columns of `columns.OPTIONAL`."""


def trace_row(sample: Sample, judged: Judged, measures: Sequence[str], optional: Sequence[str] = ()) -> Row:
    """A row of `traces/`; only a trace that saw no label has a ballot."""
    trace = judged.trace
    return (
        sample.id,
        trace.call,
        trace.teacher,
        trace.model,
        trace.origin,
        trace.index,
        trace.reasoning,
        trace.answer,
        trace.answer if trace.origin in ("solve", "vote") else None,
        trace.finish_reason,
        trace.read_as,
        trace.input_tokens,
        trace.output_tokens,
        trace.cost_usd,
        judged.fate_word,
        judged.fate_value,
        *map(judged.measures.get, measures),
        *((judged.language,) if "language" in optional else ()),
    )


def preference_rows(outcome: CuratedSample) -> tuple[Row, ...]:
    """The row of `preference/`, where there is a pair."""
    if outcome.pair is None:
        return ()
    chosen, rejected = outcome.pair
    return ((outcome.sample.id, outcome.prompt, chosen, rejected, picture_names(outcome.sample)),)


def picture_names(sample: Sample) -> tuple[str, ...]:
    """The files' names of a Sample's pictures: digest and suffix."""
    return tuple(f"{picture.digest}.{SUFFIXES[picture.mime]}" for picture in sample.lesson_pictures)


def fault_row(fault: Fault) -> Row:
    """The row of `losses.parquet` of a row that did not become a Sample."""
    return fault.id, None, None, fault.stage, fault.reason, str(fault)


def loss_rows(outcome: CuratedSample) -> Iterator[Row]:
    """The rows of `losses.parquet`: Calls given up or never asked, replies not read with the beginning of their text, traces that a filter
    or a check dropped, follow-ups that came to nothing, and the Sample where there was no agreement, or `select` left it out.
    """
    sample, at = outcome.sample.id, f"{outcome.sample.where}: " if outcome.sample.where else ""
    for teacher, reply in outcome.failed:
        if reply.error == NOT_ASKED:
            what = f"not asked to the end, the last attempt ended as {reply.detail}" if reply.detail else "the journal has no reply"
            yield sample, teacher, reply.key, "forge", NOT_ASKED, f"{at}{what}; `cotforge build` asks"
        else:
            yield sample, teacher, reply.key, "ask", reply.error, f"{at}{reply.detail}"
    for judged in outcome.traces:
        reason = judged.because
        if judged.fate == "unread":
            said = f": {judged.said}" if judged.said else ""
            answer = f"answer {judged.offered!r}, " if judged.offered else ""
            detail = f"{at}{answer}finish_reason={judged.trace.finish_reason}{said}"
            yield sample, judged.trace.teacher, judged.trace.call, "read", reason, detail
        elif judged.fate == "filter":
            yield sample, judged.trace.teacher, judged.trace.call, "filter", reason, f"{at}{judged.said or f'{reason}={judged.fate_value}'}"
        elif judged.fate == "gate":
            stage = "weave" if judged.trace.origin == "woven" else "rescue"
            yield sample, judged.trace.teacher, judged.trace.call, stage, reason, f"{at}{short_fate(judged.fate_word)}"
    for skipped in outcome.skipped:
        stage, _, reason = skipped.partition(":")
        why = f": {why_untrusted(outcome.verdict, outcome.sample.label)}" if skipped == "rescue:untrusted_label" else ""
        yield sample, None, None, stage, reason, f"{at}{short_reason(skipped)}{why}"
    stage, _, reason = outcome.rejected.partition(":")
    if stage == "vote":
        yield sample, None, None, "vote", reason, f"{at}{_votes_cell(outcome)}"
    elif stage == "select":
        yield sample, None, None, "select", reason, f"{at}{_LEFT_OUT[outcome.rejected]}"


_LEFT_OUT = {
    selection.DIFFICULTY: "its pass rate is outside of select.difficulty",
    selection.PER_CLASS: "select.per_class takes other samples with this answer",
}


def _votes_cell(outcome: CuratedSample) -> str:
    cast = Counter(ballot.answer for ballot in outcome.verdict.ballots)
    counts = ", ".join(f"{answer}: {count}" for answer, count in sorted(cast.items(), key=lambda item: (-item[1], item[0])))
    why = f"; {short_reason(outcome.rejected)}" if outcome.rejected == "vote:one_teacher" else ""
    return f"ballots {counts or 'none'}; label {outcome.sample.label}; confidence {outcome.verdict.confidence:.3f}{why}"
