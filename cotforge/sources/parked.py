"""Rows that wait in a file without a name, so that memory holds 8 bytes of each."""

import pickle
from typing import BinaryIO

from cotforge.errors import JournalError
from cotforge.records import Fault
from cotforge.sources.raw_rows import RawRow


class Parked:
    """Rows and Faults, kept and read again by their places. Not to be used by two threads at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._end = file, 0

    def keep(self, row: RawRow | Fault) -> int:
        """The row's place. Raises JournalError on a full disk."""
        data, place = pickle.dumps(row, pickle.HIGHEST_PROTOCOL), self._end
        try:
            self._file.write(data)
        except OSError as err:
            raise JournalError(f"the cache of the run folder: {err.strerror}; make room for the rows of the source") from err
        self._end += len(data)
        return place

    def at(self, place: int) -> RawRow | Fault:
        """The row that was kept there. Raises JournalError on a full disk."""
        try:
            self._file.seek(place)
        except OSError as err:  # what was still to be written
            raise JournalError(f"the cache of the run folder: {err.strerror}; make room for the rows of the source") from err
        row: RawRow | Fault = pickle.load(self._file)
        return row

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()
