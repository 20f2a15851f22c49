"""Probes and judges over real HTTP: asked once, marks in the columns, filters on them, and none of it a lesson's text."""

import re
from pathlib import Path
from signal import SIGINT
from subprocess import PIPE
from typing import Any

import pytest

from cotforge.gold.people_marks import find_people_marks
from cotforge.session import RunSession
from cotforge.tally.findings import FindingTally
from tests.project import (
    LABELS,
    Running,
    command,
    environment,
    files,
    ran,
    said,
    sees,
    summary,
    table,
    teacher,
    write_pipeline,
    write_rows,
)
from tests.teacher import Teacher
from tests.test_forge import until

RUN = "runs/feelings"
THINGS = "There is a small boat on the lake, and the mountains are high. The old tower stands on the shore."


def pictured(body: dict[str, Any]) -> tuple[str, str]:
    """(text, URL of the picture) of a request."""
    parts = body["messages"][0]["content"]
    return next(part["text"] for part in parts if "text" in part), next(part["image_url"]["url"] for part in parts if "image_url" in part)


def skilled(body: dict[str, Any]) -> str:
    """Answers from the picture, says so where it is blank, sees the boat and the tower alone, and gives low marks for `fear`."""
    text, url = pictured(body)
    if "<rubric>" in text:
        return "Here are my marks:\nevidence: 2/5\nclarity: 9" if "Its answer: fear" in text else "evidence: 4\nclarity: 10"
    if "<things>" in text:
        found = re.findall(r"^(\d+)\. (.+)$", text, re.MULTILINE)
        return "\n".join(f"{number}. {thing}: {'yes' if 'boat' in thing or 'tower' in thing else 'no'}" for number, thing in found)
    if url.startswith("data:image/png"):
        return "The image is blank. I cannot tell."
    return re.sub("<think>.*?</think>", f"<think>{THINGS}</think>", sees(body))


def blind(body: dict[str, Any]) -> str:
    """Answers alike, but does not need the picture: it knows what was in its place."""
    text, url = pictured(body)
    return skilled(body) if "<" in text.partition("<think>")[0] or not url.startswith("data:image/png") else said(LABELS[0])


