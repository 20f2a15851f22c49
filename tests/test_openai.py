"""Every way in which a server can end an attempt becomes a row, and says whether asking again makes sense."""

import asyncio
import json
import socket
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from cotforge.images import data_url
from cotforge.records import Call, Picture, Sample
from cotforge.replies.attempt import Attempt
from cotforge.replies.retry_after import retry_after
from cotforge.teachers.kinds.openai import OpenAITeacher as Spec
from cotforge.teachers.openai import MOST_BYTES, Session
from cotforge.teachers.teacher import Price
from cotforge.teachers.wire import attempt_of
from tests.stranger import Stranger, completion, http
from tests.teacher import ANSWER, Raw, Teacher

PICTURE = Picture("d" * 64, "image/jpeg", 56, 28, 4, lambda: b"\xff\xd8\xff\xd9")
SAMPLE = Sample("1", (PICTURE,), "Which?", ("awe", "fear"))
MESSAGES = ({"role": "user", "content": [{"type": "image", "digest": PICTURE.digest}, {"type": "text", "text": 'Which "one"? ä'}]},)
CALL = Call("ab" * 32, SAMPLE, "one", "m", 0, MESSAGES)


def spec(url: str, **fields: Any) -> Spec:
    return Spec(name="one", model="m", url=(url,), price=Price(input=1.0, output=2.0), **fields)


def ask(teacher: Spec, url: str | None = None) -> Attempt:
    async def once() -> Attempt:
        async with Session() as session:
            return await session.ask(CALL, teacher, url or teacher.url[0], images={PICTURE.digest: data_url(PICTURE)}, number=7)

    return asyncio.run(once())


def test_a_request_is_what_the_protocol_says_and_carries_the_sampling_and_the_body() -> None:
    with Teacher() as server:
        ended = ask(spec(server.url, temperature=None, top_p=0.9, max_tokens=33, body={"seed": 1, "chat_template_kwargs": {"x": True}}))
        entry = server.ledger[0]
    assert ended.error is None
    assert entry.prompt == 'Which "one"? ä'
    assert entry.sampling == {"top_p": 0.9, "max_tokens": 33, "seed": 1, "chat_template_kwargs": {"x": True}}
    assert len(entry.images) == 1


def test_a_reply_keeps_its_raw_body_counts_and_cost_and_is_one_to_the_official_client_too() -> None:
    with Teacher() as server:
        stored = ask(spec(server.url))
    assert ChatCompletion.model_validate(json.loads(stored.body)).choices[0].message.content == ANSWER
    reply = stored.reply
    assert (reply.content, reply.finish_reason, stored.number, stored.status) == (ANSWER, "stop", 7, 200)
    assert stored.cost_usd == pytest.approx((stored.input_tokens + 2 * stored.output_tokens) / 1e6)
    assert stored.max_tokens == 2048


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_reasoning_field_is_the_reasoning(field: str) -> None:
    with Teacher({"content": "awe", field: "It is wide."}) as server:
        reply = ask(spec(server.url)).reply
    assert (reply.reasoning, reply.content) == ("It is wide.", "awe")


def test_a_server_that_does_not_count_has_its_tokens_estimated_and_flagged() -> None:
    with Teacher(fail=lambda body: "bare") as server:
        stored = ask(spec(server.url))
    assert stored.input_tokens == len('Which "one"? ä') // 4 + 2
    assert stored.output_tokens == len(ANSWER) // 4
    assert "estimated" in stored.detail


