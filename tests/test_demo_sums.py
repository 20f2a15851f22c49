"""The demo's task of steps: honest pictures and labels, teachers that add what they read, and students on several seeds."""

import csv
import json
from collections import Counter
from pathlib import Path
from statistics import fmean

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cotforge.demo import adders
from cotforge.demo.adders import AdderRow, adders_table, label_only, labels_run, reasoner_pipeline, reasoner_run
from cotforge.demo.digits import SHORT, write_digits, write_pipeline
from cotforge.demo.sums import PICTURES, TRIED, split_parts, write_sums
from cotforge.demo.trainings import Training, train_all
from cotforge.errors import PipelineError
from cotforge.export import columns
from cotforge.pipeline import Loaded
from cotforge.simulate.cells import STYLES, work_out
from cotforge.simulate.eyes import best_label, make_eye
from cotforge.simulate.sight import see_cells


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, sums, and the pipeline file of the sums."""
    root = tmp_path_factory.mktemp("sums")
    write_digits(root)
    write_sums(root / "sums")
    write_pipeline(root, "sums.yaml", short=False, port=9000)
    return root


def test_the_pictures_of_a_split_are_made_of_its_own_digits_and_their_labels_are_the_sums(folder: Path) -> None:
    known = {pixels(path).tobytes(): number for number, path in enumerate(sorted((folder / "images").iterdir()))}
    labels = {int(row["id"][-4:]): int(row["label"]) for row in rows(folder / "truth.csv")}
    truth = {row["id"]: int(row["label"]) for row in rows(folder / "sums" / "truth.csv")}
    pool = rows(folder / "sums" / "pool.csv")
    ranges = {part.split: range(part.first, part.last) for part in split_parts(len(known))}
    assert Counter(row["split"] for row in pool) == {"train": PICTURES, "validation": TRIED, "test": TRIED}
    for row in pool[::7]:
        picture = pixels(folder / "sums" / row["image"])
        assert picture.shape == (128, 128)
        digits = [known[picture[top : top + 64, left : left + 64].tobytes()] for top in (0, 64) for left in (0, 64)]
        assert all(digit in ranges[row["split"]] for digit in digits)
        assert sum(labels[digit] for digit in digits) == truth[row["id"]]


def test_no_split_shares_a_digit_with_another_or_with_a_teacher(folder: Path) -> None:
    taught = {int(Path(row["image"]).stem[-4:]) for path in (folder / "teachers").iterdir() for row in rows(path)}
    used = [number for part in split_parts(1797) for number in range(part.first, part.last)]
    assert sorted([*taught, *used]) == list(range(1797))


def test_eight_percent_of_the_sums_are_labelled_wrongly_and_none_that_is_held_out(folder: Path) -> None:
    truth = {row["id"]: row["label"] for row in rows(folder / "sums" / "truth.csv")}
    wrong = Counter(row["split"] for row in rows(folder / "sums" / "pool.csv") if row["label"] != truth[row["id"]])
    assert wrong == {"train": PICTURES * 8 // 100}


def test_no_pipeline_of_the_sums_names_the_truth(folder: Path) -> None:
    files = [folder / "sums.yaml", label_only(folder / "sums.yaml", 0), reasoner_pipeline(folder / "sums.yaml", folder / "run", 1)]
    assert [file for file in files if "truth" in file.read_text()] == []


def test_each_teacher_is_right_about_a_whole_picture_as_seldom_as_its_reading_of_digits_allows(folder: Path) -> None:
    truth = {row["id"]: row["label"] for row in rows(folder / "sums" / "truth.csv")}
    pool = rows(folder / "sums" / "pool.csv")[:150]
    inks = [see_cells((folder / "sums" / row["image"]).read_bytes(), rows=2, columns=2)[0] for row in pool]
    told = []
    for teacher in Loaded.load(folder / "sums.yaml").pipeline.teachers:
        assert teacher.simulate is not None
        assert teacher.simulate.cells is not None
        judge = make_eye(teacher.simulate, (), root=folder)
        read = [[best_label(scores) for scores in judge.scores_each(each)] for each in inks]
        told.append([work_out(teacher.simulate.cells, each, style=STYLES[0])[1] for each in read])
    right = [fmean(answer == truth[row["id"]] for answer, row in zip(each, pool, strict=True)) for each in told]
    assert all(0.2 < share < 0.75 for share in right)
    agreed = [Counter(answers).most_common(1)[0] for answers in zip(*told, strict=True)]
    sure = [(answer == truth[row["id"]]) for (answer, votes), row in zip(agreed, pool, strict=True) if votes >= 3]
    assert fmean(sure) > max(right), "three that agree are right more often than the best of them"


def test_the_short_form_asks_and_trains_less(tmp_path: Path, folder: Path) -> None:
    short = yaml.safe_load(write_pipeline(tmp_path, "sums.yaml", short=True, port=9000).read_text())
    whole = yaml.safe_load((folder / "sums.yaml").read_text())
    assert (short["source"].pop("limit"), short["eval"].pop("at_most")) == (SHORT, 40)
    for few, many in zip(short["train"]["stages"], whole["train"]["stages"], strict=True):
        assert 4 <= few.pop("steps") < many.pop("steps")
        assert few.pop("batch") <= many.pop("batch")
    assert short == whole


def test_students_of_other_seeds_differ_in_nothing_but_the_seed(folder: Path) -> None:
    first, other = (Loaded.load(reasoner_pipeline(folder / "sums.yaml", folder / "run", seed)).pipeline for seed in (0, 2))
    assert first.train is not None
    assert other.train is not None
    assert {stage.seed for stage in first.train.expanded()} == {0}
    assert [stage.model_dump() for stage in other.train.expanded()] == [
        stage.model_dump() | {"seed": 2} for stage in first.train.expanded()
    ]
    assert (other.source, other.task, other.eval) == (first.source, first.task, first.eval)
    assert (folder / str(other.train.data)).resolve() == (folder / "run" / "dataset").resolve()


def test_students_of_labels_begin_as_the_one_that_reasons_and_see_no_lesson(folder: Path) -> None:
    ours, plain = (Loaded.load(file).pipeline for file in (folder / "sums.yaml", label_only(folder / "sums.yaml", 0)))
    assert ours.train is not None
    assert plain.train is not None
    taught, (labels, longer, answers) = ours.train.expanded()[0], plain.train.expanded()
    assert {stage.data for stage in (labels, longer, answers)} == {"source"}
    assert {stage.from_ for stage in (labels, longer, answers)} == {"base"}
    assert (labels.steps, labels.batch, labels.learning_rate, labels.trl) == (taught.steps, taught.batch, taught.learning_rate, taught.trl)
    assert (longer.steps or 0) > (labels.steps or 0)
    assert [reward.measure for reward in answers.rewards] == ["correct"]
    assert (plain.train.student, plain.source, plain.eval, plain.task) == (ours.train.student, ours.source, ours.eval, ours.task)


def write_figures(run: Path, name: str, accuracy: float, seconds: float) -> None:
    (run / "eval").mkdir(parents=True, exist_ok=True)
    (run / "eval" / f"{name}.json").write_text(json.dumps({"accuracy": accuracy, "format_rate": 1.0, "n": 400}))
    if name != "00-base":
        (run / "train" / name).mkdir(parents=True)
        manifest = {"seconds": seconds, "inputs": {"stage": {"steps": 10}}}
        (run / "train" / name / "manifest.json").write_text(json.dumps(manifest))


def test_the_table_has_a_mean_over_seeds_and_adds_up_steps_and_seconds_from_the_first_weights_on(tmp_path: Path) -> None:
    for seed in range(3):
        for place, name in enumerate(("00-base", "01-inject", "02-format", "03-reason", "04-clip")):
            write_figures(reasoner_run(tmp_path, seed), name, 0.1 * place + 0.1 * seed, 20 + seed)
        for name in ("01-labels", "02-longer", "03-answers"):
            write_figures(labels_run(tmp_path, seed), name, 0.1, 7)
    lines = adders_table(tmp_path)
    assert lines[0].startswith("sums of four digits, 400 held-out pictures")
    assert len(lines) == 2 + len(adders.LINES) + 1
    last = lines[2 + len(adders.LINES) - 1]
    assert "0.500  0.247 to 0.753" in last
    assert last.split("0.753")[1].split() == ["0.400", "0.500", "0.600", "1.000", "40", "84"]
    assert [line.split()[-2:] for line in lines[3:6]] == [["10", "7"]] * 3


@given(st.lists(st.integers(0, 400), min_size=1, max_size=5))
def test_an_interval_holds_its_mean_and_is_never_narrower_than_that_of_one_student(right: list[int]) -> None:
    row = AdderRow("", tuple(count / 400 for count in right), 1.0, 400, 1, 1.0)
    alone = AdderRow("", (fmean(row.accuracies),), 1.0, 400, 1, 1.0)
    low, high = row.interval
    assert 0 <= low <= fmean(row.accuracies) <= high <= 1
    assert low <= alone.interval[0] + 1e-9
    assert high >= alone.interval[1] - 1e-9


@pytest.fixture
def tiny(folder: Path) -> Path:
    """The pipeline file of the sums with stages of two steps, and lessons about 16 pictures in its run folder, which lies beside it."""
    whole = yaml.safe_load((folder / "sums.yaml").read_text())
    whole["source"]["limit"], whole["eval"]["at_most"] = 16, 6
    for stage in whole["train"]["stages"]:
        stage |= {"steps": 2, "batch": 8} | ({"max_completion": 12} if stage["kind"] == "grpo" else {})
    (folder / "tiny.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    kinds, lessons = columns.lesson_columns([]), []
    for row in rows(folder / "sums" / "pool.csv")[:16]:
        images = (((folder / "sums" / row["image"]).read_bytes(), row["image"]),)
        said = f"<think>The top left shows 1, and so on.</think>\n<answer>{row['label']}</answer>"
        about = (whole["task"]["question"], None, row["label"], row["label"], False, 1.0, (), "one", "model", "solve", 5, row["id"], None)
        lessons.append((row["id"], images, "What do they add up to? Reason first.", said, *about))
    data = folder / "tiny" / "dataset" / "data"
    data.mkdir(parents=True)
    pq.write_table(columns.arrow_table(lessons, kinds, columns.arrow_schema(kinds)), data / "train-00000-abc.parquet")
    return folder / "tiny.yaml"


def test_students_are_trained_side_by_side_and_the_table_says_what_was_measured(tiny: Path) -> None:
    run, said = tiny.with_suffix(""), list[str]()
    train_all(adders.seed_trainings(tiny, run, seeds=1), at_once=2, tell=said.append)
    assert {line.partition(":")[0] for line in said} == {"sums, seed 0", "sums, labels, seed 0"}
    assert sum("done in" in line for line in said) == 7
    lines = adders_table(run, seeds=1)
    assert lines[0].startswith("sums of four digits, 6 held-out pictures with their true labels; one seed")
    assert [line.split()[-2] for line in lines[2:-1]] == ["0", "2", "4", str(adders.ANSWERS["steps"]), "2", "4", "6", "8"]
    for line, (_, run_of, chain) in zip(lines[2:-1], adders.LINES, strict=True):
        found = json.loads((run_of(run, 0) / "eval" / f"{chain[-1] if chain else '00-base'}.json").read_text())
        assert f"{found['accuracy']:.3f}" in line


def test_a_training_that_fails_beside_others_ends_them_and_is_told_by_its_last_line(tmp_path: Path, folder: Path) -> None:
    whole = yaml.safe_load((folder / "sums.yaml").read_text())
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(whole | {"train": {"student": {"model": "x"}}}))
    said: list[str] = []
    wrong = [Training(name, tmp_path / "broken.yaml", tmp_path / name) for name in ("one", "two")]
    with pytest.raises(PipelineError, match=r"broken\.yaml: cotforge train ended with exit 2: .*stages: there is none"):
        train_all(wrong, at_once=2, tell=said.append)
    assert said[0] == f"one: cotforge train {tmp_path / 'broken.yaml'} --out {tmp_path / 'one'}"
