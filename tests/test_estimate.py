"""What a build would still ask, and between what bounds it would cost, against what it then asks and costs."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from cotforge.budget import Amount, Budget
from cotforge.estimate import OUTPUT_TOKENS
from cotforge.estimate.estimate_text import estimate_text
from cotforge.estimate.outlook import ANSWER_TOKENS, LEAST_OUTPUT, Outlook, Range, guess_outlook, measure_outlook, recall_outlook
from cotforge.estimate.plan import Estimate, Share
from cotforge.history import History
from cotforge.replies.attempt import Attempt
from cotforge.teachers.kinds.openai import OpenAITeacher as Spec
from tests.attempts import attempt
from tests.project import ran, replay, said, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

PRICE = {"input": 1000, "output": 2000}


def check(folder: Path, *words: object) -> list[str]:
    """The lines that `check` prints."""
    ended = ran("check", "pipeline.yaml", *words, cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def spec(name: str = "one", **fields: Any) -> Spec:
    return Spec.model_validate({"name": name, "model": f"model-{name}", "url": "http://localhost/v1", **fields})


def share(of: Spec, outlook: Outlook | None = None, **figures: Any) -> Share:
    return Share(of, **({"history": History(), "outlook": outlook} | figures))


def reply(output_tokens: int, *, seconds: float = 2.0, input_tokens: int = 100) -> Attempt:
    return attempt(input_tokens=input_tokens, output_tokens=output_tokens, cost_usd=0.0, seconds=seconds, max_tokens=2048)


# words


def test_the_text_names_samples_faults_teachers_bounds_and_the_whole() -> None:
    outlook = Outlook(Range(0.5, 1, 2), Range(50, 75, 100), Range(6, 12, 24), "a guess")
    shares = {
        "one": share(spec(price={"input": 1, "output": 10}, concurrency=2), outlook, calls=1200, done=30, counted=600_000),
        "longer": share(spec("longer"), done=1230),
        "free": share(
            spec("free"), Outlook(Range(1, 1, 1), Range(1, 50, 60), None, "no idea"), calls=10, counted=5000, failed=1, last_error="500"
        ),
    }
    found = Estimate(shares, Budget(), Amount(), 1230, {"image_empty": 2, "duplicate_id": 1000})
    assert estimate_text(found).splitlines() == [
        "1,230 samples; 1,000 rows duplicate_id; 2 rows image_empty",
        "one     1,200 calls to make, 30 in the journal, about 600,000 in + 90,000 out tokens, about $1.50, about 2.0 h",
        "        still to ask: 360,000 to 1,320,000 tokens, $0.90 to $2.40, 60 min to 4.0 h (a guess)",
        "longer  0 calls to make, 1,230 in the journal",
        "free    10 calls to make, 0 in the journal, about 5,000 in + 500 out tokens, no price given",
        "        still to ask: 5,010 to 5,600 tokens (no idea), time unknown",
        "        1 probed calls failed, the last: 500",
        "in all 1,210 calls to make, about $1.50 ($0.90 to $2.40)",
    ]


def test_hours_follow_from_slots_of_all_replicas_and_from_the_ceilings() -> None:
    outlook = Outlook(Range(1, 1, 1), Range(50, 100, 200), Range(18, 36, 72), "")
    urls = ["http://localhost:1/v1", "http://localhost:2/v1"]
    figures: dict[str, Any] = {"calls": 1000, "counted": 100_000}
    assert share(spec(url=urls, concurrency=5), outlook, **figures).hours == Range(0.5, 1, 2)
    assert share(spec(url=urls, concurrency=1000), outlook, **figures).hours == Range(0.005, 0.01, 0.02), "never more than the calls"
    assert share(spec(url=urls, concurrency=5, rpm=10), outlook, **figures).hours == pytest.approx((1000 / 600, 1000 / 600, 2))
    assert share(spec(url=urls, concurrency=5, tpm=2000), outlook, **figures).hours == pytest.approx((1.25, 200 / 120, 2.5))


def test_the_budget_that_reaches_least_far_is_named_with_how_far_it_reaches() -> None:
    outlook = Outlook(Range(1, 1, 1), Range(50, 100, 200), Range(18, 36, 72), "")
    shares = {"one": share(spec(price={"input": 0, "output": 1000}, concurrency=10), outlook, calls=1000, counted=100_000)}

    def last(**budget: float) -> str:
        return estimate_text(Estimate(shares, Budget.model_validate(budget), Amount(20.0, 5000, 100), 1000)).splitlines()[-1]

    assert last(usd=60) == "budget: usd 60 does not suffice: $20.00 spent, about $100.00 to come; it reaches about 400 calls"
    assert last(usd=150) == "budget: usd 150 may not suffice: $20.00 spent, up to $200.00 to come"
    assert last(calls=600, usd=60) == "budget: usd 60 does not suffice: $20.00 spent, about $100.00 to come; it reaches about 400 calls"
    assert last(calls=400, usd=60) == "budget: calls 400 does not suffice: 100 spent, about 1,000 to come; it reaches about 300 calls"
    assert last(minutes=30) == "budget: minutes 30 does not suffice: about 60 to come; it reaches about 500 calls"
    assert last(usd=220, tokens=400_000, calls=1100, minutes=121).startswith("in all")
    shares["one"].open, shares["one"].following = 800, 400
    assert last(calls=400).endswith("100 spent, about 600 to come; it reaches about 300 calls, those of the vote first")
    assert "more follow the vote, about $60.00 (" in last(calls=5000), "not at least: what follows is counted at its most"
    shares["one"].following = 0
    assert "as the answers decide, at least about $20.00 (" in last(calls=5000)


# what the figures rest on


def test_a_teacher_that_never_answered_is_guessed_at_within_wide_bounds() -> None:
    assert guess_outlook(spec()).outputs == Range(LEAST_OUTPUT, OUTPUT_TOKENS, 2048)
    assert guess_outlook(spec(max_tokens=20)).outputs == Range(20, 20, 20)
    assert guess_outlook(spec()).seconds is None
    assert guess_outlook(spec(), answers_alone=0.5).outputs == Range(27.5, (OUTPUT_TOKENS + ANSWER_TOKENS) / 2, 2048)


def test_the_range_of_a_history_narrows_with_replies_and_never_passes_max_tokens() -> None:
    def outputs(replies: int, *, calls: int = 10_000) -> Range:
        history = History(replies, replies, 1000 * replies, 500 * replies, (500**2 + 200**2) * replies, 0.0, 10.0 * replies)
        return recall_outlook(spec(), history, calls=calls, counted=calls * 500).outputs

    for few, many in ((2, 5), (5, 50), (50, 5000)):
        assert outputs(few).low <= outputs(many).low < 500 < outputs(many).high < outputs(few).high <= 2048
    assert outputs(5000, calls=1).high > outputs(5000).high, "of one call nobody knows much"
    found = recall_outlook(spec(), History(4, 4, 4000, 2000, 2_000_000, 0.0, 40.0), calls=10, counted=5000)
    assert found.inputs == Range(1.0, 2.0, 2.0), "the server counted twice what we do"
    assert found.seconds is not None
    assert found.seconds.about == 10.0
    assert recall_outlook(spec(), History(1, 1, 100, 100, 10_000.0), calls=10, counted=1000).outputs == Range(25, 100, 400)


def test_nine_of_ten_probes_of_thirty_hold_the_true_mean_in_their_range() -> None:
    chance = random.Random(7)
    mean = 2.718281828**0.125 * 300
    held = 0
    for _ in range(30):
        replies = [(100, reply(round(chance.lognormvariate(0, 0.5) * 300), seconds=chance.uniform(1, 3))) for _ in range(30)]
        found = measure_outlook(spec(), replies)
        held += found.outputs.low <= mean <= found.outputs.high
        assert found.outputs.low < found.outputs.about < found.outputs.high
        assert found.seconds is not None
        assert 1.5 < found.seconds.low < found.seconds.about < found.seconds.high < 2.5
    assert held >= 22


def test_a_probe_says_the_same_of_the_same_replies_and_widens_a_single_one() -> None:
    replies = [(50, reply(tokens)) for tokens in (100, 300, 200)]
    assert measure_outlook(spec(), replies) == measure_outlook(spec(), replies)
    assert measure_outlook(spec(), replies).inputs == Range(2.0, 2.0, 2.0)
    assert measure_outlook(spec(), replies[:1]).outputs == Range(25, 100, 400)


# the command


def test_check_asks_nothing_and_says_what_a_build_then_asks(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write("broken\n")
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, samples=3, price=PRICE), teacher(server, "two"))
        lines = check(tmp_path)
        assert not server.ledger
        assert lines[0] == "10 samples; 1 row line_not_json"
        assert lines[1].startswith("one  30 calls to make, 0 in the journal, about ")
        assert lines[2].endswith(" (a guess, as it has not answered yet; --probe asks a few and measures), time unknown")
        assert lines[3].endswith(", no price given")
        assert lines[-1].startswith("in all 40 calls to make, about $")
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 40
        assert check(tmp_path)[1:] == [
            "one  0 calls to make, 30 in the journal",
            "two  0 calls to make, 10 in the journal",
            "line_not_json, the first: rows.jsonl:11: not JSON: Expecting value: line 1 column 1 (char 0); "
            "JSON lines hold one object per line",
            "in all 0 calls to make, about $0.00",
        ]


def test_a_limit_and_a_change_are_estimated_as_they_would_be_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), teacher(server, "two"))
        assert ran("build", "pipeline.yaml", "--limit", 4, cwd=tmp_path).returncode == 0
        assert check(tmp_path)[-1].startswith("in all 12 calls")
        assert check(tmp_path, "--limit", "5")[-1].startswith("in all 2 calls")
        assert check(tmp_path, "--set", "teachers.0.temperature=0")[1].startswith("one  10 calls to make, 0 in the journal")
        assert check(tmp_path, "--set", "teachers.0.name=uno")[1].startswith("uno  6 calls to make, 4 in the journal")


def tokens(line: str) -> tuple[int, int]:
    """(input, output) of a teacher's line."""
    begins, ends = line.partition(", about ")[2].partition(" out tokens")[0].split(" in + ")
    return int(begins.replace(",", "")), int(ends.replace(",", ""))


