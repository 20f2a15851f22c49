"""The rows of a run's dataset, in its order, a row group in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cotforge.dataset_shards import shards_of_card
from cotforge.errors import PipelineError, in_words
from cotforge.formats.row import ExportRow, Kind, of_values
from cotforge.regular_files import demand_regular

CONFIGS = {"sft": "default", "grpo": "default", "dpo": "preference"}
"""Of the dataset's card, by what the rows are for."""
COLUMNS = {
    "default": ["id", "images", "prompt", "completion", "answer", "label"],
    "preference": ["id", "images", "prompt", "chosen", "rejected"],
}


@dataclass
class DatasetRows:
    """The rows of a run's dataset for one kind of training, and how many were left out."""

    run: Path
    kind: Kind
    left_out: int = 0
    """Rows of which a picture is no JPEG, PNG or WebP."""
    names: list[str] = field(default_factory=list)
    """Of the shards, which hold a hash of their content."""

    def __post_init__(self) -> None:
        self._shards = [(split, self.run / "dataset" / name) for split, name in self._named_shards()]
        self.names = [path.name for _, path in self._shards]

    def __iter__(self) -> Iterator[ExportRow]:
        """Each row; of `grpo` each sample once. Raises PipelineError where a shard is missing or damaged."""
        self.left_out = 0
        before: str | None = None
        for split, values in self._shard_values():
            if self.kind == "grpo" and values["id"] == before:
                continue  # lessons of one sample follow one another
            before = values["id"]
            row = of_values(values, split)
            if row is None:
                self.left_out += 1
            else:
                yield row

    def _shard_values(self) -> Iterator[tuple[str, dict[str, Any]]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for split, path in self._shards:
            try:
                demand_regular(path)
                whole = pq.ParquetFile(path)
                columns = [name for name in COLUMNS[CONFIGS[self.kind]] if name in whole.schema_arrow.names]
                for group in range(whole.num_row_groups):
                    for values in whole.read_row_group(group, columns=columns).to_pylist():
                        yield split, values
            except (OSError, pa.ArrowException) as fault:
                raise PipelineError(f"{path}: cannot be read: {in_words(fault)}; `cotforge curate` writes the dataset anew") from fault

    def _named_shards(self) -> Iterator[tuple[str, str]]:
        """As `named_shards`. Raises PipelineError where there is none."""
        found = named_shards(self.run, CONFIGS[self.kind])
        if not found:
            what = "pairs of a right and a wrong text" if self.kind == "dpo" else "lessons"
            raise PipelineError(f"{self.run}: its dataset has no {what}; `cotforge build` says at its end what they were lost to")
        return iter(found)


def named_shards(run: Path, config: str) -> list[tuple[str, str]]:
    """(split, shard) of a config of a run's dataset, as its card names them: only these belong to it.

    Raises PipelineError where there is no dataset, or its card cannot be read.
    """
    try:
        return shards_of_card(run).get(config, [])
    except FileNotFoundError as fault:
        raise PipelineError(f"{run}: has no dataset; `cotforge build` makes one") from fault
