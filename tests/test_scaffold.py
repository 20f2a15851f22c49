"""`cotforge init`: a first pipeline file for a folder or a table, which loads, and is checked as it is."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from cotforge.pipeline import Loaded
from tests.project import ran


def picture(path: Path, number: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 24), (number * 40 % 256, 90, number)).save(path)
    return path


def rows(folder: Path, count: int, **columns: Any) -> list[dict[str, Any]]:
    """So many rows, each with a picture; a column is a value, or a list that is gone through again and again."""
    found = []
    for number in range(count):
        picture(folder / "pictures" / f"{number}.png", number)
        each = {name: value[number % len(value)] if isinstance(value, list) else value for name, value in columns.items()}
        found.append({name: f"pictures/{number}.png" if value is Path else value for name, value in each.items()})
    return found


def table(path: Path, found: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, found[0])
            writer.writeheader()
            writer.writerows(found)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(found), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def made(folder: Path, *words: object) -> tuple[str, dict[str, Any], Loaded]:
    """(what the command says, the file's values, the file loaded); `check` takes it as it is."""
    done = ran("init", *words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    file = folder / done.stdout.splitlines()[-1].split()[2]
    checked = ran("check", file.name, "--offline", cwd=folder)
    assert checked.returncode == 0, checked.stderr
    assert "calls to make" in checked.stdout
    return done.stdout, yaml.safe_load(file.read_text()), Loaded.load(file)


def test_a_folder_of_classes_becomes_a_pipeline_with_its_labels(tmp_path: Path) -> None:
    for number in range(12):
        picture(tmp_path / "My photos" / ("yes" if number % 3 else "$no") / f"{number}.png", number)
    (tmp_path / "My photos" / "yes" / "broken.png").write_bytes(b"none")
    told, values, loaded = made(tmp_path, "My photos")
    assert values["source"] == {"kind": "imagefolder", "path": "My photos"}
    assert (loaded.pipeline.name, loaded.pipeline.task.closed) == ("My-photos", ("$no", "yes"))
    assert told.splitlines()[:2] == ["My photos: imagefolder, 13 rows of split train", "2 labels: yes 9, $no 4"]
    assert "My-photos.yaml" in told


def test_the_pipeline_is_named_as_its_file_and_files_that_are_not_used_are_told(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "photos" / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    (tmp_path / "photos" / "notes.txt").write_text("x")
    told, values, _ = made(tmp_path, "photos", "--out", "mine.yaml")
    assert values["name"] == "mine"
    assert "1 file in the source is not used: 'notes.txt'" in told


def test_the_folder_of_one_class_is_told_from_the_folder_of_all(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path / "photos" / name / "1.png")
    told, *_ = made(tmp_path, "photos/cat", "--out", "cat.yaml")
    assert told.splitlines()[:2] == [
        "photos/cat: imagefolder, 1 row of split train",
        "no labels: there are no folders in it; did you mean photos? otherwise a free answer is asked for",
    ]
    picture(tmp_path / "one" / "cat" / "1.png")
    told, *_ = made(tmp_path, "one")
    assert told.splitlines()[1] == "one label, cat: a free answer is asked for"


def test_columns_that_are_not_used_are_told_where_there_are_no_labels(tmp_path: Path) -> None:
    found = rows(tmp_path, 9, image=Path, sort=["cat", "dog"], place="here")
    told, *_ = made(tmp_path, table(tmp_path / "list.csv", found).name, "--out", "own.yaml")
    assert told.splitlines()[1] == "no labels: a free answer is asked for; unused columns: sort, place"


def test_spellings_of_one_label_are_counted_together(tmp_path: Path) -> None:
    for number in range(12):
        picture(tmp_path / "signs" / ("Stop", "stop", "YIELD")[number % 3] / f"{number}.png", number)
    told, _, loaded = made(tmp_path, "signs")
    assert loaded.pipeline.task.closed == ("Stop", "YIELD")
    assert told.splitlines()[1] == "2 labels: Stop 8, YIELD 4; 1 other spelling counted with them"


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "cat" / "1.png")
    (tmp_path / "photos.yaml").write_text("mine")
    done = ran("init", "photos", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "photos.yaml: is there already; name another with --out\n")
    assert (tmp_path / "photos.yaml").read_text() == "mine"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_columns_of_other_names_are_found(tmp_path: Path, ending: str) -> None:
    found = rows(tmp_path, 9, uid=[f"n{number}" for number in range(9)], Filename=Path, category=["cat", "dog", "Cat", "Cat"])
    _, values, loaded = made(tmp_path, table(tmp_path / f"list.{ending}", found).name, "--out", "own.yaml")
    assert values["source"]["columns"] == {"id": "uid", "image": "Filename", "label": "category"}
    assert loaded.pipeline.task.closed == ("Cat", "dog")


def test_free_answers_and_numbers_are_told_from_classes(tmp_path: Path) -> None:
    found = rows(tmp_path, 8, image=Path, question="How many are there?", label=[str(number * 3) for number in range(8)])
    told, values, _ = made(tmp_path, table(tmp_path / "sums.jsonl", found).name)
    assert values["task"] == {"kind": "answer", "verifier": "number"}
    assert "8 different answers" in told


def test_options_of_each_row_are_a_closed_question_without_labels(tmp_path: Path) -> None:
    found = rows(tmp_path, 6, image=Path, question="Which?", choices=[["a", "b"], ["c", "d", "e"]], label=["a", "d"])
    _, values, _ = made(tmp_path, table(tmp_path / "quiz.jsonl", found).name)
    assert values["task"] == {"kind": "classify"}
    assert values["source"]["columns"] == {"options": "choices"}


def test_only_another_split_than_train_is_named(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "photos" / "test" / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    _, values, _ = made(tmp_path, "photos")
    assert values["source"]["split"] == "test"


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({}, "photos: holds no image and no table"),
        ({"a.csv": "image,label\n", "b.csv": "image,label\n"}, "photos: holds 2 tables (a.csv, b.csv); name the one that lists the images"),
        ({"a.csv": "name,label\nx,y\n"}, "no column 'image' or 'images'"),
        ({"a.csv": "image,label\nx.png,y\n"}, "no sound row in 'photos/a.csv'"),
    ],
)
def test_a_folder_without_data_is_told_in_a_line(tmp_path: Path, there: dict[str, str], told: str) -> None:
    (tmp_path / "photos").mkdir()
    for name, text in there.items():
        (tmp_path / "photos" / name).write_text(text)
    done = ran("init", "photos", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr
    assert not (tmp_path / "photos.yaml").exists()


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    assert "nothing: is not there" in ran("init", "nothing", cwd=tmp_path).stderr
    (tmp_path / "a.txt").write_text("x")
    assert "a.txt: is no table" in ran("init", "a.txt", cwd=tmp_path).stderr
