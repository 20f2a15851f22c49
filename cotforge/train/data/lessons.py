"""What a student learns from: a dataset's lessons, or the raw source written down once by reference. Never all of it in memory."""

import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pyarrow.dataset import ParquetFragmentScanOptions

from cotforge.atomic import replace_file
from cotforge.errors import PipelineError, SourceError, in_words
from cotforge.export.columns import ASSISTANT, IMAGES, TEXT, TEXTS, USER, Columns, arrow_schema, arrow_table
from cotforge.export.rows import split_name
from cotforge.images.loading import lies_in
from cotforge.plan import Eval
from cotforge.records import Fault, Sample
from cotforge.sources.paths import Folder

NEEDED = ("id", "images", "prompt", "completion", "answer")
LISTS = {"images": "pictures", "prompt": "messages", "completion": "messages"}
"""Columns of them that hold several things in a row."""
OTHER = ("traces", "preference")
"""Folders of a dataset that hold no lessons."""
SOURCE: Columns = {
    "id": TEXT, "images": IMAGES, "prompt": USER, "completion": ASSISTANT, "question": TEXT, "options": TEXTS, "answer": TEXT,
}  # fmt: skip
GROUP = 1_000
"""Rows of the source written at a time."""


@dataclass(frozen=True)
class Lessons:
    """Parquet files of lessons, in order; `cache` is where a form of them lies that can be read at any row."""

    files: tuple[Path, ...]
    cache: Path
    without: str | None = None
    """A split that is left out."""

    def __len__(self) -> int:
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    @cached_property
    def digest(self) -> str:
        """Changes with the files: their names, which carry a hash of what is in them where cotforge wrote them, sizes and ends."""
        return sha256(json.dumps([(file.name, file.stat().st_size, _footer_hash(file)) for file in self.files]).encode()).hexdigest()

    def pairs(self) -> "Lessons":
        """The right and wrong texts of the same dataset. Raises PipelineError where it has none."""
        folder = next((found for file in self.files for found in file.parents[:2] if (found / "preference").is_dir()), None)
        files = [file for file in sorted((folder / "preference").glob("*.parquet")) if not _is_of(file, self.without)] if folder else []
        if not files:
            raise PipelineError("dataset: has no pairs of a right and a wrong text (preference/); leave the stage of kind dpo out")
        return Lessons(tuple(files), self.cache, self.without)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every row as plain values, a row group in memory at a time."""
        for file in self.files:
            whole = pq.ParquetFile(file)
            for group in range(whole.num_row_groups):
                yield from whole.read_row_group(group, columns=columns).to_pylist()

    def rows_at(self, places: Sequence[int], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Those rows as plain values, by their places in ascending order; only row groups that hold one of them are read."""
        first, left = 0, deque(places)
        for file in self.files:
            whole = pq.ParquetFile(file)
            for group in range(whole.num_row_groups):
                here, end = list[int](), first + whole.metadata.row_group(group).num_rows
                while left and left[0] < end:
                    here.append(left.popleft() - first)
                if here:
                    yield from whole.read_row_group(group, columns=columns).take(here).to_pylist()
                first = end

    def dataset(self, columns: Sequence[str] | None = None) -> Any:
        """A `datasets.Dataset` of the rows, on the disk and not in memory; images are decoded when asked for."""
        return self._hf_dataset(columns, decode=True)

    def seen(self, columns: Sequence[str]) -> Any:
        """The same, a picture of a batch decoded once: `datasets` decodes a list's first one twice, and a row as often as it is drawn."""
        return self._hf_dataset(columns, decode=False).with_transform(_decode_rows)

    def _hf_dataset(self, columns: Sequence[str] | None, *, decode: bool) -> Any:
        import datasets  # a second, which `cotforge check` has no need of

        datasets.disable_progress_bars()
        features = datasets.Features.from_arrow_schema(pq.read_schema(self.files[0]))
        if "images" in features:
            features["images"] = datasets.List(datasets.Image(mode="RGB", decode=decode))
        found = datasets.Dataset.from_parquet(
            [str(file) for file in self.files], cache_dir=str(self.cache / "rows"), features=features,
            fragment_scan_options=ParquetFragmentScanOptions(pre_buffer=False),  # else a file is read ahead, all 184 MB of one of 184
        )  # fmt: skip
        return found if columns is None else found.select_columns(list(columns))


