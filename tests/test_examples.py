"""The examples run as they are, without any server, and show what they say they show."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cotforge.measures import find_measure
from cotforge.records import Sample, Trace
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


def test_a_cache_that_was_deleted_is_made_anew_and_changes_nothing(run: Path) -> None:
    before = files(run / "dataset")
    shutil.rmtree(run / "cache")
    curated = cotforge("curate", run, cwd=run)
    assert curated.returncode == 0, curated.stderr
    assert files(run / "dataset") == before


def test_checked_in_pictures_are_small() -> None:
    assert all(path.stat().st_size < 5_000 for path in EXAMPLES.rglob("*.png"))
