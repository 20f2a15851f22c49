"""A new kind of training stage is two files and one entry: the package is copied, gets both, and a student goes through it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import cotforge as package
from cotforge.sandbox import shipped_folder
from tests import squares
from tests.nursery import Nursery
from tests.project import replay

FILE = '''
"""Stages of kind `blend`: between the student as it stands and another model, weight by weight."""

import torch

from cotforge.train.students import loaded_student
from cotforge.train.stage_run import StageRun, leave_weights


def train(stage, work: StageRun) -> None:
    pupil = loaded_student.load_pupil(work.plan.student, work.begin)
    base = loaded_student.model_folder(stage.other, work.root)
    other = loaded_student.load_pupil(work.plan.student, base).model.state_dict()
    work.record.begin(step=0, total=1)
    with torch.no_grad():
        for name, weight in pupil.model.state_dict().items():
            weight.lerp_(other[name], stage.share)
    work.record.row(1, {"share": stage.share})
    leave_weights(pupil, work)
'''
ENTRY = '''
"""Stages of kind `blend`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from cotforge.plan.stage import Curve, KeyContext, Stage
from cotforge.spec import PathText


class Blend(Stage):
    """No training: a mean of two models."""

    curves: ClassVar[tuple[Curve, ...]] = (Curve("Share of the other model", (("share", "share"),), share=True),)

    kind: Literal["blend"]
    other: PathText
    """The model."""
    share: float = 0.5
    """Of its weights."""

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        return {"other": context.fingerprint(self.other)}

    def faults(self, root: Path) -> Iterator[str]:
        if not (root / self.other).is_dir():
            yield f"other: {self.other!r} is no folder"

    def words(self, steps: int | None = None) -> list[str]:
        return [self.kind, f"{self.share:.0%} of {Path(self.other).name}"]

