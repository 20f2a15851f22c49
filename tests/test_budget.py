"""A budget is never passed, whatever is in flight, and says in one line when it is reached."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.budget import MOST_OFF, NOTHING, UNBOUNDED_OUTPUT, UNKNOWN_INPUT, Amount, Budget, Hold, Purse, dollars, most_output, spent
from cotforge.errors import PipelineError
from cotforge.history import History, histories
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Picture, Sample
from cotforge.replies.attempt import Attempt, unsent
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.teacher import Price, Teacher
from cotforge.teachers.wire import input_tokens
from tests.attempts import attempt
from tests.project import cotforge, ran, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher as Server

TEACHER = OpenAITeacher(name="one", model="m", url="http://localhost/v1", price=Price(input=10, output=100), max_tokens=1000)
CHEAP = TEACHER.model_copy(update={"name": "two", "price": Price(input=1, output=2), "max_tokens": 50})
ACTUAL = st.tuples(st.floats(0, 1), st.floats(0, 1))
"""Shares of the bound that an attempt takes of input and output."""


def call(letters: int = 4000) -> Call:
    """Counted as a quarter of `letters`, and one token of picture."""
    sample = Sample("1", (Picture("0" * 64, "image/jpeg", 28, 28, 100, bytes),), "?")
    content = ({"type": "text", "text": "x" * letters}, {"type": "image", "digest": "0" * 64})
    return Call("0" * 64, sample, "one", "m", 0, ({"role": "user", "content": content},))


def ended(begins: int, ends: int, teacher: Teacher = TEACHER, **others: Any) -> Attempt:
    usd = teacher.price.usd(begins, ends)
    return attempt(**({"input_tokens": begins, "output_tokens": ends, "cost_usd": usd, "max_tokens": 1000} | others))


def failed(error: str, status: int | None = None) -> Attempt:
    return ended(0, 0, error=error, status=status)


def purse(clock: Callable[[], float] = time.monotonic, before: Amount = NOTHING, **bounds: float) -> Purse:
    return Purse(Budget.model_validate(bounds), spent=before, clock=clock)


def held(of: Purse, teacher: Teacher = TEACHER, letters: int = 4000) -> Hold:
    hold = of.admit(teacher, call(letters))
    assert hold is not None
    return hold


# the section of the file


def test_a_budget_is_read_from_yaml_in_any_form_of_number(tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    path = write_pipeline(tmp_path, {"name": "one", "model": "m", "url": "http://localhost/v1"})
    told = Loaded.load(path, ["budget={usd: 50, tokens: 2.0e8, calls: 5e5, minutes: 1.5}"]).pipeline.budget
    assert told == Budget(usd=50, tokens=200_000_000, calls=500_000, minutes=1.5)
    assert not Loaded.load(path).pipeline.budget.given
    for wrong in ("tokens=1.5", "usd=0", "calls=-1", "minutes=.nan", "euros=5"):
        with pytest.raises(PipelineError, match=f"budget.*{wrong.partition('=')[0]}"):
            Loaded.load(path, [f"budget.{wrong}"])


# hard, including what is in flight


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["admit", "reply", "timeout", "refused", "drop"]), st.booleans(), ACTUAL), max_size=80),
    usd=st.floats(0.2, 3),
    tokens=st.integers(2000, 30_000),
    calls=st.integers(1, 20),
    before=st.floats(0, 0.2),
)
def test_what_is_spent_and_in_flight_never_passes_the_budget(
    steps: list[tuple[str, bool, tuple[float, float]]], usd: float, tokens: int, calls: int, before: float
) -> None:
    of = purse(before=Amount(before, 100, 1), usd=usd, tokens=tokens, calls=calls)
    flying: list[tuple[Hold, Teacher]] = []
    for what, cheap, (begins, ends) in steps:
        if what == "admit":
            teacher = CHEAP if cheap else TEACHER
            hold = of.admit(teacher, call())
            flying += [(hold, teacher)] if hold else []
            assert (hold is None) <= of.over.startswith("budget: ")
        elif flying:
            hold, teacher = flying.pop(len(flying) // 2)
            reply = ended(int(begins * input_tokens(call())), int(ends * most_output(teacher)), teacher)
            if what == "drop":
                hold.drop()
            else:
                hold.settle(reply if what == "reply" else failed("timeout") if what == "timeout" else failed("429", 429))
        assert of.in_flight.calls == len(flying)
        assert of.spent.calls + of.in_flight.calls <= max(calls, 1)
        assert of.spent.tokens + of.in_flight.tokens <= tokens
        assert of.spent.usd + of.in_flight.usd <= usd + 1e-9
    for hold, _ in flying:
        hold.drop()
    assert of.in_flight == Amount()


def test_a_reply_takes_what_it_took_and_what_was_not_sent_or_turned_away_takes_nothing() -> None:
    of = purse(tokens=10_000)
    held(of).settle(ended(700, 30))
    assert of.spent == Amount(TEACHER.price.usd(700, 30), 730, 1)
    held(of).drop()
    for error, status in (("429", 429), ("500", 500), ("400", 400), ("content_filter", 400)):
        held(of).settle(failed(error, status))
    held(of).settle(unsent(1, "00"))
    assert (of.spent.tokens, of.spent.calls, of.in_flight) == (730, 1, Amount())


@pytest.mark.parametrize(("error", "status"), [("timeout", None), ("connection", None), ("bad_body", 200), ("504", 504)])
def test_an_attempt_that_may_have_been_charged_for_keeps_its_bound_as_spent(error: str, status: int | None) -> None:
    of = purse(usd=10)
    held(of).settle(failed(error, status))
    assert of.spent == Amount(TEACHER.price.usd(1001, 1000), 2001, 1)


def test_only_the_first_word_about_an_attempt_counts() -> None:
    of = purse(calls=3)
    hold = held(of)
    hold.settle(ended(10, 10))
    hold.settle(ended(10, 10))
    hold.drop()
    assert (of.spent.calls, of.in_flight.calls) == (1, 0)


def test_room_that_a_reply_gives_back_is_used() -> None:
    of = purse(tokens=5000)
    first, _ = held(of), held(of)
    assert of.admit(TEACHER, call()) is None
    first.settle(ended(500, 400))
    assert of.admit(TEACHER, call()) is not None


def test_a_server_that_counts_more_tokens_than_we_do_makes_the_bounds_of_its_teacher_grow() -> None:
    of = purse(tokens=1_000_000)
    held(of).settle(ended(3003, 10))
    held(of)
    assert of.in_flight.tokens == 3003 + 1000
    held(of, CHEAP)
    assert of.in_flight.tokens == 3003 + 1000 + 1001 + 50, "another teacher's server may count otherwise"
    held(of).settle(ended(10**6 * 9, 0))
    before = of.in_flight.tokens
    assert of.admit(TEACHER, call()) is None
    rich = purse(tokens=10**9)
    held(rich).settle(ended(10**6 * 9, 0))
    held(rich)
    assert rich.in_flight.tokens == round(1001 * MOST_OFF) + 1000
    assert before == of.in_flight.tokens


def test_the_output_of_a_teacher_without_max_tokens_is_bounded_by_its_body_or_by_us() -> None:
    free = TEACHER.model_copy(update={"max_tokens": None})
    assert most_output(free) == UNBOUNDED_OUTPUT
    assert most_output(free.model_copy(update={"body": {"max_completion_tokens": 300}})) == 300


# one line


def test_the_line_names_the_budget_what_was_spent_and_what_is_in_flight() -> None:
    assert purse(usd=1).over == ""
    of = purse(before=Amount(49.88, 0, 0), usd=50)
    held(of)
    assert of.admit(TEACHER, call()) is None
    assert of.over == "budget: usd 50 reached: $49.88 spent, $0.11 in flight; the next call may take $0.11"
    of = purse(before=Amount(0, 1_500, 0), tokens=4000)
    held(of)
    assert of.admit(TEACHER, call()) is None
    assert of.over == "budget: tokens 4,000 reached: 1,500 spent, 2,001 in flight; the next call may take 2,001"
    of = purse(before=Amount(0, 0, 1200), calls=1201)
    held(of)
    assert of.admit(TEACHER, call()) is None
    assert of.over == "budget: calls 1,201 reached: 1,200 made, 1 in flight"


def test_minutes_are_of_this_invocation_and_let_what_is_in_flight_finish() -> None:
    now = [1000.0]
    of = purse(lambda: now[0], minutes=2)
    hold = held(of)
    now[0] += 119.9
    held(of)
    now[0] += 0.2
    assert of.admit(TEACHER, call()) is None
    assert of.over == "budget: minutes 2 are over"
    hold.settle(ended(10, 10))
    assert of.spent.calls == 1


def test_small_sums_are_told_with_digits_that_say_something() -> None:
    assert [dollars(usd) for usd in (0, 0.000123, 0.0456, 0.1, 12.345, 1234.5)] == [
        "$0.00", "$0.00012", "$0.046", "$0.10", "$12.35", "$1,234.50",
    ]  # fmt: skip


# over the whole journal


def test_what_earlier_invocations_spent_counts_with_the_bound_of_what_never_ended(tmp_path: Path) -> None:
    async def earlier() -> None:
        with Journal(tmp_path / "journal.sqlite") as journal:
            keys = [f"{number:02}" * 32 for number in range(6)]
            attempts = [journal.begin(key, "one", "m")[0] for key in keys]
            for number, key, stored in zip(
                attempts, keys, (ended(1500, 100), ended(900, 200), failed("timeout"), failed("429", 429), unsent(1, "00")), strict=False
            ):
                last = journal.end(replace(stored, number=number, key=bytes.fromhex(key)))
            await last

    asyncio.run(earlier())
    with Journal(tmp_path / "journal.sqlite") as journal:
        past = histories(journal)
        assert past == {
            ("one", "m"): History(
                replies=2, calls=2, input_tokens=2400, output_tokens=300, squares=50_000, cost_usd=pytest.approx(0.054), seconds=2,
                most_input=1500, unknown=2,
            )
        }  # fmt: skip
        of = Purse.of(Budget(usd=5), [TEACHER], journal)
        assert of.spent.calls == 4, "two replies, one timeout, one never ended"
        assert of.spent.tokens == 2700 + 2 * (1500 + 1000)
        assert of.spent.usd == pytest.approx(0.054 + 2 * TEACHER.price.usd(1500, 1000))
        assert Purse.of(Budget(minutes=1), [TEACHER], journal).spent == Amount(), "minutes have no past"


def test_a_teacher_that_left_the_file_still_counts() -> None:
    told = spent([], {("gone", "m"): History(replies=1, input_tokens=10, output_tokens=5, cost_usd=2.0, unknown=1)})
    assert told == Amount(2.0, 15 + UNKNOWN_INPUT + UNBOUNDED_OUTPUT, 2)


def test_thousands_are_admitted_in_a_second() -> None:
    of = purse(usd=1e6, tokens=10**12, calls=10**9, minutes=10)
    begun = time.process_time()
    for _ in range(5000):
        held(of).settle(ended(10, 10))
    assert time.process_time() - begun < 1.0


# a whole run


@pytest.mark.parametrize("bound", ["calls", "tokens", "usd"])
def test_a_run_ends_at_its_budget_with_3_a_dataset_and_every_call_that_is_missing(tmp_path: Path, bound: str) -> None:
    write_rows(tmp_path, 40)
    with Server(sees, latency=0.01) as server:
        price = {"input": 100, "output": 100}
        limits = {"calls": 12, "tokens": 900, "usd": 0.09}
        one = teacher(server, max_tokens=60, concurrency=4, price=price)
        write_pipeline(tmp_path, one, consensus={"label": "ignore"}, budget={bound: limits[bound]})
        built = ran("build", "pipeline.yaml", cwd=tmp_path)
        told, run = summary(tmp_path / "runs/feelings"), tmp_path / "runs/feelings"
        assert built.returncode == 3, built.stderr
        assert f"budget: {bound} {limits[bound]:,} reached: " in built.stderr
        assert told["stopped"].startswith(f"budget: {bound} ")
        assert told["stopped"] in built.stderr
        took = {"calls": told["calls"], "tokens": sum(told["tokens"].values()), "usd": told["cost_usd"]}
        assert 0.5 * limits[bound] < took[bound] <= limits[bound]
        assert len(server.ledger) == told["calls"] == told["accepted"] == len(table(run, "data"))
        assert told["calls_missing"] == 40 - told["calls"] == sum(loss["reason"] == "not_asked" for loss in table(run, "losses"))
        again = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert again.returncode == 3
        assert len(server.ledger) - told["calls"] <= 4, "what is left of the budget, if anything"
        assert ran("build", "pipeline.yaml", "--set", f"budget.{bound}=1e6", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 40
    assert summary(run)["calls_missing"] == 0


def test_a_budget_too_small_for_one_teacher_ends_the_run_once_the_others_are_done(tmp_path: Path) -> None:
    """Nothing waits for room that nobody gives back any more."""
    write_rows(tmp_path, 30)
    with Server(sees, latency=0.02) as server:
        dear = teacher(server, "dear", max_tokens=60, price={"input": 1000, "output": 1000})
        write_pipeline(tmp_path, dear, teacher(server, "free", concurrency=2), budget={"usd": 0.5})
        built = cotforge("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 3, built.stderr
    assert "budget: usd 0.5 reached" in built.stderr
    assert 0 < summary(tmp_path / "runs/feelings")["cost_usd"] <= 0.5