def bounds(line: str) -> tuple[float, float]:
    """Dollars, of a teacher's second line."""
    low, high = re.findall(r"\$([0-9.,e-]+) to \$([0-9.,e-]+)", line)[0]
    return float(low.replace(",", "")), float(high.rstrip(",").replace(",", ""))


def test_output_is_guessed_at_first_bounded_by_max_tokens_and_then_measured(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(sees, latency=0.05) as server:
        write_pipeline(tmp_path, teacher(server, price=PRICE, concurrency=2))
        assert tokens(check(tmp_path)[1])[1] == 8 * OUTPUT_TOKENS
        assert tokens(check(tmp_path, "--set", "teachers.0.max_tokens=100")[1])[1] == 800
        assert tokens(check(tmp_path, "--set", "prompts.solve=label_only/solve")[1])[1] == 8 * ANSWER_TOKENS
        assert ran("build", "pipeline.yaml", "--limit", 4, cwd=tmp_path).returncode == 0
        measured = summary(tmp_path / "runs/feelings")["tokens"]["output"]
        first, second = check(tmp_path)[1:3]
        assert tokens(first)[1] == pytest.approx(measured, abs=4), "four more like the first four"
        assert second.endswith(" s (as 4 replies so far suggest)")
        low, high = bounds(second)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert low - 0.01 <= summary(tmp_path / "runs/feelings")["cost_usd"] / 2 <= high + 0.01


def test_the_estimated_cost_is_that_of_a_server_that_does_not_count(tmp_path: Path) -> None:
    """Then both sides count alike: characters and pixels."""
    write_rows(tmp_path, 3)
    answer = said("awe").ljust(4 * OUTPUT_TOKENS)
    with Teacher(answer, fail=lambda body: "bare") as server:
        write_pipeline(tmp_path, teacher(server, price=PRICE))
        usd = float(check(tmp_path)[-1].partition("$")[2].partition(" ")[0])
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / "runs/feelings")["cost_usd"] == pytest.approx(usd, abs=0.01)
    assert usd > 1


