"""Replies that are broken, refused, cut short, empty or absurd; the numbers are rows of the fault matrix."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.aftermath import RUN, ends, equals_the_undisturbed, rows
from tests.project import ran, said, sees, summary, table, teacher, write_pipeline, write_rows
from tests.stranger import Stranger, completion, http
from tests.teacher import Failure, Teacher

ALONE = {"label": "ignore"}
PAGE = "<html><body>" + "Bad gateway. " * 500 + "</body></html>"


def build(folder: Path, *words: object) -> dict[str, Any]:
    """The summary of a build that ends well."""
    ended = ran("build", "pipeline.yaml", *words, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return summary(folder / RUN)


def picture_of(body: dict[str, Any]) -> str:
    return str(next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"))


def first_of_each(broken: bytes) -> Callable[[int, dict[str, Any]], bytes]:
    """Each picture is answered so once, and soundly from then on."""
    seen: set[str] = set()

    def says(number: int, body: dict[str, Any]) -> bytes:
        known = picture_of(body) in seen
        seen.add(picture_of(body))
        return http(200, completion(sees(body))) if known else broken

    return says


def of_one_picture(failure: Failure) -> Callable[[dict[str, Any]], Failure]:
    """The picture that is seen first always fails."""
    seen: list[str] = []

    def fail(body: dict[str, Any]) -> Failure:
        seen.append(picture_of(body))
        return failure if picture_of(body) == seen[0] else None

    return fail


# Broken

STREAM = "data: " + completion() + "\n\ndata: [DONE]\n\n"
BROKEN = {
    "row 5: a page as 502": (http(502, PAGE, kind="text/html"), "502"),
    "row 5: a page as 200": (http(200, PAGE, kind="text/html"), "bad_body"),
    "row 14: reset in the middle": (http(200, completion(), reset=1)[:-40], "connection"),
    "row 14: closed in the middle, without a word of its length": (http(200, completion()[:90], length=False), "bad_body"),
    "row 14: closed before the body is whole": (http(200, completion())[:-40], "connection"),
    "row 14: closed in the head": (b"HTTP/1.1 200 OK\r\nContent-Ty", "connection"),
    "row 15: a stream that broke off": (http(200, STREAM.partition('"finish_reason')[0], kind="text/event-stream"), "bad_body"),
    "row 19: half of the JSON": (http(200, completion()[:90]), "bad_body"),
    "row 19: an error under a status that says otherwise": (http(200, '{"error": {"code": "oops", "message": "sorry"}}'), "oops"),
    "brackets without end as 500": (http(500, "[" * 100_000), "500"),
    "brackets without end as 200": (http(200, "[" * 100_000), "bad_body"),
    "no HTTP at all": (b"SSH-2.0-OpenSSH_9.6\r\n", "connection"),
    "a wait without end": (http(429, "{}", retry_after="inf"), "429"),
}


@pytest.mark.parametrize(("broken", "error"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_reply_is_kept_to_be_looked_at_and_the_call_is_asked_again(tmp_path: Path, broken: bytes, error: str) -> None:
    """Rows 5, 14, 15 and 19."""
    write_rows(tmp_path, 4)
    with Stranger(first_of_each(broken)) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=2), consensus=ALONE)
        told = build(tmp_path)
        assert set(Counter(request.call for request in server.ledger).values()) == {2}
    assert (told["accepted"], told["calls_failed"]) == (4, 0)
    assert ends(tmp_path) == {"answered": 4, error: 4}
    whole = broken.partition(b"\r\n\r\n")[2].decode()
    kept = {body for (body,) in rows(tmp_path, "SELECT body FROM replies WHERE error IS NOT NULL")}
    assert kept == {"" if error == "connection" else whole[:2000]}
    assert told["attempts_charged"] == ({error: 4} if error in ("connection", "bad_body", "oops") else {})
    assert equals_the_undisturbed(tmp_path)


def test_a_stream_that_nobody_asked_for_is_read_and_paid_for_once(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Stranger(lambda number, body: http(200, STREAM, kind="text/event-stream")) as server:
        write_pipeline(tmp_path, teacher(server.url, concurrency=2), consensus=ALONE)
        assert (build(tmp_path)["accepted"], len(server.ledger)) == (4, 4)


# Refused


def test_a_key_that_is_refused_by_the_first_reply_ends_its_teacher_and_is_printed_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 6, without a list of models; with one nothing is asked: test_preflight, test_a_wrong_key_is_told_without_the_key."""
    write_rows(tmp_path, 60)
    monkeypatch.setenv("A_KEY", "sk-wrong-0123456789")
    no = json.dumps({"error": {"code": "invalid_api_key", "message": "sk-wrong-0123456789 is not known here"}})
    with Stranger(lambda number, body: http(403, no)) as server:
        write_pipeline(tmp_path, teacher(server.url, key_env="A_KEY"))
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        asked = len(server.ledger)
        assert asked <= 16, "those that were sent before the first reply came"
    assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)
    assert "teacher 'one': its key is not accepted" in ended.stderr
    assert "sk-wrong" not in ended.stdout + ended.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-wrong" in path.read_bytes()]
    assert equals_the_undisturbed(tmp_path, calls=60)


