"""How good a simulated teacher is on samples of the pipeline's own source that it has not learned from."""

import csv
import tempfile
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from itertools import islice
from pathlib import Path

from cotforge.errors import SourceError
from cotforge.images import Images, PictureStore
from cotforge.images.look import look_at
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.simulate.cells import STYLES, work_out
from cotforge.simulate.eyes import Eye, best_label, make_eye
from cotforge.simulate.sight import Floats, see_cells
from cotforge.sources import read_samples
from cotforge.teachers.simulated import GridCells, Simulated

TRIED = 200
"""Labelled samples of the source, from its beginning, that a teacher is tried on at most (chosen by us: within 7 % of the truth)."""
LOOKED_AT = 2_000
"""Samples of the source that are looked at for them."""


class SkillTrial:
    """The labelled samples of a source, read once for all teachers; none where there is no source to be read."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._task = loaded.pipeline.task
        self._options = self._task.options()
        self._samples: dict[GridCells | None, list[tuple[str, str, Floats]]] = {}

    def words(self, simulated: Simulated) -> str:
        """What there is to say of a teacher's skill, on labels as the source has them. Raises PipelineError where it cannot be trained."""
        grid = simulated.cells
        if simulated.stuck is not None or not (self._options or grid):
            return ""
        if simulated.learn is None:
            return "no skill (it has nothing to learn from)"
        learned = _learned_digests(self._loaded.root / simulated.learn)
        fresh = [(label, inks) for digest, label, inks in self._read_samples(grid) if digest not in learned][:TRIED]
        if not fresh:
            return "skill unknown (the source has no labelled sample that it has not learned)"
        judge = make_eye(simulated, () if grid else self._options, root=self._loaded.root)
        right = sum(self._judge_answer(judge, inks, grid) == label for label, inks in fresh)
        return f"right about {right / len(fresh):.0%} of {len(fresh):,} samples that it has not learned (by their labels)"

    def _judge_answer(self, judge: Eye, inks: Floats, grid: GridCells | None) -> str | None:
        read = [best_label(scores) for scores in judge.scores_each(inks)]
        return read[0] if grid is None else self._task.comparable(work_out(grid, read, style=STYLES[0])[1])

    def _read_samples(self, grid: GridCells | None) -> Sequence[tuple[str, str, Floats]]:
        """(digest, label, ink) of each sample with one picture and a label; the ink is that of the picture, or of each of its cells."""
        if grid not in self._samples:
            self._samples[grid] = found = []
            pipeline = self._loaded.pipeline
            with tempfile.TemporaryDirectory(prefix="cotforge-simulate-") as folder, closing(PictureStore(Path(folder), Images())) as store:
                try:
                    for item in islice(read_samples(pipeline.source, pipeline.task, store, root=self._loaded.root), LOOKED_AT):
                        if isinstance(item, Sample) and item.label and (grid or item.label in self._options) and len(item.pictures) == 1:
                            data = item.pictures[0].load()
                            inks, _ = see_cells(data, rows=grid.rows if grid else 1, columns=grid.columns if grid else 1)
                            found.append((item.pictures[0].digest, item.label, inks))
                except (SourceError, Fault, ValueError, OSError):
                    pass  # a rehearsal needs no source; `check` tells what is wrong with it
        return self._samples[grid]


def _learned_digests(path: Path) -> frozenset[str]:
    """Digests of the pictures that a CSV teaches, as a source's samples have them; what cannot be read is told where it is learned."""
    found = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                found.add(sha256(look_at((path.parent / (row.get("image") or "")).read_bytes(), Images()).data).hexdigest())
    except (OSError, ValueError, Fault):
        pass
    return frozenset(found)
