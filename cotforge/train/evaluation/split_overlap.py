"""That no lesson is made of a Sample that is held out: a dataset may be older than `eval:`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.train.data.lessons import Lessons
from cotforge.train.evaluation.held_out import HeldOutSamples, read_held_out

COLUMNS = ("id", "images.list.element.path")
"""Of lessons and of pairs; the bytes of pictures are not read."""


def demand_apart(loaded: Loaded, folder: Path, held: HeldOutSamples, lessons: Lessons) -> None:
    """By `eval:` of a pipeline; `folder` is its run folder. Raises PipelineError where a lesson is made of what is held out.

    By `share`, a Sample is known by its pictures, in the run's own dataset by its id too. By `split`, it is known by both together, and one
    that is in a split for training as well is the data's own.
    """
    plan, train = loaded.pipeline.eval, loaded.pipeline.train
    assert plan is not None
    own = train is not None and train.data is None
    found: list[tuple[str, tuple[str, ...]]] = []
    for row in lessons.rows(COLUMNS):
        sample, pictures = str(row["id"]), _picture_digests(row)
        if plan.share is None:
            leaks = bool(pictures) and held.pictures.get(sample) == pictures
        else:
            leaks = plan.holds_pictures(pictures) or (own and sample in held.pictures)
        if leaks:
            found.append((sample, pictures))
    if found and plan.split is not None:
        trained = _trained_ids(loaded, folder, plan.split, dict(found))
        found = [each for each in found if each[0] not in trained]
    if found:
        mend = "run `cotforge build` again, it asks nothing" if own else "take a dataset that was built with this eval:"
        raise PipelineError(f"{len(found):,} of {len(lessons):,} lessons are made of samples that eval: holds out; {mend}")


def _trained_ids(loaded: Loaded, folder: Path, split: str, among: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Those Samples, by id, that the source has in another split too."""
    of_split = (sample for sample in read_held_out(loaded, folder) if sample.split != split)
    return {sample.id for sample in of_split if among.get(sample.id) == tuple(picture.digest for picture in sample.pictures)}


def _picture_digests(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The digests of a lesson's pictures, which are their names where cotforge built it; empty elsewhere."""
    names = [str(image.get("path") or "").rpartition("/")[2] for image in row.get("images") or () if image]
    digests = tuple(name.partition(".")[0] for name in names)
    return digests if all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests) else ()
