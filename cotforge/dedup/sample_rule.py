"""Samples as they are read: those that repeat an earlier one, or stand in a benchmark, are told before anybody is asked about them."""

import pickle
import sqlite3
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import Lock

from cotforge.dedup.found import Duplicate, FoundDuplicates
from cotforge.dedup.picture_index import Near, PictureIndex
from cotforge.dedup.references import References
from cotforge.dedup.spec import Dedup
from cotforge.dedup.thumbnail import make_thumbnail
from cotforge.records import Fault, Picture, Sample

STAGE = "dedup"
"""Of a loss, and the beginning of the reason under which it is counted."""
MANY = 500
"""New pictures from which on it is told that they are looked at."""
LONG = "dedup: pictures are compared, once for all; this may take a while"
_KEPT = "CREATE TABLE kept (number INTEGER PRIMARY KEY, key BLOB, id TEXT, digests BLOB, label TEXT, pictures BLOB)"


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The earlier sample that a sample repeats."""

    id: str
    label: str
    pictures: bytes
    """Pickled, where they are shown in the place of others; else empty."""
    exact: bool
    similarity: float
    flipped: bool


class DuplicateReading:
    """One reading of the source: each sample is compared with those before it. Memory stays flat."""

    def __init__(
        self,
        spec: Dedup,
        index: PictureIndex | None,
        references: References | None,
        *,
        question: str | None,
        tell: Callable[[Sequence[str]], object] = lambda lines: None,
    ) -> None:
        """`index`: None where only equal bytes count; `question`: that of the task, which says nothing about one sample."""
        self._spec, self._index, self._references, self._question, self._tell = spec, index, references, question, tell
        self.found = FoundDuplicates("sample")
        self._packed: dict[bytes, bytes | None] = {}
        """Thumbnails of pictures that are on their way to the index."""
        self._lock, self._new = Lock(), 0
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": private, on disk past 2 MB
        self._db.execute(_KEPT)
        self._db.execute("CREATE INDEX by_key ON kept (key)")
        self._db.execute("CREATE TABLE shown (id BLOB PRIMARY KEY, pictures BLOB) WITHOUT ROWID")
        self._db.execute("BEGIN")  # never committed: nobody else reads it
        weakref.finalize(self, self._db.close)

    def lacks(self, pictures: Sequence[Picture]) -> bool:
        """Whether `prepare` has something to do."""
        return self._index is not None and any(_digest(picture) not in self._index for picture in pictures)

    def prepare(self, pictures: Sequence[Picture]) -> None:
        """Look at pictures before they are judged; from any thread. Raises Fault where one has gone."""
        if self._index is None:
            return
        for picture in pictures:
            digest = _digest(picture)
            if digest not in self._packed and digest not in self._index:
                packed = make_thumbnail(picture.load())
                with self._lock:
                    self._packed[digest] = packed

    def judge(self, sample: Sample) -> Sample:
        """The Sample as it is asked about. Raises Fault of stage `dedup` where it is left out."""
        self._add_pictures(sample.pictures)
        self._demand_uncontaminated(sample)
        if self._spec.pictures == "off" or not sample.pictures:
            return sample
        earlier = self._find_earlier(sample)
        if earlier is None:
            self._keep(sample)
            return sample
        kind = "exact" if earlier.exact else "near"
        dropped = self._spec.keep == "first"
        self.found.add(
            Duplicate(
                sample.id, earlier.id, "exact" if earlier.exact else "near", "picture", earlier.similarity,
                "dropped" if dropped else "asked_once", sample.label or "", earlier.label, sample.where,
            )
        )  # fmt: skip
        if dropped:
            like = "equal to that" if earlier.exact else f"nearly that ({'mirrored, ' * earlier.flipped}{earlier.similarity:.2f} alike)"
            raise Fault(kind, f"its picture is {like} of sample {earlier.id!r}", where=sample.where, id=sample.id, stage=STAGE)
        return sample if earlier.exact else self._show_earlier(sample, earlier)

    def again(self) -> "ShownAgain":
        """What makes the same of Samples that were judged, and counts none of them twice."""
        return ShownAgain(self._db)

    def notes(self) -> list[str]:
        """Lines for the user about what was found so far."""
        return self.found.notes()

    def _add_pictures(self, pictures: Sequence[Picture]) -> None:
        if self._index is None:
            return
        for picture in pictures:
            digest = _digest(picture)
            if digest in self._index:
                continue
            with self._lock:
                ready, packed = digest in self._packed, self._packed.pop(digest, None)
            self._index.add(digest, packed if ready else make_thumbnail(picture.load()))
            self._new += 1
            if self._new == MANY:
                self._tell([LONG])

    def _demand_uncontaminated(self, sample: Sample) -> None:
        """Raises Fault where a reference has a picture of the sample, or words of its question."""
        if self._references is None:
            return
        what, place, similarity = "picture", None, None
        for digest, near in ((digest, near) for picture in sample.pictures for digest, near in self._alike(picture).items()):
            if (place := self._references.find_picture(digest)) is not None:
                similarity = near.similarity
                break
        if place is None and sample.question != self._question:
            what, place = "question", self._references.texts.find(sample.question)
        if place is not None:
            self.found.add(Duplicate(sample.id, place, "contaminated", what, similarity, "dropped", sample.label or "", "", sample.where))
            raise Fault("contaminated", f"its {what} is in {place}", where=sample.where, id=sample.id, stage=STAGE)

    def _alike(self, picture: Picture) -> Mapping[bytes, Near]:
        """The pictures that count as duplicates of this one, itself first."""
        digest = _digest(picture)
        found = {digest: Near(digest, 1.0, flipped=False)}
        for near in self._index.near(digest) if self._index is not None else ():
            if near.similarity >= self._spec.near and (self._spec.flips or not near.flipped):
                found[near.digest] = near
        return found

    def _find_earlier(self, sample: Sample) -> _Earlier | None:
        """The earliest sample with the same question and options whose pictures are each a duplicate of this one's."""
        if self._spec.pictures == "near":
            alike = [self._alike(picture) for picture in sample.pictures]
        else:
            alike = [{_digest(picture): Near(_digest(picture), 1.0, flipped=False)} for picture in sample.pictures]
        keys = [_key_of(sample, digest) for digest in alike[0]]
        query = f"SELECT id, label, pictures, digests FROM kept WHERE key IN ({','.join('?' * len(keys))}) ORDER BY number"
        for id, label, pictures, joined in self._db.execute(query, keys):
            digests = [joined[start : start + 32] for start in range(0, len(joined), 32)]
            if len(digests) == len(alike) and all(digest in near for digest, near in zip(digests, alike, strict=True)):
                pairs = [near[digest] for digest, near in zip(digests, alike, strict=True)]
                exact = digests == [_digest(picture) for picture in sample.pictures]
                return _Earlier(id, label, pictures, exact, min(pair.similarity for pair in pairs), any(pair.flipped for pair in pairs))
        return None

    def _keep(self, sample: Sample) -> None:
        shown = pickle.dumps(sample.pictures, pickle.HIGHEST_PROTOCOL) if self._spec.keep == "ask_once" else b""
        digests = b"".join(map(_digest, sample.pictures))
        id, label = (text.encode(errors="replace").decode() for text in (sample.id, sample.label or ""))
        row = (_key_of(sample, digests[:32]), id, digests, label, shown)
        self._db.execute("INSERT INTO kept (key, id, digests, label, pictures) VALUES (?, ?, ?, ?, ?)", row)

    def _show_earlier(self, sample: Sample, earlier: _Earlier) -> Sample:
        self._db.execute("INSERT OR REPLACE INTO shown VALUES (?, ?)", (_id_hash(sample), earlier.pictures))
        return _with_shown(sample, earlier.pictures)


