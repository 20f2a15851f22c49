"""A file that is sent by HTTP, whose bytes are counted as they go. Imports the client when it is imported."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from huggingface_hub import CommitOperationAdd

from cotforge.hub.upload_meter import UploadMeter


@dataclass
class CountedAddition(CommitOperationAdd):  # type: ignore[misc]
    """As the client's own, which opens the file by `as_file` each time that it sends it."""

    meter: UploadMeter | None = None

    @contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
        """The file, open for reading; where it is opened to be sent, its bytes are counted."""
        if self.meter is None or not with_tqdm or not isinstance(self.path_or_fileobj, str | Path):
            with super().as_file() as file:
                yield file
            return
        with _CountedFile(str(self.path_or_fileobj), self.path_in_repo, self.meter) as file:
            yield file


class _CountedFile(io.FileIO):
    """Tells how far it was read; after a broken connection it is read from the start again."""

    def __init__(self, path: str, name: str, meter: UploadMeter) -> None:
        super().__init__(path, "rb")
        self._name, self._meter = name, meter

    def read(self, size: Any = -1, /) -> Any:
        if self._meter.cancelled:
            raise InterruptedError("nobody waits for it any more")
        data = super().read(size)
        self._meter.set_place(self._name, self.tell())
        return data
