"""What follows the vote is asked like any other Call: once, within budgets, from where it was left, with its own pictures."""

import hashlib
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cotforge.errors import Stopped
from cotforge.pipeline import Loaded
from tests.echoed import TurningLoaded, blank_picture, build, opened
from tests.project import LABELS, Running, environment, files, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Entry, Failure, Teacher

ALONE = {"label": "ignore", "rule": "unanimous"}
RUN = "runs/feelings"


def echo(body: dict[str, Any]) -> str:
    """The same about a picture whoever is asked, in words that no other picture has."""
    parts = body["messages"][0]["content"]
    url = next((part["image_url"]["url"] for part in parts if part["type"] == "image_url"), "nothing")
    seen = hashlib.sha256(url.encode()).hexdigest()
    label = LABELS[int(seen, 16) % 4]
    return f"<think>The tone number {seen[:12]} of this picture speaks of {label} above all else.</think>\n<answer>{label}</answer>"


def follows(body: dict[str, Any]) -> bool:
    """Whether a request follows the vote."""
    return any("<reasoning>" in part.get("text", "") for part in body["messages"][0]["content"])


def later(server: Teacher) -> list[Entry]:
    """The requests of a server that followed the vote."""
    return [entry for entry in server.ledger if "<reasoning>" in entry.prompt]


def two_teachers(folder: Path, one: Teacher | str, two: Teacher | str, **sections: Any) -> None:
    write_pipeline(folder, teacher(one, "one", concurrency=4), teacher(two, "two", concurrency=4), consensus=ALONE, **sections)


def test_what_follows_is_asked_once_with_its_own_pictures_and_found_again_in_the_journal(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    with Teacher(echo) as one, Teacher(echo) as two:
        two_teachers(tmp_path, one, two)
        told = build(tmp_path)
        assert (len(one.ledger), len(two.ledger)) == (12 + 12, 12 + 24)
        assert {entry.images for entry in later(one)} == {()}, "a text alone can be sent"
        own, shown = {entry.images for entry in one.ledger if entry.images}, Counter(entry.images for entry in later(two))
        assert shown.pop((blank_picture().digest,)) == 12
        assert set(shown) < own, "the others were shown another sample's picture"
        assert {entry.images for entry in two.ledger if entry not in later(two)} == own
        assert told["follow_ups"] == {"echo": {"calls": 36, "failed": 0, "skipped": {}}}
        assert told["origins"] == {"solve": 12, "rescue": 0, "woven": 0}
        assert (told["calls"], told["calls_total"], told["calls_missing"]) == (60, 60, 0)
        assert {name: (found["calls"], found["answered"]) for name, found in told["teachers"].items()} == {"one": (24, 12), "two": (36, 12)}
        assert Counter(row["fate"] for row in table(tmp_path / RUN, "traces"))["check"] == 36
        asked, before = len(one.ledger) + len(two.ledger), files(tmp_path / RUN / "dataset")
    assert build(tmp_path)["calls"] == 0, "and no server is looked for: they are gone"
    assert files(tmp_path / RUN / "dataset") == before
    with opened(tmp_path) as run:
        run.curate()
    assert files(tmp_path / RUN / "dataset") == before
    assert asked == 60


def test_a_text_that_two_samples_lead_to_is_asked_once(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher() as server:
        write_pipeline(tmp_path, teacher(server), consensus=ALONE)
        told = build(tmp_path)
        assert len([entry for entry in later(server) if not entry.images]) == 1
        assert told["follow_ups"]["echo"]["calls"] == 24  # type: ignore[index]
        assert Counter(entry.call for entry in server.ledger).most_common(1)[0][1] == 1


def test_killed_in_the_middle_it_is_resumed_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with Teacher(echo, latency=0.02) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4), consensus=ALONE)
        words = [sys.executable, "-W", "error", "-m", "tests.echoed", str(tmp_path)]
        with Running(words, env=environment(), cwd=Path(__file__).parents[1], text=True) as building:
            while len(server.ledger) < 30 + 25:
                assert building.poll() is None
                time.sleep(0.005)
            building.send_signal(signal.SIGKILL)
        told = build(tmp_path)
        counts = Counter(entry.call for entry in server.ledger)
    assert sum(count - 1 for count in counts.values()) <= 4, "no more than was in flight"
    assert told["follow_ups"] == {"echo": {"calls": 90, "failed": 0, "skipped": {}}}
    assert (told["calls_missing"], len(counts)) == (0, 120)