@pytest.mark.parametrize("failure", [(400, "image_too_large"), (413, "too_large"), (422, "unsupported_image")], ids=str)
def test_a_picture_that_one_teacher_refuses_is_not_asked_of_it_again_and_the_others_are_asked(tmp_path: Path, failure: Failure) -> None:
    """Row 7."""
    write_rows(tmp_path, 8)
    with Teacher(sees, fail=of_one_picture(failure)) as narrow, Teacher(sees) as wide:
        write_pipeline(tmp_path, teacher(narrow, "narrow"), teacher(wide, "wide"))
        assert build(tmp_path)["calls_failed"] == 1
        assert build(tmp_path)["calls"] == 0
        assert (len(narrow.ledger), len(wide.ledger)) == (8, 8)
    (loss,) = [loss for loss in table(tmp_path / RUN, "losses") if loss["stage"] == "ask" and loss["teacher"]]
    assert (loss["teacher"], loss["reason"]) == ("narrow", str(failure[0] if isinstance(failure, tuple) else failure))
    assert sum(trace["teacher"] == "wide" for trace in table(tmp_path / RUN, "traces")) == 8


def test_a_prompt_too_long_for_a_teacher_is_asked_once_and_again_when_max_tokens_is_less(tmp_path: Path) -> None:
    """Row 8."""
    write_rows(tmp_path, 5)
    long = (400, "context_length_exceeded")
    with Teacher(sees, fail=lambda body: long if body["max_tokens"] > 100 else None) as server:
        write_pipeline(tmp_path, teacher(server, max_tokens=200), max_failures=1, consensus=ALONE)
        assert build(tmp_path)["calls_failed"] == 5
        assert build(tmp_path)["calls"] == 0
        assert len(server.ledger) == 5
        assert build(tmp_path, "--set", "teachers.0.max_tokens=80")["accepted"] == 5
        assert len(server.ledger) == 10
    assert ends(tmp_path) == {"400": 5, "answered": 5}


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (http(400, '{"error": {"code": "content_filter", "message": "not this picture"}}'), "content_filter"),
        (http(200, completion("", finish="content_filter")), "answered"),
        (http(200, completion("", refusal="I'm sorry, but I can't help with that.")), "answered"),
    ],
    ids=["as an error", "as a finish reason", "as a refusal"],
)
def test_what_a_filter_or_the_model_itself_refuses_is_kept_abstains_and_is_not_asked_again(tmp_path: Path, answer: bytes, end: str) -> None:
    """Row 10."""
    write_rows(tmp_path, 4)
    with Stranger(lambda number, body: answer) as server:
        write_pipeline(tmp_path, teacher(server.url), max_failures=1)
        assert build(tmp_path)["accepted"] == 0
        assert build(tmp_path)["calls"] == 0
        assert len(server.ledger) == 4
    assert ends(tmp_path) == {end: 4}
    assert rows(tmp_path, "SELECT count(*) FROM replies WHERE body = ''") == [(0,)]


