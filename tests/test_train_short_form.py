"""Lessons that are learned twice: as they stand, and with the answer alone to a prompt that asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from cotforge.errors import PipelineError
from cotforge.train.data.learnable import text_of
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.data.short_form import with_short
from cotforge.train.students import tiny
from tests.squares import PROMPT, SIZE, TEXTS, write
from tests.test_train_sft import learn, metrics, work

SHORT = f"{PROMPT}\n\nGive the answer alone inside <answer> and </answer>."


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 12), cache=folder / "cache")


def test_the_short_ones_stand_behind_all_others_with_the_same_pictures(lessons: Lessons) -> None:
    twice = with_short(lessons, 0.5, seed=0)
    assert (len(twice), len(twice.again)) == (18, 6)
    assert twice.digest not in (lessons.digest, with_short(lessons, 0.5, seed=1).digest)
    rows, seen = list(twice.rows(["id", "prompt", "completion"])), twice.seen(["images", "prompt", "completion"])
    assert rows[:12] == list(lessons.rows(["id", "prompt", "completion"]))
    assert len(rows) == len(seen) == 18
    whole = list(lessons.rows())
    for place, row in enumerate(twice.again, 12):
        assert rows[place]["id"] == whole[row]["id"]
        assert rows[place].keys() == {"id", "prompt", "completion"}
        for lesson in (rows[place], seen[place]):
            assert text_of(lesson["prompt"]) == SHORT
            assert text_of(lesson["completion"]) == f"<answer>{whole[row]['answer']}</answer>"
        assert seen[place]["images"][0].tobytes() == seen[row]["images"][0].tobytes()


def test_a_stage_learns_both_forms(tmp_path: Path, lessons: Lessons, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.make_llava(tmp_path / "student", [*TEXTS, SHORT], SIZE)
    given = work(tmp_path / "stage", tmp_path / "student", lessons, batch=8, short_answers=True)
    learn(given)
    assert len(metrics(tmp_path / "stage")) == 3
    assert "12 of 12 lessons are learned in short form too\n" in capsys.readouterr().err
    assert given.stage.words()[-1] == "100% in short form too"


def test_lessons_without_a_question_have_no_short_form(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", 4)
    (file,) = folder.rglob("*.parquet")
    pq.write_table(pq.read_table(file).drop_columns(["question"]), file)
    with pytest.raises(PipelineError, match="short_answers: the lessons have no column 'question'"):
        with_short(find_lessons(folder, cache=tmp_path), 1.0, seed=0)
