"""Every fault that a simulated server can be told to have, met over the wire, and counted in its ledger."""

import json
import re
import socket
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import ValidationError

from cotforge.simulate import Role, Server
from cotforge.simulate.transport_faults import in_burst, request_seconds
from cotforge.teachers.simulated import Bursts, Simulated
from tests.asking import LABELS, ask, ask_raw, bars, get, ledger, picture, request_body

PATIENCE = 20.0
"""Seconds after which something that must come has not come."""

ROLES: dict[str, dict[str, Any]] = {
    "plain": {},
    "bursting": {"bursts": {"every": 0.5, "lasts": 0.25}, "retry_after": 7},
    "no quota": {"ends": {"after": 2, "by": "quota"}},
    "no money": {"ends": {"after": 2, "by": "payment"}},
    "dead key": {"ends": {"after": 2, "by": "key"}},
    "forbidden": {"ends": {"after": 2, "by": "forbidden"}},
    "gone": {"ends": {"after": 2, "by": "model"}},
    "500": {"errors": 1, "retry_after": 9},
    "502": {"errors": 1, "error_status": 502},
    "503": {"errors": 1, "error_status": 503, "retry_after": 9},
    "529": {"errors": 1, "error_status": 529, "retry_after": 9},
    "page 502": {"errors": 1, "error_status": 502, "error_body": "html"},
    "page 200": {"errors": 1, "error_status": 200, "error_body": "html"},
    "error 200": {"errors": 1, "error_status": 200},
    "reset": {"reset": 1},
    "garbage": {"garbage": 1},
    "trickle": {"trickle": {"pause": 0.0002}},
    "silent": {"hang": 1},
    "kneed": {"latency": 0.1, "knee": 1},
    "queued": {"latency": 0.5, "queue": 2},
    "tailed": {"latency": 0.02, "tail": 1},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    roles = [Role(model, model, Simulated.model_validate(simulated)) for model, simulated in ROLES.items()]
    with Server(roles, LABELS, root=tmp_path_factory.mktemp("faults")) as server:
        yield server.url


def at_once(url: str, model: str, number: int) -> list[int]:
    """The statuses of so many requests, sent together."""
    with ThreadPoolExecutor(number) as pool:
        return [status for status, _, _ in pool.map(lambda body: ask(url, body), bars(model)[:number])]


def comes(condition: Callable[[], bool]) -> bool:
    """Whether it is so within our patience."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


# a server that refuses everybody


def test_bursts_of_429_come_and_go_and_say_when_to_come_back(url: str) -> None:
    met: list[tuple[int, str | None]] = []

    def both_ways() -> bool:
        status, _, headers = ask(url, request_body("bursting", picture("o")))
        met.append((status, headers["Retry-After"]))
        return [status for (status, _), _ in groupby(met)][-3:] == [200, 429, 200]

    assert comes(both_ways)
    assert set(met) == {(200, None), (429, "7")}
    assert ledger(url, "bursting")["ended"] == {
        "answered": met.count((200, None)),
        "429": met.count((429, "7")),
    }


def test_a_burst_stands_at_the_end_of_its_period_so_that_a_run_begins_in_peace() -> None:
    bursts = Bursts(every=30, lasts=5)
    assert [in_burst(bursts, second) for second in (0, 24.9, 25, 29.9, 30, 54.9, 55)] == [False, False, True, True, False, False, True]


@pytest.mark.parametrize(
    ("model", "status", "code", "listed"),
    [
        ("no quota", 429, "insufficient_quota", True),
        ("no money", 402, "insufficient_balance", True),
        ("dead key", 401, "invalid_api_key", False),
        ("forbidden", 403, "permission_denied", False),
        ("gone", 404, "model_not_found", False),
    ],
)
def test_after_so_many_requests_a_server_ends_for_good(url: str, model: str, status: int, code: str, listed: bool) -> None:
    def is_listed() -> bool:
        return model in [each["id"] for each in json.loads(get(url, "/v1/models")[1])["data"]]

    assert is_listed()
    said = [ask(url, body) for body in bars(model)[:5]]
    assert [each[0] for each in said] == [200, 200, status, status, status]
    assert said[-1][1]["error"]["code"] == code
    assert is_listed() == listed
    assert ledger(url, model)["ended"] == {"answered": 2, str(status): 3}


def test_a_server_whose_only_key_is_dead_lists_nothing(tmp_path: Path) -> None:
    with Server([Role("a", "a", Simulated.model_validate({"ends": {"after": 0, "by": "key"}}))], LABELS, root=tmp_path) as server:
        assert get(server.url, "/v1/models")[0] == ask(server.url, request_body("a", picture("o")))[0] == 401


def test_a_server_that_is_down_refuses_connections_cuts_what_was_in_flight_and_comes_back(tmp_path: Path) -> None:
    down = Role("one", "one", Simulated.model_validate({"down": {"after": 1, "lasts": 1}}))
    with Server([down, Role("silent", "silent", Simulated(hang=1))], LABELS, root=tmp_path) as server:
        waiting: list[str] = []
        held = threading.Thread(target=lambda: waiting.append(ends(server.url, request_body("silent", picture("o")))))
        held.start()
        met: list[str] = []

        def back() -> bool:
            met.append(ends(server.url, request_body("one", picture("o"))))
            return "ConnectionRefusedError" in met and met[-1] == "200"

        assert comes(back)
        assert [each for each, _ in groupby(met) if each in ("200", "ConnectionRefusedError")] == ["200", "ConnectionRefusedError", "200"]
        held.join(PATIENCE)
        assert waiting == ["ConnectionResetError"]
        assert ledger(server.url, "silent") == {"teachers": ["silent"], "requests": 1, "in_flight": 0, "ended": {"hung": 1}}


def ends(url: str, body: object) -> str:
    """The status of a request, or the name of what went wrong with its connection."""
    try:
        return str(ask(url, body, timeout=PATIENCE)[0])
    except urllib.error.URLError as error:
        return type(error.reason).__name__
    except OSError as error:
        return type(error).__name__


# attempts that fail


@pytest.mark.parametrize(("model", "after"), [("500", None), ("502", None), ("503", "9"), ("529", "9")])
def test_errors_have_the_wanted_status_and_overload_says_when_to_come_back(url: str, model: str, after: str | None) -> None:
    status, body, headers = ask(url, request_body(model, picture("o")))
    assert (status, headers["Retry-After"]) == (int(model), after)
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert ledger(url, model)["ended"] == {model: 1}


@pytest.mark.parametrize(("model", "status"), [("page 502", 502), ("page 200", 200)])
def test_an_error_can_be_a_web_page(url: str, model: str, status: int) -> None:
    said, body, headers = ask_raw(url, request_body(model, picture("o")))
    assert (said, headers.get_content_type()) == (status, "text/html")
    assert body.startswith(b"<!DOCTYPE html>")
    assert ledger(url, model)["ended"] == {str(status): 1}


def test_an_error_can_come_with_status_200(url: str) -> None:
    status, body, _ = ask(url, request_body("error 200", picture("o")))
    assert (status, list(body)) == (200, ["error"])


def test_a_connection_is_reset_in_the_middle_of_the_body(url: str) -> None:
    head, body, fault = spoken(url, request_body("reset", picture("o")))
    wanted = int(re.findall(rb"Content-Length: (\d+)", head)[0])
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert isinstance(fault, ConnectionResetError)
    assert len(body) < wanted
    assert ledger(url, "reset")["ended"] == {"reset": 1}


def spoken(url: str, body: object) -> tuple[bytes, bytes, OSError | None]:
    """Head and body of an answer as the socket brings them, and how it ended other than by being closed."""
    where, data = urlsplit(url), json.dumps(body).encode()
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE) as line:
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        got, fault = b"", None
        try:
            while chunk := line.recv(65536):
                got += chunk
        except OSError as error:
            fault = error
    head, _, text = got.partition(b"\r\n\r\n")
    return head, text, fault


def test_half_a_json_document_comes_with_status_200(url: str) -> None:
    status, body, headers = ask_raw(url, request_body("garbage", picture("o")))
    assert (status, headers.get_content_type()) == (200, "application/json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert ledger(url, "garbage")["ended"] == {"garbled": 1}


def test_a_body_that_trickles_is_whole_when_it_is_through(url: str) -> None:
    began = time.monotonic()
    status, body, _ = ask_raw(url, request_body("trickle", picture("o")))
    assert status == 200
    assert time.monotonic() - began > len(body) * ROLES["trickle"]["trickle"]["pause"]
    assert json.loads(body)["choices"][0]["finish_reason"] == "stop"


def test_a_request_that_hangs_and_one_whose_client_leaves_stand_in_the_ledger(url: str) -> None:
    for model in ("silent", "queued"):
        with pytest.raises(TimeoutError):
            ask(url, request_body(model, picture("o")), timeout=0.1)
    assert comes(lambda: ledger(url, "silent")["in_flight"] == 0)
    assert ledger(url, "silent")["ended"] == {"hung": 1}
    assert comes(lambda: ledger(url, "queued")["ended"].get("unfinished") == 1)


# how long it takes


def test_the_tail_takes_twenty_times_as_long_and_beyond_the_knee_time_grows_with_the_square() -> None:
    slow = Simulated(latency=2.0, jitter=0.5, tail=0.1, knee=32)
    times = [request_seconds(slow, 1, Random(seed)) for seed in range(2000)]
    tail = [each for each in times if each > 3]
    assert 140 < len(tail) < 260
    assert all(1 <= each <= 3 or 20 <= each <= 60 for each in times)
    assert request_seconds(slow, 32, Random(0)) == request_seconds(slow, 1, Random(0)) == request_seconds(slow, 64, Random(0)) / 4


def test_an_answer_of_the_tail_takes_its_time(url: str) -> None:
    began = time.monotonic()
    assert ask(url, request_body("tailed", picture("o")))[0] == 200
    assert time.monotonic() - began > 0.4


def test_a_loaded_server_slows_down_for_all(url: str) -> None:
    began = time.monotonic()
    assert at_once(url, "kneed", 4) == [200] * 4
    assert time.monotonic() - began > 0.1 * 3**2, "at least three were in work together"


def test_above_its_queue_a_server_makes_wait_in_silence_and_its_metrics_say_how_many(url: str) -> None:
    seen: set[tuple[float, float]] = set()

    def gauge(page: str, name: str) -> float:
        (value,) = re.findall(rf'^vllm:num_requests_{name}{{engine="0",model_name="queued"}} (\S+)$', page, re.MULTILINE)
        return float(value)

    def full() -> bool:
        page = get(url, "/metrics")[1].decode()
        assert "plain" not in page, "only a teacher with a queue is like vLLM"
        assert f'waiting_by_reason{{engine="0",model_name="queued",reason="capacity"}} {gauge(page, "waiting")}\n' in page
        seen.add((gauge(page, "running"), gauge(page, "waiting")))
        return any(running == 2 and waiting >= 2 for running, waiting in seen)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(at_once, url, "queued", 6)
        assert comes(full)
        assert asking.result() == [200] * 6
    assert max(running for running, _ in seen) == 2


def test_a_server_without_a_queue_has_no_metrics(tmp_path: Path) -> None:
    with Server([Role("a", "a", Simulated())], LABELS, root=tmp_path) as server:
        assert get(server.url, "/metrics")[0] == 404


# the file


@pytest.mark.parametrize(
    "section",
    [
        {"bursts": {"every": 5, "lasts": 5}},
        {"bursts": {"every": 5}},
        {"down": {"after": -1, "lasts": 5}},
        {"ends": {"after": 5, "by": "boredom"}},
        {"trickle": {"share": 0.5}},
        {"error_status": 100},
        {"usage": "wrong"},
        {"queue": 0},
    ],
)
def test_a_fault_that_makes_no_sense_is_a_fault_of_the_file(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Simulated.model_validate(section)


def test_every_fault_that_the_docs_rehearse_can_be_played() -> None:
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "rehearse.md").read_text(encoding="utf-8")
    sections = [yaml.safe_load(f"{{{cell}}}") for cell in re.findall(r"^\| [^|]+ \| `([^`|]+)` \|$", page, re.MULTILINE)]
    faults = {key for section in sections for key in Simulated.model_validate(section).model_fields_set}
    skill = {"eye", "look", "learn", "cells", "seed"}
    habits = {key for key in re.findall(r"`(\w+): 0\.?\d*`", page) if key in Simulated.model_fields}
    assert faults | skill | habits == set(Simulated.model_fields)