# Cut short, empty, absurd


def test_an_answer_that_closed_before_the_reply_was_cut_off_votes_and_teaches_nothing(tmp_path: Path) -> None:
    """Row 17."""
    write_rows(tmp_path, 8)

    def cut(number: int, body: dict[str, Any]) -> bytes:
        text = sees(body)
        closed = "awe</answer>" in text or "fear</answer>" in text
        return http(200, completion(text + " And" if closed else text.removesuffix("</answer>"), finish="length"))

    with Stranger(cut) as hasty, Teacher(sees) as calm:
        write_pipeline(tmp_path, teacher(hasty.url, "hasty"), teacher(calm, "calm"), consensus=ALONE)
        told = build(tmp_path)
        assert build(tmp_path)["calls"] == 0
    closed = [trace for trace in table(tmp_path / RUN, "traces") if trace["teacher"] == "hasty" and trace["answer"]]
    assert 0 < len(closed) == told["accepted"] < 8
    assert {trace["answer"] for trace in closed} <= {"awe", "fear"}
    assert {lesson["teacher"] for lesson in table(tmp_path / RUN, "data")} == {"calm"}
    assert ends(tmp_path) == {"answered": 16}


@pytest.mark.parametrize("text", ["", " \n\t"], ids=["empty", "white space"])
def test_a_reply_without_a_word_is_asked_for_once_more(tmp_path: Path, text: str) -> None:
    """Row 18, where that helps."""
    write_rows(tmp_path, 4)
    with Stranger(first_of_each(http(200, completion(text)))) as server:
        write_pipeline(tmp_path, teacher(server.url), consensus=ALONE)
        assert build(tmp_path)["accepted"] == 4
        assert len(server.ledger) == 8
    assert ends(tmp_path) == {"answered": 8}
    assert equals_the_undisturbed(tmp_path)


def test_a_teacher_that_stays_without_a_word_abstains(tmp_path: Path) -> None:
    """Row 18, where it does not."""
    write_rows(tmp_path, 4)
    with Stranger(lambda number, body: http(200, completion(""))) as server:
        write_pipeline(tmp_path, teacher(server.url), consensus=ALONE)
        told = build(tmp_path)
        assert (told["rejected"], told["attempts"]) == ({"vote:no_ballots": 4}, 8)
        assert build(tmp_path)["calls"] == 0
        assert set(Counter(request.call for request in server.ledger).values()) == {2}
    assert {loss["reason"] for loss in table(tmp_path / RUN, "losses") if loss["teacher"]} == {"empty"}


USAGES = [None, {}, {"prompt_tokens": -5, "completion_tokens": 10**12}, {"prompt_tokens": 10**12, "completion_tokens": "nan"}, "many", [1]]


@pytest.mark.parametrize("usage", USAGES, ids=str)
def test_what_a_server_says_of_its_tokens_loses_no_reply_and_no_budget(tmp_path: Path, usage: Any) -> None:
    """Rows 19 and 20."""
    write_rows(tmp_path, 6)
    counts = {"completion_tokens_details": "none"} | usage if isinstance(usage, dict) else usage
    with Stranger(lambda number, body: http(200, completion(sees(body), usage=counts))) as server:
        price, budget = {"input": 1000, "output": 1000}, {"tokens": 6 * 800, "usd": 6 * 0.8}
        write_pipeline(tmp_path, teacher(server.url, max_tokens=300, price=price), budget=budget, consensus=ALONE)
        told = build(tmp_path)
        assert len(server.ledger) == 6
    assert (told["accepted"], told["attempts"]) == (6, 6)
    assert 6 * len(said("awe")) // 8 < told["tokens"]["output"] <= 6 * len(said("amusement")) // 4
    assert 0 < told["tokens"]["input"] < 6 * 500
    assert told["cost_usd"] == pytest.approx((told["tokens"]["input"] + told["tokens"]["output"]) / 1000)
    ((flag, times),) = rows(tmp_path, "SELECT detail, count(*) FROM replies GROUP BY detail")
    assert (str(flag).startswith("tokens are estimated: "), times) == (True, 6)
