"""A trial: `--limit N` draws N Samples by chance, from every class, and a larger N keeps them."""

import json
import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cotforge.answers.task import Task
from cotforge.images import Images, PictureStore
from cotforge.order import sample_rank
from cotforge.records import Fault, Sample
from cotforge.sources import Index, Source, read_samples
from tests.test_sources import LABELS, QUESTION, photo

TASK = Task(kind="classify", question=QUESTION, labels=LABELS)


def drawn(folder: Path, source: dict[str, Any], limit: int, *, spreads: bool = True, task: Task = TASK) -> list[Sample | Fault]:
    """What a reading with a limit gives."""
    read: Any = TypeAdapter(Source).validate_python(source)
    with closing(PictureStore(folder / "run", Images())) as store:
        return list(read_samples(read, task, store, root=folder, limit=limit, spreads=spreads))


def ids(folder: Path, source: dict[str, Any], limit: int, **more: Any) -> list[str]:
    return [item.id for item in drawn(folder, source, limit, **more) if isinstance(item, Sample)]


def table(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    if not (folder / "0.jpg").exists():
        (folder / "0.jpg").write_bytes(photo())
    (folder / name).write_text("".join(json.dumps({"image": "0.jpg", **row}) + "\n" for row in rows))
    return {"kind": "table", "path": name}


def rows_of(**classes: int) -> list[dict[str, Any]]:
    """So many rows of each class, one class after another as in a folder of classes."""
    return [{"id": f"{label}-{number}", "label": label} for label, count in classes.items() for number in range(count)]


def test_every_class_is_seen_as_soon_as_there_is_room_for_all(tmp_path: Path) -> None:
    source = table(tmp_path, rows_of(cat=60, dog=30, owl=2))
    for limit, wanted in ((3, (1, 1, 1)), (6, (2, 2, 2)), (20, (9, 9, 2)), (92, (60, 30, 2))):
        found = Counter(id.partition("-")[0] for id in ids(tmp_path, source, limit))
        assert sorted(found.values(), reverse=True) == sorted(wanted, reverse=True)


@given(
    labels=st.lists(st.sampled_from([*LABELS, "stranger", None]), min_size=1, max_size=30).filter(
        lambda one: any(x in LABELS for x in one)
    ),
    small=st.integers(1, 30),
    more=st.integers(0, 30),
    seed=st.integers(0, 5),
)
def test_a_smaller_trial_is_part_of_a_larger_one_whatever_the_order_of_the_source(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str | None], small: int, more: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = [{"id": str(number), "label": label} for number, label in enumerate(labels)]
    first = ids(folder, table(folder, rows), small)
    random.Random(seed).shuffle(rows)
    second = ids(folder, table(folder, rows), small + more)
    assert second[: len(first)] == first
    assert len(second) == min(len(rows), small + more)


def test_a_trial_is_the_same_on_every_machine(tmp_path: Path) -> None:
    rows = rows_of(cat=5, dog=5, owl=5)
    assert ids(tmp_path, table(tmp_path, rows), 5) == ["dog-0", "owl-3", "cat-3", "owl-0", "dog-4"]
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        for label in LABELS:
            (folder / "data" / label).mkdir(parents=True)
            for number in range(6):
                (folder / "data" / label / f"{number}.jpg").write_bytes(photo(number))
    one, other = (ids(folder, {"kind": "imagefolder", "path": "data"}, 7) for folder in folders)
    assert one == other


def test_within_a_class_a_trial_is_asked_in_the_order_of_the_warm_up(tmp_path: Path) -> None:
    source = table(tmp_path, rows_of(cat=50, dog=50))
    cats = [id for id in ids(tmp_path, source, 10) if id.startswith("cat")]
    assert cats == sorted((f"cat-{number}" for number in range(50)), key=sample_rank)[:5]


def test_rows_without_an_id_go_by_the_names_of_their_pictures(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(photo(number))
    rows = [{"image": f"{number}.jpg", "label": "cat"} for number in range(20)]
    first = ids(tmp_path, table(tmp_path, rows), 4)
    assert ids(tmp_path, table(tmp_path, rows[::-1]), 9)[:4] == first
    assert first != ids(tmp_path, table(tmp_path, rows), 4, spreads=False)


def test_what_is_not_sound_is_made_up_for_and_only_told_where_it_was_drawn(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    rows = rows_of(cat=10, dog=10)
    source = table(tmp_path, rows)
    order = ids(tmp_path, source, 20)
    broken = [row | ({"image": "broken.jpg"} if row["id"] in order[:2] else {}) for row in rows]
    source = table(tmp_path, broken)
    (tmp_path / "rows.jsonl").write_text("no json\n" + (tmp_path / "rows.jsonl").read_text())
    found = drawn(tmp_path, source, 4)
    assert [item.id for item in found if isinstance(item, Sample)] == order[2:6]
    assert [item.reason for item in found if isinstance(item, Fault)] == ["image_not_an_image"] * 2
    assert [item.reason for item in drawn(tmp_path, source, 30) if isinstance(item, Fault)] == ["image_not_an_image"] * 2 + [
        "line_not_json"
    ]


def test_a_trial_keeps_within_the_limit_of_the_source(tmp_path: Path) -> None:
    source = table(tmp_path, rows_of(cat=10, dog=10, owl=10)) | {"limit": 20}
    found = ids(tmp_path, source, 30)
    assert sorted(found) == sorted(row["id"] for row in rows_of(cat=10, dog=10))


def test_where_there_is_no_closed_set_a_trial_goes_by_chance_alone(tmp_path: Path) -> None:
    source = table(tmp_path, [{"id": str(number), "label": f"answer {number % 3}"} for number in range(30)])
    task = Task(kind="answer", question=QUESTION)
    assert ids(tmp_path, source, 5, task=task) == sorted(map(str, range(30)), key=sample_rank)[:5]


def test_the_waves_of_a_trial_are_its_samples(tmp_path: Path) -> None:
    source = table(tmp_path, rows_of(cat=20, dog=20))
    read: Any = TypeAdapter(Source).validate_python(source)
    with closing(PictureStore(tmp_path / "run", Images())) as store:
        spread = Index(read, TASK, store, root=tmp_path, wave=lambda id: sample_rank(id) % 3, limit=7, spreads=True)
        with closing(spread) as index:
            found = [item.id for wave in range(3) for item in index.of_wave(wave) if isinstance(item, Sample)]
    assert sorted(found) == sorted(ids(tmp_path, source, 7))
