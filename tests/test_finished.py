"""A run that is finished is found finished without being made again, and whatever has changed since is noticed."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from cotforge.finished import FILE, code_hash
from cotforge.session import RunSession
from tests.project import files, ran, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

RUN = Path("runs/feelings")
PROMPT = "{{ question }} One of {{ options | join(', ') }}. Write <answer>...</answer>."


@pytest.fixture(scope="module")
def server() -> Iterator[Teacher]:
    with Teacher(sees) as server:
        yield server


@pytest.fixture(scope="module")
def finished(server: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project whose run is finished. Tests change it, and build it again."""
    folder = tmp_path_factory.mktemp("finished")
    write_rows(folder, 8)
    for name in ("solve", "student"):
        (folder / f"{name}.jinja").write_text(PROMPT)
    prompts = {"solve": "solve.jinja", "student": "student.jinja"}
    bounds = [{"measure": "reasoning_words", "min": 3}]
    write_pipeline(folder, teacher(server, "one"), teacher(server, "two"), prompts=prompts, filters=bounds, consensus={"label": "ignore"})
    assert ran("build", "pipeline.yaml", cwd=folder).returncode == 0
    return folder


def build(folder: Path, *words: object) -> tuple[bool, str]:
    """(Whether the results were made again, what the command said)."""
    page = folder / RUN / "report.html"
    before = page.stat().st_ino if page.exists() else None
    ended = ran("build", "pipeline.yaml", *words, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return page.stat().st_ino != before, ended.stdout


def demand_noticed(folder: Path, change: Callable[[], object], what: str, *words: object) -> None:
    """After a change the results are made again, and not once more after that."""
    assert not build(folder, *words)[0], f"{what}: not finished before"
    change()
    assert build(folder, *words)[0], f"{what}: not noticed"


def in_journal(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / RUN / "journal.sqlite")) as journal:
        assert journal.execute(sql).rowcount
        journal.commit()


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_it_says_and_leaves_what_a_whole_build_does(finished: Path, server: Teacher) -> None:
    asked, run = len(server.ledger), finished / RUN
    made, told = build(finished)
    at_once, figures = files(run), summary(run)
    assert not made
    (run / FILE).unlink()
    whole, said = build(finished)
    assert whole
    assert told == said
    assert figures | {"seconds": 0} == summary(run) | {"seconds": 0}
    assert figures["calls"] == figures["attempts"] == 0
    passing = {"summary.json", "report.html", "lock", "journal.sqlite", "cache/images.sqlite", FILE}  # seconds, and what SQLite notes
    assert {name: data for name, data in at_once.items() if name not in passing} == {
        name: data for name, data in files(run).items() if name not in passing
    }
    assert len(server.ledger) == asked


def test_offline_it_is_found_finished_too(finished: Path) -> None:
    assert not build(finished)[0]
    assert not build(finished, "--offline")[0]


def test_results_that_are_damaged_edited_or_missing_are_made_again(finished: Path) -> None:
    run = finished / RUN
    before = files(run / "dataset")
    shards = [path for kind in ("data", "traces") for path in (run / "dataset" / kind).iterdir()]
    for path in (*shards, run / "dataset/README.md", run / "losses.parquet", run / "summary.json", run / "conflicts.csv"):
        demand_noticed(finished, path.unlink, f"{path.name} removed")
        if path.suffix in {".md", ".csv"}:
            data = path.read_bytes()
            demand_noticed(finished, lambda path=path, data=data: path.write_bytes(data.swapcase()), f"{path.name} edited")
            assert path.read_bytes() == data
        assert files(run / "dataset") == before
    demand_noticed(finished, (run / "report.html").unlink, "report.html removed")
    demand_noticed(finished, lambda: shutil.rmtree(run / "dataset"), "dataset removed")
    assert files(run / "dataset") == before
    demand_noticed(finished, lambda: shutil.rmtree(run / "cache"), "cache removed")
    assert files(run / "dataset") == before


def test_a_changed_row_or_picture_is_noticed(finished: Path) -> None:
    rows, picture = finished / "rows.jsonl", finished / "images/3.jpg"
    demand_noticed(finished, lambda: replaced(rows, '"label": "awe"', '"label": "fear"'), "label")
    demand_noticed(finished, lambda: Image.new("RGB", (48, 32), "red").save(picture), "picture")
    demand_noticed(finished, picture.unlink, "picture removed")
    assert summary(finished / RUN)["rejected"]["source:image_missing"] == 1
    demand_noticed(finished, lambda: write_rows(finished, 1, start=20), "row added")
    assert summary(finished / RUN)["samples"] == 8


def test_a_changed_prompt_pipeline_or_option_is_noticed(finished: Path) -> None:
    demand_noticed(finished, lambda: replaced(finished / "student.jinja", "One of", "Any of"), "student's prompt")
    assert "Any of" in table(finished / RUN, "data")[0]["prompt"][0]["content"]
    demand_noticed(finished, lambda: replaced(finished / "solve.jinja", "One of", "Any of"), "teachers' prompt")
    demand_noticed(finished, lambda: replaced(finished / "pipeline.yaml", "min: 3", "min: 4"), "filter")
    assert build(finished, "--set", "filters.0.min=500")[0]
    assert summary(finished / RUN)["accepted"] == 0
    assert build(finished, "--replace")[0]
    assert build(finished, "--limit", 4, "--replace")[0]
    assert summary(finished / RUN)["samples"] == 4
    assert build(finished)[0]


