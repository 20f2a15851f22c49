"""`conflicts.csv`: the files to relabel."""

import csv
from pathlib import Path

import polars as pl
import pytest
import yaml

import cotforge
from cotforge.export.conflicts import COLUMNS, votes_text
from cotforge.gold.csv_cells import unguard_cell
from cotforge.records import Ballot, Verdict
from cotforge.view.index_reader import read_index
from tests.project import LABELS, ran, replay, said, summary, write_pipeline, write_rows
from tests.teacher import Teacher
from tests.test_sources import photo


def conflicts(run: Path) -> list[dict[str, str]]:
    with (run / "conflicts.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        assert tuple(rows.fieldnames or ()) == COLUMNS
        return [{name: unguard_cell(cell) for name, cell in row.items()} for row in rows]


def written(tmp_path: Path, answers: dict[str, list[str]], **sections: object) -> list[dict[str, str]]:
    """Of a run on six rows, whose teachers give these answers, else the label."""
    write_rows(tmp_path, 6)
    usual = {f"row-{number}": LABELS[number % 4] for number in range(6)}
    names = ["one", "two", "six"]
    teachers = [
        replay(tmp_path, name, {row: said(answers[row][place] if row in answers else label) for row, label in usual.items()})
        for place, name in enumerate(names)
    ]
    write_pipeline(tmp_path, *teachers, **sections)
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    return conflicts(tmp_path / "runs/feelings")


def test_the_surest_stand_first_with_file_label_answer_and_votes(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        {"row-1": ["fear", "fear", "awe"], "row-4": ["fear", "fear", "fear"], "row-2": ["awe", "awe", "awe"]},
        consensus={"label": "ignore"},
    )
    assert [tuple(row.values()) for row in found] == [
        ("images/2.jpg", "fear", "awe", "1.000", "awe 3 (one, six, two)", "row-2"),
        ("images/4.jpg", "amusement", "fear", "1.000", "fear 3 (one, six, two)", "row-4"),
        ("images/1.jpg", "awe", "fear", "0.667", "fear 2 (one, two), awe 1 (six)", "row-1"),
    ]


def test_what_a_gate_kept_out_and_what_a_filter_dropped_is_listed_too(tmp_path: Path) -> None:
    found = written(tmp_path, {"row-1": ["fear"] * 3}, consensus={"label": "gate"}, filters=[{"measure": "reasoning_words", "min": 10_000}])
    assert [(row["id"], row["label"], row["answer"]) for row in found] == [("row-1", "awe", "fear")]


def test_report_viewer_and_one_sample_know_the_conflicts_that_gave_no_lesson_too(tmp_path: Path) -> None:
    against = {f"row-{number}": ["sadness"] * 3 for number in (0, 1, 4)}
    found = written(tmp_path, against, consensus={"label": "ignore"}, filters=[{"measure": "reasoning_words", "min": 4}])
    path = tmp_path / "runs/feelings"
    ended = ran("curate", path, "--set", "filters.0.min=10000", cwd=tmp_path)
    assert {row["id"] for row in conflicts(path)} == {row["id"] for row in found} == set(against)
    assert "perhaps mislabelled: 3 files" in ended.stdout
    told = summary(path)
    assert (told["accepted"], told["label_conflicts"], told["conflicts"]) == (0, 0, 3)
    report = (path / "report.html").read_text()
    assert "<b>3</b>labels contradicted" in report
    assert "agreed answer sadness" in report
    index = (read_index(path) or pytest.fail("there is a dataset")).index
    rows = [index.row(number) for number in range(len(index))]
    assert {row["id"] for row in rows if row["conflict"]} == set(against)
    assert [(row["label"], row["confidence"]) for row in rows] == [(LABELS[number % 4], 1.0) for number in range(6)]
    seen = cotforge.Run(path).sample("row-1")
    assert (seen.label, seen.answer, seen.confidence, list(seen.lessons)) == ("awe", "sadness", 1.0, [])
    assert "<td>sadness (confidence 1.00)</td>" in seen._repr_html_()
    lost = cotforge.Run(path).verdicts().filter(pl.col("label_conflict")).collect()
    assert set(lost["id"]) == set(against)
    (tmp_path / "rows.jsonl").rename(tmp_path / "gone.jsonl")
    assert cotforge.Run(path).sample("row-1").label == "awe", "without the source too"


def test_without_conflicts_a_file_of_an_earlier_export_is_replaced_by_a_header(tmp_path: Path) -> None:
    assert len(written(tmp_path, {"row-1": ["fear"] * 3})) == 1
    rows = (tmp_path / "rows.jsonl").read_text().replace('"images/1.jpg", "label": "awe"', '"images/1.jpg", "label": "fear"')
    (tmp_path / "rows.jsonl").write_text(rows)
    ended = ran("curate", "runs/feelings", cwd=tmp_path)
    assert (tmp_path / "runs/feelings/conflicts.csv").read_text() == "file,label,answer,confidence,votes,id\n"
    assert "relabel" not in ended.stdout


def test_of_a_folder_of_classes_the_file_and_the_id_are_the_path_in_it(tmp_path: Path) -> None:
    for place, name in enumerate(("awe/=1.jpg", "awe/sub/b,c.jpg", "fear/é.jpg")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(place))
    with Teacher(said("sadness")) as server:
        pipeline = {
            "name": "feelings",
            "source": {"kind": "imagefolder", "path": "photos"},
            "task": {"kind": "classify", "question": "?", "labels": [*LABELS, "sub"]},
            "teachers": [{"name": "one", "model": "m", "url": server.url}],
            "consensus": {"label": "ignore"},
        }
        (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(pipeline))
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    found = conflicts(tmp_path / "runs/feelings")
    assert [(row["file"], row["id"]) for row in found] == [(name, name) for name in ("awe/=1.jpg", "awe/sub/b,c.jpg", "fear/é.jpg")]
    assert all((tmp_path / "photos" / row["file"]).is_file() for row in found)


def test_where_a_picture_is_no_file_of_its_own_its_row_in_the_source_is_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [{"id": f"row-{number}", "image": {"bytes": photo(number), "path": None}, "label": "awe"} for number in range(2)]
    pq.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    teacher = replay(tmp_path, "one", {f"row-{number}": said("fear") for number in range(2)})
    write_pipeline(tmp_path, teacher, source={"kind": "table", "path": "rows.parquet"}, consensus={"label": "ignore"})
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert [row["file"].partition(":")[0] for row in conflicts(tmp_path / "runs/feelings")] == ["rows.parquet"] * 2


def test_votes_are_told_the_most_frequent_answer_first_whatever_their_order() -> None:
    ballots = (Ballot("b", "awe"), Ballot("a", "fear"), Ballot("a", "awe"), Ballot("c", "fear"), Ballot("d", "fear"))
    told = {votes_text(Verdict("fear", 0.6, True, "", order)) for order in (ballots, ballots[::-1])}
    assert told == {"fear 3 (a, c, d), awe 2 (a, b)"}
