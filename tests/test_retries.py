"""How many attempts of a run are repetitions."""

from hypothesis import given
from hypothesis import strategies as st

from cotforge.forge.retries import MOST, START, RetryBudget


def test_a_few_retries_go_at_once_and_a_storm_waits() -> None:
    budget = RetryBudget()
    waits = [budget.delay(0.0) for _ in range(100)]
    assert waits[: int(START)] == [0.0] * int(START)
    assert waits[int(START) :] == [float(place) for place in range(1, 91)]


def test_first_attempts_bring_retries_but_only_so_many() -> None:
    budget = RetryBudget()
    for _ in range(10_000):
        budget.first()
    waits = [budget.delay(0.0) for _ in range(200)]
    assert waits.count(0.0) == MOST


def test_a_healthy_run_never_waits() -> None:
    budget = RetryBudget()
    for call in range(10_000):
        budget.first()
        if call % 10 == 0:
            assert budget.delay(0.0) == 0.0


def test_the_end_of_a_run_does_not_stand_still() -> None:
    budget, now = RetryBudget(), 0.0
    for _ in range(1000):
        wait = budget.delay(now)
        assert wait <= 1.0
        now += wait


@given(st.lists(st.tuples(st.sampled_from(["first", "again"]), st.floats(0, 3)), max_size=300))
def test_retries_are_at_most_a_fifth_of_first_attempts_a_handful_and_one_a_second(steps: list[tuple[str, float]]) -> None:
    budget, now, firsts, sent = RetryBudget(), 0.0, 0, []
    for what, seconds in steps:
        now += seconds
        if what == "first":
            firsts += 1
            budget.first()
        else:
            wait = budget.delay(now)
            assert wait >= 0
            sent.append(now + wait)
    for moment in sent:
        assert sum(at <= moment for at in sent) <= START + 0.2 * firsts + moment + 1
