"""Why samples have no lesson, read from `losses.parquet`: one reason for each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cotforge.reasons import ONE_TEACHER, UNPROMISED, short_reason
from cotforge.view.arrow_buffers import of_flags, of_texts, one_piece, places_in, to_flags, to_integers
from cotforge.view.coded import CodedColumn, Mask

ROWS = 32_768
"""Rows that are read at a time."""
_WHY = "|".join(map(re.escape, (UNPROMISED, short_reason(ONE_TEACHER))))
_LABELLED = rf"(?s)^.*; label (?P<label>.*?); confidence (?P<confidence>[0-9.]+)(?:; (?P<why>{_WHY}))?$"
"""How `losses.parquet` tells of a vote without agreement."""
_RANKS = {"vote": 0, "select": 0, "source": 0, "dedup": 0, "export": 1, "filter": 2, "read": 2, "ask": 3, "forge": 4}
"""Of all losses of a sample the one of least rank says why it has no lesson."""
_NONE = 5


@dataclass(frozen=True, slots=True)
class LossReasons:
    """One row for each sample, then one for each row of the source that has no id."""

    ids: pa.StringArray
    reason: CodedColumn
    """`stage:reason`."""
    label: CodedColumn
    confidence: npt.NDArray[np.float32]
    """Of the vote; not a number where it is not told."""
    unpromised: Mask
    """Whether it is the promise that leaves the sample out."""
    rows: npt.NDArray[np.int64]
    """Of `losses.parquet`."""

    def __len__(self) -> int:
        return len(self.rows)


def read_reasons(path: Path | None) -> LossReasons:
    """Of the file `losses.parquet`; None where there is none."""
    if path is None:
        nothing = CodedColumn.of_words([])
        return LossReasons(of_texts([]), nothing, nothing, np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(0, np.int64))
    with pq.ParquetFile(path) as file:
        table = file.read(columns=["id", "stage", "reason"], use_threads=False)
    stage, reason = (CodedColumn.of_arrow(table[name]) for name in ("stage", "reason"))
    ranks = np.array([*(_RANKS.get(word, _NONE) for word in stage.words.to_pylist()), _NONE])[stage.codes]
    named = _joined_words(stage, reason)
    ids = one_piece(table["id"]).cast(pa.string())
    kept = _first_rows(ids, ranks, named)
    label, confidence, unpromised = _read_votes(path, kept)
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[kept] = True
    has_id = to_flags(ids.is_valid())[kept]
    kept = np.append(kept[has_id], kept[~has_id])  # the nameless ones last
    texts = ids.filter(of_flags(chosen))
    texts = pa.concat_arrays([texts.filter(of_flags(has_id)), texts.filter(of_flags(~has_id))])
    order = np.append(np.flatnonzero(has_id), np.flatnonzero(~has_id))
    return LossReasons(texts, named.take_rows(kept), label.take_rows(order), confidence[order], unpromised[order], kept)


def rows_about(path: Path, id: str) -> Iterator[int]:
    """The rows of `losses.parquet` that are about a sample."""
    start, wanted = 0, of_texts([id])
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=["id"], use_threads=False):
            yield from (np.flatnonzero(places_in(batch.column(0).cast(pa.string()), wanted) == 0) + start).tolist()
            start += batch.num_rows


def _joined_words(stage: CodedColumn, reason: CodedColumn) -> CodedColumn:
    """`stage:reason` of each row, `read` being `unread`."""
    stages, reasons = (["", *column.words.to_pylist()] for column in (stage, reason))
    pairs, codes = np.unique((stage.codes + 1).astype(np.int64) * len(reasons) + reason.codes + 1, return_inverse=True)
    told = ((stages[pair // len(reasons)], reasons[pair % len(reasons)]) for pair in pairs.tolist())
    return CodedColumn(codes.astype(np.int32), of_texts([f"{'unread' if of == 'read' else of}:{why}" for of, why in told]))


def _first_rows(ids: pa.StringArray, ranks: npt.NDArray[np.int64], reason: CodedColumn) -> npt.NDArray[np.int64]:
    """Per id the row of least rank, among these of the first reason by the alphabet.

    Rows of the source without id are all among them. In the order of the file.
    """
    alphabet = np.argsort(np.argsort(np.array(reason.words.to_pylist(), dtype=object), kind="stable"), kind="stable")
    codes = to_integers(ids.dictionary_encode().indices)
    order = np.lexsort((np.arange(len(ids)), alphabet[reason.codes] if len(alphabet) else reason.codes, ranks))
    order = order[codes[order] >= 0]
    _, first = np.unique(codes[order], return_index=True)
    nameless = np.flatnonzero((codes < 0) & (ranks == 0))
    return np.sort(np.append(order[first], nameless))


def _read_votes(path: Path, rows: npt.NDArray[np.int64]) -> tuple[CodedColumn, npt.NDArray[np.float32], Mask]:
    """Labels, confidences, and whether the promise leaves it out, of these rows, which only the words about a vote tell."""
    labels: list[str | None] = [None] * len(rows)
    sure, unpromised = np.full(len(rows), np.nan, dtype=np.float32), np.zeros(len(rows), dtype=bool)
    places, start = {row: place for place, row in enumerate(rows.tolist())}, 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=["stage", "detail"], use_threads=False):
            votes = CodedColumn.of_arrow(pa.chunked_array([batch.column("stage")])).has_word("vote")
            told = pc.extract_regex(batch.column("detail").filter(of_flags(votes)), _LABELLED).to_pylist()
            for row, found in zip((np.flatnonzero(votes) + start).tolist(), told, strict=True):
                if found is not None and row in places:
                    labels[places[row]] = None if found["label"] == "None" else found["label"]
                    sure[places[row]] = float(found["confidence"])
                    unpromised[places[row]] = found["why"] == UNPROMISED
            start += batch.num_rows
    return CodedColumn.of_words(labels), sure, unpromised