def test_what_people_checked_is_noticed(finished: Path) -> None:
    gold = finished / RUN / "gold.csv"
    demand_noticed(finished, lambda: gold.write_text("id,answer\nrow-1,awe\n"), "gold.csv")
    demand_noticed(finished, lambda: gold.write_text("id,answer\nrow-1,fear\n"), "gold.csv edited")
    demand_noticed(finished, gold.unlink, "gold.csv removed")


def test_whatever_happens_to_the_journal_is_noticed(finished: Path, server: Teacher) -> None:
    changed = "UPDATE replies SET body = replace(body, 'more than of anything', 'less than of anything')"
    asked, replies = len(server.ledger), len(table(finished / RUN, "traces"))
    demand_noticed(finished, lambda: in_journal(finished, changed), "replies edited")
    assert len(server.ledger) == asked + replies, "they are not what the server said"
    asked = len(server.ledger)
    demand_noticed(finished, lambda: in_journal(finished, "DELETE FROM replies WHERE id = (SELECT max(id) FROM replies)"), "reply removed")
    assert len(server.ledger) == asked + 1
    with closing(sqlite3.connect(finished / RUN / "journal.sqlite")) as open_elsewhere:  # the change stays in the log, as after a crash
        open_elsewhere.execute("UPDATE replies SET seconds = seconds + 1")
        open_elsewhere.commit()
        open_elsewhere.execute("SELECT 1 FROM replies").fetchone()
        assert build(finished)[0]
    build(finished)
    assert build(finished, "--refresh", "one")[0]
    assert summary(finished / RUN)["calls"] > 0
    assert summary(finished / RUN)["calls"] != summary(finished / RUN)["calls_total"]
    assert not build(finished)[0]


def test_another_version_makes_it_again_and_a_mark_that_is_none_is_as_if_it_were_not_there(finished: Path) -> None:
    mark = finished / RUN / FILE
    kept = json.loads(mark.read_text())
    for data in (kept | {"made_of": "another"}, kept | {"source": "another"}, kept | {"told": 3}, [kept], "{"):
        demand_noticed(finished, lambda data=data: mark.write_text(data if data == "{" else json.dumps(data)), repr(data)[:40])


def test_code_is_told_apart_by_every_file_of_it(tmp_path: Path) -> None:
    hashes = set()
    for number, (name, text) in enumerate([("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("page.html", "2")]):
        package = tmp_path / str(number)
        (package / "sub").mkdir(parents=True)
        (package / "sub" / name).write_text(text)
        hashes.add(code_hash(package))
        (package / "sub/a.pyc").write_text("compiled")
        code_hash.cache_clear()
        assert code_hash(package) in hashes
    assert len(hashes) == 4


def test_what_has_failed_is_asked_again_and_is_not_finished(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    with Teacher(sees, fail=lambda body: 400) as refusing, Teacher(sees) as answering:
        write_pipeline(tmp_path, teacher(refusing, "one"), teacher(answering, "two"), max_failures=1, consensus={"label": "ignore"})
        build(tmp_path)
        assert summary(tmp_path / RUN)["calls_failed"] == 3
        assert not (tmp_path / RUN / FILE).exists()


def test_a_measure_in_python_of_the_users_own_is_taken_again_each_time(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    (tmp_path / "own.py").write_text("def one(sample, trace, verdict):\n    return 1.0\n")
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), filters=[{"measure": "own.py:one", "min": 1}], consensus={"label": "ignore"})
        assert build(tmp_path)[0]
    assert build(tmp_path)[0]
    assert not (tmp_path / RUN / FILE).exists()


def test_what_duplicates_are_looked_for_among_is_noticed(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    shutil.copy(tmp_path / "images/0.jpg", tmp_path / "images/5.jpg")
    held, texts, run = tmp_path / "held", tmp_path / "benchmark.jsonl", tmp_path / RUN
    (held / "awe").mkdir(parents=True)
    shutil.copy(tmp_path / "images/4.jpg", held / "awe/one.jpg")
    words = " ".join(f"word{number}" for number in range(20))
    texts.write_text(json.dumps({"text": words}))
    against = [{"kind": "texts", "path": "benchmark.jsonl"}, {"kind": "imagefolder", "path": "held"}]
    with Teacher(sees) as server:
        dedup = {"pictures": "near", "reasoning": 0.95, "against": against}
        write_pipeline(tmp_path, teacher(server), dedup=dedup, consensus={"label": "ignore"})
        build(tmp_path)
    at_once, told = build(tmp_path)
    assert not at_once
    (run / FILE).unlink()
    assert build(tmp_path) == (True, told)
    assert {"dedup:exact", "dedup:contaminated"} <= summary(run)["rejected"].keys()
    (run / "duplicates.csv").unlink()
    assert build(tmp_path)[0]
    texts.write_text(json.dumps({"text": f"{words} more"}))
    assert build(tmp_path)[0], "text of a benchmark"
    shutil.copy(tmp_path / "images/2.jpg", held / "awe/two.jpg")
    assert build(tmp_path)[0], "picture of a benchmark"
    assert summary(run)["rejected"]["dedup:contaminated"] == 2
    assert not build(tmp_path)[0]


def test_only_a_build_takes_the_time_to_hash_the_source(finished: Path) -> None:
    with RunSession.open(finished / "pipeline.yaml", out=finished / RUN) as session:
        session.check(lambda line: None, offline=True)
        assert session.counts.rows
        assert session.reader.source_hash is None
        session.build(offline=True, replace=True)
        assert session.reader.source_hash
