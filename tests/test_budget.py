"""A budget is never passed, whatever is in flight, and says in one line when it is reached."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.budget import ENOUGH, FEW, MARGIN, NOTHING, UNKNOWN_INPUT, Amount, Budget, Hold, Purse, format_usd, spent_so_far
from cotforge.errors import PipelineError
from cotforge.history import History, teacher_histories
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Picture, Sample
from cotforge.replies.attempt import BROKEN_OFF, Attempt, unsent_attempt
from cotforge.replies.usage import ANY_INPUT
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.teacher import Price, Teacher
from cotforge.teachers.wire import (
    LONGEST_OUTPUT,
    MOST_OFF,
    UNBOUNDED_OUTPUT,
    attempt_of,
    input_tokens,
    longest_output,
    most_input,
    most_output,
)
from tests.attempts import attempt
from tests.batches import Provider
from tests.project import cotforge, ran, said, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Raw
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


def failed(error: str, status: int | None = None, detail: str = "") -> Attempt:
    return ended(0, 0, error=error, status=status, detail=detail)


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
    held(of).settle(unsent_attempt(1, "00"))
    assert (of.spent.tokens, of.spent.calls, of.in_flight) == (730, 1, Amount())


@pytest.mark.parametrize(("error", "status"), [("timeout", None), ("connection", None), ("bad_body", 200), ("504", 504)])
def test_an_attempt_that_may_have_been_charged_for_keeps_its_bound_as_spent(error: str, status: int | None) -> None:
    of = purse(usd=10)
    held(of).settle(failed(error, status, BROKEN_OFF if error == "connection" else ""))
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
    first = held(of)
    assert of.admit(TEACHER, call()) is None, "nobody knows yet how its server counts: the first Call goes alone"
    first.settle(ended(500, 400))
    assert of.admit(TEACHER, call()) is not None


# what a server counts


def test_until_the_first_reply_of_a_teacher_few_of_its_calls_are_out_and_no_budget_is_called_used_up() -> None:
    of = purse(usd=1000)
    first, *_ = [held(of) for _ in range(FEW)]
    assert (of.admit(TEACHER, call()), of.over) == (None, "")
    assert of.admit(CHEAP, call()) is not None, "another teacher's server may count otherwise"
    first.settle(failed("500", 500))
    held(of).settle(failed("429", 429))
    second = held(of)
    assert of.admit(TEACHER, call()) is None, "a failure says nothing of how it counts"
    second.settle(ended(900, 100))
    assert all(of.admit(TEACHER, call()) for _ in range(50))


def test_a_teacher_whose_tokens_are_not_bounded_is_not_held_back() -> None:
    free = TEACHER.model_copy(update={"price": Price()})
    of = purse(usd=1000, calls=1000)
    assert all(of.admit(free, call()) for _ in range(50))
    assert not of.bounds_tokens(free)
    assert of.bounds_tokens(TEACHER)


def test_a_call_is_set_aside_with_all_that_its_server_can_be_believed_to_count() -> None:
    of = purse(tokens=10**9)
    hold = held(of)
    assert of.in_flight.tokens == most_input(call()) + 1000 == MOST_OFF * 1001 + ANY_INPUT + 1000
    hold.settle(ended(most_input(call()), 1000))
    assert of.spent.tokens == most_input(call()) + 1000


def test_a_server_that_is_known_has_less_set_aside_in_the_measure_in_which_it_counts() -> None:
    of = purse(tokens=10**9)
    for _ in range(ENOUGH):
        held(of).settle(ended(3003, 10))
    hold = held(of)
    assert of.in_flight.tokens == MARGIN * 3003 + 1000
    hold.settle(ended(40_000, 10))
    assert of.spent.tokens == ENOUGH * 3013 + MARGIN * 3003 + 1000, "more than that is not taken from the purse"
    held(of)
    assert of.in_flight.tokens == most_input(call()) + 1000, "it counts otherwise than was known"


def test_a_server_that_counts_more_tokens_than_we_do_makes_the_next_call_count_as_much() -> None:
    of = purse(tokens=20_000)
    held(of).settle(ended(9009, 10))
    assert of.admit(TEACHER, call()) is not None
    of = purse(tokens=18_000)
    held(of).settle(ended(9009, 10))
    assert of.admit(TEACHER, call()) is None
    assert of.over.endswith("the next call may take 10,009")


def test_an_attempt_that_nobody_can_tell_of_takes_what_was_expected_of_it_and_not_all_that_was_set_aside() -> None:
    of = purse(tokens=10**6)
    held(of).settle(failed("timeout"))
    assert of.spent.tokens == 2001


def test_what_is_handed_in_as_a_batch_counts_with_what_is_expected_of_it() -> None:
    of = purse(tokens=2001 * 50)
    holds = [of.admit(TEACHER, call(), in_batch=True) for _ in range(51)]
    assert (holds[-1], None in holds[:-1]) == (None, False)
    assert holds[0] is not None
    holds[0].settle(ended(3000, 1000))
    assert of.spent.tokens == 4000


COUNTERS = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.integers(-(10**20), 10**20), st.integers(0, 50_000), st.floats(), st.just("absent"),
    st.lists(st.integers(), max_size=1),
)  # fmt: skip


def counted(count_in: object, count_out: object, teacher: Teacher, letters: int) -> Attempt:
    """A reply of so many letters, as every kind of teacher that counts has it read."""
    usage = {name: value for name, value in (("prompt_tokens", count_in), ("completion_tokens", count_out)) if value != "absent"}
    choices = [{"message": {"content": "y" * letters}, "finish_reason": "stop"}]
    body = json.dumps({"choices": choices, "usage": usage} if usage else {"choices": choices})
    return attempt_of(body, number=1, call=call(), teacher=teacher, seconds=1.0)


@settings(deadline=None)
@given(
    replies=st.lists(st.tuples(COUNTERS, COUNTERS, st.booleans(), st.integers(1, 4000), st.integers(0, 9)), max_size=60),
    usd=st.floats(0.05, 3),
    tokens=st.integers(2000, 300_000),
)
def test_the_budget_is_hard_whatever_servers_count(replies: list[tuple[object, object, bool, int, int]], usd: float, tokens: int) -> None:
    of = purse(usd=usd, tokens=tokens)
    flying: list[tuple[Hold, Attempt]] = []
    for count_in, count_out, cheap, letters, at_once in replies:
        teacher = CHEAP if cheap else TEACHER
        reply = counted(count_in, count_out, teacher, letters)
        assert 0 < reply.input_tokens <= most_input(call())
        assert 0 <= reply.output_tokens <= max(longest_output(teacher) + 64, letters)
        if (hold := of.admit(teacher, call())) is not None:
            flying.append((hold, reply))
        while len(flying) > at_once:
            earlier, ended_so = flying.pop(0)
            earlier.settle(ended_so)
        assert of.spent.tokens + of.in_flight.tokens <= tokens
        assert of.spent.usd + of.in_flight.usd <= usd + 1e-9


@pytest.mark.parametrize("count", [7_500_000, 60_000])
def test_a_count_of_input_beyond_what_was_sent_can_weigh_is_not_believed(count: int) -> None:
    found = counted(count, 10, TEACHER, 400)
    assert (found.error, found.input_tokens, found.output_tokens) == (None, 1001, 100)
    assert found.overcount
    assert found.overcount in found.detail


@pytest.mark.parametrize("count", [1065, 50_000, 10**7])
def test_a_count_of_output_beyond_max_tokens_and_beyond_the_text_that_came_is_not_believed(count: int) -> None:
    found = counted(900, count, TEACHER, 400)
    assert (found.error, found.input_tokens, found.output_tokens) == (None, 1001, 100)
    assert found.overcount


def test_a_server_that_writes_more_than_max_tokens_is_counted_so_and_told() -> None:
    found = counted(900, 20_000, CHEAP, 100_000)
    assert found.output_tokens == 20_000
    assert found.overcount == "100,000 characters came where at most 50 tokens can be"


@pytest.mark.parametrize(
    ("count_in", "count_out", "letters"),
    [(900, 1000, 10), (900, 1003, 10), (17_000, 10, 40), (40_000, 10, 40), (3, 10, 40), (900, 100, 1600)],
)
def test_what_honest_servers_count_is_believed(count_in: int, count_out: int, letters: int) -> None:
    """Hidden reasoning up to `max_tokens`, the end of a text, pictures in tiles, a cached prompt, a text of few tokens."""
    found = counted(count_in, count_out, TEACHER, letters)
    assert (found.input_tokens, found.output_tokens, found.overcount, found.detail) == (count_in, count_out, "", "")


def test_hidden_reasoning_is_believed_of_a_teacher_without_max_tokens() -> None:
    free = TEACHER.model_copy(update={"max_tokens": None})
    found = counted(900, 60_000, free, 400)
    assert (found.output_tokens, found.overcount, longest_output(free)) == (60_000, "", LONGEST_OUTPUT)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_a_count_of_output_that_is_too_small_for_the_text_is_replaced_by_an_estimate(count: int) -> None:
    found = counted(900, count, TEACHER, 2000)
    assert (found.output_tokens, found.overcount) == (500, "")


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
    assert of.over == "budget: usd 50 reached: $49.88 spent, $0.12 in flight; the next call may take $0.11"
    of = purse(before=Amount(0, 1_500, 0), tokens=4000)
    held(of)
    assert of.admit(TEACHER, call()) is None
    assert of.over == "budget: tokens 4,000 reached: 1,500 spent, 2,500 in flight; the next call may take 2,001"
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
    assert [format_usd(usd) for usd in (0, 0.000123, 0.0456, 0.1, 12.345, 1234.5)] == [
        "$0.00", "$0.00012", "$0.046", "$0.10", "$12.35", "$1,234.50",
    ]  # fmt: skip


# over the whole journal


def test_what_earlier_invocations_spent_counts_with_the_bound_of_what_never_ended(tmp_path: Path) -> None:
    async def earlier() -> None:
        with Journal(tmp_path / "journal.sqlite") as journal:
            keys = [f"{number:02}" * 32 for number in range(8)]
            attempts = [journal.begin(key, "one", "m")[0] for key in keys]
            for number, key, stored in zip(
                attempts,
                keys,
                (
                    *(ended(1500, 100), ended(900, 200), failed("timeout"), failed("429", 429), unsent_attempt(1, "00")),
                    *(failed("connection", None, f"{BROKEN_OFF}: reset"), failed("connection", None, "connection refused")),
                ),
                strict=False,
            ):
                last = journal.end(replace(stored, number=number, key=bytes.fromhex(key)))
            await last

    asyncio.run(earlier())
    with Journal(tmp_path / "journal.sqlite") as journal:
        past = teacher_histories(journal)
        assert past == {
            ("one", "m"): History(
                replies=2, calls=2, input_tokens=2400, output_tokens=300, squares=50_000, cost_usd=pytest.approx(0.054), seconds=2,
                most_input=1500, unknown=3,
            )
        }  # fmt: skip
        of = Purse.of(Budget(usd=5), [TEACHER], journal)
        assert of.spent.calls == 5, "two replies, one timeout, one connection that broke off, one never ended"
        assert of.spent.tokens == 2700 + 3 * (1500 + 1000)
        assert of.spent.usd == pytest.approx(0.054 + 3 * TEACHER.price.usd(1500, 1000))
        assert Purse.of(Budget(minutes=1), [TEACHER], journal).spent == Amount(), "minutes have no past"


def test_a_teacher_whose_every_attempt_was_free_has_spent_nothing(tmp_path: Path) -> None:
    async def earlier() -> None:
        with Journal(tmp_path / "journal.sqlite") as journal:
            number, _ = journal.begin("01" * 32, "one", "m")
            await journal.end(replace(failed("connection", None, "connection refused"), number=number, key=bytes.fromhex("01" * 32)))

    asyncio.run(earlier())
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert teacher_histories(journal) == {("one", "m"): History()}
        assert Purse.of(Budget(usd=5), [TEACHER], journal).spent == Amount()


def test_a_teacher_that_left_the_file_still_counts() -> None:
    told = spent_so_far([], {("gone", "m"): History(replies=1, input_tokens=10, output_tokens=5, cost_usd=2.0, unknown=1)})
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


@pytest.mark.parametrize("bound", [{"tokens": 20_000}, {"usd": 0.01}], ids=str)
@pytest.mark.parametrize("usage", [{"prompt_tokens": 7_500_000, "completion_tokens": 9}, {"prompt_tokens": 9, "completion_tokens": 10**7}])
def test_a_server_that_counts_too_much_closes_its_teacher_and_not_the_budget(
    tmp_path: Path, bound: dict[str, float], usage: dict[str, int]
) -> None:
    write_rows(tmp_path, 40)
    mad = Raw(json.dumps({"choices": [{"message": {"content": said("awe")}, "finish_reason": "stop"}], "usage": usage}))
    with Server(mad, latency=0.02) as server, Server(sees, latency=0.02) as other:
        price = {"input": 1, "output": 1}
        write_pipeline(tmp_path, teacher(server, "mad", price=price), teacher(other, "sound"), consensus={"label": "ignore"}, budget=bound)
        for _ in range(2):  # a restart knows no more
            before = len(server.ledger)
            built = cotforge("build", "pipeline.yaml", cwd=tmp_path)
            assert built.returncode == 3, built.stderr
            assert 1 <= len(server.ledger) - before <= FEW
    line = next(line for line in built.stderr.splitlines() if line.startswith("teacher 'mad': paused: "))
    assert "not asked" in line
    assert "the server counted" in line
    told = summary(tmp_path / "runs/feelings")
    assert told["cost_usd"] < 0.01
    assert told["calls_missing"] >= 40 - 2 * FEW, "what was not asked is asked once that is mended"
    if "usd" in bound:
        assert len(other.ledger) == 40, "a teacher without a price goes on"


def test_without_a_budget_a_server_that_counts_too_much_is_told_of_once_and_asked_on(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    usage = {"prompt_tokens": 7_500_000, "completion_tokens": 9}
    mad = Raw(json.dumps({"choices": [{"message": {"content": said("awe")}, "finish_reason": "stop"}], "usage": usage}))
    with Server(mad) as server:
        write_pipeline(tmp_path, teacher(server, "mad", price={"input": 1, "output": 1}), consensus={"label": "ignore"})
        built = cotforge("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    assert built.stderr.count("the server counted 7,500,000 input tokens for what can be") == 1
    assert summary(tmp_path / "runs/feelings")["cost_usd"] < 0.1


def test_a_batch_whose_provider_counts_too_much_is_told_and_takes_no_more_than_estimates(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Provider(sees, fate=lambda body, number: "overcounted") as provider:
        one = teacher(provider.url, "mad", kind="batch", batch={"poll": 0.02}, price={"input": 1, "output": 1})
        write_pipeline(tmp_path, one, consensus={"label": "ignore"}, budget={"usd": 0.1})
        built = cotforge("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 3, built.stderr
    assert "teacher 'mad': paused: its token counts cannot be right" in built.stderr
    told = summary(tmp_path / "runs/feelings")
    assert (told["accepted"], told["calls_missing"]) == (6, 0), "what was paid for is kept"
    assert told["cost_usd"] < 0.1
