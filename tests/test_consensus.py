"""From ballots to a verdict: what is accepted, by which rule, and that no order decides anything."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotforge.consensus import RULES, Consensus, Votes
from cotforge.records import Ballot, Verdict

OPTIONS = ("awe", "fear", "joy")
Row = tuple[list[Ballot], str | None]


def cast(*given_: str) -> list[Ballot]:
    """Ballots of teachers a, b, c, ... in turn; "" is a teacher that gave none, "a:fear" names the teacher."""
    named = [(answer.split(":") if ":" in answer else ("abcdefg"[place], answer)) for place, answer in enumerate(given_)]
    return [Ballot(teacher, answer) for teacher, answer in named if answer]


def decide(
    ballots: Sequence[Ballot], given_label: str | None = None, *, teachers: int = 3, options: tuple[str, ...] = OPTIONS, **spec: Any
) -> Verdict:
    return Consensus(**spec).decide(ballots, given_label, options, None, teachers=teachers)


def world(
    rows: int, *, accuracies: Sequence[float], classes: int = 4, noise: float = 0.1, seed: int = 0
) -> tuple[list[Row], list[str], tuple[str, ...]]:
    """Teachers that err independently and evenly: (ballots and label) per sample, the true answers, the options."""
    rng = random.Random(seed)
    options = tuple(f"c{place}" for place in range(classes))
    truth = rng.choices(options, k=rows)

    def says(true: str, accuracy: float) -> str:
        return true if rng.random() < accuracy else rng.choice([option for option in options if option != true])

    made: list[Row] = [
        ([Ballot(f"t{place}", says(true, skill)) for place, skill in enumerate(accuracies)], says(true, 1 - noise)) for true in truth
    ]
    return made, truth, options


def votes_of(rows: Sequence[Row], options: Callable[[Row], Sequence[str]] | Sequence[str]) -> Votes:
    votes = Votes()
    for row in rows:
        votes.add(row[0], row[1], options(row) if callable(options) else options)
    return votes


def test_every_rule_of_the_file_is_in_the_tuple() -> None:
    assert tuple(rule.name for rule in RULES) == ("majority", "unanimous", "weighted", "dawid_skene")
    for rule in RULES:
        assert Consensus.model_validate({"rule": rule.name}).learns == (rule.learn is not None)


@pytest.mark.parametrize(
    "spec", [{"rule": "best"}, {"target": 0.5}, {"target": 1}, {"label": "trust"}, {"max_calls": 0}, {"votes": "brief"}]
)
def test_a_wrong_section_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Consensus.model_validate(spec)


@pytest.mark.parametrize(
    ("ballots", "label", "teachers", "answer", "confidence", "reason"),
    [
        (cast("awe", "awe", "fear"), None, 3, "awe", 2 / 3, ""),
        (cast("awe", "awe", "fear"), "awe", 3, "awe", 3 / 4, ""),
        (cast("awe", "awe", "fear"), "fear", 3, None, 2 / 4, "tie"),
        (cast("awe", "awe", "fear"), "joy", 3, "awe", 2 / 4, "no_majority"),
        (cast("awe", "awe"), "fear", 2, "awe", 2 / 3, ""),
        (cast("awe", "fear"), None, 2, None, 1 / 2, "tie"),
        (cast("awe", "fear"), "awe", 2, "awe", 2 / 3, "one_teacher"),
        (cast("awe"), "awe", 3, "awe", 1.0, "one_teacher"),
        (cast("awe"), None, 1, "awe", 1.0, ""),
        (cast("a:awe", "a:awe", "a:fear"), None, 1, "awe", 2 / 3, ""),
        (cast("a:awe", "a:awe", "a:awe", "b:fear"), None, 2, "awe", 3 / 4, "one_teacher"),
        ([], "awe", 3, None, 0.0, "no_ballots"),
        ([], None, 1, None, 0.0, "no_ballots"),
    ],
)
def test_a_majority_is_more_than_half_of_the_ballots_from_two_teachers(
    ballots: list[Ballot], label: str | None, teachers: int, answer: str | None, confidence: float, reason: str
) -> None:
    verdict = decide(ballots, label, teachers=teachers)
    assert (verdict.answer, verdict.reason, verdict.accepted) == (answer, reason, not reason)
    assert verdict.confidence == pytest.approx(confidence)


def test_unanimous_wants_every_ballot_and_the_label_where_it_votes() -> None:
    assert decide(cast("awe", "awe", "awe"), rule="unanimous").accepted
    assert decide(cast("awe", "awe", "fear"), rule="unanimous").reason == "not_unanimous"
    assert decide(cast("awe", "awe"), "fear", rule="unanimous").reason == "not_unanimous"
    assert decide(cast("awe", "awe"), "fear", rule="unanimous", label="ignore").accepted
    assert decide(cast("awe", ""), "awe", rule="unanimous").reason == "one_teacher"


def test_the_label_gates_and_is_told_apart_from_a_missing_one() -> None:
    ballots = cast("awe", "awe", "fear")
    assert decide(ballots, "awe", label="gate").accepted
    assert decide(ballots, "fear", label="gate").reason == "label_gate"
    assert decide(ballots, None, label="gate").reason == "label_missing"
    assert decide(cast("awe", "fear"), None, label="gate").reason == "tie"


def test_a_label_that_is_ignored_has_no_say_but_its_conflict_is_reported() -> None:
    ignored = decide(cast("awe", "awe", "fear"), "fear", label="ignore")
    assert (ignored.accepted, ignored.label_conflict) == (True, True)
    assert ignored.confidence == pytest.approx(2 / 3)
    assert decide(cast("awe", "awe", "awe"), "fear").label_conflict
    assert not decide(cast("awe", "awe"), "awe").label_conflict
    assert not decide(cast("awe", "fear"), "joy").label_conflict
    assert not decide(cast("awe", "awe"), "fear", label="gate").label_conflict


def test_a_ballot_counts_by_its_weight() -> None:
    ballots = [Ballot("a", "awe", 0.1), Ballot("b", "awe", 0.1), Ballot("c", "awe", 0.1), Ballot("d", "fear", 0.3)]
    assert decide(ballots, teachers=4).reason == "tie"
    assert decide([*ballots, Ballot("e", "awe", 0.1)], teachers=5).answer == "awe"


_BALLOTS = st.lists(st.builds(Ballot, st.sampled_from("abc"), st.sampled_from(OPTIONS), st.sampled_from([1.0, 0.1, 0.3])), max_size=7)
_LABELS = st.none() | st.sampled_from(OPTIONS)
_ROWS = st.lists(st.tuples(_BALLOTS, _LABELS), min_size=1, max_size=8)


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
@given(_ROWS, st.sampled_from(["vote", "gate", "ignore"]), st.booleans(), st.randoms(use_true_random=False))
def test_neither_the_order_of_ballots_nor_of_samples_changes_a_verdict(
    rule: str, rows: list[Row], mode: str, closed: bool, rng: random.Random
) -> None:
    consensus = Consensus.model_validate({"rule": rule, "label": mode})
    options = OPTIONS if closed else ()

    def verdicts(order: Sequence[int]) -> dict[int, Verdict]:
        mixed = [(rng.sample(rows[place][0], len(rows[place][0])), rows[place][1]) for place in order]
        model = consensus.learn(votes_of(mixed, options))
        return {place: consensus.decide(*row, options, model, teachers=3) for place, row in zip(order, mixed, strict=True)}

    there = list(range(len(rows)))
    assert verdicts(there) == verdicts(rng.sample(there, len(there)))


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
@given(_ROWS, st.sampled_from(["vote", "gate", "ignore"]), st.sampled_from([OPTIONS, ()]), st.integers(1, 3))
def test_what_is_accepted_was_said_by_enough_teachers_and_never_by_the_label_alone(
    rule: str, rows: list[Row], mode: str, options: tuple[str, ...], teachers: int
) -> None:
    consensus = Consensus.model_validate({"rule": rule, "label": mode})
    model = consensus.learn(votes_of(rows, options))
    for ballots, label in rows:
        verdict = consensus.decide(ballots, label, options, model, teachers=teachers)
        assert 0 <= verdict.confidence <= 1
        assert verdict.accepted == (not verdict.reason)
        assert list(verdict.ballots) == sorted(ballots, key=lambda ballot: (ballot.teacher, ballot.answer, ballot.weight))
        if verdict.accepted:
            assert len({ballot.teacher for ballot in ballots if ballot.answer == verdict.answer}) >= min(2, teachers)
            assert verdict.label_conflict == (label not in (None, verdict.answer))
            assert mode != "gate" or label == verdict.answer


@given(_ROWS, st.permutations("abc"))
def test_what_teachers_are_called_changes_nothing(rows: list[Row], names: list[str]) -> None:
    called = dict(zip("abc", names, strict=True))
    renamed = [([Ballot(called[ballot.teacher], ballot.answer, ballot.weight) for ballot in ballots], label) for ballots, label in rows]
    consensus = Consensus(rule="dawid_skene")
    before, after = (consensus.learn(votes_of(some, OPTIONS)) for some in (rows, renamed))
    for (ballots, label), (others, _) in zip(rows, renamed, strict=True):
        one = consensus.decide(ballots, label, OPTIONS, before, teachers=3)
        other = consensus.decide(others, label, OPTIONS, after, teachers=3)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-6)


def test_weights_are_the_agreement_with_the_plain_majority() -> None:
    said = [cast("awe", "awe", "awe")] * 2 + [cast("awe", "awe", "fear")] * 2 + [cast("awe", "", "fear")]
    rows: list[Row] = [(ballots, None) for ballots in said]
    consensus = Consensus(rule="weighted", label="ignore")
    weights = consensus.learn(votes_of(rows, OPTIONS))
    assert weights.teachers == {"a": 1.0, "b": 1.0, "c": 0.5}
    ballots = cast("fear", "awe", "awe")
    assert consensus.decide(ballots, None, OPTIONS, weights, teachers=3).confidence == pytest.approx(1.5 / 2.5)


def test_a_teacher_that_always_says_the_same_loses_its_say() -> None:
    rows, truth, options = world(600, accuracies=(0.85, 0.85, 0.8))
    stuck: list[Row] = [([*ballots, Ballot("stuck", options[0])], label) for ballots, label in rows]
    consensus = Consensus(rule="dawid_skene", label="ignore", target=0.8)
    model = consensus.learn(votes_of(stuck, options))
    with_it = [consensus.decide(ballots, None, options, model, teachers=4) for ballots, _ in stuck]
    right = [verdict.answer == true for verdict, true in zip(with_it, truth, strict=True) if verdict.accepted]
    assert sum(right) / len(right) > 0.95
    assert consensus.estimated_accuracy(votes_of(stuck, options))["stuck"] < 0.4


@pytest.mark.parametrize(("classes", "by_class"), [(4, True), (60, False)])
def test_reliability_is_found_without_any_truth(classes: int, by_class: bool) -> None:
    skills = (0.55, 0.7, 0.85, 0.65)
    rows, truth, options = world(3_000, accuracies=skills, classes=classes)
    votes = votes_of(rows, options)
    assert votes.by_class == by_class
    consensus = Consensus(rule="dawid_skene", target=0.95)
    assert consensus.estimated_accuracy(votes) == pytest.approx({f"t{place}": skill for place, skill in enumerate(skills)}, abs=0.05)
    model = consensus.learn(votes)
    verdicts = [consensus.decide(*row, options, model, teachers=4) for row in rows]
    accepted = [(verdict, true) for verdict, true in zip(verdicts, truth, strict=True) if verdict.accepted]
    claimed = math.fsum(verdict.confidence for verdict, _ in accepted) / len(accepted)
    assert len(accepted) > 0.6 * len(rows)
    assert claimed == pytest.approx(sum(verdict.answer == true for verdict, true in accepted) / len(accepted), abs=0.02)
    assert sum(verdict.label_conflict for verdict, _ in accepted) > 0


def test_free_answers_are_agreed_on_too_and_strange_ones_stay_possible() -> None:
    rows, truth, _ = world(2_000, accuracies=(0.6, 0.75, 0.85), classes=200)
    consensus = Consensus(rule="dawid_skene", label="ignore")
    model = consensus.learn(votes_of(rows, ()))
    verdicts = [consensus.decide(ballots, None, (), model, teachers=3) for ballots, _ in rows]
    accepted = [verdict.answer == true for verdict, true in zip(verdicts, truth, strict=True) if verdict.accepted]
    assert sum(accepted) / len(accepted) > 0.98
    assert len(accepted) > 0.6 * len(rows)
    lone = consensus.decide([Ballot("t0", "x")], None, (), model, teachers=1)
    assert 0.5 < lone.confidence < 0.95


def test_repeats_of_one_teacher_are_not_more_evidence() -> None:
    rows, _, options = world(500, accuracies=(0.8, 0.8, 0.8))
    consensus = Consensus(rule="dawid_skene")
    model = consensus.learn(votes_of(rows, options))
    once = [Ballot("t0", "c1"), Ballot("t1", "c1")]
    thrice = [Ballot("t0", "c1")] * 3 + [Ballot("t1", "c1")]
    confidence = [consensus.decide(ballots, None, options, model, teachers=3).confidence for ballots in (once, thrice)]
    assert confidence[0] == pytest.approx(confidence[1])
    repeated = votes_of([(ballots * 3, label) for ballots, label in rows], options)
    assert consensus.learn(repeated) == model


def test_an_answer_below_the_target_or_of_one_teacher_is_not_accepted() -> None:
    rows, _, options = world(500, accuracies=(0.9, 0.6, 0.6))
    model = Consensus(rule="dawid_skene").learn(votes_of(rows, options))
    sure = [Ballot("t0", "c1"), Ballot("t1", "c2")]
    assert decide(sure, "c1", options=options, teachers=3).reason == "one_teacher"
    assert Consensus(rule="dawid_skene", target=0.9).decide(sure, "c1", options, model, teachers=3).reason == "one_teacher"
    assert Consensus(rule="dawid_skene", target=0.99).decide(sure[1:], "c1", options, model, teachers=3).reason == "below_target"


def test_rows_with_options_of_their_own_are_learned_from_by_who_agrees() -> None:
    rows, _, options = world(400, accuracies=(0.9, 0.8, 0.7))
    consensus = Consensus(rule="dawid_skene")
    own = votes_of(rows, lambda row: sorted({*options, f"x{row[1]}"}))
    assert not own.by_class
    assert consensus.estimated_accuracy(own) == pytest.approx({"t0": 0.9, "t1": 0.8, "t2": 0.7}, abs=0.07)
    assert consensus.learn(own) == consensus.learn(votes_of(rows[::-1], lambda row: sorted({*options, f"x{row[1]}"})))


def test_without_any_ballot_there_is_still_a_model_and_no_verdict() -> None:
    for rule in RULES:
        consensus = Consensus.model_validate({"rule": rule.name})
        model = consensus.learn(votes_of([([], "awe")], OPTIONS))
        assert consensus.decide([], "awe", OPTIONS, model, teachers=2).reason == "no_ballots"
        assert consensus.estimated_accuracy(Votes()) == {}


def test_votes_grow_with_the_ways_of_voting_not_with_the_samples() -> None:
    votes = votes_of([(cast("awe", "fear", "awe"), "awe"), (cast("fear", "fear", ""), None)] * 500, OPTIONS)
    patterns = list(votes.patterns())
    assert [times for _, times in patterns] == [500, 500]
    assert {pattern.size for pattern, _ in patterns} == {3}


@pytest.mark.filterwarnings("ignore:The .* keyword")  # what crowd-kit still asks of pandas
def test_posteriors_are_those_of_crowd_kit_where_nothing_is_shrunk() -> None:
    import pandas
    from crowdkit.aggregation.classification import dawid_skene as aggregation

    from cotforge.consensus import em
    from cotforge.consensus.poll import poll

    rows, _, options = world(300, accuracies=(0.7, 0.8, 0.85, 0.9))
    frame = pandas.DataFrame(
        [(str(item), ballot.teacher, ballot.answer) for item, (ballots, _) in enumerate(rows) for ballot in ballots],
        columns=["task", "worker", "label"],
    )
    # A tolerance below zero keeps it from stopping where clipping near-empty cells makes its bound dip: after 30 rounds, .04 off.
    theirs = aggregation.DawidSkene(n_iter=60, tol=-1.0).fit(frame).probas_
    votes = votes_of(rows, options)
    ours = em.matrices(em.ground(votes, label=False), votes.options, kappa=0)
    for item, (ballots, _) in enumerate(rows):
        posterior = ours.posterior(poll(ballots, None, options))
        assert posterior == pytest.approx(theirs.loc[str(item)].to_dict(), abs=1e-3)
