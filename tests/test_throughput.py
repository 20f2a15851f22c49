"""How long a build will take, from how fast its teachers have been."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.estimate.throughput import ENOUGH, PAUSE_S, Throughput
from tests.project import ran, sees, teacher, write_pipeline, write_rows
from tests.teacher import Teacher


def pace(attempts: list[tuple[float, float]], *, last: bool = True) -> Throughput:
    found = Throughput()
    for begun, seconds in sorted(attempts):
        found.add(begun, seconds, is_last=last)
    return found


def test_busy_is_the_time_with_a_call_in_flight_and_short_pauses_but_not_the_nights_between() -> None:
    assert pace([(0, 2), (1, 2), (1, 0.5)]).busy == 3
    assert pace([(0, 2), (4, 1)]).busy == 5
    assert pace([(0, 2), (1e6, 3)]).busy == 5
    assert pace([(0, 10), (1, 1), (11 + PAUSE_S, 1)]).busy == 11


def test_where_a_build_has_no_more_in_flight_the_pace_is_as_it_was() -> None:
    many = pace([(number * 0.5, 2.0) for number in range(400)])  # four at a time
    assert many.in_flight == pytest.approx(4, rel=0.02)
    for slots in (1, 2, 4):
        found = many.per_call(slots)
        assert found is not None
        assert found.low < found.about < found.high
        assert found.about == pytest.approx(2.0, rel=0.02), "each takes two seconds"
        assert found.high < 1.3 * found.low


def test_with_more_in_flight_than_were_seen_it_lies_between_a_server_with_room_and_one_without() -> None:
    few = pace([(0.0, 2.0)] * 5)
    found = few.per_call(40)
    assert found is not None
    assert found.low < 2.0, "each still takes two seconds"
    assert found.high > 2.0 * 40 / 5, "five in two seconds, as before"
    assert 2.0 < found.about < 16.0


def test_after_enough_calls_the_pace_is_taken_for_the_builds_own_whatever_the_ceiling() -> None:
    slots = 64
    many = pace([(number * 0.5, 2.0) for number in range(ENOUGH * slots)])
    found = many.per_call(slots)
    assert found is not None
    assert found.about / slots == pytest.approx(0.5, rel=0.05), "one in half a second"


def test_attempts_that_failed_take_time_and_end_no_call() -> None:
    both = pace([(0.0, 1.0), (1.0, 1.0)])
    retried = pace([(1.0, 1.0)])
    retried = Throughput()
    retried.add(0.0, 1.0, is_last=False)
    retried.add(1.0, 1.0, is_last=True)
    one, other = both.per_call(1), retried.per_call(1)
    assert one is not None
    assert other is not None
    assert other.about == 2 * one.about


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 50)), min_size=1, max_size=50), st.integers(1, 500))
def test_the_range_has_a_width_even_where_all_took_the_same_time(attempts: list[tuple[float, float]], slots: int) -> None:
    for given_ in (attempts, [attempts[0]] * len(attempts)):
        found = pace(given_).per_call(slots)
        assert found is not None
        assert 0 < found.low < found.about < found.high
        assert found.high / found.low > 1 + 2 / len(given_) ** 0.5


def test_nothing_timed_is_nothing_known() -> None:
    assert Throughput().per_call(3) is None
    assert pace([(0, 1)], last=False).per_call(3) is None


def seconds(text: str) -> float:
    value, unit = text.split()
    return float(value.replace(",", "")) * {"s": 1, "min": 60, "h": 3600}[unit]


@pytest.mark.parametrize("latency", [0.05, 0.2])
def test_the_hours_of_a_probe_hold_the_time_that_the_calls_then_take(tmp_path: Path, latency: float) -> None:
    write_rows(tmp_path, 80)
    with Teacher(sees, latency=latency) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4))
        ended = ran("check", "pipeline.yaml", "--probe", 12, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        low, high = re.findall(r"([\d.,]+ (?:s|min|h)) to ([\d.,]+ (?:s|min|h))", ended.stdout)[0]
        began = time.monotonic()
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        took = time.monotonic() - began
        assert seconds(low) < took
        assert 68 / 4 * latency < seconds(high)


def test_a_probe_of_few_calls_says_that_the_time_is_rough(tmp_path: Path) -> None:
    write_rows(tmp_path, 60)
    with Teacher(sees, latency=0.02) as server:
        write_pipeline(tmp_path, teacher(server))
        rough = ran("check", "pipeline.yaml", "--probe", 3, cwd=tmp_path).stdout.splitlines()[-1]
        assert re.fullmatch(
            r"the time is rough: in the probe a teacher had about \d calls in flight, in a build it has up to 57; .*", rough
        )
        assert "rough" not in ran("check", "pipeline.yaml", "--probe", 3, "--set", "teachers.0.concurrency=1", cwd=tmp_path).stdout
