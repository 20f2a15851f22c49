"""The narrow columns of a run, in memory: what the viewer filters, counts and sorts by. Texts and pictures stay in their files.

About 200 bytes a sample and 20 a trace. Rows are numbered, so that a text or a picture is one row group to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cotforge.errors import JournalError, PipelineError, in_words
from cotforge.formats.reading import named_shards
from cotforge.regular_files import demand_regular

MEASURE = "measure_"
"""What the name of a measure's column begins with."""
Stamp = tuple[tuple[int, int], ...]
"""(bytes, mtime in ns) of the files that an index is made of; zeros where there is none."""

SAMPLES = {
    "id": pl.String,
    "key": pl.UInt64,
    "verdict": pl.Categorical,
    "reason": pl.Categorical,
    "label": pl.Categorical,
    "answer": pl.Categorical,
    "confidence": pl.Float32,
    "conflict": pl.Boolean,
    "first": pl.UInt32,
    "count": pl.UInt32,
    "lesson": pl.UInt32,
    "loss": pl.UInt32,
}
"""`first` and `count`: the places of its traces; `lesson`: the row of its lesson; `loss`: the row of `losses.parquet` that says why not."""
TRACES = {"sample": pl.UInt32, "teacher": pl.Categorical, "origin": pl.Categorical, "answer": pl.Categorical, "fate": pl.Categorical}
_LABELLED = r"(?s)^.*; label (.*?); confidence ([0-9.]+)$"
"""How `losses.parquet` tells of a vote without agreement."""
_RANKS = {"vote": 0, "select": 0, "source": 0, "export": 1, "filter": 2, "read": 2, "ask": 3, "forge": 4}
"""Of all losses of a sample the one of least rank says why it has no lesson."""


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """All samples and traces of a run by their narrow columns."""

    samples: pl.DataFrame
    """SAMPLES, in the order of the source; what was lost without a trace comes last."""
    traces: pl.DataFrame
    """TRACES and the measures, in the order of the traces' files; those of one sample follow one another."""
    measures: tuple[str, ...] = ()
    lesson_shards: tuple[Path, ...] = ()
    trace_shards: tuple[Path, ...] = ()
    is_live: bool = False
    """Whether it is made from the journal, because there is no dataset yet."""


def stamp_of(run: Path) -> Stamp:
    """Changes when the dataset of a run does."""
    return tuple(_stamp(run / name) for name in ("dataset/README.md", "losses.parquet"))


def read_index(run: Path) -> SampleIndex | None:
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
        return _assembled(lessons, traces, losses if demand_regular(losses) else None)
    except OSError as fault:
        raise JournalError(f"{fault.filename or run}: {fault.strerror}; `cotforge curate` writes the dataset anew") from fault
    except pl.exceptions.PolarsError as fault:
        raise PipelineError(f"{run}: its dataset cannot be read: {in_words(fault)}; `cotforge curate` writes it anew") from fault


def empty_index() -> SampleIndex:
    """The index of a run of which nothing is read yet."""
    return SampleIndex(pl.DataFrame(schema=SAMPLES), pl.DataFrame(schema=TRACES), is_live=True)


def live_index(samples: pl.DataFrame, traces: pl.DataFrame) -> SampleIndex:
    """The index of a run without a dataset: what is known of its samples so far."""
    return SampleIndex(_with_keys(samples), traces, is_live=True)


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


def _assembled(lessons: tuple[Path, ...], traces: tuple[Path, ...], losses: Path | None) -> SampleIndex:
    told, measures = _read_traces(traces)
    narrow = told.with_columns(sample=pl.col("id").rle_id().cast(pl.UInt32)).select(*TRACES, *measures)
    runs = told.select(run=pl.col("id").rle()).unnest("run")
    count = pl.col("len").cast(pl.UInt32)
    traced = runs.select(id=pl.col("value"), count=count, first=(count.cum_sum() - count).cast(pl.UInt32))
    lost, taught = _read_losses(losses), _read_lessons(lessons)
    named = lost.filter(pl.col("id").is_not_null())
    parts = [
        traced.join(named, on="id", how="left", maintain_order="left"),
        _beyond(named, traced),
        lost.filter(pl.col("id").is_null()),
        taught.select("id")
        .join(traced, on="id", how="anti", maintain_order="left")
        .join(named, on="id", how="anti", maintain_order="left"),
    ]
    samples = pl.concat(parts, how="diagonal_relaxed").join(taught, on="id", how="left", maintain_order="left", suffix="_taught")
    samples = samples.with_row_index("sample").join(_leading(narrow), on="sample", how="left", maintain_order="left")
    return SampleIndex(_with_keys(_settled(samples)), narrow, tuple(name.removeprefix(MEASURE) for name in measures), lessons, traces)


