"""The demo's students: two pipelines that differ in what is learnt, stages that are done once, and a table of what was measured."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from cotforge.demo import train_students
from cotforge.demo.digits import prepare_digits, rows_of
from cotforge.demo.school import BASELINE, baseline_pipeline, school_table, school_trainings
from cotforge.demo.trainings import train_all
from cotforge.export import columns
from cotforge.pipeline import Loaded
from tests.hub_server import TOKEN, HubServer, client_of
from tests.project import environment, ran, replay

TINY = {"steps": 2, "batch": 8}
"""Of every stage here."""
STRANGER = """
import json
from datasets import load_dataset
from transformers import AutoModelForImageTextToText, AutoProcessor
lessons = load_dataset("me/digits", split="train")
traces = load_dataset("me/digits", "traces", split="train")
model = AutoModelForImageTextToText.from_pretrained("me/student")
AutoProcessor.from_pretrained("me/student")
print(json.dumps([len(lessons), lessons[0]["images"][0].size, len(traces), sum(p.numel() for p in model.parameters())]))
"""
"""What anybody does with what was pushed."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's pipeline file, with stages of two steps, and lessons about 16 digits in its run folder."""
    run = tmp_path_factory.mktemp("demo")
    path = prepare_digits(run / "raw", short=True)
    whole = yaml.safe_load(path.read_text())
    whole["source"]["limit"] = 16
    whole["eval"]["at_most"] = 6
    for stage in whole["train"]["stages"]:
        stage |= TINY | ({"max_completion": 12, "accumulate": 1} if stage["kind"] == "grpo" else {})
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    kinds, rows = columns.lesson_columns([]), []
    for row in rows_of(run / "raw" / "pool.csv")[:16]:
        images = (((run / "raw" / row["image"]).read_bytes(), row["image"]),)
        said = f"<think>It looks like {row['label']}, as far as I can see.</think>\n<answer>{row['label']}</answer>"
        label = row["label"]
        about = ("Which digit is it?", tuple("0123456789"), label, label, False, 1.0, (), "one", "model", "solve", 5, row["id"], None)
        rows.append((row["id"], images, "Which digit is written in this image?", said, *about))
    (run / "dataset" / "data").mkdir(parents=True)
    pq.write_table(columns.arrow_table(rows, kinds, columns.arrow_schema(kinds)), run / "dataset" / "data" / "train-00000-abc.parquet")
    return path


def test_the_baseline_has_the_same_student_and_as_many_steps_on_the_raw_labels(file: Path) -> None:
    ours, other = Loaded.load(file).pipeline, Loaded.load(baseline_pipeline(file)).pipeline
    assert ours.train is not None
    assert other.train is not None
    stages, (labels,) = ours.train.expanded(), other.train.expanded()
    assert [stage.name for stage in stages] == ["inject", "format", "reason", "clip"]
    assert (labels.kind, labels.data) == ("sft", "source")
    assert (labels.batch, labels.learning_rate, labels.trl) == (stages[0].batch, stages[0].learning_rate, stages[0].trl)
    assert "truth" not in baseline_pipeline(file).read_text()
    assert labels.steps == sum(stage.steps or 0 for stage in stages)
    assert (other.train.student, other.source, other.eval, other.task) == (ours.train.student, ours.source, ours.eval, ours.task)


def test_two_students_are_trained_once_and_the_table_says_what_was_measured(file: Path) -> None:
    run = file.parents[1]
    first: list[str] = []
    train_all(school_trainings(file, run), at_once=1, tell=first.append)
    shown = school_table(run)
    found = {
        path.stem: json.loads(path.read_text())
        for path in (*sorted((run / "eval").glob("*.json")), run / BASELINE / "eval" / "01-labels.json")
    }
    assert list(found) == ["00-base", "01-inject", "02-format", "03-reason", "04-clip", "01-labels"]
    assert all(figures["n"] == 6 for figures in found.values())
    assert shown[0].startswith("6 held-out digits")
    assert [line.split()[0] for line in shown[2:8]] == [*list(found)[:5], BASELINE]
    for line, figures in zip(shown[2:8], found.values(), strict=True):
        assert line.split()[1] == f"{figures['accuracy']:.3f}"
    steps = [len(path.read_text().splitlines()) for path in sorted((run / "train").glob("*/metrics.jsonl"))]
    (plain,) = (run / BASELINE / "train").glob("*/metrics.jsonl")
    assert len(plain.read_text().splitlines()) == sum(steps) == 8

    again: list[str] = []
    train_all(school_trainings(file, run), at_once=1, tell=again.append)
    assert sum("done already" in line for line in again) == 5
    assert school_table(run) == shown


def test_where_the_training_libraries_are_absent_a_line_says_how_to_get_them(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    said: list[str] = []
    train_students(file, file, tmp_path, seeds=1, tell=said.append)
    assert said == ["students would be trained now, but that needs trl: pip install 'cotforge[train]', then the same command again\n"]
    assert list(tmp_path.iterdir()) == []


def test_the_demos_dataset_and_student_are_pushed_twice_and_then_loaded_by_a_stranger(file: Path, tmp_path: Path) -> None:
    train_all(school_trainings(file, file.parents[1]), at_once=1, tell=lambda _: None)
    run = tmp_path / "run"
    shutil.copytree(file.parents[1] / "train" / "student", run / "train" / "student")
    right = {
        row["id"]: f"<think>I see one {row['label']}.</think><answer>{row['label']}</answer>" for row in rows_of(file.parent / "pool.csv")
    }
    whole = yaml.safe_load(file.read_text())
    whole |= {"teachers": [replay(file.parent, name, right) for name in ("one", "two")], "filters": []}
    replayed = file.with_name("replayed.yaml")
    replayed.write_text(yaml.safe_dump(whole, sort_keys=False))
    with HubServer() as hub, client_of(hub, tmp_path / "xet"):
        for words in (
            ["build", replayed, "--out", run], ["push", run, "me/digits", "--no-xet"], ["push", run, "me/student", "--model", "--no-xet"],
            ["curate", run, "--set", "source.limit=12", "--replace"], ["push", run, "me/digits", "--no-xet"],
        ):  # fmt: skip
            done = ran(*words, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        given = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
        program = [sys.executable, "-c", STRANGER]
        loaded = subprocess.run(program, env=environment(given), cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert loaded.returncode == 0, loaded.stderr
        assert len(hub.dataset("me/digits").commits) == 3
    lessons, size, traces, parameters = json.loads(loaded.stdout.splitlines()[-1])
    assert (lessons, size, traces) == (12, [64, 64], 24)
    assert parameters > 100_000
