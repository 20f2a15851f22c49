"""A promised precision: fixed-sequence testing on checked answers, the shortfall in words, and what `decide` makes of it."""

import math
import random
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.consensus import RULES, AnswersError, decide
from cotforge.consensus.claim import Count, lower_bound
from cotforge.consensus.promise import STEPS, Promised, Wish, needed_checks, shows_wish, target_steps, walk_down
from tests.crowd import Crowd
from tests.project import files, ran, summary, table
from tests.test_decider import World
from tests.test_whatif import CLASSES, PRICES, some, world

WISH = Wish(0.95, 0.95)


def walked(shown: dict[float, tuple[int, int]], wish: Wish = WISH) -> Promised:
    """The walk over these targets, each with (right, checked)."""
    return walk_down(wish, lambda target: Count(*reversed(shown[target])), sorted(shown, reverse=True))


# the walk


def test_the_least_target_before_the_first_failure_is_taken() -> None:
    found = walked({0.99: (60, 60), 0.98: (80, 80), 0.97: (100, 101), 0.96: (110, 120), 0.95: (400, 400)})
    assert (found.target, found.shown, found.kept) == (0.97, (101, 100), True)


def test_where_the_first_test_fails_nothing_is_promised() -> None:
    found = walked({0.99: (60, 62), 0.98: (300, 300)})
    assert (found.target, found.tried, found.kept) == (None, 0.99, False)


def test_a_target_at_which_no_result_could_pass_is_no_test() -> None:
    found = walked({0.99: (10, 12), 0.98: (58, 58), 0.97: (59, 59), 0.96: (70, 75)})
    assert found.target == 0.97


def test_targets_end_with_the_least_and_none_is_left_out() -> None:
    assert list(target_steps(0.9)) == [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.9]
    assert list(target_steps(0.925))[-2:] == [0.93, 0.925]
    assert list(target_steps(0.995)) == [0.995]
    assert list(target_steps(0.5)) == list(STEPS)


def test_no_target_behind_the_failure_is_looked_at() -> None:
    looked: list[float] = []

    def shown(target: float) -> Count:
        looked.append(target)
        return Count(100, 100) if target > 0.97 else Count(110, 90)

    assert walk_down(WISH, shown, target_steps(0.9)).target == 0.98
    assert looked == [0.99, 0.98, 0.97]


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 0.995), st.floats(0.5, 0.995), st.integers(0, 6))
def test_what_is_needed_is_the_fewest_that_show_the_wish(precision: float, confidence: float, wrong: int) -> None:
    wish = Wish(precision, confidence)
    least = needed_checks(wish, wrong)
    assert shows_wish(wish, Count(least, least - wrong))
    assert least == max(wrong, 1) or not shows_wish(wish, Count(least - 1, least - 1 - wrong))


def test_what_is_needed_is_the_textbook_number() -> None:
    assert [needed_checks(WISH, wrong) for wrong in range(4)] == [59, 93, 124, 153]
    assert lower_bound(59, 59) >= 0.95 > lower_bound(58, 58)


def test_too_much_is_promised_no_oftener_than_the_wish_allows() -> None:
    """Precision falls with the target and crosses the wish: whoever goes past the crossing has promised too much."""
    chance, runs, broken = random.Random(0), 1500, 0
    for _ in range(runs):
        top, slope, gold = chance.uniform(0.94, 0.99), chance.uniform(0, 0.5), chance.choice((100, 200, 300))
        posteriors = [1 - chance.random() ** 2 * 0.3 for _ in range(gold)]
        right = [chance.random() < top - slope * (1 - posterior) for posterior in posteriors]

        def shown(target: float, posteriors: list[float] = posteriors, right: list[bool] = right) -> Count:
            found = [true for posterior, true in zip(posteriors, right, strict=True) if posterior >= target]
            return Count(len(found), sum(found))

        target = walk_down(WISH, shown, target_steps(0.7)).target
        if target is not None:
            # 1 - posterior = .3 u^2 with u uniform: its mean below a bound b is b / 3
            broken += top - slope * min(1 - target, 0.3) / 3 < WISH.precision
    allowed = 1 - WISH.confidence
    assert 0 < broken <= runs * allowed + 2 * math.sqrt(runs * allowed * (1 - allowed))


