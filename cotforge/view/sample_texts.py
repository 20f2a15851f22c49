"""What stands behind one sample's row of the index: question, traces with their texts, and what was lost."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from cotforge.records import NOT_ASKED, Call, Fault, Reply, Trace
from cotforge.view.index_reader import MEASURE
from cotforge.view.loss_reader import rows_about
from cotforge.view.shard_rows import ShardRows
from cotforge.view.viewed_run import OpenedDataset, ViewedRun

LOSSES = 100
"""Losses of one sample that are told."""
_LESSON = ("question", "options", "mended", "call", "segments")
_TRACE = (
    "call", "teacher", "model", "origin", "index", "reasoning", "answer", "finish_reason", "read_as", "input_tokens", "output_tokens",
    "cost_usd", "fate", "fate_value",
)  # fmt: skip


def lesson_of(opened: OpenedDataset, number: int) -> dict[str, Any]:
    """`question`, `options` and `mended` of a sample's lesson; empty where it has none.

    Raises JournalError.
    """
    lesson = opened.index.row(number)["lesson"]
    return {} if lesson is None else next(iter(opened.lessons.read_rows(lesson, columns=_LESSON)), {})


def traces_of(run: ViewedRun, opened: OpenedDataset, number: int) -> list[dict[str, Any]]:
    """The traces of a sample, by the names of their columns; `measures` has the values by measure.

    Raises CotforgeError.
    """
    row = opened.index.row(number)
    if opened.index.is_live:
        return _live_traces(run, row["id"])
    if not row["count"]:
        return []
    columns = [*_TRACE, *(MEASURE + name for name in opened.index.measures)]
    return [_with_measures(one, opened.index.measures) for one in opened.traces.read_rows(row["first"], row["count"], columns=columns)]


def losses_of(run: ViewedRun, opened: OpenedDataset, number: int) -> list[dict[str, Any]]:
    """What `losses.parquet` says of a sample: `teacher`, `stage`, `reason` and `detail` of each."""
    row, path = opened.index.row(number), run.run / "losses.parquet"
    if opened.index.is_live or row["loss"] is None:
        return []
    columns = ["teacher", "stage", "reason", "detail"]
    places, rows = rows_about(path, row["id"]) if row["id"] else [row["loss"]], ShardRows((path,))
    return [told for place in islice(places, LOSSES) for told in rows.read_rows(place, columns=columns)]


def _with_measures(trace: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return trace | {"measures": {name: trace.get(MEASURE + name) for name in names}}


def _live_traces(run: ViewedRun, id: str) -> list[dict[str, Any]]:
    from cotforge.view.journal_reader import answers_to

    sample = run.source_sample(id)
    if sample is None:
        return []
    try:
        return [_of_reply(*one) for one in answers_to(sample, run.wait_for_pipeline(), run.open_journal()) if one[1].error != NOT_ASKED]
    except Fault:  # no prompt can be made of the row, so nobody was asked
        return []


def _of_reply(call: Call, reply: Reply, trace: Trace | None) -> dict[str, Any]:
    """A reply in the form of a trace of the dataset; one that failed has its error as its text."""
    fate = f"failed:{reply.error}" if trace is None else f"unread:{trace.fault}" if trace.fault else "read"
    said = reply.detail if trace is None else trace.reasoning if not trace.fault else f"{reply.reasoning}\n{reply.content}".strip()
    return {
        "call": call.key, "teacher": call.teacher, "model": call.model, "origin": call.origin, "index": call.index, "reasoning": said,
        "answer": trace.answer if trace is not None else None, "finish_reason": reply.finish_reason,
        "read_as": trace.read_as if trace is not None else "", "input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens,
        "cost_usd": reply.cost_usd, "fate": fate, "fate_value": None, "measures": {},
    }  # fmt: skip
