"""Why samples have no lesson, read from `losses.parquet`: one reason for each."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS = 32_768
"""Rows that are read at a time."""
_LABELLED = r"(?s)^.*; label (?P<label>.*?); confidence (?P<confidence>[0-9.]+)$"
"""How `losses.parquet` tells of a vote without agreement."""
_RANKS = {"vote": 0, "select": 0, "source": 0, "export": 1, "filter": 2, "read": 2, "ask": 3, "forge": 4}
"""Of all losses of a sample the one of least rank says why it has no lesson."""


def read_reasons(path: Path | None) -> pa.Table:
    """`id`, `reason`, `label`, `confidence` and `loss` (a row number): one row for each sample, the loss that says why it has no lesson.

    At the end one for each row of the source that has no id. `path`: of `losses.parquet`; None where there is none.
    """
    if path is None:
        kinds = {"id": pa.string(), "reason": pa.string(), "label": pa.string(), "confidence": pa.float32(), "loss": pa.int64()}
        return pa.schema(list(kinds.items())).empty_table()
    whole = pq.read_table(path, columns=["id", "stage", "reason"], memory_map=False, use_threads=False)
    places = pc.index_in(whole["stage"], value_set=pa.array(list(_RANKS))).fill_null(len(_RANKS))
    ranks = pa.array([*_RANKS.values(), 5], pa.int8()).take(places.combine_chunks())
    stage = pc.if_else(pc.equal(whole["stage"], "read"), "unread", whole["stage"])
    reason = pc.binary_join_element_wise(stage, whole["reason"], ":")
    numbered = pa.table({"id": whole["id"], "rank": ranks, "reason": reason, "loss": pa.array(range(whole.num_rows), pa.int64())})
    has_id = pc.is_valid(numbered["id"])
    nameless = numbered.filter(pc.and_(pc.invert(has_id), pc.equal(numbered["rank"], 0)))
    ranked = numbered.filter(has_id).sort_by([("rank", "ascending"), ("reason", "ascending"), ("loss", "ascending")])
    first = pc.index_in(ranked["id"].unique(), value_set=ranked["id"])
    kept = pa.concat_tables([ranked.take(first).sort_by("loss"), nameless])
    label, confidence = _labelled(path, kept["loss"].to_numpy())
    return kept.drop_columns(["rank"]).append_column("label", label).append_column("confidence", confidence)


def _labelled(path: Path, rows: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
    """Labels and confidences of these rows, which only the words about a vote tell."""
    labels, sure, start = dict[int, str](), dict[int, float](), 0
    wanted = set(rows.tolist())
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=["stage", "detail"], use_threads=False):
            votes = np.flatnonzero(pc.fill_null(pc.equal(batch.column("stage"), "vote"), False).to_numpy(zero_copy_only=False))
            told = pc.extract_regex(batch.column("detail").take(pa.array(votes)), _LABELLED)
            for row, found in zip((votes + start).tolist(), told.to_pylist(), strict=True):
                if found is not None and row in wanted:
                    sure[row] = float(found["confidence"])
                    if found["label"] != "None":
                        labels[row] = found["label"]
            start += batch.num_rows
    return pa.array([labels.get(row) for row in rows.tolist()], pa.string()), pa.array(
        [sure.get(row) for row in rows.tolist()], pa.float32()
    )
