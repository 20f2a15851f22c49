"""The demo's raw data is honest, its teachers err differently, and its score counts what it says."""

import csv
import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from PIL import Image
from pyarrow import parquet

from cotforge.demo.digits import LESSONS, TEACHERS, answer_as_people, prepare_digits, write_digits
from cotforge.demo.score import Score, score_run, scores_table
from cotforge.errors import PipelineError
from cotforge.simulate.eyes import make_eye
from cotforge.simulate.sight import see_picture
from cotforge.teachers.simulated import Simulated

DIGITS = [str(digit) for digit in range(10)]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_digits(tmp_path_factory.mktemp("digits")).parent


def test_every_digit_is_written_once_as_a_grey_64_pixel_png(folder: Path) -> None:
    images = sorted((folder / "images").iterdir())
    assert len(images) == len({path.read_bytes() for path in images}) == 1797
    with Image.open(images[0]) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (64, 64))


def test_the_teachers_parts_share_no_digit_with_one_another_or_the_pool(folder: Path) -> None:
    parts = [[Path(row["image"]).stem for row in rows(folder / "teachers" / f"{name}.csv")] for name in TEACHERS]
    pool = [row["id"] for row in rows(folder / "pool.csv")]
    assert [len(part) for part in parts] == [LESSONS] * 5
    assert len({*pool, *(name for part in parts for name in part)}) == len(pool) + 5 * LESSONS == 1797


def test_eight_percent_of_the_labels_are_flipped_and_none_that_is_held_out(folder: Path) -> None:
    truth = {row["id"]: row["label"] for row in rows(folder / "truth.csv")}
    pool = rows(folder / "pool.csv")
    flipped = Counter(row["split"] for row in pool if row["label"] != truth[row["id"]])
    assert Counter(row["split"] for row in pool) == {"train": 1200, "test": 297}
    assert flipped == {"train": 96}
    assert {row["label"] for row in pool} == set(DIGITS)


def test_an_id_reveals_no_label(folder: Path, tmp_path: Path) -> None:
    write_digits(tmp_path, seed=1)
    one, other = ({row["id"]: row["label"] for row in rows(place / "truth.csv")} for place in (folder, tmp_path))
    assert sum(one[id] == other[id] for id in one) / len(one) < 0.15


def test_writing_again_touches_no_file(folder: Path) -> None:
    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

    before = times()
    prepare_digits(folder)
    assert times() == before


@pytest.mark.parametrize("place", ["pool.csv", "images", "images/digit-0000.png"])
def test_a_link_in_the_demos_folder_has_nothing_overwritten_elsewhere(tmp_path: Path, place: str) -> None:
    outside, link = tmp_path / "outside", tmp_path / "raw" / place
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (outside / "digit-0000.png").write_text("precious")
    link.parent.mkdir(parents=True)
    link.symlink_to(outside if place == "images" else outside / "precious")
    with pytest.raises(PipelineError, match="is a link") if place == "images" else nullcontext():
        prepare_digits(tmp_path / "raw", short=True)
    assert [path.read_text() for path in sorted(outside.iterdir())] == ["precious"] * 2


def test_the_short_form_asks_and_trains_less_and_another_port_is_everyones(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "images").symlink_to(folder / "images")
    short = yaml.safe_load(prepare_digits(tmp_path, short=True, port=9000).read_text())
    whole = yaml.safe_load((folder / "digits.yaml").read_text())
    assert (short["source"].pop("limit"), whole["source"].get("limit")) == (240, None)
    assert (short["eval"].pop("at_most"), whole["eval"].get("at_most")) == (40, None)
    for few, many in zip(short["train"]["stages"], whole["train"]["stages"], strict=True):
        assert 4 <= few.pop("steps") < many.pop("steps")
        assert few.pop("batch") == 16 <= many.pop("batch")
    assert {teacher.pop("url") for teacher in short["teachers"]} == {"http://127.0.0.1:9000/v1"}
    assert {teacher.pop("url") for teacher in whole["teachers"]} == {"http://127.0.0.1:8765/v1"}
    assert short == whole


def test_no_pipeline_of_the_demo_names_the_truth(folder: Path) -> None:
    assert "truth" not in (folder / "digits.yaml").read_text()


