"""A user's own features, read from a parquet file a few rows at a time."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cotforge.consensus.image.projection import LONGEST, Vectors
from cotforge.errors import PipelineError, in_words

BATCH = 1_024
"""Rows read at a time."""


class Embeddings:
    """The file, and where in it vectors are."""

    def __init__(self, path: Path) -> None:
        """Raises PipelineError with what is wrong with the file."""
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                schema = file.schema_arrow
        except (OSError, pa.ArrowException) as fault:
            raise PipelineError(f"{path}: cannot be read as parquet: {in_words(fault)}") from fault
        lists = [field.name for field in schema if _is_vector(field.type)]
        if "id" not in schema.names:
            raise PipelineError(f"{path}: has no column 'id'; a row is a sample's id and its embedding")
        if len(lists) != 1 and "embedding" not in lists:
            raise PipelineError(f"{path}: has {len(lists)} columns of lists of numbers; one is needed, or one named 'embedding'")
        self._column = "embedding" if "embedding" in lists else lists[0]

    def read(self, places: Mapping[str, int]) -> Iterator[tuple[list[int], Vectors]]:
        """(places of the ids, their vectors) in batches; without ids that have no place, and vectors that are not like the first.

        Of an id that is there twice the first row counts. Raises PipelineError where the file is damaged, or its vectors too long.
        """
        length, met = 0, set[int]()
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(BATCH, columns=["id", self._column]):
                    found = []
                    for id, values in zip(batch.column("id").to_pylist(), batch.column(self._column), strict=True):
                        place = places.get(str(id))
                        if place is None or place in met or (vector := _cell_vector(values)) is None:
                            continue
                        length = length or self._demand_short(len(vector))
                        if len(vector) == length:
                            met.add(place)
                            found.append((place, vector))
                    if found:
                        yield [place for place, _ in found], np.array([vector for _, vector in found], np.float32)
        except (OSError, pa.ArrowException) as fault:
            raise PipelineError(f"{self._path}: is damaged: {in_words(fault)}") from fault

    def _demand_short(self, length: int) -> int:
        if length > LONGEST:
            raise PipelineError(f"{self._path}: {self._column}: has vectors of {length:,} numbers; at most {LONGEST:,} are taken")
        return length


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)))


def _cell_vector(values: Any) -> Vectors | None:
    """The numbers of a cell; None where there are none, or not all are finite."""
    if not values.is_valid:
        return None
    numbers = values.values
    if not len(numbers) or numbers.null_count:
        return None
    vector = np.asarray(numbers.to_numpy(zero_copy_only=False), np.float32)
    return vector if np.isfinite(vector).all() else None
