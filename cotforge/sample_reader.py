"""The Samples of a pipeline: all of them in the order of the source, or wave by wave."""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

from cotforge.errors import SourceError
from cotforge.images import PictureStore
from cotforge.pipeline import Loaded
from cotforge.pipeline_paths import path_origin
from cotforge.records import Fault, Sample
from cotforge.sequence import Guide
from cotforge.sources import Counts, Index, RawRow, read_samples
from cotforge.sources.sample_rules import DuplicateRule

if TYPE_CHECKING:
    from cotforge.consensus.image.features import Features
    from cotforge.dedup.lesson_rule import LessonRule
    from cotforge.dedup.readings import DuplicateReadings


Tell = Callable[[Sequence[str]], object]

LABELS_LOOKED_AT = 200
"""Rows that a build reads before it says that no sample has a label (default chosen by us)."""


class SampleReader:
    """Reads what a run asks about; Samples that `eval:` holds out are left out."""

    def __init__(
        self,
        loaded: Loaded,
        store: PictureStore,
        limit: int | None = None,
        *,
        spreads: bool = True,
        judges: bool = True,
        tell: Tell = lambda lines: None,
    ) -> None:
        """`limit` and `spreads` as `sources.samples` has them; `tell` gets lines where something takes long.

        Without `judges`, duplicates stay among the Samples, each with its own pictures: for who looks Samples up by their ids.
        """
        self._judges = judges
        self._tell = tell
        self._loaded, self._store, self._limit, self._spreads = loaded, store, limit, spreads
        self._indexed: tuple[Guide, Index] | None = None
        self._unmet = set[str]()
        """Those of `sought` that no row of the index has, as far as it was read."""
        self.counts = Counts()
        """Of the latest reading."""
        self.hashes = False
        """Whether readings of `samples` are hashed, a sixth of their time; only a build that may leave a mark needs it."""
        self.source_hash: str | None = None
        """Of all that the latest reading of `samples` gave, and was compared with, where it came to its end and was hashed."""
        self.sought: Collection[str] = ()
        """ids that readings look for."""
        self.unmet: set[str] | None = None
        """Those of `sought` that no row had in the latest reading to the end; None where none came there."""

    @cached_property
    def features(self) -> "Features | None":
        """Those of the Samples' pictures, where `consensus.image` lets them vote."""
        image = self._loaded.pipeline.consensus.image
        if image is None:
            return None
        from cotforge.consensus.image.features import Features  # numpy

        return Features(image, self._loaded.root, self._store.folder, self.samples, self._tell)

    def demand_features(self) -> None:
        """Raises PipelineError where what the features of pictures come from is wrong."""
        if self.features is not None:
            self.features.demand()

    @cached_property
    def _duplicates(self) -> "DuplicateReadings | None":
        """What judges duplicates, where the pipeline looks for any."""
        pipeline = self._loaded.pipeline
        if not pipeline.dedup.looks_for_any or not self._judges:
            return None
        from cotforge.dedup.readings import DuplicateReadings  # numpy

        return DuplicateReadings(
            pipeline.dedup, self._store, source=pipeline.source, held=pipeline.eval, root=self._loaded.root, tell=self._tell
        )

    def _judge_duplicates(self) -> DuplicateRule | None:
        """For one reading of the source from its beginning."""
        return None if self._duplicates is None else self._duplicates.begin(question=self._loaded.pipeline.task.question)

    def lesson_rule(self) -> "LessonRule | None":
        """For one curating: which texts repeat others; None where all may. Raises SourceError for what is compared with."""
        return None if self._duplicates is None else self._duplicates.lesson_rule()

    def close(self) -> None:
        """Lets go of the rows that wait for their wave."""
        if (duplicates := self.__dict__.get("_duplicates")) is not None:
            duplicates.close()
        if self._indexed is not None:
            self._indexed[1].close()
            self._indexed = None

    def samples(self) -> Generator[Sample | Fault]:
        """The source from its beginning; `counts` is of this reading from now on. Raises SourceError."""
        return self._begin_reading(hashed=self.hashes)

    def _begin_reading(self, *, hashed: bool) -> Generator[Sample | Fault]:
        counts = self.counts = Counts(repeated=self._judge_duplicates())
        source, task = self._loaded.pipeline.source, self._loaded.pipeline.task
        read = read_samples(
            source, task, self._store, root=self._loaded.root, limit=self._limit, spreads=self._spreads,
            held_out=self._loaded.pipeline.eval, counts=counts,
        )  # fmt: skip
        self.source_hash = None
        items = self._read_to_end(read)
        return self._hash_items(items, counts) if hashed else items

    def _read_to_end(self, items: Generator[Sample | Fault]) -> Generator[Sample | Fault]:
        unmet = set(self.sought)
        with closing(items), self._named_variables():
            for item in items:
                if unmet and item.id is not None:
                    unmet.discard(item.id)
                yield item
        self.unmet = unmet

    def _hash_items(self, items: Generator[Sample | Fault], counts: Counts) -> Generator[Sample | Fault]:
        found = sha256()
        with closing(items):
            for item in items:
                found.update(_item_text(item).encode(errors="surrogatepass"))
                yield item
        compared = "" if self._duplicates is None else self._duplicates.references_hash
        told = (counts.rows, counts.duplicates, counts.labels_missing, counts.notes(), compared)
        found.update(repr(told).encode(errors="surrogatepass"))
        self.source_hash = found.hexdigest()

    def hash_source(self) -> str:
        """Reads the source to its end; the hash of all that it gave. Raises SourceError."""
        for _ in self._begin_reading(hashed=True):
            pass
        assert self.source_hash is not None
        return self.source_hash

    @contextmanager
    def _named_variables(self) -> Iterator[None]:
        """Inside, the fault of a source that is not there names the variable that its path comes from."""
        try:
            yield
        except SourceError as fault:
            origin = path_origin("source.path", self._loaded.unexpanded["source"].get("path"), self._loaded.root)
            if not origin or not fault.faults[0].startswith("source.path: "):
                raise
            raise SourceError(*(f"{line}; {origin}" for line in fault.faults)) from fault

    def missing_labels(self) -> list[str]:
        """A line where the vote or `eval:` looks at labels, and no Sample that was read has one; at least the first ones are read."""
        consensus, held = self._loaded.pipeline.consensus, self._loaded.pipeline.eval
        if self.counts.labelled or not (consensus.looks_at_labels or (held is not None and held.share)):
            return []
        if self.source_hash is None and self.counts.rows < LABELS_LOOKED_AT:
            with closing(self.samples()) as read:
                for _ in islice(read, LABELS_LOOKED_AT):
                    if self.counts.labelled:
                        break
        return [*filter(None, [self.counts.without_labels()])]

    def of_wave(self, guide: Guide, wave: int = 0, *, stopped: Callable[[], object] = bool) -> Iterator[Sample | Fault]:
        """The same Samples wave by wave, the source read once; `counts` is of what was read so far. Raises SourceError."""
        index = self._source_index(guide)
        with self._named_variables():
            for item in index.of_wave(wave, stopped=stopped):
                self.counts = index.counts
                if item.id is not None:
                    self._unmet.discard(item.id)  # also of a Fault, which has no wave
                yield item
        if wave == 0 and not stopped():
            self.unmet = self._unmet

    def _source_index(self, guide: Guide) -> Index:
        if self._indexed is None or self._indexed[0] is not guide:
            self.close()
            source, task = self._loaded.pipeline.source, self._loaded.pipeline.task
            wave, root, unmet = guide.waves.wave, self._loaded.root, set(self.sought)
            self._unmet = unmet

            def seen_wave(id: str) -> int:  # the first reading, to the end of the source, asks it of every id
                unmet.discard(id)
                return wave(id)

            self._indexed = guide, Index(
                source, task, self._store, root=root, wave=seen_wave, limit=self._limit, spreads=self._spreads,
                held_out=self._loaded.pipeline.eval, repeated=self._judge_duplicates,
            )  # fmt: skip
        return self._indexed[1]

    @cached_property
    def total(self) -> int:
        """About how many Samples there are: rows, without a look at their pictures. Raises SourceError."""
        source, total = self._loaded.pipeline.source, None
        with self._named_variables():
            with suppress(OSError):  # whoever reads the source for good tells what is wrong with it
                total = source.size(self._loaded.root)
            if total is None:
                total = sum(isinstance(row, RawRow) for row in source.rows(self._loaded.root, self._store.spool))
        return min(total, *(most for most in (self._limit, source.limit) if most is not None), total)


def _item_text(item: Sample | Fault) -> str:
    """All that a Sample or a Fault says, but for where the bytes of pictures are read from."""
    if isinstance(item, Fault):
        return repr((item.reason, item.detail, item.where, item.id, item.stage))
    return f"{item!r}{[picture.place for picture in item.pictures]!r}"
