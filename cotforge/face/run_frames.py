"""The tables of a run folder as polars frames. Lazy ones read no more of the files than is asked of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from cotforge.errors import JournalError, PipelineError, in_words
from cotforge.regular_files import demand_regular

if TYPE_CHECKING:
    import polars as pl

TableName = Literal["lessons", "traces", "preference", "losses", "verdicts"]
_CONFIGS = {"lessons": "default", "traces": "traces", "preference": "preference"}
"""Of the dataset's card, by what the table is called here."""


def scan_table(run: Path, name: TableName, *, images: bool = False) -> "pl.LazyFrame":
    """A table of a run folder; a column `split` tells the split of lessons and pairs. Images are left out unless asked for.

    Raises PipelineError where the run has no dataset yet, JournalError where a file of it is gone.
    """
    import polars as pl

    if name not in get_args(TableName):
        raise PipelineError(f"table {name!r}: there is none; {', '.join(get_args(TableName))}")
    if name in ("losses", "verdicts"):
        return _scan_files(run, [run / f"{name}.parquet"])
    from cotforge.formats.dataset_rows import named_shards  # yaml

    parts: dict[str, list[Path]] = {}
    for split, path in named_shards(run, _CONFIGS[name]):
        parts.setdefault(split, []).append(run / "dataset" / path)
    if not parts:
        frame = _no_rows(name)
    elif name == "traces":
        frame = _scan_files(run, [path for paths in parts.values() for path in paths])
    else:
        frame = pl.concat([_scan_files(run, paths).with_columns(split=pl.lit(split)) for split, paths in parts.items()])
    return frame if images or name == "traces" else frame.drop("images")


def _scan_files(run: Path, paths: list[Path]) -> "pl.LazyFrame":
    import polars as pl

    try:
        for path in paths:
            demand_regular(path)
            path.stat()
    except OSError as fault:
        raise JournalError(f"{path}: cannot be read: {in_words(fault)}; `cotforge curate {run}` writes the dataset anew") from fault
    return pl.scan_parquet(paths, glob=False, hive_partitioning=False)


def _no_rows(name: TableName) -> "pl.LazyFrame":
    """The table without rows: a config without rows has no file."""
    import polars as pl

    from cotforge.export import columns

    kinds = {"lessons": columns.lesson_columns(()), "traces": columns.trace_columns(()), "preference": columns.PREFERENCE}[name]
    frame = pl.from_arrow(columns.arrow_schema(kinds).empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.lazy() if name == "traces" else frame.lazy().with_columns(split=pl.lit("train"))


def read_metrics(run: Path) -> "pl.DataFrame":
    """A row per optimizer step of every stage: `stage`, `step`, and TRL's own metrics; null where a stage has none of that name."""
    import polars as pl

    rows = [row for path in sorted((run / "train").glob("*/metrics.jsonl")) for row in _read_steps(path)]
    return (
        pl.DataFrame(rows, infer_schema_length=None, strict=False) if rows else pl.DataFrame(schema={"stage": pl.String, "step": pl.Int64})
    )


def _read_steps(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield {"stage": path.parent.name, **json.loads(line)}
        except ValueError:  # the last line may be half written
            return