class ShownAgain:
    """Samples that were judged in an earlier reading, as they were asked about there."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def lacks(self, pictures: Sequence[Picture]) -> bool:
        """Never: all is known."""
        return False

    def prepare(self, pictures: Sequence[Picture]) -> None:
        """Nothing to do."""

    def judge(self, sample: Sample) -> Sample:
        """See `DuplicateReading.judge`; what was left out there does not come again."""
        row = self._db.execute("SELECT pictures FROM shown WHERE id = ?", (_id_hash(sample),)).fetchone()
        return sample if row is None else _with_shown(sample, row[0])

    def again(self) -> "ShownAgain":
        """Itself."""
        return self

    def notes(self) -> list[str]:
        """None: they were told before."""
        return []


def _with_shown(sample: Sample, pictures: bytes) -> Sample:
    return replace(sample, pictures=pickle.loads(pictures), own=sample.pictures)


def _digest(picture: Picture) -> bytes:
    return bytes.fromhex(picture.digest)


def _id_hash(sample: Sample) -> bytes:
    return blake2b(sample.id.encode(errors="replace"), digest_size=16).digest()


def _key_of(sample: Sample, digest: bytes) -> bytes:
    """Of what is asked about the first picture."""
    asked = "\0".join((sample.question, *sample.options)).encode(errors="surrogatepass")
    return blake2b(digest + asked, digest_size=16).digest()
