"""One attempt at a Call: what is kept of it, what it settles, and that its body is read once."""

import json
import sys
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.records import ANSWERED, Outcome, OutcomeKind
from cotforge.replies.attempt import (
    BROKEN_OFF,
    DAMAGED,
    KEPT,
    NOT_HTTP,
    NOT_SENT,
    Attempt,
    answered_attempt,
    damaged_attempt,
    failed_attempt,
    outcome_of_row,
    unsent_attempt,
)
from cotforge.replies.chat import read_completion

KEY = "ab" * 32
FILTERED, REFUSED = Outcome(OutcomeKind.FILTERED, "content_filter"), Outcome(OutcomeKind.REFUSED, "400")
PASSING, CUT_OFF = Outcome(OutcomeKind.PASSING, "500", retry=True), Outcome(OutcomeKind.CUT_OFF)


def body(content: Any = "<answer>awe</answer>", finish: str = "stop", **top: Any) -> str:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": finish}], **top})


def of(text: str, **given: Any) -> Attempt:
    return answered_attempt(
        KEY, text, number=3, max_tokens=64, usd=lambda read, written: read + 2.0 * written, estimate=lambda: 500, **given
    )


def ended(outcome: Outcome, **fields: Any) -> Attempt:
    return Attempt(fields.pop("number", 1), bytes.fromhex(KEY), fields.pop("status", 200), outcome, **fields)


def test_a_reply_is_kept_whole_and_priced_by_what_the_server_counted() -> None:
    text = body(usage={"prompt_tokens": 30, "completion_tokens": 8, "completion_tokens_details": {"reasoning_tokens": 5}})
    found = of(text, seconds=1.5)
    assert (found.body, found.final, found.input_tokens, found.output_tokens, found.cost_usd) == (text, True, 30, 8, 46.0)
    reply = found.reply
    assert (reply.key, reply.content, reply.reasoning_tokens, reply.max_tokens, reply.seconds) == (KEY, "<answer>awe</answer>", 5, 64, 1.5)


@pytest.mark.parametrize(
    ("usage", "told"),
    [(None, "the server did not count"), ({"prompt_tokens": -1, "completion_tokens": 8}, "the server counted what cannot be")],
)
def test_tokens_are_estimated_where_the_server_does_not_count_and_that_is_said(usage: Any, told: str) -> None:
    found = of(body("x" * 40, usage=usage))
    assert found.input_tokens == 500
    assert found.output_tokens in (8, 10)
    assert found.detail == f"tokens are estimated: {told}"


def test_of_a_body_nobody_can_read_the_beginning_is_kept_and_of_a_text_that_broke_off_all() -> None:
    unread = of("x" * 3 * KEPT, content_type="text/plain")
    assert (len(unread.body), unread.final, unread.error, unread.may_be_charged) == (KEPT, False, "bad_body", True)
    broke = of(body("x" * 3 * KEPT, "abort"))
    assert (len(broke.body) > 3 * KEPT, broke.error, broke.passing, broke.finish_reason) == (True, "error", True, "error")


def test_a_body_is_parsed_once_also_from_the_disk() -> None:
    parsed = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal parsed
        parsed += event == "call" and frame.f_code is read_completion.__code__

    sys.setprofile(watch)
    try:
        for found in (of(body()), ended(ANSWERED, body=body(), finish_reason="stop")):
            said = [(found.reply.content, found.is_blank) for _ in range(3)]
            assert set(said) == {("<answer>awe</answer>", False)}
    finally:
        sys.setprofile(None)
    assert parsed == 2


def test_a_body_that_the_disk_has_spoilt_is_a_damaged_reply_that_is_asked_again() -> None:
    found = ended(ANSWERED, body='{"choices": [{"mess')
    assert (found.reply.error, found.passing, found.reply.content) == (DAMAGED, True, "")
    told = ended(ANSWERED, body=json.dumps({"error": {"message": "lost", "code": 502}}))
    assert (told.reply.error, told.passing) == ("502", True)


def test_a_reply_without_a_word_is_blank_and_an_error_is_not() -> None:
    assert of(body(" \n")).is_blank
    assert not of(body()).is_blank
    assert not of(json.dumps({"choices": [{"message": {"content": "", "reasoning": "why"}, "finish_reason": "stop"}]})).is_blank
    assert not ended(PASSING).is_blank


@pytest.mark.parametrize(
    ("outcome", "was", "now", "settled"),
    [
        (ANSWERED, 64, 128, True),
        (FILTERED, 64, 64, True),
        (REFUSED, 64, 64, True),
        (REFUSED, 64, 128, False),
        (PASSING, 64, 64, False),
        (CUT_OFF, 64, 64, True),
        (CUT_OFF, 64, 32, True),
        (CUT_OFF, 64, 128, False),
        (CUT_OFF, 64, None, False),
        (CUT_OFF, None, 64, True),
    ],
)
def test_what_settles_a_call_under_which_limit(outcome: Outcome, was: int | None, now: int | None, settled: bool) -> None:
    assert ended(outcome, max_tokens=was).settles(now) is settled