def test_an_error_among_the_few_surest_ends_the_walk_of_a_wish_and_not_that_of_a_stricter_one() -> None:
    shown = {0.99: (17, 20), 0.98: (97, 100)}
    weak, strict = walked(shown, Wish(0.85, 0.95)), walked(shown, Wish(0.92, 0.95))
    assert (weak.kept, weak.tried, strict.kept, strict.target) == (False, 0.99, True, 0.98)
    assert (needed_checks(weak.wish), needed_checks(strict.wish)) == (19, 36), "with 20 checked the stricter one is not tested"
    assert weak.told().endswith(
        "3 of 20 checked answers from confidence 0.99 on are wrong; that many errors need better teachers, not more gold; these few surest "
        "answers are tested first, and a stricter promise on more of them, so that one may hold where this does not"
    )
    assert "may hold" not in walked({0.99: (160, 200)}).told(), "one error among so many would not have ended it"


# in words


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({0.99: (20, 20), 0.9: (41, 41)}, "59 checked without an error would do; 41 are there"),
        ({0.9: (0, 0)}, "59 checked without an error would do; 0 are there"),
        ({0.99: (67, 70)}, "3 of 70 checked answers from confidence 0.99 on are wrong; with 3 wrong, 153 checked would do"),
        ({0.99: (60, 70)}, "10 of 70 checked answers from confidence 0.99 on are wrong; that many errors need better teachers"),
        ({0.99: (60, 60), 0.98: (99, 100)}, "holds from confidence 0.98 on: 99 of 100 checked answers are right"),
    ],
)
def test_the_promise_is_told_in_numbers(shown: dict[float, tuple[int, int]], words: str) -> None:
    told = walked(shown).told()
    assert words in told
    assert told.startswith("promise: precision of at least 0.95 with 95 % confidence ")
    assert ("no answer that nobody checked is accepted" in told) == (not walked(shown).kept)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({0.9: (41, 41)}, "it needs 18 more checked answers, if all of them are right"),
        ({0.9: (58, 58)}, "it needs 1 more checked answer, if it is right"),
        ({0.9: (40, 41)}, "it needs 52 more checked answers, if all of them are right"),
        ({0.99: (67, 70)}, "it needs 83 more checked answers, if all of them are right"),
        ({0.99: (60, 70)}, "10 of 70 checked answers are wrong, and more checked answers do not help"),
        ({0.99: (60, 60), 0.98: (99, 100)}, "it holds from confidence 0.98 on"),
    ],
)
def test_what_a_promise_leaves_out_is_told_with_what_it_lacks(shown: dict[float, tuple[int, int]], words: str) -> None:
    told = "consensus.promise (precision 0.95, confidence 0.95) leaves out 300 answers that the rule accepts"
    assert walked(shown).left_out(300) == f"{told}: {words}"


# in a vote


def test_what_cannot_be_promised_is_not_accepted_and_the_shortfall_is_in_the_decisions() -> None:
    answers, labels, truth = world()
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels, "prices": PRICES, "promise": (0.95, 0.95)}
    for rule in (rule.name for rule in RULES):
        decided = decide(answers, rule=rule, gold=some(truth, 40), **told)
        assert decided.promise is not None
        assert (decided.promise.kept, decided.promise.wanted) == (False, 59)
        accepted = decided.frame.filter("accepted")
        assert set(accepted["id"]) <= set(some(truth, 40)), "only what people checked"
        assert (decided.claim.checked, decided.claim.low) == (0, None)
        assert f"{59} checked without an error would do; {decided.promise.shown.checked} are there" in decided.promise.told()