'''
INJECT = {"name": "inject", "kind": "sft", "batch": 8, "steps": 2, "learning_rate": 1e-2}
HALF = {"name": "half", "kind": "blend", "other": "twin"}
MORE = {"name": "more", "kind": "sft", "batch": 8, "steps": 2}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Processes in which the package has one kind more: its two files, and an entry in one."""
    there = tmp_path_factory.mktemp("home") / "cotforge"
    shutil.copytree(Path(package.__file__).parent, there)  # what is compiled too, or all of it would be once more
    shutil.copytree(shipped_folder("prompts"), there / "shipped" / "prompts")
    (there / "train" / "kinds" / "blend.py").write_text(FILE)
    (there / "plan" / "kinds" / "blend.py").write_text(ENTRY)
    entries = there / "plan" / "kinds" / "__init__.py"
    before, tuple_of, after = entries.read_text().partition("\nKINDS: tuple[type[Stage], ...] = (")
    before = before.replace("import Dpo\n", "import Dpo\nfrom cotforge.plan.kinds.blend import Blend\n")
    entries.write_text(f"{before}{tuple_of}Blend, {after}")
    with Nursery(PYTHONPATH=str(there.parent)) as home:
        yield home


def project(folder: Path, *stages: dict[str, Any]) -> Path:
    """A project whose only teacher is a file, so that `check` asks nobody."""
    (folder / "p").mkdir(parents=True, exist_ok=True)
    known = replay(folder / "p", "one", {"t0": squares.said("red")})
    made = squares.project(folder / "p", *stages, teachers=[known], consensus={"label": "ignore"}, eval={"split": "test"})
    (made / "t0.png").write_bytes(squares.square("red", 40))
    with (made / "rows.jsonl").open("a") as file:
        file.write(json.dumps({"id": "t0", "image": "t0.png", "label": "red", "split": "train"}) + "\n")
    return made


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


def twin(folder: Path, factor: float) -> None:
    """Another student of the same shape, in the project's folder: the first one with its weights times a factor."""
    shutil.copytree(folder / "student", folder / "twin", dirs_exist_ok=True)
    scaled = {name: weight * np.float32(factor) for name, weight in weights(folder / "student").items()}
    save_file(scaled, folder / "twin" / "model.safetensors", metadata={"format": "pt"})


def test_a_student_goes_through_a_kind_that_is_two_files_and_one_entry(tmp_path: Path, home: Nursery) -> None:
    folder = project(tmp_path, INJECT, HALF, MORE)
    twin(folder, 2)
    checked = home.train(folder, "check", "squares.yaml")
    assert checked.returncode == 0, checked.stderr
    assert "  02 half: blend, 50% of twin\n" in checked.stdout
    ended = home.train(folder, "train", "squares.yaml", "--out", "run")
    assert (ended.returncode, ended.stdout) == (0, "the student: run/train/student\n"), ended.stderr
    trained = folder / "run" / "train"
    before, other, after = map(weights, (trained / "01-inject" / "weights", folder / "twin", trained / "02-half" / "weights"))
    for name, found in after.items():
        np.testing.assert_allclose(found, (before[name] + other[name]) / 2, atol=1e-6, err_msg=name)
    card = (trained / "student" / "README.md").read_text()
    assert "| 02 half: blend, 50% of twin | 1 | - |" in card
    assert "\n| half | 8 | " in card
    page = (folder / "run" / "report.html").read_text()
    assert "<figcaption>Share of the other model</figcaption>" in page
    assert page.index("02 half: blend") < page.index("03 more: sft")
    assert f"other: {folder / 'twin'}\n" in (folder / "run" / "pipeline.yaml").read_text()

    again = home.train(folder, "train", "squares.yaml", "--out", "run")
    assert (again.returncode, again.stderr.count("done already")) == (0, 3), again.stderr
    twin(folder, 3)
    changed = home.train(folder, "train", "squares.yaml", "--out", "run")
    assert changed.returncode == 2
    assert "stage 'more': the weights it begins with have changed; it would start again: 2 steps (" in changed.stderr
    redone = home.train(folder, "train", "squares.yaml", "--out", "run", "--from", "half")
    assert (redone.returncode, redone.stderr.count("done already"), redone.stderr.count("starts again")) == (0, 1, 2), redone.stderr


def test_two_steps_of_every_stage_pass_through_it(tmp_path: Path, home: Nursery) -> None:
    folder = project(tmp_path, INJECT, HALF, MORE)
    twin(folder, 2)
    smoked = home.train(folder, "train", "squares.yaml", "--out", "run", "--smoke")
    assert (smoked.returncode, smoked.stdout) == (0, "the student: run/train/smoke/student\n"), smoked.stderr
    held = json.loads((folder / "run" / "train" / "smoke" / "02-half" / "manifest.json").read_text())
    assert "data" not in held["inputs"], "it reads none, so that other lessons leave it as it is"


def test_its_keys_are_checked_as_those_of_the_others(tmp_path: Path, home: Nursery) -> None:
    stages = [{"name": "a", "share": "x", "other": "y"}, {"name": "b", "kind": "sft", "share": 2}, {"name": "c", "kind": "blende"}]
    folder = project(tmp_path, *({"kind": "blend"} | stage for stage in stages))
    ended = home.train(folder, "check", "squares.yaml")
    assert ended.returncode == 2, ended.stderr
    for line in (
        "train.stages[0].share: 'x': input should be a valid number, unable to parse string as a number",
        "train.stages[1]: share is for kind 'blend'; kind 'sft' has none",
        "train.stages[2].kind: 'blende': there is no such kind; did you mean 'blend'?",
    ):
        assert line in ended.stderr, ended.stderr
    ended = home.train(project(tmp_path / "other", INJECT, HALF), "check", "squares.yaml")
    assert (ended.returncode, ended.stderr.partition(": ")[2]) == (2, "train.stages[1].other: 'twin' is no folder\n")
