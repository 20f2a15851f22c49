"""The index of a source: wave by wave it gives what one reading gives, and looks at a picture when its Sample is asked for."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cotforge.answers.task import Task
from cotforge.errors import SourceError
from cotforge.images import FileRef, Images, PictureStore
from cotforge.order import sample_rank
from cotforge.records import Fault, Sample
from cotforge.sources import Counts, Index, Source, read_samples
from tests.test_sources import LABELS, QUESTION, photo

WAVES = 4
TASK = Task(kind="classify", question=QUESTION, labels=LABELS)


def wave_of(id: str) -> int:
    return sample_rank(id) % WAVES


class Shelf:
    """A source, read in one go or by waves."""

    def __init__(self, folder: Path, source: dict[str, Any]) -> None:
        self.folder = folder
        self.source: Any = TypeAdapter(Source).validate_python(source)
        self.store = PictureStore(folder / "run", Images())

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def whole(self, limit: int | None = None) -> list[Sample | Fault]:
        return list(read_samples(self.source, TASK, self.store, root=self.folder, limit=limit, counts=Counts()))

    def index(self, limit: int | None = None) -> Index:
        return Index(self.source, TASK, self.store, root=self.folder, wave=wave_of, limit=limit)


def told(items: Iterator[Sample | Fault] | list[Sample | Fault]) -> list[str]:
    """Samples by all that they are, Faults by what they say."""
    return [f"{item.where} {item.reason} {item}" if isinstance(item, Fault) else repr(item) for item in items]


def images(folder: Path, count: int) -> None:
    (folder / "images").mkdir()
    for number in range(count):
        (folder / "images" / f"{number}.jpg").write_bytes(photo(number))


def table(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"kind": "table", "path": "rows.jsonl"}


ROW = st.fixed_dictionaries(
    {"image": st.sampled_from(["images/0.jpg", "images/1.jpg", "images/2.jpg", "images/broken.jpg", "images/none.jpg", "../x.jpg"])},
    optional={
        "id": st.sampled_from("abcdefgh"),
        "label": st.sampled_from([*LABELS, "stranger"]),
        "question": st.sampled_from(["Which?", "What?"]),
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=25), limit=st.none() | st.integers(1, 12))
def test_waves_together_are_one_reading_whatever_the_rows(tmp_path_factory: Any, rows: list[dict[str, Any]], limit: int | None) -> None:
    folder = tmp_path_factory.mktemp("source")
    images(folder, 3)
    (folder / "images/broken.jpg").write_bytes(photo()[:40])
    with Shelf(folder, table(folder, rows)) as shelf, closing(shelf.index(limit)) as index:
        wrong = refused(lambda: shelf.whole(limit))
        assert refused(lambda: [list(index.of_wave(wave)) for wave in range(WAVES)]) == wrong
        if wrong:
            return
        whole = shelf.whole(limit)
        for _ in range(2):
            waves = [told(index.of_wave(wave)) for wave in range(WAVES)]
            assert sorted(line for wave in waves for line in wave) == sorted(told(whole))
        for number in range(WAVES):
            assert all(wave_of(item.id) == number for item in index.of_wave(number) if isinstance(item, Sample))


def refused(read: Callable[[], object]) -> str | None:
    """What a SourceError says, if there is one."""
    try:
        read()
    except SourceError as error:
        return str(error)
    return None


def test_one_photo_under_two_labels_is_a_label_clash_in_every_wave_where_the_rows_have_no_ids(tmp_path: Path) -> None:
    images(tmp_path, 20)
    rows = [{"image": f"images/{number % 20}.jpg", "label": LABELS[number // 20]} for number in range(40)]
    with Shelf(tmp_path, table(tmp_path, rows)) as shelf, closing(shelf.index()) as index:
        whole = shelf.whole()
        for _ in range(2):
            waves = [list(index.of_wave(wave)) for wave in range(WAVES)]
            assert all(waves)
            found = [item for wave in waves for item in wave]
            assert sorted(told(found)) == sorted(told(whole))
            assert [(item.reason, item.id) for item in found if isinstance(item, Fault)] == [("label_clash", None)] * 20


def test_counts_are_those_of_one_reading(tmp_path: Path) -> None:
    images(tmp_path, 3)
    labels = ({"label": "x"}, {"label": "cat"}, {}, {})
    rows = [{"id": str(number % 30), "image": f"images/{number % 3}.jpg", **labels[number % 4]} for number in range(60)]
    with Shelf(tmp_path, table(tmp_path, rows)) as shelf, closing(shelf.index()) as index:
        counts = Counts()
        list(read_samples(shelf.source, TASK, shelf.store, root=tmp_path, counts=counts))
        for _ in range(2):
            for wave in range(WAVES):
                list(index.of_wave(wave))
            assert index.counts == counts


def test_a_picture_is_looked_at_when_its_wave_is_read(tmp_path: Path) -> None:
    images(tmp_path, 40)
    rows = [{"id": str(number), "image": f"images/{number}.jpg", "label": "cat"} for number in range(40)]
    with Shelf(tmp_path, table(tmp_path, rows)) as shelf, closing(shelf.index()) as index:
        first = [item.id for item in index.of_wave(0) if isinstance(item, Sample)]
        later = [number for number in range(40) if str(number) not in first]
        assert first
        assert later
        for number in later:
            (tmp_path / "images" / f"{number}.jpg").write_bytes(b"no longer")
        found = [item for wave in range(1, WAVES) for item in index.of_wave(wave)]
        assert [item.reason for item in found if isinstance(item, Fault)] == ["image_not_an_image"] * len(later)


def test_a_picture_whose_row_has_no_id_is_read_at_once_and_decoded_in_its_wave(tmp_path: Path) -> None:
    images(tmp_path, 40)
    ids = {}
    for number in range(40):
        path = tmp_path / "images" / f"{number}.jpg"
        path.write_bytes(path.read_bytes()[:-30] + b"\xff\xfe\x00\x04ab" + b"\xff\xd9")  # ends early: only decoding tells
    rows = [{"image": f"images/{number}.jpg", "label": "cat"} for number in range(40)]
    with Shelf(tmp_path, table(tmp_path, rows)) as shelf, closing(shelf.index()) as index:
        ids = {shelf.store.digest(FileRef(str(tmp_path / f"images/{number}.jpg"), "x")) for number in range(40)}
        waves = [list(index.of_wave(wave)) for wave in range(WAVES)]
        assert len(ids) == 40
    assert sum(map(len, waves)) == 40
    assert all(waves)
    assert {item.reason for wave in waves for item in wave if isinstance(item, Fault)} <= {"image_truncated", "image_broken"}


def test_the_source_is_read_once(tmp_path: Path) -> None:
    images(tmp_path, 40)
    rows = [{"id": str(number), "image": f"images/{number}.jpg", "label": "cat"} for number in range(40)]
    with Shelf(tmp_path, table(tmp_path, rows)) as shelf, closing(shelf.index()) as index:
        whole = told(index.of_wave(0))
        (tmp_path / "rows.jsonl").unlink()
        assert told(index.of_wave(0)) == whole
        assert sum(len(list(index.of_wave(wave))) for wave in range(WAVES)) == 40


def test_a_later_wave_may_be_asked_for_first_and_a_reading_be_broken_off(tmp_path: Path) -> None:
    images(tmp_path, 40)
    rows = [{"id": str(number), "image": f"images/{number}.jpg", "label": "cat"} for number in range(40)]
    with Shelf(tmp_path, table(tmp_path, rows)) as shelf, closing(shelf.index()) as index:
        whole = told(shelf.whole())
        with closing(index.of_wave(0)) as begun:  # type: ignore[type-var]
            assert next(begun)
        assert list(index.of_wave(0, stopped=lambda: True)) == []
        later = [line for wave in (3, 1, 2, 0) for line in told(index.of_wave(wave))]
        assert sorted(later) == sorted(whole)


def test_cells_of_parquet_files_are_read_through_the_index(tmp_path: Path) -> None:
    rows = [{"id": str(number), "image": {"bytes": photo(number), "path": None}, "label": "cat"} for number in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=7)
    with Shelf(tmp_path, {"kind": "table", "path": "rows.parquet"}) as shelf, closing(shelf.index()) as index:
        found = [item for wave in range(WAVES) for item in index.of_wave(wave) if isinstance(item, Sample)]
        assert {item.id: item.pictures[0].load() for item in found} == {str(number): photo(number) for number in range(30)}