@pytest.mark.parametrize("count", [-5, 10**12, True, "many", None])
def test_absurd_counts_are_replaced_by_estimates(count: object) -> None:
    body = {
        "choices": [{"message": {"content": "x" * 40}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": count, "completion_tokens": count},
    }
    stored = attempt_of(json.dumps(body), number=1, call=CALL, teacher=spec("http://h/v1"), seconds=1.0)
    assert (stored.error, stored.input_tokens, stored.output_tokens) == (None, 5, 10)


@pytest.mark.parametrize(
    ("failure", "error", "passing", "retry"),
    [
        (500, "500", True, True),
        (502, "502", True, True),
        (503, "503", True, True),
        (529, "529", True, True),
        (408, "408", True, True),
        (429, "429", True, True),
        ((429, "insufficient_quota"), "429", True, False),
        (402, "402", True, False),
        (401, "401", True, False),
        (404, "404", True, False),
        (400, "400", False, False),
        (413, "413", False, False),
        (422, "422", False, False),
        ((400, "content_filter"), "content_filter", False, False),
        ("html", "bad_body", True, True),
        ("garbage", "bad_body", True, True),
        ("empty", "bad_body", True, True),
        ("reset", "connection", True, True),
        ("cut", "connection", True, True),
    ],
)
def test_every_failure_is_data_and_says_whether_it_may_pass(failure: Any, error: str, passing: bool, retry: bool) -> None:
    with Teacher(fail=lambda body: failure) as server:
        ended = ask(spec(server.url))
    assert (ended.error, ended.passing, ended.outcome.retry, ended.outcome.unreached) == (error, passing, retry, False)
    assert ended.detail
    assert "\n" not in ended.detail
    assert ended.reply.error == error


def test_a_server_that_never_answers_is_left_after_the_timeout() -> None:
    with Teacher(fail=lambda body: "hang") as server:
        ended = ask(spec(server.url, timeout=0.3))
    assert (ended.error, ended.outcome.retry) == ("timeout", True)
    assert 0.2 < ended.seconds < 2


def test_a_server_that_is_not_there_was_not_reached() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ended = ask(spec(f"http://127.0.0.1:{closed.getsockname()[1]}/v1"))
    assert (ended.error, ended.outcome.unreached, ended.outcome.retry) == ("connection", True, True)


def test_a_server_that_repeats_the_key_it_refuses_does_not_bring_it_into_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-very-secret")
    with Teacher(lambda body: "you sent sk-very-secret", key="sk-very-secret") as server:
        stored = ask(spec(server.url, key_env="A_KEY"))
    assert stored.reply.content == "you sent ***"


def test_what_a_server_asks_to_wait_is_read_from_seconds_dates_and_milliseconds() -> None:
    assert retry_after("20") == 20
    assert retry_after(None, "1500") == 1.5
    assert retry_after("soon") is None
    assert retry_after(None) is None
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    with Teacher(limit=0, retry_after=3) as server:
        assert ask(spec(server.url)).outcome.after == 3


def test_no_word_of_a_body_reaches_the_journal_that_it_could_not_keep() -> None:
    hostile = "\x1b]0;owned\x07 \ud800 \u202e"
    bodies: list[dict[str, Any]] = [
        {"error": {"code": hostile, "message": hostile}},
        {"choices": [{"message": {"content": hostile}, "finish_reason": hostile}]},
    ]
    for body in bodies:
        stored = attempt_of(json.dumps(body), number=1, call=CALL, teacher=spec("http://h/v1"), seconds=1.0)
        assert f"{stored.error}{stored.detail}{stored.finish_reason}{stored.body}".isprintable()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("Höhe".encode(), "application/json"),
        ("Höhe".encode(), "application/json; charset=iso-8859-1"),
        ("Höhe".encode("latin-1"), "application/json; charset=iso-8859-1"),
        ("Höhe".encode("utf-16"), "application/json; charset=utf-16"),
    ],
)
def test_a_reply_is_read_in_utf_8_and_else_in_the_charset_it_names(body: bytes, kind: str) -> None:
    whole = completion("WORD").encode("utf-16" if "utf-16" in kind else "ascii")
    word = "WORD".encode("utf-16-le") if "utf-16" in kind else b"WORD"
    with Teacher(Raw(whole.replace(word, body.removeprefix(b"\xff\xfe")), content_type=kind)) as server:
        assert ask(spec(server.url)).reply.content == "Höhe"


@pytest.mark.parametrize("charset", ["", "; charset=no-such", "; charset=hex", "; charset=utf-16"])
def test_a_reply_in_no_charset_at_all_is_a_reply_all_the_same(charset: str) -> None:
    with Teacher(Raw(completion("WORD").encode().replace(b"WORD", b"H\xf6he"), content_type=f"application/json{charset}")) as server:
        assert ask(spec(server.url)).error in (None, "bad_body")


def test_a_body_that_is_not_in_its_encoding_or_too_large_cannot_be_read_and_is_no_lost_connection() -> None:
    no_gzip = {"Content-Encoding": "gzip"}
    with Stranger(lambda number, body: http(200, "no gzip", **no_gzip)) as server:
        ended = ask(spec(server.url))
        assert (ended.error, ended.status, ended.outcome.retry) == ("bad_body", 200, True)
        assert ended.detail == "not a chat completion: it is not in its content-encoding, 'gzip'"
    with Stranger(lambda number, body: http(200, "x" * (MOST_BYTES + 1))) as server:
        ended = ask(spec(server.url))
        assert (ended.error, ended.status) == ("bad_body", 200)
        assert ended.detail == f"not a chat completion: the reply is larger than {MOST_BYTES} bytes"
    with Stranger(lambda number, body: http(403, "no gzip", **no_gzip)) as server:
        assert ask(spec(server.url)).error == "403"