SECTIONS: dict[str, Any] = {
    "consensus": {"label": "ignore", "rule": "unanimous"},
    "probe": {"blank": 1, "swap": 1, "mentions": 1},
    "judge": {"rubric": [{"name": "evidence", "anchors": {1: "none", 5: "all"}}, {"name": "clarity", "low": 0, "high": 10}]},
    "filters": [
        {"measure": "judge", "with": {"dimension": "evidence"}, "min": 3},
        {"measure": "judge", "with": {"dimension": "clarity"}, "max": 10},
        {"measure": "grounded", "min": 0.4},
        {"measure": "mentions_seen", "min": 0.1},
    ],
    "select": {"per_sample": 2},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything on, whose servers are gone."""
    folder = tmp_path_factory.mktemp("probed")
    write_rows(folder, 16)
    with Teacher(skilled) as one, Teacher(blind) as two:
        write_pipeline(folder, teacher(one, "one", family="qwen"), teacher(two, "two", family="glm"), **SECTIONS)
        ran("build", "pipeline.yaml", cwd=folder)
        asked = len(one.ledger) + len(two.ledger)
    assert asked == 16 * 2 + 16 * 2 * 4, "each text: blank, swap, things and one judge"
    return folder


def traces(folder: Path) -> list[dict[str, Any]]:
    return table(folder / RUN, "traces")


def test_marks_stand_in_columns_of_their_own(built: Path) -> None:
    rows = [row for row in traces(built) if row["origin"] == "solve"]
    assert len(rows) == 32
    for row in rows:
        assert row["measure_judge_evidence"] == (2 if row["answer"] == "fear" else 4)
        assert row["measure_judge_clarity"] == (9 if row["answer"] == "fear" else 10)
        assert row["measure_mentions_seen"] == pytest.approx(0.4)
        own = row["teacher"] == "two" and row["answer"] == LABELS[0]
        assert (row["measure_grounded"] <= 0.5) == own or row["measure_grounded"] == 0.5, row
    assert {row["measure_grounded"] for row in rows if row["teacher"] == "one"} <= {0.5, 1.0}


def test_filters_bound_them(built: Path) -> None:
    rows = [row for row in traces(built) if row["origin"] == "solve"]
    assert {row["fate"] for row in rows if row["answer"] == "fear"} == {"filter:judge_evidence"}
    assert {row["fate"] for row in rows if row["answer"] != "fear"} <= {"lesson", "filter:grounded"}
    assert all(row["fate"] == "filter:grounded" for row in rows if row["answer"] != "fear" and row["measure_grounded"] < 0.4)


def test_replies_of_probes_and_judges_are_kept_as_checks_and_never_taught(built: Path) -> None:
    checks = [row for row in traces(built) if row["fate"] == "check"]
    assert {origin: sum(row["origin"] == origin for row in checks) for origin in ("probe", "judge")} == {"probe": 96, "judge": 32}
    lessons = table(built / RUN, "data")
    assert lessons
    assert not any(word in str(row["completion"]) for row in lessons for word in ("evidence", "blank", "marks"))


def test_checks_of_other_texts_are_counted_apart_from_replies_that_give_an_answer(built: Path) -> None:
    told = summary(built / RUN)["teachers"]
    assert {name: (one["calls"], one["checks"], one["answered"]) for name, one in told.items()} == {
        "one": (80, 64, 16),
        "two": (80, 64, 16),
    }
    card = (built / RUN / "dataset" / "README.md").read_text()
    assert "| 80 | 0 | 64 | 16 of 16 |" in card
    assert "- judge (dimension: evidence), at least 3 (" in card
    assert "| reader | | yes |" in card
    assert "| writer | evidence | clarity |\n|---|---:|---:|\n| one | " in card
    assert "<td>80</td><td>0</td><td>64</td><td>16 of 16</td>" in (built / RUN / "report.html").read_text()


def test_a_second_build_asks_nothing_and_curating_finds_the_same(built: Path) -> None:
    before = files(built / RUN / "dataset")
    ran("build", "pipeline.yaml", cwd=built)
    assert summary(built / RUN)["calls"] == 0
    ran("curate", RUN, cwd=built)
    assert files(built / RUN / "dataset") == before


def test_a_filter_that_is_taken_away_needs_no_call(built: Path) -> None:
    ran("curate", RUN, "--set", "filters=[]", cwd=built)
    unfiltered = traces(built)
    assert sum(row["fate"].startswith("filter") for row in unfiltered) == 0
    marks = {f"measure_{name}" for name in ("judge_evidence", "judge_clarity", "grounded", "mentions_seen")}
    assert marks <= unfiltered[0].keys(), "marks are columns without a filter too"
    assert sum(row["measure_judge_evidence"] is not None for row in unfiltered) == 32
    ran("curate", RUN, cwd=built)


def test_the_findings_of_a_run_are_counted_from_its_outcomes(built: Path) -> None:
    with RunSession.reopen(built / RUN) as run:
        judge = run.loaded.pipeline.judge
        assert judge is not None
        tally = FindingTally(judge.dimensions, find_people_marks(run.loaded))
        assert sum(1 for _ in tally.watch(run.asking.make_curation().outcomes())) == 16
    told = tally.summary()
    assert told["probe"]["one"]["blank"]["yes"] == 0
    assert told["probe"]["two"]["blank"]["of"] == 16
    assert told["seen"]["one"]["thing"]["share"] == pytest.approx(0.4)
    assert told["seen"]["two"]["decoy"] == told["seen"]["one"]["decoy"]
    assert told["judge"]["judges"]["one"]["replies"] == told["judge"]["judges"]["two"]["replies"] == 16


def test_an_interrupt_amid_the_follow_ups_exports_what_there_is_and_says_what_is_missing(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    with Teacher(skilled, latency=0.02) as one, Teacher(skilled, latency=0.02) as two:
        judges = (teacher(one, "one", family="qwen", concurrency=2), teacher(two, "two", family="glm", concurrency=2))
        write_pipeline(tmp_path, *judges, judge={}, consensus={"label": "ignore"})
        building = Running(command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stdout=PIPE, stderr=PIPE, text=True)
        with building as run:
            until(lambda: len(one.ledger) >= 14)
            one.latency = two.latency = 0.5
            run.send_signal(SIGINT)
            told, said = run.communicate(timeout=90)
        assert (run.returncode, said.splitlines()[-1]) == (
            130,
            "interrupted; what was paid for is kept: run the same command again to go on",
        )
        made, asked = summary(tmp_path / RUN), len(one.ledger) + len(two.ledger)
        assert (made["stopped"], made["accepted"], len(table(tmp_path / RUN, "data"))) == ("interrupted", 12, 12)
        assert 24 < asked < 48
        assert made["follow_ups"]["judge"]["calls"] == asked - 24
        assert f"12 of 12 samples gave a lesson; the answer of {made['label_conflicts']} of these is not their label\n" in told
        assert f"\nat least {48 - asked} calls are not asked yet\n" in told
        one.latency = two.latency = 0.0
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(one.ledger) + len(two.ledger) == 48, "nothing that was answered is asked again"


def test_marks_of_people_for_unknown_samples_are_told(built: Path) -> None:
    (built / "marks.csv").write_text("id,dimension,mark\nrow-0,evidence,3\nrow-99,evidence,3\nrow-98,clarity,3\nrow-1,clarity,\n")
    told = ran("curate", RUN, "--set", "judge.gold=marks.csv", "--set", "filters=[]", cwd=built).stdout
    assert (
        "judge.gold: not compared with the judges: 2 ids or calls that no sample of this run has ('row-99', 'row-98'); "
        "1 row without a mark ('row-1')\n"
    ) in told
    ran("curate", RUN, cwd=built)


def test_a_filter_whose_judges_were_never_asked_is_the_first_thing_that_is_told(built: Path) -> None:
    sets = ("judge.rubric=[{name: counting}]", "filters=[{measure: judge, with: {dimension: counting}, min: 3}]")
    first, *rest = ran("curate", RUN, "--set", sets[0], "--set", sets[1], cwd=built).stdout.splitlines()
    assert first == (
        "the filter on judge_counting judged nothing and let every text pass: no text has this mark, because the calls of judge are not "
        f"asked yet; to ask them: cotforge build {built / 'pipeline.yaml'} --out {RUN} --set '{sets[0]}' --set '{sets[1]}'"
    )
    assert "calls are not asked yet" in "\n".join(rest)
    assert "judged nothing" not in ran("curate", RUN, cwd=built).stdout


def test_a_judges_prompt_without_the_rubric_is_told_before_anybody_is_paid(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    (tmp_path / "mine.jinja").write_text("{{ question }} Somebody wrote: {{ reasoning }} Give a mark.")
    line = (
        f"{tmp_path / 'mine.jinja'}: does not use 'rubric', what marks are given for; no teacher that is asked by prompts.judge sees that"
    )
    with Teacher(skilled) as one, Teacher(skilled) as two:
        asked = (teacher(one, "one", family="qwen"), teacher(two, "two", family="glm"))
        write_pipeline(tmp_path, *asked, judge={}, prompts={"judge": "mine.jinja"})
        for command in ("check", "build"):
            assert ran(command, "pipeline.yaml", cwd=tmp_path).stderr.count(line) == 1, command
        assert line not in ran("check", "pipeline.yaml", "--set", "judge=null", cwd=tmp_path).stderr
