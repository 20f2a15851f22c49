"""A stage that learns one part of its data: the parts are all of it, none shares a row with another, and each split is what it says."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotforge.errors import PipelineError
from cotforge.plan import Sft
from cotforge.plan.part import DataPart
from cotforge.train.data import data_part
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.students import tiny
from tests.squares import SIZE, TEXTS, write
from tests.test_train_sft import learn, metrics, work

ANSWERS = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=60)
OF = st.integers(2, 7)


def sft(**keys: object) -> Sft:
    return Sft.model_validate({"name": "one", "kind": "sft", **keys})


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 22, thoughts=["Hot. " * (number % 7) for number in range(22)]), cache=folder / "cache")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("by", data_part.SPLITS)
def test_the_parts_are_all_of_the_data_and_share_no_row(lessons: Lessons, by: str) -> None:
    found = [data_part.part_rows(lessons, DataPart.model_validate({"of": 3, "index": index, "by": by})) for index in range(3)]
    assert sorted(row for rows in found for row in rows) == list(range(22))
    assert all(found)
    if by in ("random", "length"):
        assert sorted(map(len, found)) == [7, 7, 8]


@given(st.integers(0, 60), OF, st.integers(0, 5))
def test_drawn_parts_differ_in_size_by_one_row_at_most_and_with_the_seed(count: int, of: int, seed: int) -> None:
    found = data_part.by_random(range(count), DataPart(of=of, index=0, seed=seed))
    sizes = Counter(found)
    assert max(sizes[index] for index in range(of)) - min(sizes[index] for index in range(of)) <= 1
    assert found == data_part.by_random(range(count), DataPart(of=of, index=1, seed=seed))
    if count > 40:
        assert found != data_part.by_random(range(count), DataPart(of=of, index=0, seed=seed + 1))


@given(ANSWERS, OF)
def test_all_rows_of_an_answer_are_in_one_part_and_no_part_is_larger_than_it_must_be(answers: list[str], of: int) -> None:
    found = data_part.by_label(answers, DataPart(of=of, index=0))
    where = dict(zip(answers, found, strict=True))
    assert found == [where[answer] for answer in answers]
    sizes, largest = Counter(found), max(Counter(answers).values())
    assert max(sizes.values()) - min(sizes[index] for index in range(of)) <= largest


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), OF)
def test_no_completion_is_longer_than_one_of_a_later_part(lengths: list[int], of: int) -> None:
    found = data_part.by_length([[{"content": "x" * length}] for length in lengths], DataPart(of=of, index=0))
    assert all(lengths[a] <= lengths[b] for a in range(len(found)) for b in range(len(found)) if found[a] < found[b])
    assert max(Counter(found).values()) <= -(-len(lengths) // of)


@given(st.lists(st.text(max_size=5), unique=True, max_size=30), st.lists(st.text(max_size=5), max_size=9), OF)
def test_by_hash_a_row_stays_in_its_part_whatever_is_added(ids: list[str], more: list[str], of: int) -> None:
    part = DataPart(of=of, index=0)
    assert data_part.by_hash([*more, *ids], part)[len(more) :] == data_part.by_hash(ids, part)


def test_a_stage_learns_the_rows_of_its_part_alone(tmp_path: Path, lessons: Lessons, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.make_llava(tmp_path / "student", TEXTS, SIZE)
    for index in range(2):
        given = work(tmp_path / str(index), tmp_path / "student", lessons, batch=4, part={"of": 2, "index": index, "by": "label"})
        learn(given)
        own = data_part.part_rows(lessons, DataPart.model_validate({"of": 2, "index": index, "by": "label"}))
        assert f"part {index} of 2 by label: {len(own)} of 22 lessons\n" in capsys.readouterr().err
        assert len(metrics(tmp_path / str(index))) == -(-len(own) // 4)
    assert [file.name for file in (tmp_path / "0" / "prepared").iterdir() if not file.name.startswith(".")], "prepared whole"


def test_a_part_without_a_row_is_told_before_anything_is_trained(lessons: Lessons) -> None:
    with pytest.raises(PipelineError) as caught:
        data_part.demand_part(sft(part={"of": 5, "index": 4, "by": "label"}), lambda stage: lessons)
    assert caught.value.faults == ("stage 'one': no row of 22 is in part 4 of 5 by label; lower part.of, or split by random",)
    data_part.demand_part(sft(part={"of": 4, "index": 3, "by": "label"}), lambda stage: lessons)
    data_part.demand_part(sft(), lambda stage: lessons)


def test_the_plan_says_which_part_and_about_how_many_rows_it_is() -> None:
    stage = sft(part={"of": 3, "index": 1, "by": "length"}, epochs=2)
    assert stage.words()[-1] == "part 1 of 3 by length"
    assert stage.amount(100) == "about 33 of 100 lessons, 2 times"
    assert sft(part={"of": 4, "index": 1}, steps=1, batch=5).amount(100) == "5 of 100 lessons"
    assert sft().amount(100) == "all 100 lessons"
    with pytest.raises(ValidationError, match="is 3; 3 parts are numbered 0 to 2"):
        sft(part={"of": 3, "index": 3})


def test_a_stage_that_learns_all_has_the_key_it_had_before_there_were_parts() -> None:
    new = {"part", "shuffle_answers", "short_answers"}
    assert not new & sft().key_fields().keys()
    changed = sft(part={"of": 2, "index": 0}, shuffle_answers=True).key_fields()
    assert (changed["part"]["of"], changed["shuffle_answers"]) == (2, 1.0)
    assert json.dumps(sft(short_answers=0.5).key_fields()["short_answers"]) == "0.5"
