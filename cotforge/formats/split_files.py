"""How rows of a split lie on the disk: lines of JSON, parquet, or tar files. The same rows give the same bytes."""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from cotforge.formats.row import ExportedPicture

GROUP_ROWS, GROUP_BYTES = 64, 32 << 20
"""Rows and bytes of pictures of a row group of parquet, at most: what is in memory."""
TAR_BYTES = 1 << 30
"""Bytes of a tar file, about: what the Hub's documentation advises for WebDataset."""
IMAGES_FEATURE = [{"_type": "Image"}]


class SplitFiles(Protocol):
    """The files of one split, while they are written."""

    def add(self, row: dict[str, Any], pictures: Sequence[ExportedPicture]) -> None:
        """One more row."""

    def close(self) -> str:
        """All rows are there. The name of the file, or of the first of several."""


class JsonLines:
    """A line of JSON for each row, and each picture once in a file of its own."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._name = folder, f"{split}.jsonl"
        self._file = (folder / self._name).open("w", encoding="utf-8", newline="\n")

    def add(self, row: dict[str, Any], pictures: Sequence[ExportedPicture]) -> None:
        """One more row."""
        for picture in pictures:
            path = self._folder / picture.path
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture.data)
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> str:
        """All rows are there."""
        self._file.close()
        return self._name


class ParquetShardWriter:
    """Rows with their pictures inside, a row group in memory at a time."""

    def __init__(self, folder: Path, split: str) -> None:
        self._path = folder / f"{split}.parquet"
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._writer: Any = None

    def add(self, row: dict[str, Any], pictures: Sequence[ExportedPicture]) -> None:
        """One more row."""
        self._rows.append(row)
        self._bytes += sum(len(cell["bytes"]) for cell in row["images"])
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush_rows()

    def close(self) -> str:
        """All rows are there."""
        self._flush_rows()
        if self._writer is not None:
            self._writer.close()
        return self._path.name

    def _flush_rows(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._rows:
            return
        if self._writer is None:
            info = {"info": {"features": {name: _hub_feature(name, value) for name, value in self._rows[0].items()}}}
            shape = pa.schema(
                [(name, _arrow_array(name, value)) for name, value in self._rows[0].items()], metadata={"huggingface": json.dumps(info)}
            )
            self._writer = pq.ParquetWriter(self._path, shape)
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._writer.schema))
        self._rows, self._bytes = [], 0


def _arrow_array(name: str, value: Any) -> Any:
    import pyarrow as pa

    if name == "images":
        return pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    if isinstance(value, list):
        return pa.list_(pa.struct([(key, pa.string()) for key in value[0]]))
    return pa.string()


def _hub_feature(name: str, value: Any) -> Any:
    """For `datasets`, in the form that every version of it reads."""
    text = {"dtype": "string", "_type": "Value"}
    if name == "images":
        return IMAGES_FEATURE
    return [dict.fromkeys(value[0], text)] if isinstance(value, list) else text


class Tars:
    """A tar file for rows with the same endings of pictures, since `datasets` wants the same files of each row."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._split = folder, split
        self._count = 0
        self._open: dict[tuple[str, ...], tarfile.TarFile] = {}
        self._stack = ExitStack()
        self._sizes: Counter[tuple[str, ...]] = Counter()
        self._made = 0

    def add(self, row: dict[str, Any], pictures: Sequence[ExportedPicture]) -> None:
        """One more row."""
        alike = tuple(picture.name.rpartition(".")[2] for picture in pictures)
        if alike not in self._open or self._sizes[alike] > TAR_BYTES:
            self._open[alike] = self._next_tar()
            self._sizes[alike] = 0
        tar, key = self._open[alike], f"{self._count:08}"
        self._count += 1
        for place, picture in enumerate(pictures):
            self._put_member(tar, f"{key}.{place}.{alike[place]}", picture.data)
        self._put_member(tar, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
        self._sizes[alike] += sum(len(picture.data) for picture in pictures)

    def close(self) -> str:
        """All rows are there."""
        self._stack.close()
        return f"{self._split}-00000.tar"

    def _next_tar(self) -> tarfile.TarFile:
        path = self._folder / f"{self._split}-{self._made:05}.tar"
        self._made += 1
        return self._stack.enter_context(tarfile.open(path, "w", format=tarfile.USTAR_FORMAT))

    @staticmethod
    def _put_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


KINDS_OF_FILES: Mapping[str, Callable[[Path, str], SplitFiles]] = {"jsonl": JsonLines, "parquet": ParquetShardWriter, "tar": Tars}
"""By what a format says of its files."""