def test_what_can_be_promised_is_accepted_from_one_confidence_on() -> None:
    answers, labels, truth = world(600)
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels, "prices": PRICES, "gold": some(truth, 200)}
    for rule in (rule.name for rule in RULES):
        decided = decide(answers, rule=rule, promise=(0.85, 0.9), **told)
        assert decided.promise is not None
        assert decided.promise.kept, rule
        unchecked = decided.frame.filter(pl.col("accepted") & ~pl.col("id").is_in(list(some(truth, 200))))
        assert unchecked["confidence"].min() >= decided.promise.target
        assert (decided.claim.checked, decided.claim.right) == decided.promise.shown
        assert lower_bound(decided.claim.right, decided.claim.checked, sure=0.9) >= 0.85
        assert sum(truth[id] == answer for id, answer in unchecked.select("id", "answer").rows()) / len(unchecked) > 0.85


def test_a_wish_that_is_met_anyway_changes_nothing_but_what_is_asked() -> None:
    answers, labels, truth = world()
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels, "gold": some(truth, 120), "rule": "majority"}
    assert decide(answers, promise=(0.5, 0.9), **told).frame.equals(decide(answers, **told).frame)


@pytest.mark.parametrize("promise", [0.95, (0.95,), (0.95, 1), (0, 0.9), ("a", "b"), "ab", (0.95, float("nan")), {"precision": 0.9}])
def test_a_promise_that_is_none_is_refused_in_a_line(promise: Any) -> None:
    with pytest.raises(AnswersError, match=r"^promise: .*both between 0 and 1, like"):
        decide(world(10)[0], promise=promise)


# in a run


def test_a_run_a_table_and_the_what_if_promise_the_same(tmp_path: Path) -> None:
    journal = World("classes").journal(tmp_path)
    told: dict[str, Any] = {"classes": journal.classes, "labels": journal.labels, "gold": journal.gold, "promise": (0.85, 0.9)}
    for rule in ("sequential", "dawid_skene", "majority", "cascade"):
        consensus = f"consensus={{rule: {rule}, promise: {{precision: 0.85, confidence: 0.9}}}}"
        assert ran("curate", journal.run, "--set", consensus, cwd=tmp_path).returncode == 0
        decided, found = decide(journal.answers, rule=rule, **told), summary(journal.run)
        assert decided.promise is not None
        assert found["promise"] == decided.promise.summary()
        accepted = decided.frame.filter("accepted").select("id", "answer", "confidence")
        lessons = {row["id"]: (row["answer"], row["confidence"]) for row in table(journal.run, "data")}
        assert lessons == {id: (answer, sure) for id, answer, sure in accepted.rows()}
        assert found["claim"]["checked"] == decided.claim.checked
    assert ran("curate", journal.run, "--what-if", "--set", consensus, cwd=tmp_path).returncode == 0
    (row,) = pl.read_csv(journal.run / "what-if.csv").filter(pl.col("rule") == "cascade").to_dicts()
    assert (row["accepted"], row["promised"]) == (len(lessons), decided.promise.target)


def test_a_run_asks_for_the_target_of_its_promise_and_accepts_no_less(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 320)
    crowd.gold(sorted(crowd.truth)[:140])
    rule = {"rule": "sequential", "promise": {"precision": 0.9, "confidence": 0.9}}
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus=rule, gold="gold.csv")
        built = ran("build", "pipeline.yaml", cwd=crowd.folder)
        assert built.returncode == 0, built.stderr
        run = crowd.folder / "runs/feelings"
        told, before = summary(run), files(run / "dataset")
        again = ran("build", "pipeline.yaml", cwd=crowd.folder)
    assert told["promise"]["target"] is not None
    assert "promise: precision of at least 0.9 with 90 % confidence holds" in built.stdout
    assert (again.returncode, summary(run)["calls"], summary(run)["calls_missing"]) == (0, 0, 0), "a replay aims as the asking did"
    lessons = table(run, "data")
    assert all(row["confidence"] >= told["promise"]["target"] for row in lessons)
    assert crowd.right(lessons) > 0.9
    assert ran("curate", run, cwd=crowd.folder).returncode == 0
    assert files(run / "dataset") == before
    assert "holds from confidence" in (run / "dataset/README.md").read_text()
    hard = ran("curate", run, "--set", "consensus.promise.precision=0.999", cwd=crowd.folder)
    assert hard.returncode == 0
    assert "checked without an error would do" in hard.stdout
    assert summary(run)["accepted"] <= 140


