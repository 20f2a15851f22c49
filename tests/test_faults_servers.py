"""Servers that turn away, fail, stall and starve a whole run; the numbers are rows of the fault matrix."""

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cotforge.forge.retries import SHARE, START
from tests.aftermath import RUN, ends, equals_the_undisturbed, rows
from tests.project import ran, sees, summary, table, teacher, write_pipeline, write_rows
from tests.stranger import Stranger, completion, http
from tests.teacher import Failure, Teacher, served

ALONE = {"label": "ignore"}


def build(folder: Path) -> dict[str, Any]:
    """The summary of a build that ends well."""
    ended = ran("build", "pipeline.yaml", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return summary(folder / RUN)


class Spell:
    """A time in the middle of a run in which every request fails in one way: it begins with the request of that number."""

    def __init__(self, failure: Failure, *, at: int, lasts: float) -> None:
        self.failure, self.at, self.lasts = failure, at, lasts
        self.seen = self.struck = 0
        self.begun = self.over = 0.0

    def __call__(self, body: dict[str, Any]) -> Failure:
        self.seen += 1
        self.begun = self.begun or (time.monotonic() if self.seen == self.at else 0.0)
        if not self.begun or time.monotonic() > self.begun + self.lasts:
            return None
        self.struck += 1
        return self.failure


def widest(started: list[float], *, worth: float, per_second: float) -> float:
    """How far the requests of any span of time pass what is allowed in it, each `worth` so much."""
    return max(
        worth * (later - earlier + 1) - per_second * (started[later] - started[earlier])
        for earlier in range(len(started))
        for later in range(earlier, len(started))
    )


# Turned away


def test_a_refused_call_waits_as_it_is_told_and_the_limit_soon_is_what_was_accepted_and_stays_there(tmp_path: Path) -> None:
    """Row 1. The server takes so long that a busy machine has sent 16 calls before the first one is answered."""
    write_rows(tmp_path, 40)
    ledger = tmp_path / "ledger.jsonl"
    with Teacher(sees, limit=4, retry_after=1.0, latency=0.3, ledger=ledger) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=16), consensus=ALONE)
        assert build(tmp_path)["accepted"] == 40
    requests = sorted(served(ledger), key=lambda entry: entry["started"])
    refused = [entry for entry in requests if entry["status"] == 429]
    assert 0 < len(refused) <= 12 + 2, "what 16 at a time have too many"
    assert refused[-1]["started"] < requests[0]["started"] + 1.0 + 0.5, "and the limit is not raised for five seconds"
    assert len(requests) - requests.index(refused[-1]) > 20
    for entry in refused:
        back = min(other["started"] for other in requests if other["call"] == entry["call"] and other["started"] > entry["started"])
        assert back >= entry["finished"] + 0.99
    assert ends(tmp_path) == {"answered": 40, "429": len(refused)}
    assert equals_the_undisturbed(tmp_path)


def test_a_burst_of_refusals_without_a_header_is_one_episode_and_loses_nothing(tmp_path: Path) -> None:
    """Row 2; that the old rate comes back is shown in virtual time: test_pace, test_a_burst_of_refusals_cuts_once_and_is_soon_forgotten."""
    write_rows(tmp_path, 160)
    spell = Spell(429, at=80, lasts=0.4)
    with Teacher(sees, fail=spell, latency=0.03) as server:

        def count_anew() -> None:
            while not spell.begun or time.monotonic() < spell.begun + spell.lasts:
                time.sleep(0.01)
            server.most_in_flight = 0

        thread = threading.Thread(target=count_anew)
        thread.start()
        write_pipeline(tmp_path, teacher(server, concurrency=8), consensus=ALONE)
        assert build(tmp_path)["accepted"] == 160
        thread.join()
        assert 1 <= spell.struck <= 8 + 8, "what was in flight, then a single call now and then"
        assert 4 <= server.most_in_flight <= 8, "cut once, to half at most"
    assert ends(tmp_path) == {"answered": 160, "429": spell.struck}


