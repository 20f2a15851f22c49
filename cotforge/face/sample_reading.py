"""Everything that a run folder and its source hold about one sample."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from cotforge import gold
from cotforge.errors import CotforgeError, PipelineError, show_value
from cotforge.face.run_frames import scan_table
from cotforge.face.sample_view import SampleView
from cotforge.images import PictureStore
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.sources import Counts, RawRow
from cotforge.sources.sample_stream import make_samples


@dataclass(frozen=True)
class _SampleFacts:
    """What a sample is before any teacher is asked."""

    question: str
    options: tuple[str, ...]
    label: str | None
    pictures: tuple[bytes, ...]


def view_sample(run: Path, id: str) -> SampleView:
    """Raises PipelineError where neither the dataset nor the source has a sample of this id."""
    wanted = pl.col("id") == id
    lessons = scan_table(run, "lessons", images=True).filter(wanted).collect().to_dicts()
    traces = scan_table(run, "traces").filter(wanted).collect()
    losses = scan_table(run, "losses").filter(wanted).collect()
    verdict = _accepted_verdict(run, id)
    origin = _facts_of_lesson(lessons[0]) if lessons else _facts_of_source(run, id)
    if origin is None and not traces.height and not losses.height:
        raise PipelineError(f"{run}: there is no sample {show_value(id)}; `Run.traces()` lists the ids")
    origin = origin or _SampleFacts("", (), verdict.get("label"), ())
    decided = lessons[0] if lessons else verdict
    said = traces.filter(pl.col("ballot").is_not_null())
    return SampleView(
        id=id,
        question=origin.question,
        options=origin.options,
        label=origin.label,
        answer=decided.get("answer"),
        confidence=decided.get("confidence"),
        votes=dict(zip(said["teacher"], said["ballot"], strict=True)),
        traces=traces,
        losses=losses,
        lessons=[message["content"] for lesson in lessons for message in lesson["completion"]],
        pictures_bytes=origin.pictures,
    )


def _accepted_verdict(run: Path, id: str) -> dict[str, Any]:
    """The row of `verdicts.parquet` of a sample whose answer is accepted; empty for others, and where an earlier version wrote the run."""
    if not (run / "verdicts.parquet").exists():
        return {}
    found = scan_table(run, "verdicts").filter((pl.col("id") == id) & pl.col("accepted")).collect().to_dicts()
    return found[0] if found else {}


def _facts_of_lesson(lesson: dict[str, Any]) -> _SampleFacts:
    prompt = "\n".join(message["content"] for message in lesson["prompt"])  # of datasets without a column `question`
    return _SampleFacts(
        question=lesson.get("question") or prompt,
        options=tuple(lesson.get("options") or ()),
        label=lesson["label"],
        pictures=tuple(image["bytes"] for image in lesson["images"] if image["bytes"]),
    )


def _facts_of_source(run: Path, id: str) -> _SampleFacts | None:
    """None where the source has no such sample, or can no longer be read: a run may have been received without it."""
    try:
        with closing(_source_samples(run, id)) as samples:
            for found in samples:
                if found.id == id:
                    return _SampleFacts(found.question, found.options, found.label, tuple(_loaded_pictures(found)))
    except (CotforgeError, OSError):
        return None
    return None


def _source_samples(run: Path, id: str) -> Generator[Sample]:
    """The samples of a run's source that may have this id. Rows that bring another are passed over, and their pictures are not opened.

    What reading has to keep is kept apart, so that the run folder stays as it is.
    """
    loaded = Loaded.of_run(run, trust=False, sends=False)
    loaded = loaded.in_run(run, new="content" if gold.names_content(loaded, run) else "path")
    source, task, counts = loaded.pipeline.source, loaded.pipeline.task, Counts()
    with (
        TemporaryDirectory(prefix="cotforge-") as place,
        closing(PictureStore(Path(place), loaded.pipeline.images)) as store,
    ):
        rows = counts.used(source.rows(loaded.root, store.spool))
        near = (row for row in rows if isinstance(row, RawRow) and row.id in (None, id))
        with closing(make_samples(near, task, store, counts)) as read:
            yield from (found for _, found in read if isinstance(found, Sample))


def _loaded_pictures(sample: Sample) -> Iterator[bytes]:
    for picture in sample.pictures:
        try:
            yield picture.load()
        except Fault:  # it has changed or gone since
            continue