def test_what_failed_for_a_passing_reason_is_asked_again_and_a_refusal_is_not(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    failure: list[Failure] = ["garbage"]
    first: list[str] = []

    def fail(body: dict[str, Any]) -> Failure:
        text = body["messages"][0]["content"][-1]["text"]
        first[:] = first or [text] * follows(body)
        return failure[0] if text in first else None

    with Teacher(echo, fail=fail) as server:
        write_pipeline(tmp_path, teacher(server), consensus=ALONE, max_failures=1)
        told = build(tmp_path)
        assert told["follow_ups"] == {"echo": {"calls": 16, "failed": 1, "skipped": {"no_reply": 1}}}
        assert (told["accepted"], told["calls_failed"]) == (6, 1)
        failure[0], asked = 422, len(server.ledger)
        told = build(tmp_path)
        assert (told["calls"], len(server.ledger)) == (1, asked + 1)
        failure[0] = None
        assert build(tmp_path)["calls"] == 0
        told = build(tmp_path, retry=["422"])
    assert told["follow_ups"] == {"echo": {"calls": 18, "failed": 0, "skipped": {}}}


def test_a_budget_stops_it_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with Teacher(echo) as one, Teacher(echo) as two:
        two_teachers(tmp_path, one, two, budget={"calls": 33})
        with opened(tmp_path) as run, pytest.raises(Stopped, match="budget: calls 33 reached"):
            run.build()
        assert len(one.ledger) + len(two.ledger) == 33
        told = summary(tmp_path / RUN)
        assert (told["accepted"], told["calls"], told["follow_ups"]["echo"]["calls"]) == (10, 33, 13)
        assert told["calls_missing"] > 0
        assert build(tmp_path, "budget.calls=50")["calls"] == 17
        assert len(one.ledger) + len(two.ledger) == 50


def test_a_server_that_goes_away_leaves_what_it_was_to_say_to_the_next_build(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(echo) as one, Teacher(echo, fail=lambda body: (401, "invalid_api_key") if follows(body) and broken else None) as two:
        broken = True
        two_teachers(tmp_path, one, two)
        with opened(tmp_path) as run, pytest.raises(Stopped, match=r"teacher 'two'.*key"):
            run.build()
        assert len(later(one)) == 8, "the other teacher is asked all the same"
        broken = False
        told = build(tmp_path)
        assert len(later(one)) == 8
    assert told["follow_ups"] == {"echo": {"calls": 24, "failed": 0, "skipped": {}}}


def test_nothing_follows_a_vote_that_is_not_complete(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(echo) as one, Teacher(echo, fail=lambda body: (401, "invalid_api_key") if len(two.ledger) > 5 and broken else None) as two:
        broken = True
        two_teachers(tmp_path, one, two)
        with opened(tmp_path) as run, pytest.raises(Stopped):
            run.build()
        assert len(later(one)) <= 5
        broken = False
        assert build(tmp_path)["follow_ups"] == {"echo": {"calls": 24, "failed": 0, "skipped": {}}}


def test_a_limit_shows_the_same_pictures_as_the_whole(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    with Teacher(echo) as one, Teacher(echo) as two:
        two_teachers(tmp_path, one, two)
        with opened(tmp_path, limit=4) as run:
            run.build()
        assert len(one.ledger) + len(two.ledger) == 4 * 5
        build(tmp_path)
        assert len(one.ledger) + len(two.ledger) == 12 * 5


def test_an_interrupt_leaves_the_rest_and_offline_asks_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(echo) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=2), consensus=ALONE)
        with opened(tmp_path) as run:
            once = iter([run.interrupt])
            server.fail = lambda body: next(once, lambda: None)() if follows(body) else None
            with pytest.raises(KeyboardInterrupt):
                run.build()
        server.fail, asked = None, len(server.ledger)
        assert 8 < asked <= 8 + 3
        told = build(tmp_path, offline=True)
        assert (told["calls"], told["accepted"], len(server.ledger)) == (0, 8, asked)
        assert told["calls_missing"] > 0
        assert build(tmp_path)["calls"] == 8 + 24 - asked


def test_teachers_that_share_a_gpu_take_turns_until_nobody_wants_anything(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(echo) as one, Teacher(echo) as two:
        two_teachers(tmp_path, one, two)
        with opened(tmp_path, kind=TurningLoaded) as run:
            run.build()
        assert (len(later(one)), len(later(two))) == (12, 6)
        assert max(entry.started for entry in later(two)) < min(entry.started for entry in later(one))
        assert summary(tmp_path / RUN)["follow_ups"] == {"echo": {"calls": 18, "failed": 0, "skipped": {}}}


def test_a_run_without_such_sections_asks_and_writes_what_it_always_did(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(echo) as one, Teacher(echo) as two:
        two_teachers(tmp_path, one, two)
        with opened(tmp_path, kind=Loaded) as run:
            run.build()
        assert (len(one.ledger), len(two.ledger)) == (6, 6)
        told, before = summary(tmp_path / RUN), files(tmp_path / RUN / "dataset")
        build(tmp_path)
        assert len(one.ledger) + len(two.ledger) == 6 * 5, "what is added later asks nothing again"
        with opened(tmp_path, kind=Loaded) as run:
            run.curate()
    after = files(tmp_path / RUN / "dataset")
    assert after.pop("README.md") != before.pop("README.md"), "the card tells what was spent in all"
    assert after == before
    assert not {"origins", "follow_ups"} & set(told)


def test_check_plans_and_prices_what_follows_and_asks_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with Teacher(echo) as one, Teacher(echo) as two:
        two_teachers(tmp_path, one, two, budget={"calls": 40})
        lines = checked(tmp_path)
        assert not one.ledger + two.ledger
        assert lines["one"].startswith("10 calls to make, 0 in the journal, at most about 8 more follow the vote, about ")
        assert lines["in all"].startswith("20 calls to make, at most about 24 more follow the vote")
        assert lines["echo:"] == "at most about 24 calls after the vote (one 8, two 16)"
        assert lines["calls after the vote:"] == "counted as if 80% of the samples had an accepted answer, which is an assumption"
        does_not = "does not suffice:"
        assert lines["budget:"] == f"calls 40 {does_not} 0 spent, about 44 to come; it reaches about 40 calls, those of the vote first"
        with opened(tmp_path, kind=Loaded) as run:
            run.build()
        lines = checked(tmp_path)
        assert lines["in all"].startswith("0 calls to make, at most about 30 more follow the vote")
        assert lines["calls after the vote:"] == "counted as if 100% of the samples had an accepted answer, as the 10 so far have"
        with pytest.raises(Stopped):
            build(tmp_path)
        lines = checked(tmp_path)
        assert lines["in all"].startswith("0 calls to make, 10 more follow the vote")
        assert lines["budget:"] == f"calls 40 {does_not} 40 spent, about 10 to come; it reaches about 0 calls"
        build(tmp_path, "budget.calls=50")
    lines = checked(tmp_path)
    assert lines["in all"] == "0 calls to make"
    assert lines["echo:"] == "no call to make after the vote"
    more = checked(tmp_path, "teachers.0.samples=2", offline=True)
    assert more["one"].startswith("10 calls to make, 10 in the journal, at most about 8 more follow"), "what was asked later is no vote"
    assert "teacher" not in more, "and no Call of the vote in other words"


def checked(folder: Path, *sets: str, offline: bool = False) -> dict[str, str]:
    """What `check` says, by how its lines begin; servers that are not needed are not looked for."""
    told: list[str] = []
    with opened(folder, *sets) as run:
        run.check(told.append, offline=offline)
    begins = ("one", "two", "in all", "echo:", "calls after the vote:", "budget:", "teacher")
    lines = [line for text in told for line in text.splitlines()]
    return {begin: line.removeprefix(begin).strip() for begin in begins for line in lines if line.startswith(begin)}