def _beyond(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The rows whose ids the others lack."""
    return rows.join(others, on="id", how="anti", maintain_order="left")


def _scan(paths: Sequence[Path]) -> pl.LazyFrame:
    return pl.scan_parquet(list(paths), glob=False, hive_partitioning=False)


def _read_traces(paths: Sequence[Path]) -> tuple[pl.DataFrame, list[str]]:
    """(the traces' narrow columns with their samples' ids, the names of the measures' columns)."""
    if not paths:
        return pl.DataFrame(schema={**TRACES, "id": pl.String}), []
    scan = _scan(paths)
    measures = [name for name in scan.collect_schema().names() if name.startswith(MEASURE)]
    words = [name for name in TRACES if name != "sample"]
    wanted = [pl.col("id"), *(pl.col(name).cast(pl.Categorical) for name in words), *(pl.col(name).cast(pl.Float32) for name in measures)]
    return scan.select(wanted).collect(), measures


def _read_lessons(paths: Sequence[Path]) -> pl.DataFrame:
    """One row for each sample with a lesson: its first."""
    schema = {
        "id": pl.String,
        "label": pl.String,
        "answer": pl.String,
        "confidence": pl.Float32,
        "conflict": pl.Boolean,
        "lesson": pl.UInt32,
    }
    if not paths:
        return pl.DataFrame(schema=schema)
    found = _scan(paths).select("id", "label", "answer", pl.col("confidence").cast(pl.Float32), conflict="label_conflict").collect()
    return found.with_row_index("lesson").unique("id", keep="first", maintain_order=True).select(*schema)


def _read_losses(path: Path | None) -> pl.DataFrame:
    """One row for each sample, the loss that says why it has no lesson, and one for each row of the source that has no id."""
    schema = {"id": pl.String, "reason": pl.String, "label": pl.String, "confidence": pl.Float32, "loss": pl.UInt32}
    if path is None:
        return pl.DataFrame(schema=schema)
    scan = _scan([path]).with_row_index("loss")
    stage = pl.when(pl.col("stage") == "read").then(pl.lit("unread")).otherwise(pl.col("stage"))
    found = scan.select(
        "id", "loss", rank=pl.col("stage").replace_strict(_RANKS, default=5), reason=pl.concat_str(stage, pl.lit(":"), "reason")
    )
    whole = found.collect()
    named = (
        whole.filter(pl.col("id").is_not_null()).sort("rank", "reason", maintain_order=True).unique("id", keep="first", maintain_order=True)
    )
    kept = pl.concat([named.sort("loss"), whole.filter(pl.col("id").is_null() & (pl.col("rank") == 0))])
    labelled = pl.col("detail").str.extract_groups(_LABELLED).struct
    votes = scan.filter(pl.col("stage") == "vote").select("loss", label=labelled.field("1"), confidence=labelled.field("2")).collect()
    joined = kept.join(votes, on="loss", how="left", maintain_order="left")
    unknown = pl.col("label") == "None"
    return joined.select("id", "reason", pl.when(~unknown).then("label"), pl.col("confidence").cast(pl.Float32, strict=False), "loss")


def _leading(traces: pl.DataFrame) -> pl.DataFrame:
    """(sample, its most frequent answer), where there is one that is more frequent than all others."""
    said = traces.filter(pl.col("answer").is_not_null() & pl.col("origin").cast(pl.String).is_in(["solve", "vote"]))
    counted = said.group_by("sample", "answer").len().sort("sample", "len", descending=[False, True])
    first = counted.group_by("sample", maintain_order=True).agg(
        leading=pl.col("answer").first().cast(pl.String), tied=(pl.col("len") == pl.col("len").first()).sum() > 1
    )
    return first.filter(~pl.col("tied")).select("sample", "leading")


def _settled(samples: pl.DataFrame) -> pl.DataFrame:
    """One column of each name, as the lesson has it where there is one."""
    has_lesson, reason = pl.col("lesson").is_not_null(), pl.col("reason").fill_null("")
    verdict = (
        pl.when(has_lesson).then(pl.lit("lesson"))
        .when(reason.str.starts_with("vote:")).then(pl.lit("disagreed"))
        .when(reason.str.starts_with("source:")).then(pl.lit("unusable"))
        .otherwise(pl.lit("filtered"))
    )  # fmt: skip
    label = pl.coalesce("label_taught", "label")
    gated = (reason == "vote:label_gate") & label.is_not_null()
    return samples.select(
        "id",
        verdict=verdict.cast(pl.Categorical),
        reason=pl.when(has_lesson).then(None).otherwise("reason").cast(pl.Categorical),
        label=label.cast(pl.Categorical),
        answer=pl.coalesce("answer", "leading").cast(pl.Categorical),
        confidence=pl.coalesce("confidence_taught", "confidence"),
        conflict=pl.col("conflict").fill_null(False) | gated,
        first=pl.col("first").fill_null(0),
        count=pl.col("count").fill_null(0),
        lesson="lesson",
        loss="loss",
    )


def _with_keys(samples: pl.DataFrame) -> pl.DataFrame:
    """With a key for addresses: of the id, which may be long or hold anything; of the row where there is none."""
    nameless = pl.int_range(pl.len(), dtype=pl.UInt64)
    key = pl.when(pl.col("id").is_null()).then(nameless).otherwise(pl.col("id").hash(seed=0))
    return samples.with_columns(key=key, id=pl.col("id").fill_null("")).select(*SAMPLES)