def test_without_gold_nothing_is_accepted_and_it_is_told_how_much_would_do(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 20)
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus={"rule": "majority", "promise": {"precision": 0.95}})
        checked = ran("check", "pipeline.yaml", cwd=crowd.folder)
        built = ran("build", "pipeline.yaml", cwd=crowd.folder)
    assert "consensus.promise takes 59, and until then accepts nothing" in checked.stdout
    assert built.returncode == 0, built.stderr
    assert "59 checked without an error would do; 0 are there; cotforge gold picks more" in built.stdout
    told = summary(crowd.folder / "runs/feelings")
    assert (told["accepted"], told["promise"]["wanted"]) == (0, 59)
    left = told["rejected"]["vote:below_target"]
    assert left > 10
    promise = "consensus.promise (precision 0.95, confidence 0.95)"
    first, *lines = built.stdout.splitlines()
    assert first == f"{promise} leaves out {left} answers that the rule accepts: it needs 59 more checked answers, if all of them are right"
    assert any(f"{left} left out by consensus.promise (vote:below_target)" in line for line in lines)
    assert "promise of precision 0.95 with confidence 0.95 (pipeline.yaml)" in built.stdout
    card = (crowd.folder / "runs/feelings/dataset/README.md").read_text()
    assert card.count(f"leaves out {left} answers that the rule accepts") == 1
    assert "less sure than" not in card
    assert "left out by consensus.promise" in (crowd.folder / "runs/feelings/report.html").read_text()
    losses = [row["detail"] for row in table(crowd.folder / "runs/feelings", "losses") if row["reason"] == "below_target"]
    assert len(losses) == left
    assert all(detail.endswith("; left out by consensus.promise") for detail in losses)


def test_what_a_promise_alone_leaves_out_is_neither_rescued_nor_planned_as_rescued(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 40)
    run = crowd.folder / "runs/feelings"
    with crowd.servers() as servers:
        consensus = {"rule": "dawid_skene", "target": 0.9999, "promise": {"precision": 0.9}}
        crowd.pipeline(servers, consensus=consensus, rescue={"verify": 1, "wrong_hints": 0.5})
        built = ran("build", "pipeline.yaml", "--limit", "20", cwd=crowd.folder)
        assert built.returncode == 0, built.stderr
        checked = ran("check", "pipeline.yaml", cwd=crowd.folder).stdout
    told, cast = summary(run), table(run, "traces")
    rescued = {row["id"] for row in cast if row["origin"] != "solve"}
    losses = {row["id"]: row["detail"] for row in table(run, "losses") if row["stage"] == "vote"}
    unpromised = {id for id, detail in losses.items() if detail.endswith("; left out by consensus.promise")}
    assert 14 <= len(unpromised) < 20
    assert rescued, "the others are asked about"
    assert not rescued & unpromised
    assert told["follow_ups"]["rescue"]["calls"] <= 2 * (20 - len(unpromised)), "nor are wrong labels planted there"
    share = f"0% of the samples had an accepted answer and consensus.promise left out {len(unpromised) / 20:.0%}, as the 20 so far have"
    assert f"calls after the vote: counted as if {share}" in checked.splitlines()
    (most,) = re.findall(r"^rescue: at most about (\d+) calls? after the vote", checked, re.M)
    assert int(most) <= 2 * (20 - len(unpromised))


def test_a_wrong_promise_is_a_fault_of_the_file(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 5)
    with crowd.servers() as servers:
        for promise, fault in (({"precision": 95}, "consensus.promise.precision: 95: "), ({"precison": 0.9}, "did you mean 'precision'?")):
            crowd.pipeline(servers, consensus={"promise": promise})
            ended = ran("check", "pipeline.yaml", cwd=crowd.folder)
            assert (ended.returncode, ended.stdout) == (2, "")
            assert fault in ended.stderr
