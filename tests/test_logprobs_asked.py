"""Asking for log probabilities: of every server, no part of a Call, and never a Call the less where a server will not give them."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any, Literal

import pytest

from cotforge.errors import PipelineError
from cotforge.images import data_url
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.replies.attempt import Attempt
from cotforge.simulate import Role, Server
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.openai import Session
from cotforge.teachers.simulated import Simulated
from cotforge.teachers.wire import build_request, without_logprobs
from tests.asking import LABELS, picture, request_body
from tests.asking import ask as asked
from tests.batches import Provider
from tests.project import ran, summary, teacher, write_pipeline, write_rows
from tests.teacher import Raw, Teacher
from tests.test_batch import Once, project
from tests.test_logprobs import told
from tests.test_openai import CALL, PICTURE, spec

PIECES = ("<think>", "It is wide.", "</think>", "<answer>", "a", "we", "</answer>")
MESSAGE = {"content": "".join(PIECES), "logprobs": told(*PIECES, a=-0.5, we=-0.25)}
NOT_SUPPORTED = json.dumps({"error": {"message": "logprobs is not supported with this model", "type": "invalid_request_error"}})


def asks(teacher: OpenAITeacher, times: int = 1) -> list[Attempt]:
    """One after another in one session."""

    async def all_of_them() -> list[Attempt]:
        async with Session(logprobs=True) as session:
            images = {PICTURE.digest: data_url(PICTURE)}
            return [await session.ask(CALL, teacher, teacher.url[0], images=images, number=number) for number in range(times)]

    return asyncio.run(all_of_them())


def refusing(status: int, body: str = NOT_SUPPORTED) -> Any:
    """A server that will not have the field."""
    return lambda asked: Raw(body, status) if "logprobs" in asked else MESSAGE["content"]


def keys(path: Path) -> list[str]:
    loaded = Loaded.load(path)
    from cotforge.session import RunSession

    with RunSession.open(path, out=path.parent / "keys") as run:
        return [call.key for sample in run.samples() for _, call in loaded.calls(sample)]


def test_a_server_that_gives_them_is_asked_for_them_and_the_answers_probability_is_kept() -> None:
    with Teacher(MESSAGE) as server:
        (ended,) = asks(spec(server.url))
        assert server.ledger[0].sampling["logprobs"] is True
    assert ended.probability == pytest.approx(math.exp(-0.75))
    assert '"logprob"' not in ended.body
    assert ended.reply.content == MESSAGE["content"]


def test_off_asks_for_none() -> None:
    with Teacher() as server:
        for value in ("off", False):
            asks(spec(server.url, logprobs=value))
        assert all("logprobs" not in entry.sampling for entry in server.ledger)


def test_a_field_of_the_users_own_is_sent_as_it_is_and_its_tokens_are_kept() -> None:
    with Teacher(MESSAGE) as server:
        (ended,) = asks(spec(server.url, body={"logprobs": True, "top_logprobs": 5}))
        assert server.ledger[0].sampling["top_logprobs"] == 5
    assert ended.probability == pytest.approx(math.exp(-0.75))
    assert '"logprob"' in ended.body


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, NOT_SUPPORTED),
        (422, json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "logprobs"], "msg": "Extra inputs are not permitted"}]})),
        (400, json.dumps({"error": {"message": 'Invalid JSON payload received. Unknown name "logprobs": Cannot find field.'}})),
        (400, json.dumps({"error": {"message": "Unrecognized request argument supplied"}})),
        (400, json.dumps({"error": {"message": "Unsupported parameter"}})),
        (403, json.dumps({"error": {"message": "You are not allowed to request logprobs from this model"}})),
        (500, json.dumps({"error": {"message": "log probs are not implemented for this engine"}})),
        (501, "logprobs: not implemented"),
        (200, json.dumps({"error": {"message": "logprobs is not supported", "code": 400}})),
    ],
)
def test_a_server_that_refuses_the_field_is_asked_without_it_and_no_call_fails(status: int, body: str) -> None:
    with Teacher(refusing(status, body)) as server:
        first, second = asks(spec(server.url), 2)
        assert ["logprobs" in entry.sampling for entry in server.ledger] == [True, False, False]
    assert (first.error, second.error, first.probability) == (None, None, None)
    assert (first.refused_field, second.refused_field) == ("logprobs", "")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_refusal_of_something_else_is_asked_once_and_stays_what_it_is(status: int) -> None:
    with Teacher(fail=lambda body: status) as server:
        (ended,) = asks(spec(server.url))
        assert len(server.ledger) == 1
    assert ended.error is not None
    assert ended.refused_field == ""


def test_where_it_is_refused_without_them_too_the_second_reason_counts_and_the_next_call_tries_again() -> None:
    def answer(asked: dict[str, Any]) -> Raw:
        return Raw(NOT_SUPPORTED if "logprobs" in asked else json.dumps({"error": {"message": "the image is too large"}}), 400)

    with Teacher(answer) as server:
        first, second = asks(spec(server.url), 2)
        assert len(server.ledger) == 4
    assert "too large" in first.detail
    assert (first.refused_field, second.refused_field) == ("", "")


def test_a_request_without_them_is_the_one_that_never_asked() -> None:
    images = {PICTURE.digest: data_url(PICTURE)}
    asked = b"".join(build_request(CALL, spec("http://x/v1"), images))
    assert json.loads(asked)["logprobs"] is True
    assert without_logprobs(asked) == b"".join(build_request(CALL, spec("http://x/v1", logprobs="off"), images))
    assert without_logprobs(without_logprobs(asked)) == without_logprobs(asked)


def test_a_call_has_the_same_key_whether_or_not_it_asks_for_them(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    found = [
        keys(write_pipeline(tmp_path, teacher("http://localhost:1/v1", **fields)))
        for fields in ({}, {"logprobs": "off"}, {"logprobs": "auto"})
    ]
    assert found[0] == found[1] == found[2] != []


def test_anything_else_is_a_fault_of_the_file(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    with pytest.raises(PipelineError, match=r"teachers\[0\]\.logprobs"):
        Loaded.load(write_pipeline(tmp_path, teacher("http://localhost:1/v1", logprobs="always")))


def test_a_build_keeps_one_number_a_reply_and_says_how_many_there_are(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(MESSAGE) as server, Teacher(refusing(400)) as other:
        write_pipeline(tmp_path, teacher(server, "one"), teacher(other, "two", concurrency=1), max_failures=1.0)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("refuses logprobs") == 1
    assert "teacher two: its server refuses logprobs; 1 request was sent again without them" in ended.stdout
    run = tmp_path / "runs" / "feelings"
    told = summary(run)["teachers"]
    assert (told["one"]["with_probability"], "with_probability" in told["two"], told["two"]["failed"]) == (6, False, 0)
    with Journal(run / "journal.sqlite") as journal:
        rows = journal.rows("SELECT probability, body FROM replies WHERE probability IS NOT NULL")
    assert [probability for probability, _ in rows] == [pytest.approx(math.exp(-0.75))] * 6
    assert all('"logprob"' not in body for _, body in rows)


def test_a_run_that_wants_none_asks_no_server(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    with Teacher(MESSAGE) as server:
        write_pipeline(tmp_path, teacher(server), consensus={"logprobs": "off"})
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert [entry.sampling.get("logprobs") for entry in server.ledger] == [None] * 3


def test_a_batch_asks_for_them_too(tmp_path: Path) -> None:
    with Provider(MESSAGE) as provider:
        once = Once(project(tmp_path, provider))
    assert [attempt.probability for attempt in once.ended] == [pytest.approx(math.exp(-0.75))] * 6
    assert all('"logprob"' not in attempt.body for attempt in once.ended)


def test_a_batch_that_refuses_them_is_made_again_without_them(tmp_path: Path) -> None:
    with Provider(fate=lambda body, number: "no logprobs") as provider:
        once = Once(project(tmp_path, provider))
        assert len(provider.batches) == 2
        assert len(provider.paid) == 6
    assert once.errors == [None] * 6
    assert once.meter.without_logprobs == 6
    assert once.missing == 0


@pytest.mark.parametrize("told", ["given", "ignored", "refused"])
def test_a_simulated_teacher_gives_ignores_or_refuses_them(tmp_path: Path, told: Literal["given", "ignored", "refused"]) -> None:
    with Server([Role("a", "a", Simulated(logprobs=told))], LABELS, root=tmp_path) as server:
        plain = asked(server.url, request_body("a", picture("standing")))
        status, reply, _ = asked(server.url, request_body("a", picture("standing"), logprobs=True))
    assert plain[0] == 200
    assert "logprobs" not in plain[1]["choices"][0]
    if told == "refused":
        assert (status, "logprobs" in reply["error"]["message"]) == (400, True)
        return
    choice = reply["choices"][0]
    assert choice["message"] == plain[1]["choices"][0]["message"], "the same is said"
    assert ("logprobs" in choice) == (told == "given")
    if told == "given":
        assert "".join(one["token"] for one in choice["logprobs"]["content"]) == choice["message"]["content"]
        assert all(one["logprob"] <= 0 for one in choice["logprobs"]["content"])
