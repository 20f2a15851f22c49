"""How long calls may take, from how long they took."""

from random import Random

import pytest

from cotforge.forge.deadline import ENOUGH, LEAST_S, Deadline


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_an_uneven_tail_is_not_cut(sigma: float) -> None:
    cut = asked = 0
    for seed in range(20):
        chance, deadline = Random(seed), Deadline(100_000.0)
        for _ in range(5000):
            seconds, allowed = 20 * chance.lognormvariate(0, sigma), deadline.seconds()
            asked += 1
            if seconds > allowed:
                cut += 1
                deadline.ran_out(allowed)
            else:
                deadline.saw(seconds)
    assert cut < 0.001 * asked


def test_the_timeout_holds_until_enough_is_known_and_is_never_passed() -> None:
    deadline = Deadline(600.0)
    for _ in range(ENOUGH - 1):
        deadline.saw(5.0)
        assert deadline.seconds() == 600.0
    deadline.saw(5.0)
    assert deadline.seconds() == 20.0
    assert deadline.seconds(1) == 40.0
    assert deadline.seconds(40) == 600.0
    assert deadline.usual == 5.0


def test_quick_answers_do_not_make_it_hasty() -> None:
    deadline = Deadline(600.0)
    for _ in range(ENOUGH):
        deadline.saw(0.01)
    assert deadline.seconds() == LEAST_S
    assert Deadline(3.0).seconds() == 3.0


def test_a_server_that_becomes_twenty_times_slower_is_heard_again_soon() -> None:
    chance, deadline, cut = Random(0), Deadline(600.0), 0
    for call in range(3000):
        seconds = (5 if call < 1500 else 100) * chance.uniform(0.7, 1.3)
        allowed = deadline.seconds()
        if seconds > allowed:
            cut += 1
            deadline.ran_out(allowed)
        else:
            deadline.saw(seconds)
    assert cut <= 10
    assert deadline.usual > 50


def test_many_calls_cut_off_together_count_as_one_lesson() -> None:
    deadline = Deadline(600.0)
    for _ in range(ENOUGH):
        deadline.saw(5.0)
    for _ in range(40):
        deadline.ran_out(20.0)
    assert deadline.seconds() == 40.0
