"""Reads the index of a run from the narrow columns of its dataset, its verdicts and its losses, some thousand rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cotforge.dataset_shards import shards_of_card
from cotforge.errors import JournalError, PipelineError, in_words
from cotforge.regular_files import demand_regular
from cotforge.view.arrow_buffers import of_flags, of_texts, one_piece, places_in, to_flags, to_floats, to_integers
from cotforge.view.coded import DICTIONARY, CodedColumn, Mask, Numbers
from cotforge.view.loss_reader import ROWS, LossReasons, read_reasons
from cotforge.view.sample_index import NONE, SampleIndex, TraceColumns

MEASURE = "measure_"
"""What the name of a measure's column begins with."""
Stamp = tuple[tuple[int, int], ...]
"""(bytes, mtime in ns) of the files that an index is made of; zeros where there is none."""

_WORDS = ("teacher", "origin", "answer", "fate")
_CODED = (*_WORDS, "label")
"""Columns that are read as numbers of words."""


@dataclass(frozen=True, slots=True)
class DatasetIndex:
    """An index, and the files that its numbers are rows of."""

    index: SampleIndex
    lessons: tuple[Path, ...]
    traces: tuple[Path, ...]


def stamp_of(run: Path) -> Stamp:
    """Changes when the dataset of a run does."""
    return tuple(_file_stamp(run / name) for name in ("dataset/README.md", "losses.parquet"))


def read_index(run: Path) -> DatasetIndex | None:
    """The index of a run's dataset; None where there is none.

    Raises PipelineError or JournalError where it is damaged.
    """
    try:
        shards = shards_of_card(run)
    except FileNotFoundError:
        shards = {}
    losses = run / "losses.parquet"
    try:
        lessons, traces = (_shard_paths(run, shards.get(config, [])) for config in ("default", "traces"))
        if not (lessons or traces or demand_regular(losses)):
            return None
        lost = read_reasons(losses if demand_regular(losses) else None)
        verdicts = run / "verdicts.parquet"  # a dataset of an earlier version has none
        decided = _read_decided([verdicts] if demand_regular(verdicts) else [])
        index = _assemble_index(*_read_traces(traces), lessons=_read_decided(lessons), decided=decided, lost=lost)
        pa.default_memory_pool().release_unused()  # what reading took stays with its allocator otherwise: 70 MB of 600,000 traces
        return DatasetIndex(index, lessons, traces)
    except OSError as fault:
        raise JournalError(f"{fault.filename or run}: {fault.strerror}; `cotforge curate` writes the dataset anew") from fault
    except (pa.ArrowException, KeyError) as fault:
        raise PipelineError(f"{run}: its dataset cannot be read: {in_words(fault)}; `cotforge curate` writes it anew") from fault


def _file_stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _shard_paths(run: Path, shards: Sequence[tuple[str, str]]) -> tuple[Path, ...]:
    paths = tuple(run / "dataset" / name for _, name in shards)
    for path in paths:
        if not demand_regular(path):
            raise FileNotFoundError(2, "is named by the card and missing", str(path))
    return paths


def _read_tables(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.Table]:
    """These columns of all rows, some row groups at a time.

    One by one, the calls would take longer than the reading.
    """
    for path in paths:
        with pq.ParquetFile(path, read_dictionary=[name for name in columns if name in _CODED]) as file:
            groups = list[int]()
            for group in range(file.num_row_groups):
                groups.append(group)
                if len(groups) * file.metadata.row_group(group).num_rows >= ROWS or group == file.num_row_groups - 1:
                    yield file.read_row_groups(groups, columns=list(columns), use_threads=False)
                    groups = []


def _read_traces(paths: Sequence[Path]) -> tuple[pa.StringArray, Numbers, TraceColumns]:
    """(ids of the samples that have traces, how many each has, the traces)."""
    names = pq.read_schema(paths[0]).names if paths else []
    measures = [name for name in names if name.startswith(MEASURE)]
    ids, lengths = list[pa.Array](), [np.zeros(0, dtype=np.uint32)]
    words: dict[str, list[pa.Array]] = {name: [] for name in _WORDS}
    values: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in measures}
    for table in _read_tables(paths, ["id", *_WORDS, *measures]):
        runs = pc.run_end_encode(one_piece(table["id"]))
        ids.append(runs.values.cast(pa.string()))
        lengths.append(np.diff(to_integers(runs.run_ends), prepend=0).astype(np.uint32))
        for name in _WORDS:
            words[name].append(_encode_words(table[name]))
        for name in measures:
            values[name].append(to_floats(one_piece(table[name])))
    texts, count = _joined_runs(pa.concat_arrays([of_texts([]), *ids]), np.concatenate(lengths))
    coded = {name: CodedColumn.of_arrow(pa.chunked_array(words[name], DICTIONARY)) for name in _WORDS}
    taken = {name.removeprefix(MEASURE): np.concatenate(values[name]) for name in measures}
    return texts, count, TraceColumns(np.repeat(np.arange(len(count), dtype=np.uint32), count), **coded, measures=taken)


