"""Reads the index of a run from the narrow columns of its dataset and its losses, some thousand rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cotforge.dataset_shards import named_shards
from cotforge.errors import JournalError, PipelineError, in_words
from cotforge.regular_files import demand_regular
from cotforge.view.coded import CodedColumn
from cotforge.view.loss_reader import ROWS, read_reasons
from cotforge.view.sample_index import NONE, SampleIndex, TraceColumns

MEASURE = "measure_"
"""What the name of a measure's column begins with."""
Stamp = tuple[tuple[int, int], ...]
"""(bytes, mtime in ns) of the files that an index is made of; zeros where there is none."""

_WORDS = ("teacher", "origin", "answer", "fate")


@dataclass(frozen=True, slots=True)
class DatasetIndex:
    """An index, and the files that its numbers are rows of."""

    index: SampleIndex
    lessons: tuple[Path, ...]
    traces: tuple[Path, ...]


def stamp_of(run: Path) -> Stamp:
    """Changes when the dataset of a run does."""
    return tuple(_stamp(run / name) for name in ("dataset/README.md", "losses.parquet"))


def read_index(run: Path) -> DatasetIndex | None:
    """The index of a run's dataset; None where there is none. Raises PipelineError or JournalError where it is damaged."""
    try:
        shards = named_shards(run)
    except FileNotFoundError:
        shards = {}
    losses = run / "losses.parquet"
    try:
        lessons, traces = (_paths(run, shards.get(config, [])) for config in ("default", "traces"))
        if not (lessons or traces or demand_regular(losses)):
            return None
        index = _assembled(*_read_traces(traces), _read_lessons(lessons), read_reasons(losses if demand_regular(losses) else None))
        return DatasetIndex(index, lessons, traces)
    except OSError as fault:
        raise JournalError(f"{fault.filename or run}: {fault.strerror}; `cotforge curate` writes the dataset anew") from fault
    except (pa.ArrowException, KeyError) as fault:
        raise PipelineError(f"{run}: its dataset cannot be read: {in_words(fault)}; `cotforge curate` writes it anew") from fault


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _paths(run: Path, shards: Sequence[tuple[str, str]]) -> tuple[Path, ...]:
    paths = tuple(run / "dataset" / name for _, name in shards)
    for path in paths:
        if not demand_regular(path):
            raise FileNotFoundError(2, "is named by the card and missing", str(path))
    return paths


def _batches(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path, read_dictionary=[name for name in columns if name in ("teacher", "answer", "label")]) as file:
            yield from file.iter_batches(ROWS, columns=list(columns), use_threads=False)


def _read_traces(paths: Sequence[Path]) -> tuple[pa.StringArray, npt.NDArray[np.uint32], TraceColumns]:
    """(ids of the samples that have traces, how many each has, the traces)."""
    names = pq.read_schema(paths[0]).names if paths else []
    measures = [name for name in names if name.startswith(MEASURE)]
    ids, lengths = list[pa.Array](), list[npt.NDArray[np.uint32]]()
    words: dict[str, list[pa.Array]] = {name: [] for name in _WORDS}
    values: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in measures}
    for batch in _batches(paths, ["id", *_WORDS, *measures]):
        runs = pc.run_end_encode(batch.column("id"))
        ids.append(runs.values)
        lengths.append(np.diff(runs.run_ends.to_numpy(), prepend=0).astype(np.uint32))
        for name in _WORDS:
            words[name].append(_dictionary(batch.column(name)))
        for name in measures:
            values[name].append(batch.column(name).cast(pa.float32()).fill_null(float("nan")).to_numpy(zero_copy_only=False))
    whole, count = _joined_runs(_texts(ids), np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.uint32))
    coded = {name: CodedColumn.of_arrow(pa.chunked_array(words[name], _DICTIONARY)) for name in _WORDS}
    taken = {name.removeprefix(MEASURE): np.concatenate(values[name]) for name in measures}
    return whole, count, TraceColumns(np.repeat(np.arange(len(count), dtype=np.uint32), count), **coded, measures=taken)


_DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def _dictionary(column: pa.Array) -> pa.Array:
    return (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).cast(_DICTIONARY)


def _texts(parts: Sequence[pa.Array]) -> pa.StringArray:
    return pa.concat_arrays([part.cast(pa.string()) for part in parts]) if parts else pa.array([], pa.string())


def _joined_runs(ids: pa.StringArray, lengths: npt.NDArray[np.uint32]) -> tuple[pa.StringArray, npt.NDArray[np.uint32]]:
    """The same where two runs of one id that meet at the end of a batch are one."""
    if len(ids) < 2:
        return ids, lengths
    starts = np.append(True, pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False))
    return ids.filter(pa.array(starts)), np.add.reduceat(lengths, np.flatnonzero(starts)).astype(np.uint32)


def _read_lessons(paths: Sequence[Path]) -> pa.Table:
    """id, label, answer, confidence and label_conflict of every lesson."""
    kinds = {"id": pa.string(), "label": _DICTIONARY, "answer": _DICTIONARY, "confidence": pa.float32(), "label_conflict": pa.bool_()}
    schema = pa.schema(list(kinds.items()))
    batches = []
    for batch in _batches(paths, list(kinds)):
        taken = ((batch.column(name), kind) for name, kind in kinds.items())
        batches.append(
            pa.record_batch([_dictionary(column) if kind == _DICTIONARY else column.cast(kind) for column, kind in taken], schema)
        )
    return pa.Table.from_batches(batches, schema)


