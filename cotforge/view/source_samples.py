"""The Samples of a run's source, read once by a thread beside the pages: for pictures, questions and labels that the dataset lacks."""

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Lock, Thread
from typing import BinaryIO, cast

from cotforge import gold
from cotforge.errors import CotforgeError
from cotforge.images import PictureStore
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.sample_reader import SampleReader

_PAUSE_S = 0.001
"""Seconds after every few samples in which pages come first."""
_AT_A_TIME = 16


def load_pipeline(run: Path, *, trust: bool) -> Loaded:
    """The pipeline of a run folder, as `cotforge curate` would use it. Raises CotforgeError."""
    loaded = Loaded.of_run(run, trust=trust, sends=False)
    return loaded.in_run(run, new="content" if gold.names_content(loaded, run) else "path")


class SampleShelf:
    """Samples kept in a file without a name; about 100 bytes of memory for each.

    Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 (closed with the shelf)
        self._lock = Lock()
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    def __len__(self) -> int:
        return len(self._places)

    def put_sample(self, sample: Sample) -> None:
        """Keep one."""
        data = pickle.dumps(sample, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._file.seek(self._end)
            self._file.write(data)
            self._places[sample.id] = self._end, len(data)
            self._end += len(data)

    def get_sample(self, id: str) -> Sample | None:
        """The one of this id; None where it is not here, or not yet."""
        with self._lock:
            place = self._places.get(id)
            if place is None:
                return None
            self._file.seek(place[0])
            data = self._file.read(place[1])
        sample: Sample = pickle.loads(data)
        return sample

    def list_ids(self) -> list[str]:
        """Of all that are here, in the order in which they came."""
        with self._lock:
            return list(self._places)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class SourceWalk:
    """Reads the source of a run from its beginning in a thread of its own.

    Keeps what it meets on a shelf.
    """

    def __init__(self, run: Path, loaded: Loaded) -> None:
        """Begins at once."""
        self.shelf = SampleShelf()
        self.fault = ""
        """Why the source cannot be read, in one line; empty where it can."""
        self._run, self._loaded = run, loaded
        self._stopped, self._ended = Event(), Event()
        self._thread = Thread(target=self._read_source, name="source", daemon=True)
        self._thread.start()

    @property
    def is_whole(self) -> bool:
        """Whether the source has been read to its end."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether the source has been read to its end, after at most so many seconds."""
        return self._ended.wait(seconds)

    def stop(self) -> None:
        """End the thread, and let go of the shelf."""
        self._stopped.set()
        self._thread.join(10)
        self.shelf.close()

    def _read_source(self) -> None:
        try:
            for number, sample in enumerate(self._sound_samples()):
                self.shelf.put_sample(sample)
                if self._stopped.wait(_PAUSE_S if number % _AT_A_TIME == 0 else 0):
                    return
        except (CotforgeError, OSError) as fault:
            self.fault = " ".join(str(fault).split())[:300]
        finally:
            self._ended.set()

    def _sound_samples(self) -> Iterator[Sample]:
        limit, spreads = self._loaded.limit(self._run)
        judges = limit is not None  # which Samples are within a limit depends on which are duplicates
        with (
            closing(PictureStore(self._run, self._loaded.pipeline.images)) as store,
            closing(SampleReader(self._loaded, store, limit, spreads=spreads, judges=judges)) as reader,
        ):
            yield from (item for item in reader.samples() if not isinstance(item, Fault))