def test_replies_someone_already_has_are_estimated_without_a_server(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, replay(tmp_path, "one", {"row-0": said("awe")}))
    assert check(tmp_path)[1].startswith("one  2 calls to make, 0 in the journal")


def test_a_budget_that_does_not_suffice_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), budget={"calls": 4})
        line = "budget: calls 4 does not suffice: 0 spent, about 10 to come; it reaches about 4 calls"
        assert check(tmp_path)[-1] == line
        assert "budget" not in check(tmp_path, "--set", "budget.calls=10")[-1]
        unbounded = check(tmp_path, "--set", "budget={usd: 5}")
        assert unbounded[-1] == "budget: usd does not bound teachers without a price: one"


# --probe


def test_a_probe_asks_a_few_samples_the_same_every_time_and_a_build_asks_the_others(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with Teacher(sees, latency=0.02) as server:
        write_pipeline(tmp_path, teacher(server, price=PRICE), teacher(server, "two"))
        before = check(tmp_path)
        lines = check(tmp_path, "--probe")
        assert len(server.ledger) == 2 * 5
        asked = {entry.images for entry in server.ledger}
        assert len(asked) == 5
        assert lines[1].startswith("one  25 calls to make, 5 in the journal, about ")
        assert lines[2].endswith("(as 5 replies to the probe suggest)")
        width = [high - low for low, high in (bounds(before[2]), bounds(lines[2]))]
        assert width[1] < width[0] / 10
        assert check(tmp_path, "--probe", 3)[1].startswith("one  25 calls to make")
        assert len(server.ledger) == 10, "a smaller probe is part of a larger one"
        check(tmp_path, "--probe", 6)
        assert len(server.ledger) == 12
        assert len({entry.images for entry in server.ledger}) == 6
        low, high = bounds(lines[2])
        paid = summary_of_build(tmp_path)
        assert len(server.ledger) == 2 * 30, "what was probed is not asked again"
        assert low - 0.01 <= paid * 25 / 30 <= high + 0.01


def summary_of_build(folder: Path) -> float:
    """Dollars that everything has cost once it is built."""
    assert ran("build", "pipeline.yaml", cwd=folder).returncode == 0
    return float(summary(folder / "runs/feelings")["cost_usd"])


def test_a_probe_that_fails_says_so_and_falls_back_to_a_guess(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(sees, fail=lambda body: 400) as server:
        write_pipeline(tmp_path, teacher(server))
        lines = check(tmp_path, "--probe", 2)
        assert lines[1].startswith("one  4 calls to make, 2 in the journal")
        assert "(a guess" in lines[2]
        assert lines[3].strip() == "2 probed calls failed, the last: 400: told to fail with 400"


# what is asked has changed


def test_calls_that_are_paid_for_under_another_prompt_are_told_by_check_and_before_a_build_pays(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    warned = "teacher 'one': {} will be asked anew because what is asked (prompt, sampling or images) has changed"
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), teacher(server, "two"))
        assert ran("build", "pipeline.yaml", "--limit", 6, cwd=tmp_path).returncode == 0
        assert "anew" not in "".join(check(tmp_path)), "two rows more are no change"
        assert "anew" not in "".join(check(tmp_path, "--set", "teachers.0.max_tokens=9"))
        assert check(tmp_path, "--set", "teachers.0.temperature=0")[-1] == warned.format("6 calls")
        grown = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert (grown.returncode, grown.stderr) == (0, "")
        built = ran("build", "pipeline.yaml", "--set", "teachers.0.temperature=0", cwd=tmp_path)
        assert (built.returncode, built.stderr) == (0, warned.format("its calls") + "\n")
        again = ran("build", "pipeline.yaml", "--set", "teachers.0.temperature=0", cwd=tmp_path)
        assert (again.returncode, again.stderr) == (0, "")
        refreshed = ran("build", "pipeline.yaml", "--refresh", "two", cwd=tmp_path)
        assert (refreshed.returncode, refreshed.stderr) == (0, ""), "a refresh is wanted, not a change"


def test_replies_that_came_to_nothing_are_no_change_of_what_is_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(sees, fail=lambda body: "truncated" if body["max_tokens"] < 100 else None) as server:
        write_pipeline(tmp_path, teacher(server, max_tokens=50), max_failures=1)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        lines = check(tmp_path, "--set", "teachers.0.max_tokens=500")
        assert lines[1].startswith("one  4 calls to make, 0 in the journal")
        assert "anew" not in "".join(lines)
        assert [loss["reason"] for loss in table(tmp_path / "runs/feelings", "losses") if loss["stage"] == "read"] == ["truncated"] * 4