def find_lessons(place: str | Path, *, cache: Path, without: str | None = None) -> Lessons:
    """The lessons of a dataset's folder, or of an id on the Hub, all splits but `without`.

    Raises PipelineError where there are none, or where they lack what a student needs.
    """
    folder = Path(place) if Path(place).exists() else _fetch_dataset(str(place))
    files = [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if not set(file.relative_to(folder).parts[:-1]) & {*OTHER} and not _is_of(file, without)
    ]
    for file in files:
        _demand_parquet(file, within=Folder(folder))
    lessons = Lessons(tuple(files), cache, without)
    if not files or not len(lessons):
        raise PipelineError(f"{place}: holds no lessons; `cotforge build` makes them")
    known = pq.read_schema(files[0])
    if missing := [name for name in NEEDED if name not in known.names]:
        raise PipelineError(f"{place}: has no column {missing[0]!r}; lessons have {', '.join(NEEDED)}")
    for name, of in LISTS.items():
        kind = known.field(name).type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            raise PipelineError(f"{place}: the column {name!r} is of {kind}; it has to be a list of {of}, as cotforge build writes it")
    return lessons


def write_source(
    samples: Iterable[Sample | Fault],
    file: Path,
    *,
    key: str,
    prompt: Callable[[Sample], str],
    completion: Callable[[str], str],
    held_out: Eval | None = None,
) -> Lessons:
    """Every labelled sample of the source in `file`, pictures by their path where they are files of their own, else by their bytes.

    Where `file` was written for the same `key`, with these columns, nothing is read. Raises SourceError where no sample has a label.
    """
    if not _is_written(file, key):
        shape = arrow_schema(SOURCE)
        shape = shape.with_metadata({**shape.metadata, b"cotforge": key.encode()})
        with replace_file(file) as passing:
            with pq.ParquetWriter(passing, shape) as writer:
                found = _source_rows(samples, prompt, completion, held_out)
                while rows := list(islice(found, GROUP)):
                    writer.write_table(arrow_table(rows, SOURCE, shape))
            if not pq.read_metadata(passing).num_rows:
                raise SourceError("source: no sample has a label; `data: source` needs labels")
    return Lessons((file,), file.parent / "cache")


def decode_picture(cell: dict[str, Any]) -> Image.Image:
    """An image as it stands in a row, decoded."""
    return Image.open(io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else cell["path"]).convert("RGB")


def _decode_rows(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Some rows, a list for each column, with their pictures as `datasets` decodes them."""
    if "images" not in rows:
        return rows
    import datasets

    decode, known = datasets.Image(mode="RGB").decode_example, {}
    for cell in chain.from_iterable(rows["images"]):
        key = cell["bytes"] or cell["path"]
        if key not in known:
            known[key] = decode(cell)
    return rows | {"images": [[known[cell["bytes"] or cell["path"]] for cell in cells] for cells in rows["images"]]}


def _source_rows(
    samples: Iterable[Sample | Fault], prompt: Callable[[Sample], str], completion: Callable[[str], str], held_out: Eval | None
) -> Iterator[tuple[Any, ...]]:
    for sample in samples:
        if isinstance(sample, Fault) or sample.label is None:
            continue
        if held_out is not None and (held_out.holds(sample) or held_out.split == sample.split):
            continue
        try:
            images = [(None, place) if (place := lies_in(picture)) else (picture.load(), None) for picture in sample.pictures]
            yield sample.id, images, prompt(sample), completion(sample.label), sample.question, sample.options or None, sample.label
        except Fault:  # gone since it was looked at: a row less
            continue


def _is_written(file: Path, key: str) -> bool:
    try:
        there = pq.read_schema(file)
    except (OSError, pa.ArrowException):  # not there, or damaged: written anew
        return False
    return (there.metadata or {}).get(b"cotforge") == key.encode() and there.names == list(SOURCE)


def _demand_parquet(file: Path, *, within: Folder) -> None:
    """Raises PipelineError where a file is damaged, no file, or a link that leads out of the folder."""
    try:
        within.demand_file(file)
        pq.read_metadata(file)
    except Fault as fault:
        raise PipelineError(f"{file}: {fault.detail}") from fault
    except (OSError, pa.ArrowException) as fault:
        raise PipelineError(f"{file}: cannot be read: {in_words(fault)}; `cotforge curate` writes a damaged dataset anew") from fault


def _is_of(file: Path, split: str | None) -> bool:
    """Whether a file is of a split: `data/train-00000-<hash>.parquet` is of `train`."""
    return split is not None and file.name.partition("-")[0] in (split, split_name(split))


def _footer_hash(file: Path) -> str:
    """A hash of the end of a parquet file, which tells where everything lies in it."""
    with file.open("rb") as opened:
        opened.seek(-min(65_536, file.stat().st_size), 2)
        return sha256(opened.read()).hexdigest()


def _fetch_dataset(name: str) -> Path:
    from huggingface_hub import snapshot_download

    if name.startswith((".", "/", "~")):
        raise PipelineError(f"train.data: {name!r}: there is no such folder; a path is relative to the pipeline file")
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=["README.md", "*.parquet"]))
    except Exception as fault:  # of a dozen kinds, depending on what is wrong with name, net or rights
        said = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
        raise PipelineError(f"train.data: {name!r} is no folder, and no dataset that the Hub gives: {said[:200]}") from fault
