"""What a server's no means: for the Call, for this run, and for the next."""

import json
from typing import Any

import pytest

from cotforge.endings import Closing
from cotforge.records import Outcome, OutcomeKind
from cotforge.replies.refusals import LONGEST_WAIT_S, inside_ok, read_refusal
from cotforge.replies.retry_after import MOST_WAIT_S


def said(status: int, code: str | None = None, *, after: float | None = None) -> Outcome:
    return read_refusal(status, json.dumps({"error": {"code": code, "message": "told"}}), after=after)


@pytest.mark.parametrize(
    ("status", "code", "passing", "retry", "closes"),
    [
        (400, None, False, False, ""),
        (400, "billing_hard_limit_reached", True, False, "quota"),
        (401, "invalid_api_key", True, False, "key"),
        (402, None, True, False, "quota"),
        (403, "permission_denied", True, False, "key"),
        (403, "flagged", True, False, ""),
        (404, "model_not_found", True, False, "model"),
        (408, None, True, True, ""),
        (413, None, False, False, ""),
        (422, None, False, False, ""),
        (429, "rate_limit_exceeded", True, True, ""),
        (429, "insufficient_quota", True, False, "quota"),
        (500, None, True, True, ""),
        (529, "overloaded_error", True, True, ""),
    ],
)
def test_a_status_says_whether_to_ask_again_now_later_or_never(
    status: int, code: str | None, passing: bool, retry: bool, closes: str
) -> None:
    found = said(status, code)
    assert (found.error, found.detail, found.passing, found.retry, found.closes or "") == (str(status), "told", passing, retry, closes)


@pytest.mark.parametrize("status", [200, 400, 406, 412, 422, 451, 499])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "The request was denied because your account has an unpaid invoice"),
        (None, "Please recharge: balance -0.3"),
        ("plan_limit", "upgrade"),
        (None, "This api key belongs to another project"),
        (None, "your subscription has ended"),
        (None, "The model `a/b` is currently not loaded"),
        (None, "unsupported model a/b"),
        (None, "账户异常"),
        ("payment_overdue", "no"),
        (None, "login required"),
    ],
)
def test_what_a_changed_key_balance_or_served_model_would_heal_is_never_final(status: int, code: str | None, message: str) -> None:
    error = {"code": code, "message": message}
    found = inside_ok(error) if status == 200 else read_refusal(status, json.dumps({"error": error}))
    assert (found.passing, found.busy) == (True, False)


@pytest.mark.parametrize(
    "message",
    [
        "told",
        "image 1 cannot be decoded",
        "temperature must be at most 2",
        "the prompt is longer than the maximum model length",
        "bad request",
    ],
)
def test_what_is_wrong_with_the_request_itself_stays_final(message: str) -> None:
    assert not read_refusal(400, json.dumps({"error": {"message": message}})).passing


def test_only_a_server_without_room_asks_for_fewer_at_a_time() -> None:
    assert said(429).busy
    assert said(529).busy
    assert said(503, after=2.0).busy
    assert not any(found.busy for found in (said(503), said(500), said(408), said(429, "insufficient_quota"), said(400)))


def test_a_content_filter_is_final_whatever_the_status() -> None:
    for status in (400, 403, 500):
        assert (said(status, "content_filter").error, said(status, "content_policy_violation").passing) == ("content_filter", False)


def test_a_redirect_names_the_remedy() -> None:
    assert read_refusal(301, "").detail == "301: redirects are not followed; write the final URL"


@pytest.mark.parametrize("text", ["<html>nginx</html>", "", "null", "[1]", '{"error": "plain"}', '{"detail": 3}', '{"error": {}}', "{"])
def test_any_body_of_an_error_can_be_read(text: str) -> None:
    assert read_refusal(500, text).error == "500"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, "Cannot load local files without `--allowed-local-media-path`."),
        (400, "The file path <path> must be a subpath of `--allowed-local-media-path <path>`."),
        (500, "[Errno 2] No such file or directory: '<path>'"),
        (500, "[Errno 13] Permission denied: '<path>'"),
    ],
)
def test_a_server_that_cannot_read_files_is_not_asked_again_and_loses_no_call_for_good(status: int, message: str) -> None:
    """Messages of vLLM 0.32."""
    said = read_refusal(status, json.dumps({"error": {"code": status, "message": message}}))
    assert (said.closes, said.passing, said.retry, said.busy) == ("files", True, False, False)


@pytest.mark.parametrize(
    ("error", "word", "kind"),
    [
        ({"code": 502, "message": "lost"}, "502", OutcomeKind.PASSING),
        ({"code": "502", "message": "lost"}, "502", OutcomeKind.PASSING),
        ({"code": 400, "message": "no"}, "400", OutcomeKind.REFUSED),
        ({"status": 401, "message": "no"}, "401", OutcomeKind.ACCOUNT),
        ({"statusCode": "404", "message": "no"}, "404", OutcomeKind.GONE),
        ({"code": 1008, "message": "no"}, "1008", OutcomeKind.ACCOUNT),
        ({"code": "content_filter", "message": "no"}, "content_filter", OutcomeKind.FILTERED),
        ({"message": "no"}, "error", OutcomeKind.PASSING),
        ("no", "error", OutcomeKind.PASSING),
        (["no"], "error", OutcomeKind.PASSING),
        (7, "error", OutcomeKind.PASSING),
    ],
)
def test_an_error_inside_a_200_is_judged_by_its_own_code(error: Any, word: str, kind: OutcomeKind) -> None:
    found = inside_ok(error)
    assert (found.error, found.kind) == (word, kind)


def test_who_asks_for_a_wait_of_hours_is_busy_and_is_not_waited_for_so_long() -> None:
    for status in (429, 503, 529, 500):
        found = said(status, after=86_400.0)
        assert (found.after, found.asked_wait, found.closes) == (MOST_WAIT_S, 86_400.0, None)
        assert found.detail.endswith("Retry-After asked for 86,400 s; at most 60 s are waited")
    assert said(429, after=MOST_WAIT_S).asked_wait is None
    assert said(429, after=LONGEST_WAIT_S).busy


def test_an_allowance_for_the_day_is_known_by_its_words() -> None:
    daily = read_refusal(429, json.dumps({"error": {"code": "rate_limit_exceeded", "message": "Limit reached for requests per day (RPD)"}}))
    minute = read_refusal(
        429, json.dumps({"error": {"code": "rate_limit_exceeded", "message": "Limit reached for requests per min (RPM)"}})
    )
    assert (daily.closes, minute.closes, minute.busy) == (Closing.QUOTA, None, True)