def _assembled(
    traced: pa.StringArray, count: npt.NDArray[np.uint32], traces: TraceColumns, lessons: pa.Table, lost: pa.Table
) -> SampleIndex:
    """All columns, lesson before loss."""
    untraced = [_beyond(lost["id"], traced), _beyond(_beyond(lessons["id"].unique(), traced), lost["id"])]
    ids = pa.concat_arrays([traced, *untraced])
    counts = np.append(count, np.zeros(len(ids) - len(count), dtype=np.uint32))
    lesson, loss = (_rows_of(ids, table["id"]) for table in (lessons, lost))
    nameless = np.flatnonzero(pc.is_null(ids).to_numpy(zero_copy_only=False))
    loss[nameless] = np.arange(lost.num_rows - len(nameless), lost.num_rows)
    has_lesson = lesson != NONE
    reason = CodedColumn.of_arrow(lost["reason"]).taken(np.where(has_lesson, NONE, loss))
    label = _either(lessons["label"], lesson, lost["label"], loss)
    leading = _leading(traces, len(ids))
    answer = CodedColumn.of_arrow(lessons["answer"]).taken(lesson)
    sure = [np.append(_floats(table["confidence"]), np.float32("nan"))[rows] for table, rows in ((lessons, lesson), (lost, loss))]
    conflicts = np.append(lessons["label_conflict"].fill_null(False).to_numpy().astype(bool), False)[lesson]
    return SampleIndex(
        ids=ids,
        verdict=_verdicts(has_lesson, reason),
        reason=reason,
        label=label,
        answer=_first_of_two(answer, leading),
        confidence=np.where(has_lesson, sure[0], sure[1]).astype(np.float32),
        conflict=conflicts | (reason.equal("vote:label_gate") & (label.codes >= 0)),
        first=(np.cumsum(counts) - counts).astype(np.uint32),
        count=counts,
        lesson=lesson,
        loss=np.append(lost["loss"].to_numpy(), NONE)[loss],
        traces=traces,
    )


def _floats(column: pa.ChunkedArray) -> Any:
    return column.cast(pa.float32()).fill_null(float("nan")).to_numpy()


def _beyond(ids: pa.Array | pa.ChunkedArray, others: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """The ids that the others lack, in their order; those that are null stay."""
    left = ids.filter(pc.or_(pc.is_null(ids), pc.invert(pc.is_in(ids, value_set=others, skip_nulls=True))))
    return (left.combine_chunks() if isinstance(left, pa.ChunkedArray) else left).cast(pa.string())


def _rows_of(ids: pa.Array, table: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The first row of the table with each id, or NONE."""
    found = pc.index_in(ids, value_set=table, skip_nulls=True)
    rows: npt.NDArray[np.int64] = found.fill_null(NONE).to_numpy(zero_copy_only=False).astype(np.int64)
    return rows


def _either(one: pa.ChunkedArray, rows: npt.NDArray[np.int64], other: pa.ChunkedArray, others: npt.NDArray[np.int64]) -> CodedColumn:
    """The word of one table where a row has it there, else that of the other table."""
    return _first_of_two(CodedColumn.of_arrow(one).taken(rows), CodedColumn.of_arrow(other).taken(others))


def _first_of_two(one: CodedColumn, other: CodedColumn) -> CodedColumn:
    words = pa.chunked_array([one.words, other.words]).unique() if len(other.words) else one.words
    both = [pc.index_in(column.words, value_set=words).to_numpy(zero_copy_only=False).astype(np.int32) for column in (one, other)]
    codes = [np.append(places, np.int32(-1))[column.codes] for places, column in zip(both, (one, other), strict=True)]
    whole = words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words
    return CodedColumn(np.where(codes[0] >= 0, codes[0], codes[1]), whole)


def _verdicts(has_lesson: npt.NDArray[np.bool_], reason: CodedColumn) -> CodedColumn:
    stages = [word.partition(":")[0] for word in reason.words.to_pylist()]
    kinds = [{"vote": 1, "source": 3}.get(stage, 2) for stage in stages]
    codes = np.array([*kinds, 2], dtype=np.int32)[reason.codes]
    return CodedColumn(np.where(has_lesson, np.int32(0), codes), pa.array(["lesson", "disagreed", "filtered", "unusable"]))


def _leading(traces: TraceColumns, samples: int) -> CodedColumn:
    """Each sample's most frequent answer, where there is one that is more frequent than all others."""
    counted = (traces.answer.codes >= 0) & traces.origin.equal("solve", "vote")
    width = len(traces.answer.words) + 1
    pairs, times = np.unique(traces.sample[counted].astype(np.int64) * width + traces.answer.codes[counted], return_counts=True)
    sample, code = pairs // width, pairs % width
    order = np.lexsort((-times, sample))
    sample, code, times = sample[order], code[order], times[order]
    first = np.append(True, sample[1:] != sample[:-1]) if len(sample) else np.zeros(0, dtype=bool)
    starts = np.flatnonzero(first)
    rival = np.minimum(starts + 1, len(sample) - 1)
    tied = (rival != starts) & ~first[rival] & (times[rival] == times[starts])
    codes = np.full(samples, -1, dtype=np.int32)
    codes[sample[starts][~tied]] = code[starts][~tied]
    return CodedColumn(codes, traces.answer.words)
