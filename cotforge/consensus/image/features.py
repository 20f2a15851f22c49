"""The features of a run's pictures: computed where they are not in the cache yet, a few at a time, and read from there."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cotforge.consensus.image import encoder, pixels
from cotforge.consensus.image.embeddings import Embeddings
from cotforge.consensus.image.feature_store import FeatureStore
from cotforge.consensus.image.gathered import Batches
from cotforge.consensus.image.projection import Vectors
from cotforge.consensus.image.samples import SamplePictures, gather_samples
from cotforge.consensus.image.spec import Image, ImageEmbeddings, ImageModel
from cotforge.consensus.sequential.terms import Terms
from cotforge.records import Fault, Picture, Sample

FILE = "cache/features.sqlite"
"""In the run folder."""
BATCH = 32
"""Pictures computed in one go."""
MANY = 500
"""New features from which on it is told that they are computed."""

LONG = "consensus.image: features of the pictures are computed, once for all; this may take a while"

Compute = Callable[[Sequence[bytes]], Sequence[Vectors | None]]


@dataclass(slots=True)
class _Met:
    """Samples as they are read."""

    ids: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """Of every picture of every Sample."""
    of: list[int] = field(default_factory=list)
    """The Sample of each."""

    def add(self, sample: Sample) -> None:
        self.of += [len(self.ids)] * len(sample.pictures)
        self.digests += [bytes.fromhex(picture.digest) for picture in sample.pictures]
        self.ids.append(sample.id)
        self.labels.append(sample.label)


@dataclass
class Features:
    """Where the features of a run's pictures come from, and where they are kept; called, they are read once."""

    image: Image
    root: Path
    """Of the pipeline file: a model's folder or a file of embeddings is named from there."""
    run: Path
    """The run folder."""
    samples: Callable[[], Iterable[Sample | Fault]]
    """Reads the source from its beginning."""
    tell: Callable[[Sequence[str]], object]
    """Gets lines where computing takes long."""
    _found: SamplePictures | None = None

    def demand(self) -> None:
        """Raises PipelineError where the features cannot be had, as far as that shows without reading them."""
        if isinstance(self.image, ImageModel):
            encoder.find_encoder(self.image.model, self.root)
        elif isinstance(self.image, ImageEmbeddings):
            Embeddings(self.root / self.image.embeddings)

    def __call__(self, terms: Terms, fold: Callable[[str], int]) -> SamplePictures:
        """The features of all Samples with their labels; `fold` parts them. Raises PipelineError, and JournalError on a full disk."""
        if self._found is None:
            self._found = self._read_features(terms.options if terms.label else (), fold)
        return self._found

    def _read_features(self, options: Sequence[str], fold: Callable[[str], int]) -> SamplePictures:
        met = _Met()
        if isinstance(self.image, ImageEmbeddings):
            file = Embeddings(self.root / self.image.embeddings)
            for sample in self.samples():
                if isinstance(sample, Sample):
                    met.add(sample)
            places = {id: place for place, id in enumerate(met.ids)}
            return gather_samples(met.ids, met.labels, options, lambda: file.read(places), fold=fold)
        with closing(FeatureStore(self.run / FILE, self._feature_recipe())) as store:
            self._compute_missing(met, store)
            return gather_samples(met.ids, met.labels, options, _stored_features(store, met), fold=fold)

    def _feature_recipe(self) -> str:
        return encoder.encoder_recipe(self.image.model, self.root) if isinstance(self.image, ImageModel) else pixels.RECIPE

    def _compute_missing(self, met: _Met, store: FeatureStore) -> None:
        """Reads all Samples, and keeps the features that are missing; a picture that cannot be read any more has none."""
        lacking: dict[bytes, Picture] = {}
        count = 0
        with self._open_encoder() as compute:
            for sample in self.samples():
                if isinstance(sample, Fault):
                    continue
                met.add(sample)
                for picture in sample.pictures:
                    digest = bytes.fromhex(picture.digest)
                    if digest not in lacking and digest not in store:
                        lacking[digest] = picture
                if len(lacking) >= BATCH:
                    count += len(lacking)
                    if count >= MANY > count - len(lacking):
                        self.tell([LONG])
                    _store_features(lacking, compute, store)
                    lacking = {}
            _store_features(lacking, compute, store)

    @contextmanager
    def _open_encoder(self) -> Iterator[Compute]:
        if isinstance(self.image, ImageModel):
            with encoder.open_encoder(self.image.model, self.root) as compute:
                yield compute
        else:
            yield lambda data: [pixels.pixel_vector(one) for one in data]


def _store_features(lacking: dict[bytes, Picture], compute: Compute, store: FeatureStore) -> None:
    """The features of pictures, into the store."""
    loaded: dict[bytes, bytes] = {}
    for digest, picture in lacking.items():
        try:
            loaded[digest] = picture.load()
        except Fault:
            continue  # whoever asks about it tells that it has changed
    if not loaded:
        return
    pairs = zip(loaded, compute(list(loaded.values())), strict=True)
    found = [(digest, vector) for digest, vector in pairs if vector is not None]
    if found:
        store.keep([digest for digest, _ in found], np.array([vector for _, vector in found], np.float32))


def _stored_features(store: FeatureStore, met: _Met) -> Batches:
    """Vectors with the places of their Samples, in the order of the digests, whatever that of the source."""
    order = sorted(range(len(met.digests)), key=lambda place: met.digests[place])

    def batches() -> Iterator[tuple[Sequence[int], Vectors]]:
        for places, vectors_BD in store.read(met.digests[place] for place in order):
            yield [met.of[order[place]] for place in places], vectors_BD

    return batches
