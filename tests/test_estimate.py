"""What a build would still ask, and what it would cost, against what it then asks and costs."""

from pathlib import Path

import pytest

from cotforge.estimate import OUTPUT_TOKENS, Estimate, Share
from tests.project import ran, replay, said, sees, summary, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

PRICE = {"input": 1000, "output": 2000}


def check(folder: Path, *words: str) -> list[str]:
    ended = ran("check", "pipeline.yaml", *words, cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_the_text_names_samples_faults_teachers_and_the_whole() -> None:
    shares = {
        "one": Share(calls=1200, done=30, input_tokens=600_000, output_tokens=90_000, usd=1234.5, priced=True),
        "longer": Share(calls=0, done=1230),
        "free": Share(calls=10, input_tokens=5000, output_tokens=500),
    }
    assert Estimate(1230, {"image_empty": 2, "duplicate_id": 1000}, shares).text().splitlines() == [
        "1,230 samples; 1,000 rows duplicate_id; 2 rows image_empty",
        "one     1,200 calls to make, 30 in the journal, about 600,000 + 90,000 tokens, about $1,234.50",
        "longer  0 calls to make, 1,230 in the journal",
        "free    10 calls to make, 0 in the journal, about 5,000 + 500 tokens, no price given",
        "in all 1,210 calls to make, about $1,234.50",
    ]


def test_check_asks_nothing_and_says_what_a_build_then_asks(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write("broken\n")
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, samples=3, price=PRICE), teacher(server, "two"))
        lines = check(tmp_path)
        assert not server.ledger
        assert lines[0] == "10 samples; 1 rows line_not_json"
        assert lines[1].startswith("one  30 calls to make, 0 in the journal, about ")
        assert lines[2].endswith(", no price given")
        assert lines[-1].startswith("in all 40 calls to make, about $")
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 40
        assert [line.partition(",")[0] for line in check(tmp_path)[1:]] == [
            "one  0 calls to make",
            "two  0 calls to make",
            "in all 0 calls to make",
        ]


def test_a_limit_and_a_change_are_estimated_as_they_would_be_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), teacher(server, "two"))
        assert ran("build", "pipeline.yaml", "--limit", 4, cwd=tmp_path).returncode == 0
        assert check(tmp_path)[-1].startswith("in all 12 calls")
        assert check(tmp_path, "--limit", "5")[-1].startswith("in all 2 calls")
        assert check(tmp_path, "--set", "teachers.0.temperature=0")[1].startswith("one  10 calls to make, 0 in the journal")
        assert check(tmp_path, "--set", "teachers.0.name=uno")[1].startswith("uno  6 calls to make, 4 in the journal")


def tokens(line: str) -> tuple[int, int]:
    """(input, output) of a teacher's line."""
    begins, ends = line.partition(", about ")[2].partition(" tokens")[0].split(" + ")
    return int(begins.replace(",", "")), int(ends.replace(",", ""))


def test_output_is_guessed_at_first_bounded_by_max_tokens_and_then_measured(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, price=PRICE))
        assert tokens(check(tmp_path)[1])[1] == 8 * OUTPUT_TOKENS
        assert tokens(check(tmp_path, "--set", "teachers.0.max_tokens=100")[1])[1] == 800
        assert ran("build", "pipeline.yaml", "--limit", 4, cwd=tmp_path).returncode == 0
        measured = summary(tmp_path / "runs/feelings")["tokens"]["output"]
        assert tokens(check(tmp_path)[1])[1] == pytest.approx(measured, abs=4), "four more like the first four"


def test_the_estimated_cost_is_that_of_a_server_that_does_not_count(tmp_path: Path) -> None:
    """Then both sides count alike: characters and pixels."""
    write_rows(tmp_path, 3)
    answer = said("awe").ljust(4 * OUTPUT_TOKENS)
    with Teacher(answer, fail=lambda body: "bare") as server:
        write_pipeline(tmp_path, teacher(server, price=PRICE))
        usd = float(check(tmp_path)[-1].partition("$")[2])
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / "runs/feelings")["cost_usd"] == pytest.approx(usd, abs=0.01)
    assert usd > 1


def test_replies_someone_already_has_are_estimated_without_a_server(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, replay(tmp_path, "one", {"row-0": said("awe")}))
    assert check(tmp_path)[1].startswith("one  2 calls to make, 0 in the journal")
