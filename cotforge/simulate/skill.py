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
from cotforge.images.look import look
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.simulate.eyes import eye
from cotforge.simulate.sight import Sight, see
from cotforge.sources import samples
from cotforge.teachers.simulated import Simulated

TRIED = 200
"""Labelled samples of the source, from its beginning, that a teacher is tried on at most (chosen by us: within 7 % of the truth)."""
LOOKED_AT = 2_000
"""Samples of the source that are looked at for them."""


class Trial:
    """The labelled samples of a source, read once for all teachers; none where there is no source to be read."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._options = loaded.pipeline.task.options()
        self._samples: list[tuple[str, str, Sight]] | None = None

    def words(self, simulated: Simulated) -> str:
        """What there is to say of a teacher's skill, on labels as the source has them. Raises PipelineError where it cannot be trained."""
        if simulated.stuck is not None or not self._options:
            return ""
        if simulated.learn is None:
            return "no skill (it has nothing to learn from)"
        learned = _learned(self._loaded.root / simulated.learn)
        fresh = [(label, sight) for digest, label, sight in self._read() if digest not in learned][:TRIED]
        if not fresh:
            return "skill unknown (the source has no labelled sample that it has not learned)"
        judge = eye(simulated, self._options, root=self._loaded.root)
        right = sum(max(scores, key=scores.__getitem__) == label for label, sight in fresh for scores in [judge.scores([sight])])
        return f"right about {right / len(fresh):.0%} of {len(fresh):,} samples that it has not learned (by their labels)"

    def _read(self) -> Sequence[tuple[str, str, Sight]]:
        """(digest, label, what is seen) of each sample with one picture and a label."""
        if self._samples is None:
            self._samples = []
            pipeline = self._loaded.pipeline
            with tempfile.TemporaryDirectory(prefix="cotforge-simulate-") as folder, closing(PictureStore(Path(folder), Images())) as store:
                try:
                    for item in islice(samples(pipeline.source, pipeline.task, store, root=self._loaded.root), LOOKED_AT):
                        if isinstance(item, Sample) and item.label in self._options and len(item.pictures) == 1:
                            self._samples.append((item.pictures[0].digest, str(item.label), see(item.pictures[0].load())))
                except (SourceError, Fault, ValueError, OSError):
                    pass  # a rehearsal needs no source; `check` tells what is wrong with it
        return self._samples


def _learned(path: Path) -> frozenset[str]:
    """Digests of the pictures that a CSV teaches, as a source's samples have them; what cannot be read is told where it is learned."""
    found = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                found.add(sha256(look((path.parent / (row.get("image") or "")).read_bytes(), Images()).data).hexdigest())
    except (OSError, ValueError, Fault):
        pass
    return frozenset(found)