@pytest.mark.parametrize("failure", [402, (400, "billing_hard_limit_reached")], ids=str)
def test_a_teacher_whose_credit_is_used_up_is_left_at_once_and_the_same_command_goes_on(tmp_path: Path, failure: Failure) -> None:
    """Row 3; 429 `insufficient_quota`: test_forge, test_a_quota_that_is_used_up_stops_its_teacher_at_once_and_the_others_go_on."""
    write_rows(tmp_path, 20)
    with Teacher(sees, fail=lambda body: failure if len(poor.ledger) > 5 else None) as poor, Teacher(sees) as rich:
        write_pipeline(tmp_path, teacher(poor, "poor", concurrency=2), teacher(rich, "rich"), consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert (len(rich.ledger), len(poor.ledger) <= 5 + 2) == (20, True)
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[-1].startswith("teacher 'poor': paused: quota or credit is used up; ")
    assert equals_the_undisturbed(tmp_path, calls=15)


def test_a_model_that_is_gone_in_the_middle_leaves_the_others_and_a_journal_that_can_go_on(tmp_path: Path) -> None:
    """Row 9, the journal's part."""
    write_rows(tmp_path, 20)
    with Teacher(sees, fail=lambda body: (404, "model_not_found") if len(gone.ledger) > 12 else None) as gone, Teacher(sees) as there:
        write_pipeline(tmp_path, teacher(gone, "gone", concurrency=2), teacher(there, "there"), consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        refused = len(gone.ledger) - 12
        assert (len(there.ledger), 1 <= refused <= 2) == (20, True)
    assert ended.returncode == 0, ended.stderr
    assert f"teacher 'gone': its model is gone; {8 - refused} calls were not asked" in ended.stderr
    assert ends(tmp_path) == {"answered": 32, "404": refused}
    assert equals_the_undisturbed(tmp_path, calls=8)


# Failing


def test_failures_of_the_server_are_tried_again_and_are_no_reason_to_send_less(tmp_path: Path) -> None:
    """Row 4."""
    write_rows(tmp_path, 80)
    statuses: dict[str, int] = {}

    def fail(body: dict[str, Any]) -> Failure:
        if len(server.ledger) == 40:
            server.most_in_flight = 0
        call = server.ledger[-1].call
        if call in statuses or len(server.ledger) % 5 or len(statuses) == 6:
            return None
        return statuses.setdefault(call, (500, 502, 503)[len(statuses) % 3])

    with Teacher(sees, fail=fail, latency=0.05) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=8), consensus=ALONE)
        told = build(tmp_path)
        assert server.most_in_flight == 8
    assert (told["accepted"], told["calls_failed"], told["attempts"]) == (80, 0, 86)
    assert ends(tmp_path) == {"answered": 80, "500": 2, "502": 2, "503": 2}
    assert equals_the_undisturbed(tmp_path)


def test_a_server_that_fails_whatever_it_is_asked_for_three_seconds_is_left_alone_and_no_call_is_given_up(tmp_path: Path) -> None:
    """The circuit breaker."""
    write_rows(tmp_path, 150)
    spell = Spell(502, at=60, lasts=3.0)
    with Teacher(sees, fail=spell, latency=0.02) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=8), consensus=ALONE)
        told = build(tmp_path)
    assert (told["calls_failed"], told["accepted"]) == (0, 150)
    assert 8 <= spell.struck <= 30, "400 a second would have come"
    assert ends(tmp_path) == {"answered": 150, "502": spell.struck}
    assert equals_the_undisturbed(tmp_path)


def test_a_server_that_fails_half_of_the_time_is_not_stormed(tmp_path: Path) -> None:
    """The retry budget of a run, at every moment of it."""
    write_rows(tmp_path, 150)
    chance = random.Random(3)
    with Teacher(sees, fail=lambda body: 500 if chance.random() < 0.5 else None) as server:
        write_pipeline(tmp_path, teacher(server), consensus=ALONE, max_failures=1, budget={"minutes": 0.06})
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        ledger = list(server.ledger)
    assert (ended.returncode, ended.stderr.count("budget: minutes 0.06 are over")) == (3, 1)
    asked = Counter[str]()
    for number, entry in enumerate(ledger):
        asked[entry.call] += 1
        repeated = number + 1 - len(asked)
        assert repeated <= START + SHARE * len(asked) + (entry.started - ledger[0].started) + 1
    assert repeated > START
    assert max(asked.values()) <= 4
    found = ends(tmp_path)
    assert found.total() == len(ledger)
    assert equals_the_undisturbed(tmp_path, calls=150 - found["answered"])


