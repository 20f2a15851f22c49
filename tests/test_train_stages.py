"""`cotforge train`: stages in turn, skipped when done, gone on with from what is whole; and what is wrong is one line."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForImageTextToText, AutoProcessor

from cotforge.folder import RunFolder
from cotforge.train.stage_run import mark_whole, newest_whole
from cotforge.train.students import loaded_student, tiny
from tests.project import command, environment, ran
from tests.squares import SIZE, TEXTS, square, write

INJECT = {"name": "inject", "kind": "sft", "batch": 8, "epochs": 2, "learning_rate": 3e-3}
LABELS = {"name": "labels", "kind": "sft", "batch": 4, "steps": 3, "data": "source", "learning_rate": 1e-3}
TIMED = {"train_runtime", "train_samples_per_second", "train_steps_per_second"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a student, a dataset, a source of pictures, and the run folder's dataset."""
    folder = tmp_path_factory.mktemp("ground")
    tiny.make_llava(folder / "student", TEXTS, SIZE)
    write(folder / "run" / "dataset")
    (folder / "images").mkdir()
    lines = []
    for number in range(12):
        colour = ["red", "green", "blue", "white"][number % 4]
        (folder / "images" / f"{number}.png").write_bytes(square(colour, 20 + number))
        lines.append(json.dumps({"id": f"s{number}", "image": f"images/{number}.png", "label": colour}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def project(ground: Path, tmp_path: Path) -> Path:
    shutil.copytree(ground, tmp_path / "p")
    return tmp_path / "p"


def pipeline(folder: Path, *stages: dict[str, Any], **sections: Any) -> Path:
    path = folder / "squares.yaml"
    whole = {
        "name": "squares",
        "source": {"kind": "table", "path": "rows.jsonl"},
        "task": {"kind": "classify", "question": "Which colour is this?", "labels": ["red", "green", "blue", "white"]},
        "teachers": [{"name": "one", "model": "m", "url": "http://localhost:1/v1"}],
        "train": {"student": {"model": "student"}, "stages": list(stages)},
    }
    path.write_text(yaml.safe_dump(whole | sections))
    return path


def train(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ran("train", "squares.yaml", "--out", "run", *arguments, cwd=folder)


def metrics(folder: Path, stage: str) -> list[dict[str, Any]]:
    lines = (folder / "run" / "train" / stage / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in TIMED} for line in lines]


def test_stages_follow_one_another_and_are_done_once(project: Path) -> None:
    pipeline(project, INJECT, LABELS)
    done = train(project)
    assert (done.returncode, done.stderr.count("Error")) == (0, 0), done.stderr
    assert "no eval: in the pipeline file" in done.stderr
    assert done.stdout == "the student: run/train/student\n"
    assert [len(metrics(project, stage)) for stage in ("01-inject", "02-labels")] == [8, 3]
    trained = project / "run" / "train" / "student"
    held = json.loads((project / "run" / "train" / "02-labels" / "manifest.json").read_text())
    assert held["finished"]
    assert held["versions"]["trl"]
    marks = {
        stage: loaded_student.weights_fingerprint(project / "run" / "train" / stage / "weights") for stage in ("01-inject", "02-labels")
    }
    assert len({*marks.values(), loaded_student.weights_fingerprint(project / "student")}) == 3
    model = AutoModelForImageTextToText.from_pretrained(trained)
    assert AutoProcessor.from_pretrained(trained).image_processor is not None
    assert model.config.model_type == "llava"
    card = (trained / "README.md").read_text()
    assert "| 02 labels: sft, on source, 3 steps, batch 4 x 1 | 3 |" in card
    assert "| raw samples with their labels | 12 |" in card
    assert runs(card, trained, project / "images" / "0.png")

    changed = (project / "run" / "train" / "01-inject" / "metrics.jsonl").stat().st_mtime_ns
    again = train(project)
    assert again.returncode == 0
    assert again.stderr.count("done already") == 2
    assert (project / "run" / "train" / "01-inject" / "metrics.jsonl").stat().st_mtime_ns == changed

    pipeline(project, INJECT, LABELS | {"steps": 2})
    refused = train(project)
    assert (refused.returncode, refused.stderr.count("done already")) == (2, 0)
    assert re.search(r"stage 'labels': steps was 3 and is 2; it would start again: 3 steps \(\d+ s\) would be", refused.stderr)
    assert len(metrics(project, "02-labels")) == 3
    third = train(project, "--from", "labels")
    assert third.stderr.count("done already") == 1
    assert len(metrics(project, "02-labels")) == 2

    fourth = train(project, "--from", "inject")
    assert fourth.stderr.count("starts again") == 2
    assert loaded_student.weights_fingerprint(project / "run" / "train" / "01-inject" / "weights") == marks["01-inject"]


def runs(card: str, student: Path, image: Path) -> bool:
    """Whether the program on the card says something: it is run in its own words, but for what a reader is to put in."""
    program = card.partition("```python\n")[2].partition("```")[0]
    given = {
        "PATH_OR_REPO": str(student),
        "image.jpg": str(image),
        "PROMPT": "Which colour?",
        "max_new_tokens=1024": "max_new_tokens=4",
    }
    for word, value in given.items():
        assert word in program
        program = program.replace(word, value)
    said: list[str] = []
    exec(program, {"print": said.append})
    return len(said) == 1


def test_one_stage_alone_and_a_smoke_of_all(project: Path) -> None:
    pipeline(project, INJECT, LABELS)
    early = train(project, "--stage", "labels")
    assert early.returncode == 2
    assert early.stderr.endswith("\n--stage labels: the stage 'inject' before it is not done; leave --stage out, or do it first\n")
    assert train(project, "--stage", "inject").stdout == "stage inject is done; others are not, so there is no new train/student\n"
    assert not (project / "run" / "train" / "02-labels").exists()
    smoke = train(project, "--smoke")
    assert smoke.returncode == 0
    assert [len(metrics(project, f"smoke/{stage}")) for stage in ("01-inject", "02-labels")] == [2, 2]
    assert (project / "run" / "train" / "smoke" / "student" / "config.json").exists()
    assert len(metrics(project, "01-inject")) == 8


TRACKED = find_spec("tensorboardX") is not None or find_spec("tensorboard") is not None


@pytest.mark.skipif(not TRACKED, reason="needs tensorboardX")
def test_a_tracker_gets_the_metrics_of_each_stage_and_keeps_them(project: Path) -> None:
    pipeline(project, train={"student": {"model": "student"}, "report_to": "tensorboard", "stages": [INJECT, LABELS]})
    done = train(project, "--smoke")
    assert done.returncode == 0, done.stderr
    for stage in ("01-inject", "02-labels"):
        (file,) = (project / "run" / "train" / "smoke" / stage / "tensorboard").glob("events.*")
        assert b"train/loss" in file.read_bytes()


def test_a_checkpoint_that_was_cut_short_is_not_used(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model.safetensors").write_bytes(b"x" * 100)
        if step < 15:
            mark_whole(tmp_path / f"checkpoint-{step}")
    os.truncate(tmp_path / "checkpoint-10" / "model.safetensors", 40)
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-5"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


@pytest.mark.parametrize(
    ("train_section", "arguments", "line"),
    [
        (
            {"student": {"model": "nowhere/there"}, "stages": [INJECT]},
            [],
            "train.student.model: 'nowhere/there' is no folder, and no model",
        ),
        (
            {"student": {"model": "student"}, "stages": [INJECT], "data": "images"},
            [],
            "images: holds no lessons; `cotforge build` makes them",
        ),
        ({"student": {"model": "student"}, "stages": [INJECT]}, ["--stage", "x"], "--stage x: no stage of that name; there are inject"),
        (
            {"student": {"model": "student"}, "stages": [{"name": "d", "kind": "dpo"}]},
            [],
            "dataset: has no pairs of a right and a wrong text",
        ),
        (
            {"student": {"model": "student"}, "stages": [INJECT | {"trl": {"warmup_step": 1}}]},
            [],
            "train.stages: 'inject': trl: SFTConfig has no field 'warmup_step'",
        ),
        (
            {"student": {"model": "student"}, "stages": [INJECT], "report_to": "tensorbord"},
            [],
            "train.report_to: no tracker named 'tensorbord'; did you mean 'tensorboard'?",
        ),
        (
            {"student": {"model": "student"}, "stages": [INJECT | {"trl": {"report_to": ["swanlab"]}}]},
            [],
            "train.stages: 'inject': trl.report_to: 'swanlab' needs a package that is not installed; pip install swanlab",
        ),
    ],
)
def test_what_is_wrong_is_one_line(project: Path, train_section: dict[str, Any], arguments: list[str], line: str) -> None:
    pipeline(project, train=train_section)
    done = train(project, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].removeprefix(f"{project}/").startswith(line)
    assert "Traceback" not in done.stderr


def test_a_run_folder_in_use_is_left_alone(project: Path) -> None:
    pipeline(project, INJECT, eval={"split": "train"})
    with RunFolder(project / "run"):
        for command in ("train", "eval"):
            done = ran(command, "squares.yaml", "--out", "run", cwd=project)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("run: in use by process ")
            assert done.stderr.endswith("; wait for it, or choose another folder with --out\n")
            assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in (project / "run").iterdir()) == ["dataset", "lock"]


def test_without_a_plan_or_without_torch_it_says_so(project: Path) -> None:
    pipeline(project, train=None)
    assert "train: is missing; it says which student is trained" in train(project).stderr
    pipeline(project, INJECT)
    blocker = project / "blocked" / "sitecustomize.py"
    blocker.parent.mkdir()
    blocker.write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
    )
    env = environment()
    env["PYTHONPATH"] = f"{blocker.parent}:{env['PYTHONPATH']}"
    done = subprocess.run(
        command("train", "squares.yaml", "--out", "run"), cwd=project, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "cotforge train needs torch: pip install 'cotforge[train]'\n")


def test_two_processes_come_to_what_one_does_with_twice_the_batch(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "one")
    for folder, batch in ((project, 4), (tmp_path / "one", 8)):
        pipeline(folder, INJECT | {"batch": batch, "epochs": 2}, LABELS | {"batch": batch // 2, "steps": 2})
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--no-python"]
    words = [sys.executable, "-c", "from cotforge.cli import main; main()", "train", "squares.yaml", "--out", "run"]
    done = subprocess.run(
        [*launch, *words], cwd=project, env=environment({"OMP_NUM_THREADS": "1"}), capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("done in") == 2
    assert done.stdout == "the student: run/train/student\n"
    assert train(tmp_path / "one").returncode == 0
    for stage in ("01-inject", "02-labels"):
        pairs = list(zip(metrics(project, stage), metrics(tmp_path / "one", stage), strict=True))
        assert len(pairs) in (8, 2)
        assert all(abs(two["loss"] - one["loss"]) < 1e-4 * one["loss"] for two, one in pairs)
        assert all(two["num_tokens"] == one["num_tokens"] for two, one in pairs)


def test_without_lessons_a_line_says_how_they_are_made(project: Path) -> None:
    pipeline(project, INJECT)
    shutil.rmtree(project / "run" / "dataset")
    done = train(project)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "run/dataset: there are no lessons yet; `cotforge build` makes them, or train.data names others"


def test_one_stage_alone_can_be_smoked_and_the_real_number_of_steps_is_told(project: Path) -> None:
    pipeline(project, INJECT, LABELS)
    alone = train(project, "--smoke", "--stage", "labels")
    assert alone.returncode == 0, alone.stderr
    assert "02 labels: sft, on source, 2 steps" in alone.stderr
    assert "inject" not in alone.stderr
    smoked = project / "run" / "train" / "smoke"
    assert [path.name for path in sorted(smoked.iterdir())] == ["02-labels"]
    assert len((smoked / "02-labels" / "metrics.jsonl").read_text().splitlines()) == 2
    both = train(project, "--smoke")
    assert (both.returncode, both.stdout) == (0, "the student: run/train/smoke/student\n")
    line = next(line for line in both.stderr.splitlines() if "01 inject: sft, on lessons, 2 steps" in line)
    assert re.search(r", 16 of 32 lessons$", line), line
    assert "--from chooses the stages" in train(project, "--smoke", "--from", "labels").stderr


def test_that_there_are_no_lessons_is_told_before_the_base_is_tried(project: Path) -> None:
    shutil.rmtree(project / "run" / "dataset")
    pipeline(project, INJECT, eval={"share": 0.5})
    ended = train(project)
    assert ended.returncode == 2
    assert "there are no lessons yet" in ended.stderr
    assert not (project / "run" / "eval").exists()
