"""Pass rates of a student, written back into the run folder: whom it is asked about, what is written, and what `select` makes of it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cotforge.difficulty import FILE, Rated, pass_rates, read_rated, write_rated
from cotforge.errors import JournalError
from tests.project import files, ran, said, summary, table
from tests.teacher import Teacher
from tests.test_curate import again, build, whole
from tests.test_evaluate import COLOURS, TRAINED, folder, pipeline, sees

__all__ = ["folder"]

TWO = {"one": whole("awe awe awe awe"), "two": whole("awe awe awe awe")}


def rate(run: Path, rates: dict[str, float]) -> None:
    write_rated(run, {id: Rated(value, 4, "student") for id, value in rates.items()})


def ids(run: Path) -> list[str]:
    return [row["id"] for row in table(run, "data")]


# the file


def test_what_is_written_is_read_and_what_is_known_of_other_samples_stays(tmp_path: Path) -> None:
    assert read_rated(tmp_path) == {}
    rate(tmp_path, {"b": 0.5, "a": 1.0})
    write_rated(tmp_path, {"b": Rated(0.25, 8, "later")})
    assert read_rated(tmp_path) == {"a": Rated(1.0, 4, "student"), "b": Rated(0.25, 8, "later")}
    assert pq.read_table(tmp_path / FILE).column_names == ["id", "pass_rate", "tries", "model"]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"id": ["a"], "pass_rate": [1.5], "tries": [1], "model": ["m"]}, "row 0: needs an id, and a pass_rate from 0 to 1"),
        ({"id": ["a"], "pass_rate": [None], "tries": [1], "model": ["m"]}, "row 0: needs an id, and a pass_rate from 0 to 1"),
        ({"id": ["a"], "rate": [0.5]}, "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, columns: dict[str, list[Any]] | None, line: str) -> None:
    if columns is None:
        (tmp_path / FILE).write_bytes(b"nothing")
    else:
        pq.write_table(pa.table(columns), tmp_path / FILE)
    with pytest.raises(JournalError, match=line):
        pass_rates(tmp_path)


# select


def test_lessons_are_selected_by_pass_rate_and_only_shards_that_change_are_packed_anew(tmp_path: Path) -> None:
    run = build(tmp_path, TWO)
    before = files(run / "dataset" / "data")
    assert again(tmp_path, "select.difficulty={min: 0.1, max: 0.9}")["unrated"] == 4  # no file yet: all stay
    assert files(run / "dataset" / "data") == before
    rate(run, {"row-0": 0.0, "row-1": 0.1, "row-3": 1.0})
    found = again(tmp_path, "select.difficulty={min: 0.1, max: 0.9}")
    assert ids(run) == ["row-1", "row-2"]
    assert (found["accepted"], found["unrated"], found["rejected"]) == (2, 1, {"select:difficulty": 2})
    assert [(row["id"], row["stage"], row["reason"]) for row in table(run, "losses")] == [
        ("row-0", "select", "difficulty"), ("row-3", "select", "difficulty"),
    ]  # fmt: skip
    assert {trace["fate"] for trace in table(run, "traces") if trace["id"] == "row-0"} == {"surplus"}
    assert "unrated" not in again(tmp_path)
    assert files(run / "dataset" / "data") == before


def test_a_run_tells_how_many_samples_stay_for_want_of_a_pass_rate(tmp_path: Path) -> None:
    run = build(tmp_path, TWO)
    rate(run, {"row-0": 0.5})
    told = ran("curate", run, "--set", "select.difficulty.max=0.4", cwd=tmp_path).stdout
    assert "select.difficulty: 3 accepted samples have no pass rate and stay; cotforge eval --write-back writes it" in told
    assert "1 left out by select.difficulty for their pass rate (select:difficulty)" in told


@pytest.mark.parametrize(
    ("band", "line"),
    [
        ("{min: 0.6, max: 0.4}", "select.difficulty: min: 0.6 is above max 0.4; no sample would be taken"),
        ("{}", "select.difficulty: min, max: neither is given; give at least one"),
        ("{min: 2}", "select.difficulty.min"),
    ],
)
def test_bounds_that_take_nothing_are_refused(tmp_path: Path, band: str, line: str) -> None:
    build(tmp_path, TWO)
    done = ran("curate", "runs/feelings", "--set", f"select.difficulty={band}", cwd=tmp_path)
    assert done.returncode == 2
    assert line in done.stderr


# writing back


def test_a_student_is_asked_several_times_about_each_sample_of_the_build(folder: Path) -> None:
    path = pipeline(folder, {"split": "test"})
    turns: dict[str, int] = {}

    def says(body: dict[str, Any]) -> str:
        colour = sees(body)
        turns[colour] = turns.get(colour, 0) + 1
        right = {"red": True, "green": False, "blue": turns[colour] % 2 == 0}.get(colour, True)
        return said(colour if right else "mauve")

    with Teacher(answer=says, models=["student"]) as server:
        done = ran("eval", path, "--out", "run", "--url", server.url, "--write-back", "--max-tokens", 99, cwd=folder)
    assert (done.returncode, done.stderr.splitlines()) == (
        0, [f"8 samples of the build, 4 answers each; asking student at {server.url}"],
    )  # fmt: skip
    assert [entry.sampling for entry in server.ledger] == [{"temperature": 1.0, "max_tokens": 99}] * TRAINED * 4
    found = read_rated(folder / "run")
    assert found == {
        f"s{number}": Rated({"green": 0.0, "blue": found[f"s{number}"].pass_rate}.get(COLOURS[number % 4], 1.0), 4, "student")
        for number in range(TRAINED)
    }
    blue = [found[f"s{number}"].pass_rate for number in range(TRAINED) if COLOURS[number % 4] == "blue"]
    assert sum(blue) == 0.5 * len(blue)
    assert done.stdout.splitlines()[0].startswith("8 samples: pass rate 0.625 in the mean; 2 never right, 4 always")
    assert not (folder / "run" / "eval").exists()


def test_one_answer_is_greedy_and_a_few_samples_leave_what_is_known_of_others(folder: Path) -> None:
    path = pipeline(folder, None)
    run = folder / "run"
    run.mkdir()
    rate(run, {f"s{number}": 0.75 for number in range(TRAINED)})
    with Teacher(answer=lambda body: said("mauve"), models=["student"]) as server:
        words = ("eval", path, "--out", "run", "--url", server.url, "--write-back", "--tries", 1, "--samples", 3)
        assert ran(*words, cwd=folder).returncode == 0
        asked = {entry.images for entry in server.ledger}
        assert ran(*words, cwd=folder).returncode == 0
    assert {entry.images for entry in server.ledger} == asked  # the same ones each time
    assert {entry.sampling["temperature"] for entry in server.ledger} == {0.0}
    assert sorted(pass_rates(run).values()) == [0.0] * 3 + [0.75] * 5


def test_right_is_what_the_lesson_says_where_there_is_one(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    wrong = [row | {"label": "white"} if row["id"] == "s0" else row for row in rows]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in wrong))
    with Teacher(answer=lambda body: said_at_length(sees(body)), models=["student", "m"]) as server:
        path = pipeline(folder, {"split": "test"}, {"name": "one", "model": "m", "url": server.url}, consensus={"label": "ignore"})
        assert ran("build", path, "--out", "run", cwd=folder).returncode == 0
        assert summary(folder / "run")["label_conflicts"] == 1
        words = ("eval", path, "--out", "run", "--url", server.url, "--model", "student", "--write-back", "--tries", 1)
        assert ran(*words, cwd=folder).returncode == 0
    assert set(pass_rates(folder / "run").values()) == {1.0}


def said_at_length(colour: str) -> str:
    return f"<think>I see it well, and it is plain.</think><answer>{colour}</answer>"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--tries", 3), "--tries belongs to --write-back"),
        (("--samples", 3), "--samples belongs to --write-back"),
        (("--write-back", "--rescue", 8), "--rescue belongs to the figures on held-out labels"),
        (("--write-back", "--url", "localhost"), "--url localhost: is not a URL of a server"),
    ],
)
def test_what_does_not_go_together_is_one_line(folder: Path, arguments: tuple[object, ...], line: str) -> None:
    done = ran("eval", pipeline(folder, {"split": "test"}), "--out", "run", *arguments, cwd=folder)
    assert done.returncode == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr
