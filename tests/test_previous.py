"""A dataset is not replaced by one made of fewer samples without a word."""

import json
from pathlib import Path

import pytest

from cotforge.export.previous import Previous
from cotforge.tally import Tally
from tests.project import files, ran, replay, said, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

RUN = Path("runs/feelings")


def write(folder: Path, rows: int = 8) -> None:
    write_rows(folder, rows)
    write_pipeline(folder, replay(folder, "one", {f"row-{number}": said("awe") for number in range(100)}), consensus={"label": "ignore"})


def built(folder: Path, *words: object) -> str:
    ended = ran(*words, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def kept(folder: Path) -> dict[str, object]:
    """All that tells of the dataset in a run folder, but for the time it took."""
    run = folder / RUN
    told = {name: (run / name).read_bytes() for name in ("pipeline.yaml", "summary.json", "conflicts.csv", "losses.parquet", "report.html")}
    return told | files(run / "dataset")


def test_a_trial_grows_and_is_made_again_as_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    for words, samples in ((("--limit", 3), 3), (("--limit", 3), 3), (("--limit", 5), 5), ((), 8), ((), 8), (("--limit", 8), 8)):
        assert "stays as it was" not in built(tmp_path, "build", "pipeline.yaml", *words)
        assert summary(tmp_path / RUN)["samples"] == samples


@pytest.mark.parametrize("words", [["--limit", 3], ["--limit", 3, "--offline"], ["--set", "source.limit=3"]])
def test_a_smaller_limit_says_so_and_leaves_the_larger_dataset_as_it_is(tmp_path: Path, words: list[object]) -> None:
    write(tmp_path)
    built(tmp_path, "build", "pipeline.yaml")
    before = kept(tmp_path)
    told = built(tmp_path, "build", "pipeline.yaml", *words)
    first, second, *_ = told.splitlines()
    assert first == (
        "runs/feelings/dataset stays as it was: it is made of 8 samples, this one of 3; "
        "--replace takes the smaller one, --out DIR writes it elsewhere"
    )
    assert second.startswith("no sample was accepted as 'amusement' (label: 1), 'fear' (label: 1)")
    assert second.endswith(": the dataset has no lesson of them")
    assert "losses.parquet" not in told
    assert kept(tmp_path) == before
    curated = built(tmp_path, "curate", RUN)
    assert "8 of 8 samples gave a lesson" in curated, "nor does a later command take the smaller limit for the run's own"
    replaced = built(tmp_path, "build", "pipeline.yaml", *words, "--replace")
    assert replaced.startswith("the dataset that was here before was made of 8 samples, this one of 3\n")
    assert summary(tmp_path / RUN)["samples"] == len(table(tmp_path / RUN, "data")) == 3
    assert "3 of 3 samples" in built(tmp_path, "curate", RUN)


def test_it_is_said_before_anything_is_paid_and_what_was_paid_is_kept(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(said("awe")) as server:
        write_pipeline(tmp_path, teacher(server))
        built(tmp_path, "build", "pipeline.yaml")
        changed = ran("build", "pipeline.yaml", "--limit", 2, "--set", "teachers.0.temperature=0", cwd=tmp_path)
        assert changed.returncode == 0
        assert changed.stderr.splitlines()[0].startswith("runs/feelings/dataset is made of more samples than the limit of 2 and stays;")
        assert len(server.ledger) == 6
        again = ran("build", "pipeline.yaml", "--limit", 2, "--set", "teachers.0.temperature=0", cwd=tmp_path)
        assert (again.returncode, again.stderr, len(server.ledger)) == (0, "", 6)


def test_curating_without_the_replies_of_a_changed_prompt_leaves_the_dataset(tmp_path: Path) -> None:
    write(tmp_path)
    built(tmp_path, "build", "pipeline.yaml")
    before = kept(tmp_path)
    for words in (["build", "pipeline.yaml", "--offline"], ["curate", RUN]):
        told = built(tmp_path, *words, "--set", "task.question=Which?").splitlines()
        assert told[0].startswith(
            "runs/feelings/dataset stays as it was: it is made of 8 samples that were asked about, this one of 0; --replace"
        )
        assert kept(tmp_path) == before
    told = built(tmp_path, "curate", RUN, "--set", "task.question=Which?", "--replace").splitlines()
    assert told[0] == "the dataset that was here before was made of 8 samples that were asked about, this one of 0"
    assert "no lessons: 8 of 8 rows ended as vote:no_replies; losses.parquet has each" in told


def test_without_its_journal_a_run_without_lessons_stays_as_it_is_until_it_is_replaced(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, *(replay(tmp_path, name, {f"row-{row}": said(name) for row in range(2)}) for name in ("awe", "fear")))
    built(tmp_path, "build", "pipeline.yaml")
    assert (summary(tmp_path / RUN)["accepted"], summary(tmp_path / RUN)["calls_total"]) == (0, 4)
    before = kept(tmp_path)
    (tmp_path / RUN / "journal.sqlite").unlink()
    for words in (["curate", RUN], ["build", "pipeline.yaml", "--offline"]):
        ended = ran(*words, cwd=tmp_path)
        assert "holds no reply, though summary.json tells of 4 calls" in ended.stderr
        assert ended.stdout.startswith(
            "runs/feelings/dataset stays as it was: it is made of the replies to 4 calls, this one of none; --replace takes the smaller one"
        )
        assert kept(tmp_path) == before
    again = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert "holds no reply, though summary.json tells of 4 calls" in again.stderr, "the last sign before all is paid for again"
    assert summary(tmp_path / RUN)["calls"] == 4
    (tmp_path / RUN / "journal.sqlite").unlink()
    told = built(tmp_path, "curate", RUN, "--replace").splitlines()
    assert "the dataset that was here before was made of the replies to 4 calls, this one of none" in told
    assert summary(tmp_path / RUN)["calls_total"] == 0


def test_a_rule_or_filter_that_accepts_less_is_no_smaller_dataset(tmp_path: Path) -> None:
    write(tmp_path)
    built(tmp_path, "build", "pipeline.yaml")
    told = built(tmp_path, "curate", RUN, "--set", "consensus.label=gate", "--set", "filters=[{measure: reasoning_words, min: 5}]")
    assert "2 of 8 samples gave a lesson" in told
    assert len(table(tmp_path / RUN, "data")) == 2


def test_a_source_that_has_shrunk_is_built_as_it_is_and_curated_when_told(tmp_path: Path) -> None:
    write(tmp_path)
    built(tmp_path, "build", "pipeline.yaml")
    rows = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(rows[1:]))
    assert "stays as it was" in built(tmp_path, "curate", RUN)
    told = built(tmp_path, "build", "pipeline.yaml")
    assert told.startswith("the dataset that was here before was made of 8 samples, this one of 7\n")
    assert len(table(tmp_path / RUN, "data")) == 7


def test_no_shard_is_left_behind_of_a_dataset_that_did_not_take_the_place(tmp_path: Path) -> None:
    write(tmp_path)
    built(tmp_path, "build", "pipeline.yaml")
    before = sorted((tmp_path / RUN / "dataset").rglob("*"))
    built(tmp_path, "build", "pipeline.yaml", "--limit", 2, "--set", "filters=[{measure: reasoning_words, min: 5}]")
    assert sorted((tmp_path / RUN / "dataset").rglob("*")) == before


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"samples": "9", "accepted": 3}', '{"accepted": 0, "samples": 9}', '{"samples": 9}', "\udcff"]
)
def test_a_summary_that_says_nothing_of_a_dataset_is_no_reason_to_keep_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/README.md").touch()
    (tmp_path / "summary.json").write_text(text, errors="surrogateescape")
    assert Previous.of(tmp_path).larger_than(Tally(), 0) == ""
    (tmp_path / "summary.json").write_text(json.dumps({"samples": 9, "accepted": 1}))
    assert Previous.of(tmp_path).larger_than(Tally(samples=8), 0) == "9 samples, this one of 8"
    (tmp_path / "dataset/README.md").unlink()
    assert Previous.of(tmp_path).larger_than(Tally(), 0) == ""