def test_five_different_teachers_err_on_different_digits_and_none_is_above_93_percent(folder: Path) -> None:
    truth = {row["id"]: row["label"] for row in rows(folder / "truth.csv")}
    pool = rows(folder / "pool.csv")[:150]
    sights = [see_picture((folder / row["image"]).read_bytes()) for row in pool]
    wrong = []
    for teacher in yaml.safe_load((folder / "digits.yaml").read_text())["teachers"]:
        seen = make_eye(Simulated.model_validate(teacher["simulate"]), DIGITS, root=folder)
        scores = [seen.scores([sight]) for sight in sights]
        wrong.append({row["id"] for row, each in zip(pool, scores, strict=True) if max(each, key=each.__getitem__) != truth[row["id"]]})
    assert all(0.07 < len(each) / len(pool) < 0.4 for each in wrong)
    assert len(set.intersection(*wrong)) < len(pool) * 0.03
    assert all(one != other for one in wrong for other in wrong if one is not other)


def test_the_score_compares_a_run_with_the_truth(tmp_path: Path) -> None:
    """Four samples: a true label kept, a flip found, a flip believed, and one (flipped) on which there was no verdict."""
    (tmp_path / "truth.csv").write_text("id,label\na,1\nb,2\nc,3\nd,4\n")
    (tmp_path / "pool.csv").write_text("id,image,label,split\na,a.png,1,train\nb,b.png,9,train\nc,c.png,8,train\nd,d.png,7,train\n")
    lessons = {"id": ["a", "b", "c"], "answer": ["1", "2", "8"], "label_conflict": [False, True, False]}
    ballots = [("a", "x", "1"), ("b", "x", "2"), ("c", "x", "8"), ("d", "x", None), ("a", "y", "1"), ("b", "y", "3")]
    traces = {name: list(column) for name, column in zip(("id", "teacher", "ballot"), zip(*ballots, strict=True), strict=True)}
    for name, table in (("data/train-0", lessons), ("traces/traces-0", traces)):
        path = tmp_path / "run" / "dataset" / f"{name}.parquet"
        path.parent.mkdir(parents=True)
        parquet.write_table(pa.table(table), path)
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"samples": 4, "calls_total": 6, "cost_usd": 0.25}))
    assert score_run(tmp_path / "run", tmp_path) == Score(
        4, 3, 0.75, pytest.approx(2 / 3), 3, pytest.approx(1 / 3), {"x": 0.5, "y": 0.5}, 6, 0.25
    )


def test_a_run_that_accepted_nothing_scores_zero(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("id,label\na,1\n")
    (tmp_path / "pool.csv").write_text("id,image,label,split\na,a.png,1,train\n")
    (tmp_path / "summary.json").write_text(json.dumps({"samples": 1, "calls_total": 0, "cost_usd": 0.0}))
    empty = score_run(tmp_path, tmp_path)
    assert empty == Score(1, 0, 0.0, 0.0, 0, 0.0, {}, 0, 0.0)
    assert scores_table({"all": empty, "some": empty})[:2] == [
        f"{'':14}{'all':33}  some",
        f"{'accepted':14}{'0 of 1 (coverage 0.000)':33}  0 of 1 (coverage 0.000)",
    ]


def test_what_a_person_checked_is_no_proof_of_the_precision(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("id,label\na,1\nb,2\n")
    (tmp_path / "pool.csv").write_text("id,image,label,split\na,a.png,1,train\nb,b.png,2,train\n")
    (tmp_path / "gold.csv").write_text("id,answer\na,1\n")
    path = tmp_path / "dataset" / "data" / "train-0.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(pa.table({"id": ["a", "b"], "answer": ["1", "3"], "label_conflict": [False, True]}), path)
    claim = {"precision": 0.9, "low": 0.7, "calibrated": True}
    (tmp_path / "summary.json").write_text(json.dumps({"samples": 2, "calls_total": 2, "cost_usd": 0.0, "claim": claim}))
    found = score_run(tmp_path, tmp_path)
    assert (found.precision, found.claimed, found.low) == (0.0, 0.9, 0.7)


def test_people_check_a_tenth_and_never_err(tmp_path: Path, folder: Path) -> None:
    answer_as_people(tmp_path / "gold.csv", folder, short=False)
    truth = {row["id"]: row["label"] for row in rows(folder / "truth.csv")}
    told = rows(tmp_path / "gold.csv")
    assert len(told) == 120
    assert all(truth[row["id"]] == row["answer"] for row in told)