def test_of_several_a_whole_reply_counts_before_one_cut_off_before_an_error_and_the_latest_of_equals() -> None:
    order = [ended(PASSING, number=9), ended(CUT_OFF, number=2), ended(ANSWERED, number=1), ended(ANSWERED, number=4)]
    assert sorted([order[2], order[0], order[3], order[1]], key=lambda attempt: attempt.rank) == order


@pytest.mark.parametrize(
    ("status", "error", "charged"),
    [(200, "bad_body", True), (504, "504", True), (None, "timeout", True), (500, "500", False), (429, "429", False)],
)
def test_an_attempt_may_have_been_charged_where_the_work_may_have_been_done(status: int | None, error: str, charged: bool) -> None:
    assert ended(Outcome(OutcomeKind.PASSING, error), status=status).may_be_charged is charged
    assert not ended(ANSWERED).may_be_charged


@pytest.mark.parametrize(("said", "charged"), [("connection refused", False), (f"{BROKEN_OFF}: reset", True), (f"{NOT_HTTP}: SSH", True)])
def test_a_connection_may_have_been_charged_where_it_broke_after_the_request_was_sent(said: str, charged: bool) -> None:
    assert ended(Outcome(OutcomeKind.PASSING, "connection", said), status=None).may_be_charged is charged


def test_attempts_without_a_reply_have_their_own_words() -> None:
    found = failed_attempt(
        KEY, Outcome(OutcomeKind.PASSING, "500", "two\nlines"), number=1, max_tokens=None, status=500, body="x" * 3 * KEPT
    )
    assert (found.detail, len(found.body), found.final) == ("two lines", KEPT, False)
    assert (unsent_attempt(1, KEY).error, unsent_attempt(1, KEY).passing) == (NOT_SENT, True)
    assert (damaged_attempt(1, bytes.fromhex(KEY)).error, damaged_attempt(1, bytes.fromhex(KEY)).final) == (DAMAGED, True)


def test_whether_another_attempt_makes_sense_can_be_said_anew() -> None:
    found = ended(PASSING)
    assert found.with_retry(True) is found
    assert not found.with_retry(False).outcome.retry
    assert found.with_retry(False).outcome == replace(PASSING, retry=False)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"status": 200, "error": None, "finish_reason": "stop"}, OutcomeKind.ANSWERED),
        ({"status": 200, "error": None, "finish_reason": ""}, OutcomeKind.ANSWERED),
        ({"status": 200, "error": None, "finish_reason": "MAX_TOKENS"}, OutcomeKind.CUT_OFF),
        ({"status": 200, "error": None, "finish_reason": "SAFETY"}, OutcomeKind.FILTERED),
        ({"status": 200, "error": None, "finish_reason": "abort"}, OutcomeKind.PASSING),
        ({"status": 200, "error": None, "finish_reason": "foo"}, OutcomeKind.ANSWERED),
        ({"status": 400, "error": "content_filter"}, OutcomeKind.FILTERED),
        ({"status": 400, "error": "400", "body": '{"error": {"code": "Arrearage"}}'}, OutcomeKind.ACCOUNT),
        ({"status": 400, "error": "400", "body": '{"error": {"code": "data_inspection_failed"}}'}, OutcomeKind.FILTERED),
        ({"status": 404, "error": "404", "body": '{"error": {"code": "model_not_found"}}'}, OutcomeKind.GONE),
        ({"status": 400, "error": "400", "body": '{"error": {"message": "no"}}'}, OutcomeKind.REFUSED),
        ({"status": 400, "error": "400", "body": '{"error": {"message": "no"}}', "passing": True}, OutcomeKind.PASSING),
        ({"status": 500, "error": "500", "passing": True}, OutcomeKind.PASSING),
        ({"status": None, "error": "timeout", "passing": True}, OutcomeKind.PASSING),
        ({"status": None, "error": "odd"}, OutcomeKind.REFUSED),
    ],
)
def test_a_row_of_a_journal_is_judged_by_what_is_known_today(row: dict[str, Any], kind: OutcomeKind) -> None:
    whole = {"status": None, "error": None, "detail": "", "passing": False, "finish_reason": "", "body": ""} | row
    assert outcome_of_row(whole.pop("status"), whole.pop("error"), whole.pop("detail"), **whole).kind is kind


@given(st.text(max_size=300), st.text(max_size=20))
def test_any_body_at_all_makes_an_attempt_and_a_reply(text: str, kind: str) -> None:
    found = of(text, content_type=kind)
    assert found.reply.outcome.has_text is found.outcome.has_text
    assert "\n" not in found.detail
