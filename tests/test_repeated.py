"""A refusal that comes to Call after Call in the same words is about the teacher, whatever the words are."""

import json
from pathlib import Path
from typing import Any

import pytest

from cotforge.forge.repeated import ENOUGH, RefusalStreak
from cotforge.records import ANSWERED, Outcome, OutcomeKind
from cotforge.replies.refusals import refusal
from tests.aftermath import RUN
from tests.project import ran, sees, summary, table, teacher, write_pipeline, write_rows
from tests.stranger import Stranger, completion, http

ALONE = {"label": "ignore"}


def refused(words: str, status: int = 400) -> Outcome:
    return refusal(status, json.dumps({"error": {"message": words}}))


def test_so_many_refusals_in_the_same_words_are_a_streak_and_one_answer_ends_it() -> None:
    streak = RefusalStreak()
    for _ in range(ENOUGH - 1):
        assert not streak.saw(400, refused("the house is closed"))
    assert not streak.saw(200, ANSWERED)
    assert not streak.saw(400, refused("the house is closed"))
    assert [streak.saw(400, refused("the house is closed")) for _ in range(ENOUGH - 1)][-1]


def test_numbers_in_the_words_do_not_count_and_other_words_begin_anew() -> None:
    streak = RefusalStreak()
    assert [streak.saw(400, refused(f"denied, request id 8f{number}a")) for number in range(ENOUGH)][-1]
    assert not streak.saw(400, refused("the image is grey"))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, refusal(400, json.dumps({"error": {"code": "context_length_exceeded", "message": "too long"}}))),
        (400, refusal(400, json.dumps({"error": {"code": "content_filter", "message": "no"}}))),
        (429, refused("slow down", 429)),
        (500, refused("oops", 500)),
        (None, Outcome(OutcomeKind.PASSING, "timeout", "no answer", retry=True)),
    ],
)
def test_what_is_about_the_request_or_about_load_is_never_a_streak(status: int | None, outcome: Outcome) -> None:
    streak = RefusalStreak()
    assert not any(streak.saw(status, outcome) for _ in range(3 * ENOUGH))


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_teacher_that_refuses_in_unknown_words_is_closed_and_its_calls_are_asked_once_it_is_well(tmp_path: Path, status: int) -> None:
    write_rows(tmp_path, 40)
    well = False
    no = json.dumps({"message": "tenant 4711 is not in good standing, please contact sales"})

    def says(number: int, body: dict[str, Any]) -> bytes:
        return http(200, completion(sees(body))) if well or number < 10 else http(status, no)

    with Stranger(says) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=2), consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 3
        assert "in good standing" in ended.stderr
        assert len(server.ledger) <= 10 + ENOUGH + 2
        well = True
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / RUN)["accepted"] == 40
    assert not [row for row in table(tmp_path / RUN, "losses") if row["stage"] == "ask"]


def test_a_picture_that_is_refused_alone_stays_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    no = json.dumps({"error": {"message": "cannot do this one"}})
    with Stranger(lambda number, body: http(400, no) if number in (3, 4, 5) else http(200, completion(sees(body)))) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=1), consensus=ALONE)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        asked = len(server.ledger)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == asked == 12
