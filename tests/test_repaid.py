"""What is asked anew is told by Calls about the same Sample, and what another run folder holds is named, before anything is paid."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.project import ran, said, sees, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

CHANGED = "teacher 'one': {} will be asked anew because what is asked (prompt, sampling or images) has changed"


def build(folder: Path, *words: object) -> str:
    """What a build says on stderr."""
    ended = ran("build", "pipeline.yaml", *words, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def check(folder: Path, *words: object) -> list[str]:
    ended = ran("check", "pipeline.yaml", *words, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return [line for line in ended.stdout.splitlines() if "anew" in line]


def test_a_probe_of_other_samples_is_no_change_of_what_is_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), teacher(server, "two"))
        assert check(tmp_path, "--probe", 3) == []
        asked = {entry.images for entry in server.ledger}
        for limit in (2, 4, 12):
            assert check(tmp_path, "--limit", limit) == []
            assert build(tmp_path, "--limit", limit) == ""
        assert len(asked) == 3


def test_after_a_change_those_alone_are_told_that_were_probed(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        assert check(tmp_path, "--probe", 3) == []
        assert check(tmp_path, "--set", "task.question=Which one?") == [CHANGED.format("3 calls")]
        assert build(tmp_path, "--set", "task.question=Which one?") == CHANGED.format("its calls") + "\n"


@pytest.mark.parametrize(
    "change", ["teachers.0.temperature=0", "task.question=Which one?", "prompts.solve=label_only/solve", "task.labels=[awe, fear, joy]"]
)
def test_whatever_of_the_call_has_changed_it_is_told(tmp_path: Path, change: str) -> None:
    write_rows(tmp_path, 6)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        build(tmp_path, "--limit", 4)
        assert check(tmp_path, "--set", change) == [CHANGED.format("4 calls")]
        assert check(tmp_path, "--limit", 2, "--set", change) == [CHANGED.format("2 calls")]
        assert build(tmp_path, "--limit", 2, "--set", change).splitlines()[-1] == CHANGED.format("its calls")


def test_pictures_that_are_sent_smaller_or_were_changed_in_place_are_told(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        build(tmp_path)
        assert check(tmp_path, "--set", "images.max_pixels=900") == [CHANGED.format("6 calls")]
        Image.new("RGB", (48, 32), (250, 1, 2)).save(tmp_path / "images/3.jpg")
        assert check(tmp_path) == [CHANGED.format("1 calls")]
        assert build(tmp_path) == CHANGED.format("1 calls") + "\n"


def test_another_order_of_rows_and_another_question_about_a_picture_are_no_change(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    path = tmp_path / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        del row["id"]
        row["question"] = f"Question {number}?"

    def write() -> None:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    write()
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        build(tmp_path, "--limit", 3)
        rows.reverse()
        write()
        assert check(tmp_path, "--limit", 3) == []
        assert build(tmp_path, "--limit", 3) == ""
        rows += [row | {"question": "Another one?"} for row in rows]
        write()
        assert check(tmp_path) == []
        assert build(tmp_path) == ""


def test_more_samples_of_each_call_are_no_change(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, samples=2))
        build(tmp_path)
        assert check(tmp_path, "--set", "teachers.0.samples=4") == []
        assert build(tmp_path, "--set", "teachers.0.samples=4") == ""


def forget_subjects(run: Path) -> None:
    """The journal as an earlier version left it."""
    with closing(sqlite3.connect(run / "journal.sqlite")) as opened:
        opened.executescript(
            "ALTER TABLE asked DROP COLUMN place; ALTER TABLE asked DROP COLUMN question; "
            "ALTER TABLE replies DROP COLUMN probability; PRAGMA user_version = 3"
        )


def test_of_an_older_journal_a_change_is_told_where_the_whole_source_is_asked_about(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        build(tmp_path, "--limit", 4)
        forget_subjects(tmp_path / "runs/feelings")
        assert check(tmp_path) == []
        assert check(tmp_path, "--set", "teachers.0.temperature=0") == [CHANGED.format("4 calls")]
        assert check(tmp_path, "--limit", 2, "--set", "teachers.0.temperature=0") == []
        assert build(tmp_path) == ""


# other run folders


def elsewhere(line: str, folder: Path, count: int, of: int) -> bool:
    return line == (
        f"{folder}: this run folder has answers to {count:,} of the first {of:,} calls that this run lacks; "
        f"--out {folder} goes on there and asks only the others"
    )


def test_a_run_from_another_directory_is_named_by_check_and_before_a_build_pays(tmp_path: Path) -> None:
    project, other = tmp_path / "project", tmp_path / "other"
    other.mkdir()
    write_rows(project, 4)
    with Teacher(sees) as server:
        write_pipeline(project, teacher(server))
        assert build(project, "--limit", 3) == ""
        before = sorted(path.name for path in (project / "runs/feelings").iterdir())
        checked = ran("check", project / "pipeline.yaml", cwd=other)
        assert elsewhere(checked.stderr.strip(), project / "runs/feelings", 3, 4)
        built = ran("build", project / "pipeline.yaml", cwd=other)
        assert elsewhere(built.stderr.strip(), project / "runs/feelings", 3, 4)
        assert ran("build", project / "pipeline.yaml", cwd=other).stderr == "", "all is paid for here too"
        assert ran("build", project / "pipeline.yaml", "--refresh", "one", cwd=other).stderr == "", "that is to be paid twice"
        assert sorted(path.name for path in (project / "runs/feelings").iterdir()) == before
        asked = len(server.ledger)
        went_on = ran("build", project / "pipeline.yaml", "--out", project / "runs/feelings", cwd=tmp_path)
        assert (went_on.stderr, len(server.ledger) - asked) == ("", 1)


@pytest.mark.parametrize("place", ["feelings", "runs/first", "../runs/feelings", "../../runs/feelings"])
def test_it_is_found_beside_the_file_under_another_name_and_above(tmp_path: Path, place: str) -> None:
    project = tmp_path / "deep/project"
    write_rows(project, 2)
    with Teacher(sees) as server:
        write_pipeline(project, teacher(server))
        build(project, "--out", place)
        assert elsewhere(build(project).strip(), (project / place).resolve(), 2, 2)


def test_folders_without_these_answers_links_and_what_is_no_journal_are_passed_over(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        build(tmp_path, "--set", "teachers.0.temperature=0", "--out", "runs/changed")
        build(tmp_path, "--out", "far/away")
        (tmp_path / "runs/link").symlink_to(tmp_path / "far/away")
        (tmp_path / "runs/linked").mkdir()
        (tmp_path / "runs/linked/journal.sqlite").symlink_to(tmp_path / "far/away/journal.sqlite")
        for name, text in (("empty", ""), ("text", "no journal"), ("other", None)):
            (tmp_path / "runs" / name).mkdir()
            path = tmp_path / "runs" / name / "journal.sqlite"
            path.mkdir() if text is None else path.write_text(text)
        assert build(tmp_path) == ""


def test_a_folder_of_another_pipeline_where_nobody_can_go_on_is_not_named(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        build(tmp_path, "--set", "name=moods")
        assert build(tmp_path, "--offline") == ""
        refused = ran("build", "pipeline.yaml", "--out", "runs/moods", cwd=tmp_path)
        assert (refused.returncode, "belongs to the pipeline 'moods', not to 'feelings'" in refused.stderr) == (2, True)
        (tmp_path / "runs/moods/pipeline.yaml").unlink()
        assert elsewhere(build(tmp_path).strip(), tmp_path / "runs/moods", 2, 2), "it is of no pipeline now"
        ran("build", "pipeline.yaml", "--out", "runs/moods", cwd=tmp_path)


def test_a_journal_whose_log_was_not_folded_in_is_read_too(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with Teacher(said("awe")) as server:
        write_pipeline(tmp_path, teacher(server))
        build(tmp_path, "--out", "runs/first")
        run = tmp_path / "runs/first"
        with closing(sqlite3.connect(run / "journal.sqlite", isolation_level=None)) as opened:
            opened.execute("UPDATE replies SET passing = passing")  # as the log of a run that was killed
            for end in ("", "-wal"):
                shutil.copy(run / f"journal.sqlite{end}", tmp_path / f"copy{end}")
        for end in ("", "-wal"):
            shutil.move(tmp_path / f"copy{end}", run / f"journal.sqlite{end}")
        assert elsewhere(build(tmp_path).strip(), run, 2, 2)
