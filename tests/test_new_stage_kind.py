"""A new kind of training stage is one file and one entry: the package is copied, gets both, and a student goes through it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

import cotforge as package
from cotforge.sandbox import shipped
from tests import squares
from tests.project import cotforge, environment, replay

FILE = '''
"""Stages of kind `scale`: the student as it stands, the weights of its head times a factor."""

import torch

from cotforge.train.students import student
from cotforge.train.work import Work, leave


def train(stage, work: Work) -> None:
    pupil = student.load(work.plan.student, work.begin)
    work.record.begin(step=0, total=1)
    with torch.no_grad():
        pupil.model.get_output_embeddings().weight.mul_(stage.factor)
    work.record.row(1, {"factor": stage.factor})
    leave(pupil, work)
'''
ENTRY = '''
class Scale(Stage):
    """No training: the head is scaled."""

    curves: ClassVar[tuple[Curve, ...]] = (Curve("Factor of the head", (("factor", "factor"),)),)

    kind: Literal["scale"]
    factor: float = 1.0
    """By which its weights are multiplied."""

    def words(self, steps: int | None = None) -> list[str]:
        return [self.kind, f"the head by {self.factor:g}"]

'''
INJECT = {"name": "inject", "kind": "sft", "batch": 8, "steps": 2, "learning_rate": 1e-2}
HALF = {"name": "half", "kind": "scale", "factor": 0.5}
MORE = {"name": "more", "kind": "sft", "batch": 8, "steps": 2}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment in which the package has one kind more: a new file, and one file changed."""
    there = tmp_path / "home" / "cotforge"
    shutil.copytree(Path(package.__file__).parent, there, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(shipped("prompts"), there / "shipped" / "prompts")
    (there / "train" / "kinds" / "scale.py").write_text(FILE)
    entries = there / "plan" / "kinds.py"
    before, tuple_of, after = entries.read_text().partition("\nKINDS: tuple[type[Stage], ...] = (")
    entries.write_text(f"{before}{ENTRY}{tuple_of}Scale, {after}")
    return environment({"PYTHONPATH": str(there.parent), "OMP_NUM_THREADS": "1"})


def project(folder: Path, *stages: dict[str, Any]) -> Path:
    """A project whose only teacher is a file, so that `check` asks nobody."""
    (folder / "p").mkdir(exist_ok=True)
    known = replay(folder / "p", "one", {"t0": squares.said("red")})
    made = squares.project(folder / "p", *stages, teachers=[known], consensus={"label": "ignore"}, eval={"split": "test"})
    (made / "t0.png").write_bytes(squares.square("red", 40))
    with (made / "rows.jsonl").open("a") as file:
        file.write(json.dumps({"id": "t0", "image": "t0.png", "label": "red", "split": "train"}) + "\n")
    return made


def head(folder: Path, stage: str) -> Any:
    weights = load_file(folder / "run" / "train" / stage / "weights" / "model.safetensors")
    return next(weight for name, weight in weights.items() if name.endswith("lm_head.weight"))


def test_a_student_goes_through_a_kind_that_is_one_file_and_one_entry(tmp_path: Path, home: dict[str, str]) -> None:
    folder = project(tmp_path, INJECT, HALF, MORE)
    checked = cotforge("check", "squares.yaml", cwd=folder, env=home)
    assert checked.returncode == 0, checked.stderr
    assert "  02 half: scale, the head by 0.5\n" in checked.stdout
    ended = cotforge("train", "squares.yaml", "--out", "run", cwd=folder, env=home)
    assert (ended.returncode, ended.stdout) == (0, "the student: run/train/student\n"), ended.stderr
    assert (head(folder, "02-half") == head(folder, "01-inject") * 0.5).all()
    card = (folder / "run" / "train" / "student" / "README.md").read_text()
    assert "| 02 half: scale, the head by 0.5 | 1 | - |" in card
    assert "\n| half | 8 | " in card
    page = (folder / "run" / "report.html").read_text()
    assert "<figcaption>Factor of the head</figcaption>" in page
    assert page.index("02 half: scale") < page.index("03 more: sft")

    again = cotforge("train", "squares.yaml", "--out", "run", cwd=folder, env=home)
    assert (again.returncode, again.stderr.count("done already")) == (0, 3), again.stderr


def test_two_steps_of_every_stage_pass_through_it(tmp_path: Path, home: dict[str, str]) -> None:
    folder = project(tmp_path, INJECT, HALF, MORE)
    smoked = cotforge("train", "squares.yaml", "--out", "run", "--smoke", cwd=folder, env=home)
    assert (smoked.returncode, smoked.stdout) == (0, "the student: run/train/smoke/student\n"), smoked.stderr
    held = json.loads((folder / "run" / "train" / "smoke" / "02-half" / "manifest.json").read_text())
    assert "data" not in held["inputs"], "it reads none, so that other lessons leave it as it is"


def test_its_keys_are_checked_as_those_of_the_others(tmp_path: Path, home: dict[str, str]) -> None:
    stages = ({"name": "a", "kind": "scale", "factor": "x"}, {"name": "b", "kind": "sft", "factor": 2}, {"name": "c", "kind": "scal"})
    folder = project(tmp_path, *stages)
    ended = cotforge("check", "squares.yaml", cwd=folder, env=home)
    assert ended.returncode == 2, ended.stderr
    for line in (
        "train.stages[0].factor: 'x': input should be a valid number, unable to parse string as a number",
        "train.stages[1]: factor is for kind 'scale'; kind 'sft' has none",
        "train.stages[2].kind: 'scal': there is no such kind; did you mean 'scale'?",
    ):
        assert line in ended.stderr, ended.stderr