def _encode_words(column: pa.ChunkedArray) -> pa.Array:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return one_piece(encoded.unify_dictionaries()).cast(DICTIONARY)


def _joined_runs(ids: pa.StringArray, lengths: Numbers) -> tuple[pa.StringArray, Numbers]:
    """The same where two runs of one id that meet at the end of a reading are one."""
    if len(ids) < 2:
        return ids, lengths
    starts = np.append(True, to_flags(pc.not_equal(ids[1:], ids[:-1])))
    return ids.filter(of_flags(starts)), np.add.reduceat(lengths, np.flatnonzero(starts)).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class _DecidedColumns:
    """What was decided of samples: the narrow columns of all lessons, or of all verdicts."""

    ids: pa.StringArray
    label: CodedColumn
    answer: CodedColumn
    confidence: npt.NDArray[np.float32]
    conflict: Mask


def _read_decided(paths: Sequence[Path]) -> _DecidedColumns:
    ids, sure, conflicts = [of_texts([])], [np.zeros(0, dtype=np.float32)], [np.zeros(0, dtype=bool)]
    words: dict[str, list[pa.Array]] = {"label": [], "answer": []}
    for table in _read_tables(paths, ["id", "label", "answer", "confidence", "label_conflict"]):
        ids.append(one_piece(table["id"]).cast(pa.string()))
        sure.append(to_floats(one_piece(table["confidence"])))
        conflicts.append(to_flags(one_piece(table["label_conflict"])))
        for name, parts in words.items():
            parts.append(_encode_words(table[name]))
    label, answer = (CodedColumn.of_arrow(pa.chunked_array(parts, DICTIONARY)) for parts in words.values())
    return _DecidedColumns(pa.concat_arrays(ids), label, answer, np.concatenate(sure), np.concatenate(conflicts))


def _assemble_index(
    traced: pa.StringArray, count: Numbers, traces: TraceColumns, *, lessons: _DecidedColumns, decided: _DecidedColumns, lost: LossReasons
) -> SampleIndex:
    """All columns, lesson before verdict before loss."""
    untraced = [_lacking_ids(lost.ids, traced), _lacking_ids(_lacking_ids(lessons.ids.unique(), traced), lost.ids)]
    ids = pa.concat_arrays([traced, *untraced])
    counts = np.append(count, np.zeros(len(ids) - len(count), dtype=np.uint32))
    lesson, verdict, loss = (places_in(ids, others) for others in (lessons.ids, decided.ids, lost.ids))
    nameless = np.flatnonzero(~to_flags(ids.is_valid()))
    loss[nameless] = np.arange(len(lost) - len(nameless), len(lost))
    has_lesson = lesson != NONE
    reason = lost.reason.take_rows(np.where(has_lesson, NONE, loss))
    label = lessons.label.take_rows(lesson).filled_from(decided.label.take_rows(verdict)).filled_from(lost.label.take_rows(loss))
    answer = lessons.answer.take_rows(lesson).filled_from(decided.answer.take_rows(verdict))
    taught, voted, told = (
        np.append(values, np.float32("nan"))[rows]
        for values, rows in ((lessons.confidence, lesson), (decided.confidence, verdict), (lost.confidence, loss))
    )
    unvoted = np.where(verdict == NONE, np.arange(len(ids)), NONE)  # a verdict without an answer is a tie
    differs = np.append(lessons.conflict, False)[lesson] | np.append(decided.conflict, False)[verdict]
    return SampleIndex(
        ids=ids,
        verdict=_decide_verdicts(has_lesson, reason),
        reason=reason,
        label=label,
        answer=answer.filled_from(_leading_answers(traces, len(ids)).take_rows(unvoted)),
        confidence=np.where(has_lesson, taught, np.where(verdict != NONE, voted, told)).astype(np.float32),
        unpromised=~has_lesson & np.append(lost.unpromised, False)[loss],
        conflict=differs | (reason.has_word("vote:label_gate") & (label.codes >= 0)),
        first=(np.cumsum(counts) - counts).astype(np.uint32),
        count=counts,
        lesson=lesson,
        loss=np.append(lost.rows, NONE)[loss],
        traces=traces,
    )


def _lacking_ids(ids: pa.StringArray, others: pa.StringArray) -> pa.StringArray:
    """The ids that the others lack, in their order; those that are null stay."""
    return ids.filter(of_flags(places_in(ids, others) == NONE))


def _decide_verdicts(has_lesson: Mask, reason: CodedColumn) -> CodedColumn:
    stages = [word.partition(":")[0] for word in reason.words.to_pylist()]
    codes = np.array([*({"vote": 1, "source": 3, "dedup": 3}.get(stage, 2) for stage in stages), 2], dtype=np.int32)[reason.codes]
    return CodedColumn(np.where(has_lesson, np.int32(0), codes), of_texts(["lesson", "disagreed", "filtered", "unusable"]))


def _leading_answers(traces: TraceColumns, samples: int) -> CodedColumn:
    """Each sample's most frequent answer, where there is one that is more frequent than all others."""
    counted = (traces.answer.codes >= 0) & traces.origin.has_word("solve", "vote")
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