# Stalling


def test_an_attempt_that_ran_into_its_timeout_counts_against_the_budget_as_if_it_had_been_answered(tmp_path: Path) -> None:
    """Row 12; at most one retry: test_forge, test_a_server_that_hangs_is_asked_twice_and_then_given_up."""
    write_rows(tmp_path, 6)
    with Teacher(sees, fail=lambda body: "hang" if len(server.ledger) <= 2 else None) as server:
        write_pipeline(tmp_path, teacher(server, timeout=0.4, concurrency=2), budget={"calls": 5}, max_failures=1, consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert len(server.ledger) == 5
    assert (ended.returncode, ended.stderr.count("budget: calls 5 reached")) == (3, 1)
    assert ends(tmp_path) == {"answered": 3, "timeout": 2}
    assert summary(tmp_path / RUN)["accepted"] == 3


def test_a_body_that_comes_byte_by_byte_is_cut_at_the_deadline(tmp_path: Path) -> None:
    """Row 16, of a body in one piece."""
    write_rows(tmp_path, 3)
    with Stranger(lambda number, body: http(200, completion()), pause=0.2) as server:
        write_pipeline(tmp_path, teacher(server.url, timeout=0.5), max_failures=1)
        begun = time.monotonic()
        told = build(tmp_path)
        assert time.monotonic() - begun < 30, "a whole body would take a minute"
        assert set(Counter(request.call for request in server.ledger).values()) == {2}
    assert (told["calls_failed"], ends(tmp_path)) == (3, {"timeout": 6})
    assert {loss["reason"] for loss in table(tmp_path / RUN, "losses") if loss["stage"] == "ask"} == {"timeout"}
    assert equals_the_undisturbed(tmp_path, calls=3)


# Ceilings


def test_requests_a_minute_are_kept_as_the_server_counts_them(tmp_path: Path) -> None:
    """At 600 a minute there are ten in a second, and ten more where nothing was sent before."""
    write_rows(tmp_path, 30)
    with Teacher(sees) as one, Teacher(sees) as two:
        write_pipeline(tmp_path, teacher(one, rpm=600) | {"url": [one.url, two.url]}, consensus=ALONE)
        assert build(tmp_path)["accepted"] == 30
        started = sorted(entry.started for entry in (*one.ledger, *two.ledger))
    assert len(started) == 30
    assert widest(started, worth=1, per_second=10) <= 10 + 2
    assert started[-1] - started[0] > 1.5


def test_tokens_a_minute_are_kept_as_the_server_counts_them(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, tpm=60_000, max_tokens=60), consensus=ALONE)
        told = build(tmp_path)
        started = [entry.started for entry in server.ledger]
    used = (told["tokens"]["input"] + told["tokens"]["output"]) / 40
    assert (told["accepted"], len(started)) == (40, 40)
    assert widest(started, worth=used, per_second=1000) <= 1000 + 2 * used
    assert started[-1] - started[0] > 0.5
    assert rows(tmp_path, "SELECT count(*) FROM replies") == [(40,)]


def test_a_call_that_hung_before_the_tail_was_known_is_cut_off_once_it_is(tmp_path: Path) -> None:
    """Row 13: the deadline of what is in flight follows what the others take."""
    write_rows(tmp_path, 80)
    hung: list[str] = []

    def first_hangs(body: dict[str, Any]) -> Failure:
        hung[:] = hung or [str(body["messages"])]
        return "hang" if str(body["messages"]) in hung and len(server.ledger) < 3 else None

    with Teacher(sees, fail=first_hangs) as server:
        write_pipeline(tmp_path, teacher(server, timeout=120), consensus=ALONE)
        begun = time.monotonic()
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert time.monotonic() - begun < 40, "and not the 120 s of its timeout"
    assert (ended.returncode, summary(tmp_path / RUN)["accepted"]) == (0, 80), ended.stderr
