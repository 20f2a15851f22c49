"""The examples run as they are, without any server, and show what they say they show."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cotforge.measures import find_measure
from cotforge.records import Sample, Trace
from tests.nursery import Nursery
from tests.project import cotforge, environment, files, summary, table

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    built = cotforge("build", EXAMPLES / "shapes.yaml", cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder / "runs" / "shapes"


def test_three_files_of_replies_in_three_forms_become_lessons_without_a_server(run: Path) -> None:
    told = summary(run)
    assert (told["samples"], told["accepted"], told["label_conflicts"], told["calls_failed"]) == (4, 3, 1, 0)
    assert told["rejected"] == {"vote:tie": 1}
    assert told["read_as"] == {"tags": 8, "reasoning_field+bare": 4}
    assert {lesson["id"]: lesson["answer"] for lesson in table(run, "data")} == {"red": "circle", "blue": "square", "green": "triangle"}


def test_the_measure_of_ones_own_drops_the_reasoning_that_names_nothing_seen(run: Path) -> None:
    dropped = [trace for trace in table(run, "traces") if trace["fate"] == "filter:visual_words"]
    assert [(trace["id"], trace["teacher"], trace["fate_value"]) for trace in dropped] == [("red", "third", 0.0)]
    assert all(lesson["measure_visual_words"] >= 4 for lesson in table(run, "data"))


def test_the_measure_counts_each_word_once_and_knows_the_words_it_is_given() -> None:
    visual_words = find_measure("own_measure.py:visual_words", root=EXAMPLES)
    sample = Sample("1", (), "Which shape?")
    trace = Trace("k", "t", "m", 0, "Red, red edges; a disc.", "circle")
    assert visual_words(sample, trace, None) == 2
    assert visual_words(sample, trace, None, also=("disc",)) == 3
    assert visual_words(sample, Trace("k", "t", "m", 0, "", "circle"), None) is None


def test_the_reader_prints_the_label_that_was_voted_down_and_who_disagreed(run: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "read_dataset.py"), str(run)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "blue: labelled circle, agreed on square with confidence 0.75",
        "green: first said triangle, second said square, third said triangle; lesson: triangle",
        "yellow: first said circle, second said square, third said square; no lesson",
    ]


def test_the_first_run_shows_a_check_a_build_tables_and_a_sample(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "first_run.py"), str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "in all 12 calls to make" in done.stdout
    assert "samples 4, accepted 3, lessons 3" in done.stdout
    assert "blue: labelled circle, taught as square; {'first': 'square', 'second': 'square', 'third': 'square'}" in done.stdout
    assert "{'train': 3}" in done.stdout


def test_votes_over_a_table_beat_its_noisy_labels(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "noisy_labels.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = re.search(r"accepted (\d+) of 300, of which (\d+)% are right", done.stdout)
    assert found is not None
    assert int(found[1]) > 200
    assert int(found[2]) > 90


def test_a_student_is_trained_and_tried_from_python(tmp_path: Path, nursery: Nursery) -> None:
    done = nursery.train(tmp_path, tmp_path / "squares", program=(EXAMPLES / "train_a_student.py").read_text())
    assert done.returncode == 0, done.stderr
    assert "18 lessons of 18 samples" in done.stdout
    assert str(tmp_path / "squares" / "run" / "train" / "student") in done.stdout
    assert re.search(r"accuracy \d\.\d\d, interval .*, 6 samples", done.stdout)
    assert done.stderr == ""


def test_a_cache_that_was_deleted_is_made_anew_and_changes_nothing(run: Path) -> None:
    before = files(run / "dataset")
    shutil.rmtree(run / "cache")
    curated = cotforge("curate", run, cwd=run)
    assert curated.returncode == 0, curated.stderr
    assert files(run / "dataset") == before


def test_checked_in_pictures_are_small() -> None:
    assert all(path.stat().st_size < 5_000 for path in EXAMPLES.rglob("*.png"))
