"""What is held out: labelled Samples that no student is trained on, read from the source and never from the dataset."""

import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from cotforge.answers import Task
from cotforge.errors import PipelineError, SourceError
from cotforge.images import PictureStore
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.sandbox import Prompt
from cotforge.sources import read_samples


@dataclass(frozen=True)
class HeldOutSamples:
    """Samples with a label, in an order that depends on their pictures alone, and what the student is asked about them."""

    task: Task
    prompt: Prompt
    samples: tuple[Sample, ...]
    unlabelled: int = 0
    """Left out for want of a label."""
    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The digests of each Sample that is held out, by its id: of all, whatever `at_most` takes."""

    @classmethod
    def of(cls, loaded: Loaded, folder: Path) -> Self:
        """By `eval:` of a pipeline; `folder` is its run folder. Raises PipelineError where nothing is held out."""
        held = loaded.pipeline.eval
        if held is None:
            raise PipelineError(f"{loaded.path}: eval: is missing; hold samples out with eval: {{split: test}} or eval: {{share: 0.1}}")
        kept, pictures = list[Sample](), dict[str, tuple[str, ...]]()
        unlabelled = 0
        for sample in read_held_out(loaded, folder, held.split):
            if held.share is not None and not held.holds(sample):
                continue
            pictures[sample.id] = tuple(picture.digest for picture in sample.pictures)
            if sample.label is None:
                unlabelled += 1
            else:
                kept.append(sample)
        if not kept:
            what = f"split {held.split!r}" if held.split else f"share {held.share:g}"
            raise PipelineError(f"{loaded.path}: eval.{what}: holds out no labelled sample ({unlabelled:,} without a label)")
        first = heapq.nsmallest(held.at_most or len(kept), kept, key=_hash_key)
        return cls(loaded.pipeline.task, loaded.prompts.student, tuple(first), unlabelled, pictures)

    def read(self) -> dict[str, Any]:
        """What was read of the source, ready for another process, which knows task and prompt itself."""
        return {"samples": self.samples, "unlabelled": self.unlabelled, "pictures": self.pictures}

    def between(self, most: int | None) -> Self:
        """So many of the samples at most, each class by its share and with one at least while there is room; the same ones each time."""
        if most is None or most >= len(self.samples):
            return self
        support, met = Counter(sample.label for sample in self.samples), Counter[str | None]()
        turns = []
        for place, sample in enumerate(self.samples):
            turns.append((met[sample.label] / support[sample.label], place))
            met[sample.label] += 1
        chosen = sorted(place for _, place in heapq.nsmallest(most, turns))
        return replace(self, samples=tuple(self.samples[place] for place in chosen))

    @property
    def digest(self) -> str:
        """Changes with the samples and their labels: figures of the same digest can be compared."""
        asked = [(sample.id, [picture.digest for picture in sample.pictures], sample.label) for sample in self.samples]
        return sha256(json.dumps(asked).encode()).hexdigest()

    def messages(self, sample: Sample) -> tuple[Mapping[str, Any], ...]:
        """What the student is asked: the very text it is trained on, its images before it. Raises as `Prompt.render`."""
        content: list[dict[str, str]] = [{"type": "image", "digest": picture.digest} for picture in sample.pictures]
        content.append({"type": "text", "text": self.prompt.render(sample)})
        return ({"role": "user", "content": content},)


def read_held_out(loaded: Loaded, folder: Path, split: str | None = None) -> Iterator[Sample]:
    """The Samples of the source, or of another split of it. Raises SourceError, PipelineError where a folder has no such split."""
    source = loaded.pipeline.source
    if split is not None:
        source = source.model_copy(update={"split": split, "limit": None})
    store = PictureStore(folder, loaded.pipeline.images)
    try:
        for each in read_samples(source, loaded.pipeline.task, store, root=loaded.root):
            if not isinstance(each, Fault):
                yield each
    except SourceError as fault:
        if split is not None and source.kind == "imagefolder" and "nothing tells splits apart" in str(fault):
            raise PipelineError(f"eval.split: {source.path} has no folder {split}/; use eval: {{share: 0.1}}") from fault
        raise
    finally:
        store.close()


def _hash_key(sample: Sample) -> str:
    """By hash: the first of a source are often all of one class."""
    return sha256("\n".join((*(picture.digest for picture in sample.pictures), sample.id)).encode()).hexdigest()
