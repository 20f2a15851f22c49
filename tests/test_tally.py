import json
import math
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import OPTIONS, filtered, lesson, mixed, undecided, unheard

from cotforge.records import CuratedSample, Fault, ReadingFault, Sample
from cotforge.tally import DISTINCT, OTHER, UNSAID, Tally
from cotforge.tally.counts import FollowUpTally
from cotforge.tally.quantiles import Spread
from cotforge.tally.unused import REMEDIES, not_used

KINDS = st.sampled_from([lesson, undecided, filtered, unheard])


def tally_of(*outcomes: CuratedSample) -> Tally:
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally


@given(st.lists(KINDS), st.lists(st.sampled_from(["image_missing", "broken_line"])))
def test_every_sample_is_accepted_or_rejected_once(kinds, faults):
    tally = tally_of(*(kind(number) for number, kind in enumerate(kinds)))
    for reason in faults:
        tally.fault(Fault(reason))
    summary = tally.summary()
    assert summary["samples"] == summary["accepted"] + sum(
        count for reason, count in summary["rejected"].items() if not reason.startswith("source:")
    )
    assert tally.rows() == len(kinds) + len(faults) == summary["rows"] == summary["accepted"] + sum(summary["rejected"].values())


def rescued(number: int) -> CuratedSample:
    """A sample on which teachers tie, with a Lesson that explains the label."""
    known, made = lesson(number), undecided(number)
    judged = replace(known.lessons[0].judged, trace=replace(known.lessons[0].judged.trace, origin="rescue", cost_usd=5.0))
    tied = replace(made.verdict, answer=None)
    return replace(made, verdict=tied, traces=(*made.traces, judged), lessons=(replace(known.lessons[0], judged=judged),), rejected="")


def test_a_rescued_sample_is_counted_by_the_answer_that_was_explained():
    tally = tally_of(rescued(0), lesson(1), undecided(2))
    assert (tally.agreed, tally.rescued, tally.accepted) == (1, 1, 2)
    assert "None" not in tally.classes


def test_fates_of_woven_texts_are_counted_apart():
    one = lesson(0)
    woven = replace(one.traces[1], trace=replace(one.traces[1].trace, origin="woven"), fate="gate", because="unverified")
    tally = tally_of(replace(one, traces=(one.traces[0], woven)))
    assert tally.woven == {"gate:unverified": 1}
    assert tally.fates == {"gate:unverified": 1, "lesson": 1}


def test_what_follows_the_vote_is_no_cost_of_the_rule():
    plain, followed = tally_of(undecided(0), lesson(1)), tally_of(rescued(0), lesson(1))
    followed.follow_ups = {"rescue": FollowUpTally(calls=1)}
    assert followed.figures() == plain.figures()


def test_the_summary_is_what_the_contract_names():
    tally = tally_of(lesson(0), lesson(1, label="fear"), undecided(2), filtered(3), unheard(4))
    tally.fault(Fault("image_missing"))
    tally.estimated = {"t0": 0.9}
    tally.labels_unknown = 2
    assert json.loads(json.dumps(tally.summary())) == {
        "rows": 6,
        "samples": 5,
        "accepted": 2,
        "lessons": 2,
        "traces": 9,
        "preference": 0,
        "unread": {"t1": {"no_answer": 1}},
        "unread_fields": {},
        "answers_astray": {},
        "calls_missing": 0,
        "rejected": {"filter:reasoning_words": 1, "source:image_missing": 1, "vote:no_ballots": 1, "vote:no_majority": 1},
        "label_conflicts": 1,
        "conflicts": 1,
        "claim": {
            "low": None,
            "precision": None,
            "calibrated": False,
            "checked": 0,
            "right": 0,
            "ambiguous": 0,
            "ambiguous_share": None,
            "gold": 0,
            "with_label": None,
            "against_label": None,
            "per_class": {},
            "counts": {"with_label": {"checked": 0, "right": 0}, "against_label": {"checked": 0, "right": 0}, "per_class": {}},
        },
        "labels_unknown": 2,
        "read_as": {"tags": 8},
        "finish_reasons": {"stop": 9},
        "mended": {},
        "teachers": {
            "t0": {"calls": 5, "failed": 1, "answered": 4, "agreement": 1.0, "estimated_accuracy": 0.9, "cost_usd": 2.0},
            "t1": {"calls": 5, "failed": 0, "answered": 4, "agreement": 1.0, "estimated_accuracy": None, "cost_usd": 2.5},
        },
    }


def test_two_teachers_agreement_counts_the_samples_where_both_voted():
    tally = tally_of(lesson(0), lesson(1), undecided(2), unheard(3))
    assert tally.agreement("t1", "t0") == tally.agreement("t0", "t1") == pytest.approx(2 / 3)
    assert tally.agreement("t0", "t9") is None


