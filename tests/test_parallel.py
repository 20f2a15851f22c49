"""Other processes find what this one would, in the same order, and their troubles are told here."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cotforge.curation import Curation
from cotforge.errors import PipelineError
from cotforge.parallel import CHUNK, in_processes
from cotforge.records import CuratedSample, Fault, Sample
from cotforge.session import RunSession
from tests.project import LABELS, ran, replay, write_pipeline, write_rows

OWN = """
from cotforge import PipelineError


def picture_bytes(sample, trace, verdict):
    return float(len(sample.pictures[0].load()))


def picky(sample, trace, verdict):
    if sample.id == "row-7":
        raise PipelineError("own.py: row-7 is not to my taste")
    return 1.0
"""


def built(folder: Path, rows: int, measure: str) -> Path:
    """A finished run of three teachers that agree now and then, and of one broken row."""
    write_rows(folder, rows)
    (folder / "images/3.jpg").write_bytes(b"")
    (folder / "own.py").write_text(OWN)
    said = [
        {f"row-{row}": f"<think>{'it seems ' * 4}so</think><answer>{LABELS[(row * t) % 4]}</answer>" for row in range(rows)}
        for t in (1, 2, 3)
    ]
    teachers = [replay(folder, f"t{number}", dict(replies)) for number, replies in enumerate(said)]
    write_pipeline(
        folder,
        *teachers,
        consensus={"rule": "dawid_skene", "target": 0.51, "soft_labels": True},
        filters=[{"measure": f"own.py:{measure}", "min": 0}],
        select={"per_class": 5},
    )
    assert ran("build", "pipeline.yaml", "--set", "filters.0.measure=well_formed", cwd=folder).returncode == 0
    return folder / "runs/feelings"


def outcomes(run: RunSession, many: int) -> list[Any]:
    curation = Curation(run.loaded, run.journal, run.samples, many=many)
    return [item if isinstance(item, CuratedSample) else (item.reason, item.where) for item in curation.outcomes()] + [
        curation.decider.estimates
    ]


def test_processes_find_what_this_one_finds_in_the_same_order(tmp_path: Path) -> None:
    built(tmp_path, CHUNK * 2 + 5, "picture_bytes")
    with RunSession.open(tmp_path / "pipeline.yaml", out=tmp_path / "runs/feelings") as run:
        alone, together = outcomes(run, many=10**9), outcomes(run, many=0)
    assert together == alone
    assert sum(isinstance(item, CuratedSample) and bool(item.lessons) for item in together) == 10  # five of each of two labels
    assert together[3] == ("image_empty", "rows.jsonl:4")
    classes = Counter(item.verdict.answer for item in together if isinstance(item, CuratedSample) and item.lessons)
    assert max(classes.values()) == 5, "select.per_class is known to every process"


def test_what_goes_wrong_in_a_process_is_raised_here(tmp_path: Path) -> None:
    built(tmp_path, 9, "picky")
    with (
        RunSession.open(tmp_path / "pipeline.yaml", out=tmp_path / "runs/feelings") as run,
        pytest.raises(PipelineError, match="row-7 is not to my taste"),
    ):
        outcomes(run, many=0)


def test_only_a_bounded_number_of_samples_is_read_ahead() -> None:
    read = 0

    def endless() -> Iterator[Sample | Fault]:
        nonlocal read
        while True:
            read += 1
            yield Sample(str(read), (), "?") if read % 5 else Fault("broken", id=str(read))

    found = in_processes(endless(), str.__add__, start=(str, ()))
    with pytest.raises(TypeError):
        list(found)
    assert read <= CHUNK * (2 * min(4, os.cpu_count() or 1) + 2)
