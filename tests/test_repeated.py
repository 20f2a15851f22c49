"""A refusal that comes to Call after Call in the same words is about the teacher, whatever the words are."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cotforge.forge.repeated import ENOUGH, MOST_UNREADABLE, Refusal, RefusalStreak, overlapping_refusals, repeated_refusals
from cotforge.journal import Journal
from cotforge.records import ANSWERED, Outcome, OutcomeKind
from cotforge.replies.chat import read_completion as completion_of
from cotforge.replies.refusals import read_refusal
from tests.aftermath import RUN
from tests.attempts import attempt
from tests.project import ran, sees, summary, table, teacher, write_pipeline, write_rows
from tests.stranger import Stranger, completion, http

ALONE = {"label": "ignore"}


def refused(words: str, status: int = 400) -> Outcome:
    return read_refusal(status, json.dumps({"error": {"message": words}}))


def saw(streak: RefusalStreak, number: int, words: str = "the house is closed") -> bool:
    """One more Call was refused, whose attempt has this number."""
    return streak.saw(400, refused(words), number)


def test_so_many_refusals_in_the_same_words_are_a_streak_and_one_answer_ends_it() -> None:
    streak = RefusalStreak()
    assert not any(saw(streak, number) for number in range(1, ENOUGH))
    assert not streak.saw(200, ANSWERED, ENOUGH)
    assert not any(saw(streak, number) for number in range(ENOUGH + 1, 2 * ENOUGH))
    assert saw(streak, 2 * ENOUGH)


def test_an_answer_that_was_asked_for_before_the_refusals_does_not_end_their_streak() -> None:
    streak = RefusalStreak()
    assert not any(saw(streak, number) for number in range(10, 9 + ENOUGH))
    assert not streak.saw(200, ANSWERED, 3)
    assert saw(streak, 9 + ENOUGH)
    assert not streak.saw(200, ANSWERED, 8 + ENOUGH), "one of them was asked for after it"
    assert streak.numbers == [9 + ENOUGH]


def test_numbers_in_the_words_do_not_count_and_other_words_begin_anew() -> None:
    streak = RefusalStreak()
    assert [saw(streak, number, f"denied, request id 8f{number}a") for number in range(ENOUGH)][-1]
    assert not saw(streak, ENOUGH, "the image is grey")


def test_bodies_nobody_can_read_are_a_streak_whatever_each_of_them_shows() -> None:
    streak = RefusalStreak()
    bodies = [completion_of(f"<p>{'a' * number}").outcome for number in range(ENOUGH)]
    assert [streak.saw(200, outcome, number) for number, outcome in enumerate(bodies)][-1]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, read_refusal(400, json.dumps({"error": {"code": "context_length_exceeded", "message": "too long"}}))),
        (400, read_refusal(400, json.dumps({"error": {"code": "content_filter", "message": "no"}}))),
        (429, refused("slow down", 429)),
        (500, refused("oops", 500)),
        (None, Outcome(OutcomeKind.PASSING, "timeout", "no answer", retry=True)),
    ],
)
def test_what_is_about_the_request_or_about_load_is_never_a_streak(status: int | None, outcome: Outcome) -> None:
    streak = RefusalStreak()
    assert not any(streak.saw(status, outcome, number) for number in range(3 * ENOUGH))


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


def test_refusals_in_flight_together_with_a_streak_belong_to_it_on_both_sides() -> None:
    chain = [
        Refusal(1, 0.0, 1.0),
        Refusal(3, 5.0, 6.0),
        Refusal(5, 5.5, 8.0),
        Refusal(8, 7.0, 9.0),
        Refusal(12, 8.9, 9.5),
        Refusal(14, 20.0, 21.0),
    ]
    assert set(overlapping_refusals(chain, {8})) == {3, 5, 8, 12}
    assert not set(overlapping_refusals(chain, set()))


def test_one_at_a_time_an_answer_in_between_says_that_the_account_is_well(tmp_path: Path) -> None:
    write_rows(tmp_path, 20)
    no, well = json.dumps({"error": {"message": "the purse of this tenant is empty"}}), False

    def says(number: int, body: dict[str, Any]) -> bytes:
        return http(400, no) if not well and (number == 3 or number > 10) else http(200, completion(sees(body)))

    with Stranger(says) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=1), consensus=ALONE)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 3
        well = True
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / RUN)["accepted"] == 19


def test_a_key_that_is_revoked_in_the_middle_ends_the_run_as_incomplete_and_the_rest_is_asked_once_it_is_renewed(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    well = False
    no = json.dumps({"error": {"message": "This key has been disabled."}})

    def says(number: int, body: dict[str, Any]) -> bytes:
        return http(200, completion(sees(body))) if well or number < 24 else http(401, no)

    with Stranger(says) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=1), consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 3
        assert "teacher 'one': its key is not accepted; 6 calls were not asked" in ended.stderr
        assert "This key has been disabled." in ended.stderr
        assert "no key was sent, for the teacher has no key_env: name the environment variable that holds it" in ended.stderr
        well = True
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / RUN)["accepted"] == 30


@pytest.mark.parametrize(
    "body", ["", "<!DOCTYPE html><title>Sign in</title>", '{"choices": []}', "[" * 50_000], ids=["empty", "page", "none", "deep"]
)
def test_a_body_nobody_can_read_is_paid_for_twice_at_most_and_the_run_ends_soon(tmp_path: Path, body: str) -> None:
    write_rows(tmp_path, 60)
    with Stranger(lambda number, asked: http(200, body)) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=4), consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 3
        assert "not a chat completion: application/json" in ended.stderr
        assert max(Counter(entry.call for entry in server.ledger).values()) <= 2
        assert len(server.ledger) <= MOST_UNREADABLE + 4


def test_an_unknown_finish_reason_is_told_once_and_counted(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)

    def says(number: int, body: dict[str, Any]) -> bytes:
        return http(200, completion(sees(body)).replace('"stop"', '"foo"' if number % 2 else '"stop"'))

    with Stranger(says) as server:
        write_pipeline(tmp_path, teacher(server.url), consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    line = "teacher 'one': finish_reason 'foo' is unknown; its texts are read as whole"
    assert (ended.returncode, ended.stderr.splitlines().count(line)) == (0, 1)
    assert summary(tmp_path / RUN)["finish_reasons"] == {"foo": 3, "stop": 3}


def test_a_refresh_whose_teacher_runs_out_of_quota_goes_on_with_the_same_command_or_without_it(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    no, poor = json.dumps({"error": {"code": "insufficient_quota", "message": "no"}}), True
    with Stranger(lambda number, body: http(429, no) if poor and number > 18 else http(200, completion(sees(body)))) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=1), consensus=ALONE)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert ran("build", "pipeline.yaml", "--refresh", "one", cwd=tmp_path).returncode == 3
        assert len(server.ledger) == 12 + 6 + 1
        poor = False
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 19 + 6
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 19 + 6


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_what_a_filter_refuses_is_no_failure_of_the_teacher_however_much_it_is(tmp_path: Path, status: int) -> None:
    write_rows(tmp_path, 8)
    no = json.dumps({"error": {"code": "content_filter", "message": "no"}})
    with Stranger(lambda number, body: http(status, no)) as server:
        write_pipeline(tmp_path, teacher(server.url), consensus=ALONE)
        for _ in range(2):
            assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 8
    assert {row["reason"] for row in table(tmp_path / RUN, "losses") if row["stage"] == "ask"} == {"content_filter"}


def test_a_journal_of_many_refusals_is_looked_through_quickly(tmp_path: Path) -> None:
    async def filled() -> None:
        for number in range(20_000):
            place, _ = journal.begin(f"{number:064x}", "one", "m")
            last = journal.end(
                attempt(place, number.to_bytes(32, "big"), status=400, error="400", detail="not in good standing", body="{}")
            )
        await last

    with Journal(tmp_path / "journal.sqlite") as journal:
        asyncio.run(filled())
        begun = time.process_time()
        assert len(repeated_refusals(journal)) == 20_000
    assert time.process_time() - begun < 20, "seconds of this process; it takes a second, and minutes where it looks back at all of them"


def test_calls_that_were_begun_when_their_teacher_was_closed_name_what_happened_in_losses(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with Stranger(lambda number, body: http(200, "<p>maintenance</p>")) as server:
        write_pipeline(tmp_path, teacher(server.url, listed=False, concurrency=8), consensus=ALONE)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 3
    lost = [row for row in table(tmp_path / RUN, "losses") if row["stage"] == "forge"]
    begun = [row["detail"] for row in lost if "the last attempt ended as bad_body: " in row["detail"]]
    assert begun
    assert all("maintenance" in detail and detail.endswith("; `cotforge build` asks") for detail in begun)
    assert {row["reason"] for row in lost} == {"not_asked"}
