"""`train.student: {tiny: llava}`: a student of the run's own texts, the same for the same lessons, for a rehearsal without a network."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from transformers import AutoProcessor

from cotforge.plan import Student
from cotforge.train.data.lessons import find_lessons
from cotforge.train.students import loaded_student, rehearsal
from tests import squares
from tests.project import files, ran

INJECT = {"name": "inject", "kind": "sft", "batch": 8, "steps": 2}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def project(folder: Path, **of_student: Any) -> Path:
    squares.project(folder, INJECT, eval={"split": "test", "when": "end", "at_most": 2})
    shutil.rmtree(folder / "student")
    whole = yaml.safe_load((folder / "squares.yaml").read_text())
    whole["train"]["student"] = of_student
    (folder / "squares.yaml").write_text(yaml.safe_dump(whole))
    return folder


def test_a_rehearsal_needs_no_student_and_its_card_says_that_it_is_one(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", tiny="llava")
    done = ran("train", "squares.yaml", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    card = (folder / "run" / "train" / "student" / "README.md").read_text()
    assert "A rehearsal: a student of random weights" in card
    assert "trained from a tiny llava of random weights" in card
    assert "base_model" not in card
    assert "From a tiny llava of random weights" in (folder / "run" / "report.html").read_text()
    again = ran("train", "squares.yaml", "--out", "run", cwd=folder)
    assert "done already; --from inject does it again" in again.stderr
    tried = ran("eval", "squares.yaml", "--out", "run", "--max-tokens", 8, cwd=folder)
    assert tried.returncode == 0, tried.stderr
    shutil.rmtree(folder / "run" / "train" / "student")
    assert ran("eval", "squares.yaml", "--out", "run", "--max-tokens", 8, cwd=folder).returncode == 0
    assert sorted(file.stem for file in (folder / "run" / "eval").iterdir()) == ["01-inject", "base", "student"]


@pytest.mark.parametrize("family", ["llava", "idefics3", "qwen"])
def test_the_same_lessons_give_the_same_bytes_and_others_another_student(family: rehearsal.Family, tmp_path: Path) -> None:
    lessons = find_lessons(squares.write(tmp_path / "dataset", 12), cache=tmp_path / "cache")
    others = find_lessons(squares.write(tmp_path / "others", 12, thoughts=["Quite another thought."] * 12), cache=tmp_path / "cache")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    made = rehearsal.of_run(tmp_path / "one", [lessons], family=family)
    assert files(made) == files(rehearsal.of_run(tmp_path / "two", [lessons], family=family))
    before = (made / "model.safetensors").stat().st_mtime_ns
    assert rehearsal.of_run(tmp_path / "one", [lessons], family=family) == made
    assert (made / "model.safetensors").stat().st_mtime_ns == before
    known = loaded_student.weights_fingerprint(made)
    rehearsal.of_run(tmp_path / "one", [others], family=family)
    assert loaded_student.weights_fingerprint(made) != known
    words = (
        AutoProcessor.from_pretrained(made).tokenizer
        if family != "qwen"
        else loaded_student.load_pupil(Student(tiny="qwen"), made).processor.tokenizer
    )
    assert len(words("Quite another thought.")["input_ids"]) <= 3
    assert json.loads((tmp_path / "one" / "tiny.json").read_text())["data"] == [others.digest]


def test_of_many_lessons_the_texts_are_spread_over_all(tmp_path: Path) -> None:
    lessons = find_lessons(squares.write(tmp_path / "dataset", 23), cache=tmp_path / "cache")
    assert len(list(rehearsal.texts_of(lessons))) == 46
    assert len(list(rehearsal.texts_of(lessons, 5))) == 2 * 5


@pytest.mark.parametrize("given", [{}, {"model": "m", "tiny": "llava"}])
def test_a_student_has_a_model_or_is_tiny_and_never_both_or_none(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="model, tiny: give one of them"):
        Student.model_validate(given)


def test_before_the_student_is_made_or_without_lessons_it_is_a_line(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", tiny="llava")
    done = ran("eval", "squares.yaml", "--out", "run", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "run/train/tiny: there is no tiny student yet; cotforge train makes it, or name a model with --model or --url"
    )
    shutil.rmtree(folder / "run" / "dataset")
    done = ran("train", "squares.yaml", "--out", "run", cwd=folder)
    assert done.returncode == 2
    assert "there are no lessons yet; `cotforge build` makes them" in done.stderr.splitlines()[-1]
