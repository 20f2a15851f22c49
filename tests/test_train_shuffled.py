"""Lessons with the answers of other samples: what is learned is exchanged and listed, what is in the dataset stays."""

import csv
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
from cotforge.prompts import Prompts
from cotforge.train.data.learnable import text_of
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.data.prepared import prepare_lessons
from cotforge.train.data.shuffled import demand_reasoning, draw_swaps, ending_with, ends_with, with_shuffled_answers
from cotforge.train.students import tiny
from cotforge.train.students.processors import load_processor
from tests.squares import SIZE, TEXTS, said, write
from tests.test_train_sft import learn, work

GROUPS = st.lists(st.sampled_from([("a", "b"), ("c",), ()]), max_size=50)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 32), cache=folder / "cache")


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("student") / "student", TEXTS, SIZE)


@given(GROUPS, st.floats(0, 1), st.integers(0, 9))
def test_answers_move_within_a_group_and_none_stays_or_is_lost(groups: list[tuple[str, ...]], share: float, seed: int) -> None:
    found = draw_swaps(groups, share, seed=seed)
    assert all(groups[place] == groups[other] and place != other for place, other in found.items())
    assert sorted(found) == sorted(found.values()), "what is given away is given to somebody"
    drawn = round(share * len(groups))
    assert drawn - len({*groups}) <= len(found) <= drawn, "of a group one row may be alone"
    assert found == draw_swaps(groups, share, seed=seed)


@given(st.lists(st.sampled_from("ab"), min_size=40, max_size=60), st.integers(0, 99))
def test_how_often_each_answer_is_given_stays_so_that_a_wrong_answer_tells_nothing(answers: list[str], seed: int) -> None:
    found = draw_swaps([()] * len(answers), 1.0, seed=seed)
    assert Counter(answers[other] for other in found.values()) == Counter(answers)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("<think>red as red</think>\n<answer>red</answer>", "<think>red as red</think>\n<answer>blue</answer>"),
        ("<answer>red</answer>", "<answer>blue</answer>"),
        ("<think>It is red.</think>\nSo it is \\boxed{red}", "<think>It is red.</think>\nSo it is \\boxed{blue}"),
    ],
)
def test_of_a_completion_the_final_answer_alone_is_another(text: str, other: str) -> None:
    assert ends_with(text, "red")
    assert not ends_with(text, "re")
    assert ending_with(text, "blue") == other


def test_what_is_learned_is_exchanged_and_what_is_read_otherwise_is_not(tmp_path: Path, lessons: Lessons, begin: Path) -> None:
    mixed = with_shuffled_answers(lessons, 1.0, seed=3)
    assert len(mixed.answers) == len(mixed) == 32
    assert mixed.digest != lessons.digest != with_shuffled_answers(lessons, 1.0, seed=4).digest != mixed.digest
    processor = load_processor(begin)
    ready = prepare_lessons(mixed, processor, cache=tmp_path, cache_gb=1, kind=torch.float32, tell=bool)
    for row, lesson in enumerate(lessons.rows(["completion", "answer"])):
        learned = processor.tokenizer.decode(ready[row][0]["completion"])
        wanted = said(mixed.answers[row], text_of(lesson["completion"]).split("<think>")[1].split("</think>")[0])
        assert "".join(wanted.split()) in "".join(learned.split())
    assert list(mixed.rows()) == list(lessons.rows())


def test_half_of_them_keep_their_answers(lessons: Lessons) -> None:
    mixed = with_shuffled_answers(lessons, 0.5, seed=0)
    assert len(mixed.answers) == 16
    seen = mixed.seen(["images", "prompt", "completion"])
    kept = next(row for row in range(32) if row not in mixed.answers)
    assert text_of(seen[kept]["completion"]) == text_of(next(iter(lessons.seen(["completion"]).select([kept])))["completion"])


def test_the_stage_lists_them_and_counts_those_that_are_the_same_by_chance(
    tmp_path: Path, lessons: Lessons, begin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_bytes() for file in lessons.files}
    given = work(tmp_path / "stage", begin, lessons, steps=1, shuffle_answers=True, seed=1)
    learn(given)
    with (tmp_path / "stage" / "shuffled.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"row-{number}" for number in range(32)]
    same = sum(row["answer"] == row["learned"] for row in rows)
    assert 0 < same < 20
    told = f"32 of 32 lessons are learned with the answer of another sample, which is the same by chance in {same}; "
    assert told + str(tmp_path / "stage" / "shuffled.csv lists them\n") in capsys.readouterr().err
    assert {file: file.read_bytes() for file in lessons.files} == before


def test_nothing_to_exchange_or_nothing_to_reason_about_is_told(tmp_path: Path, begin: Path) -> None:
    one = find_lessons(write(tmp_path / "dataset", 1), cache=tmp_path / "cache")
    with pytest.raises(PipelineError, match=r"stage 'inject': shuffle_answers: no completion can get the answer of another sample"):
        learn(work(tmp_path / "stage", begin, one, steps=1, shuffle_answers=True))
    stage = Sft(name="form", kind="sft", shuffle_answers=1.0)
    bare = Prompts(completion="label_only/completion").load(tmp_path)
    with pytest.raises(PipelineError, match=r"stage 'form': shuffle_answers: prompts.completion has no reasoning"):
        demand_reasoning(stage, bare)
    demand_reasoning(stage, Prompts().load(tmp_path))
    for wrong in ({"data": "source"}, {"short_answers": 1}, {"shuffle_answers": 1.5}):
        with pytest.raises(ValidationError):
            Sft.model_validate({"name": "form", "kind": "sft", "shuffle_answers": True, **wrong})
