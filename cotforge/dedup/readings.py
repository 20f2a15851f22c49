"""What judges duplicates in each reading of a run's source: the index of pictures and the references are opened once."""

from collections.abc import Callable, Sequence
from pathlib import Path

from cotforge.dedup.lesson_rule import LessonRule
from cotforge.dedup.picture_index import PictureIndex
from cotforge.dedup.references import HeldOutSplit, ReferenceReader, References
from cotforge.dedup.sample_rule import DuplicateReading
from cotforge.dedup.spec import Dedup
from cotforge.images import PictureStore
from cotforge.sources import Source


class DuplicateReadings:
    """Opened by the first reading."""

    def __init__(
        self,
        spec: Dedup,
        store: PictureStore,
        *,
        source: Source,
        held: HeldOutSplit | None,
        root: Path,
        tell: Callable[[Sequence[str]], object],
    ) -> None:
        """`source`, `held` (`eval:`) and `root` are the pipeline's; `tell` gets lines for the user."""
        self._spec, self._store, self._source, self._held, self._root, self._tell = spec, store, source, held, root, tell
        self._index: PictureIndex | None = None
        self._references: References | None = None

    @property
    def references(self) -> References | None:
        """What `dedup.against` names, read once; None where it names nothing. Raises SourceError."""
        if self._references is None and self._spec.against:
            reader = ReferenceReader(self._store, self._opened_index(), self._source, self._held, self._root)
            self._references = reader.read(self._spec.against)
            self._tell(self._references.notes)
        return self._references

    @property
    def references_hash(self) -> str:
        """Of all that samples are compared with beside each other; empty where that is nothing. Raises SourceError."""
        return "" if self.references is None else self.references.content_hash

    def begin(self, *, question: str | None) -> DuplicateReading | None:
        """For one reading of the source from its beginning; None where samples are not compared. `question` is that of the task."""
        if self._spec.pictures == "off" and not self._spec.against:
            return None
        near = self._spec.pictures == "near" or bool(self._spec.against)
        index = self._opened_index() if near else None
        return DuplicateReading(self._spec, index, self.references, question=question, tell=self._tell)

    def lesson_rule(self) -> LessonRule | None:
        """For one curating; None where texts are not compared."""
        if self._spec.reasoning is None and not self._spec.against:
            return None
        return LessonRule(self._spec.reasoning, None if self.references is None else self.references.texts)

    def close(self) -> None:
        """Closes the index."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _opened_index(self) -> PictureIndex:
        if self._index is None:
            self._index = PictureIndex(self._store.folder)
        return self._index