def test_classes_are_counted_by_raw_label_before_and_by_answer_after():
    tally = tally_of(lesson(0), lesson(1, label="fear"), undecided(2), lesson(3, label=None))
    awe, fear = tally.classes["awe"], tally.classes["fear"]
    assert (awe.labels, awe.accepted, awe.answers) == (2, 1, 3)
    assert (fear.labels, fear.accepted, fear.answers) == (1, 1, 0)
    assert tally.corrections == {("fear", "awe"): 1}


def test_withdrawing_the_lessons_of_a_sample_leaves_what_rejecting_it_would_have():
    kept, lost = lesson(0), lesson(1, label="fear")
    tally = tally_of(kept, lost)
    tally.withdraw(lost.sample, lost.verdict, ["t0"], reason="export:image_changed")
    other = tally_of(kept, CuratedSample(lost.sample, lost.verdict, lost.traces, rejected="export:image_changed"))
    tally.fates = other.fates
    assert tally.summary() == other.summary()
    assert tally.classes == other.classes
    assert tally.teachers == other.teachers


def test_memory_is_bounded_where_every_row_brings_its_own_classes():
    tally = tally_of(
        *(
            CuratedSample(Sample(str(n), (), "?", (f"a{n}", "b"), f"a{n}"), undecided(0).verdict, (), rejected="vote:tie")
            for n in range(3 * DISTINCT)
        )
    )
    assert len(tally.classes) == DISTINCT + 1
    assert tally.classes[OTHER].labels == 2 * DISTINCT


def test_the_largest_reason_is_named_and_a_tie_goes_by_name():
    assert tally_of().largest_reason() is None
    assert tally_of(undecided(0), undecided(1), filtered(2)).largest_reason() == ("vote:no_majority", 2)
    assert tally_of(undecided(0), filtered(2)).largest_reason() == ("filter:reasoning_words", 1)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0, 1))
def test_a_quantile_is_the_true_one_and_of_very_many_numbers_within_one_percent_of_it(values, share):
    few, spread = Spread(), Spread(distinct=3)
    for value in values:
        few.add(value)
        spread.add(value)
    true = sorted(values)[math.floor(share * (len(values) - 1))]
    assert few.quantile(share) == true
    assert spread.is_exact == (len(set(values)) <= 3)
    assert spread.quantile(share) == pytest.approx(true, rel=0.0101, abs=1e-300)
    assert (spread.least, spread.most, spread.count) == (min(values), max(values), len(values))


def test_marks_and_shares_of_few_readers_have_quantiles_that_occur():
    marks = Spread()
    for number in range(2_000):
        marks.add((1, 2.5, 4, 5)[number % 4])
    assert [marks.quantile(share) for share in (0.05, 0.5, 0.95)] == [1, 2.5, 5]
    assert list(marks.buckets()) == [(1, 500), (2.5, 500), (4, 500), (5, 500)]


def test_a_spread_without_finite_numbers_has_no_mean_or_quantile():
    spread = Spread()
    spread.add(math.nan)
    spread.add(math.inf)
    assert (spread.count, spread.mean(), spread.quantile(0.5)) == (0, None, None)


def test_options_need_not_be_known_for_a_mixed_run():
    tally = tally_of(*mixed(50))
    assert set(tally.classes) <= {*OPTIONS, OTHER}
    assert tally.preference == 10


def test_finish_reasons_are_counted_in_the_servers_own_words_and_their_number_is_bounded():
    tally = Tally()
    for number in range(DISTINCT + 5):
        one = lesson(number)
        traces = tuple(replace(judged, trace=replace(judged.trace, finish_reason=f"odd {number}")) for judged in one.traces)
        tally.add(replace(one, traces=traces))
    assert tally.finish_reasons["odd 0"] == len(lesson(0).traces)
    assert len(tally.finish_reasons) == DISTINCT + 1
    assert tally.finish_reasons[OTHER] == 5 * len(lesson(0).traces)
    one = lesson(0)
    unsaid = Tally()
    unsaid.add(replace(one, traces=tuple(replace(judged, trace=replace(judged.trace, finish_reason="")) for judged in one.traces)))
    assert unsaid.summary()["finish_reasons"] == {UNSAID: len(one.traces)}


def test_replies_that_are_of_no_use_are_counted_by_teacher_and_reason_and_told_with_the_remedy() -> None:
    tally = tally_of(*(unheard(number) for number in range(3)))
    assert tally.summary()["unread"] == {"t1": {"no_answer": 3}}
    assert list(not_used({"cut": {"truncated": 29, "empty": 1}, "well": {"empty": 1}}, {}, {"timeout": 3, "unknown": 1})) == [
        "29 replies ended at max_tokens (truncated; cut 29); raise teachers[].max_tokens and build again to ask them again",
        "2 replies came without a text (empty; cut 1, well 1); a thought may have used up max_tokens; --retry empty asks them again",
        "4 attempts brought no reply and may have been charged (timeout 3, unknown 1; attempts_charged in summary.json); "
        "a longer teachers[].timeout helps against timeouts, unless a call was cut off because other answers took far less time",
    ]
    assert set(REMEDIES) == set(get_args(ReadingFault)), "each has its remedy"
