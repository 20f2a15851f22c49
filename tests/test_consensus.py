"""From ballots to a verdict: what is accepted, by which rule, and that no order decides anything."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotforge.consensus import RULES, Consensus, Decider, Heard, Setting
from cotforge.consensus.majority import majority_lead
from cotforge.consensus.poll import make_poll
from cotforge.consensus.polling import PollRule, Polls
from cotforge.consensus.sequential import Terms, Voter
from cotforge.records import Ballot, Sample, Verdict

OPTIONS = ("awe", "fear", "joy")
Row = tuple[list[Ballot], str | None]


def cast(*given_: str) -> list[Ballot]:
    """Ballots of teachers a, b, c, ... in turn; "" is a teacher that gave none, "a:fear" names the teacher."""
    named = [(answer.split(":") if ":" in answer else ("abcdefg"[place], answer)) for place, answer in enumerate(given_)]
    return [Ballot(teacher, answer) for teacher, answer in named if answer]


Options = Callable[[Row], Sequence[str]] | Sequence[str]


class Taught(NamedTuple):
    """A rule, and what rows taught it."""

    decider: Decider
    rows: Polls
    rule: PollRule

    def verdict(self, ballots: Sequence[Ballot], label: str | None, options: Sequence[str]) -> Verdict:
        return self.decider.verdict(Sample("", (), "", tuple(options), label), heard(ballots))[0]

    @property
    def model(self) -> Any:
        assert self.rule.model is not None
        return self.rule.model(self.rows.votes, self.decider.setting.label == "vote")


def heard(ballots: Sequence[Ballot]) -> list[Heard]:
    return [Heard(ballot.teacher, ballot.answer) for ballot in ballots]


def taught(rows: Sequence[Row], options: Options, *, teachers: int = 3, **spec: Any) -> Taught:
    consensus = Consensus.model_validate(spec)
    voters = tuple(Voter(f"voter {place}") for place in range(teachers))
    terms = Terms(voters, target=consensus.target, label=consensus.label == "vote")
    rule = consensus.make_rule
    assert isinstance(rule, PollRule)
    counted = rule.rows(Setting(terms, consensus.label))
    for row in rows:
        counted.add(Sample("", (), "", tuple(options(row) if callable(options) else options), row[1]), heard(row[0]))
    return Taught(rule.learn(counted), counted, rule)


def decide(
    ballots: Sequence[Ballot], given_label: str | None = None, *, teachers: int = 3, options: tuple[str, ...] = OPTIONS, **spec: Any
) -> Verdict:
    return taught([], options, teachers=teachers, **spec).verdict(ballots, given_label, options)


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


POLLS = [rule.name for rule in RULES if isinstance(rule, PollRule)]


def test_every_rule_is_known_by_its_name_and_a_misspelt_one_is_told() -> None:
    assert [rule.name for rule in RULES] == ["majority", "unanimous", "weighted", "dawid_skene", "sequential", "label_match", "cascade"]
    for rule in RULES:
        assert Consensus.model_validate({"rule": rule.name}).make_rule is rule
    with pytest.raises(ValidationError, match="no rule named 'majorty'; did you mean 'majority'"):
        Consensus(rule="majorty")
    assert Consensus.model_json_schema()["properties"]["rule"]["enum"] == [rule.name for rule in RULES]


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
    assert majority_lead(make_poll(ballots, None, OPTIONS), None, 0.9).reason == "tie"
    assert majority_lead(make_poll([*ballots, Ballot("e", "awe", 0.1)], None, OPTIONS), None, 0.9).answer == "awe"


_BALLOTS = st.lists(st.builds(Ballot, st.sampled_from("abc"), st.sampled_from(OPTIONS)), max_size=7)
_LABELS = st.none() | st.sampled_from(OPTIONS)
_ROWS = st.lists(st.tuples(_BALLOTS, _LABELS), min_size=1, max_size=8)


@pytest.mark.parametrize("rule", POLLS)
@given(_ROWS, st.sampled_from(["vote", "gate", "ignore"]), st.booleans(), st.randoms(use_true_random=False))
def test_neither_the_order_of_ballots_nor_of_samples_changes_a_verdict(
    rule: str, rows: list[Row], mode: str, closed: bool, rng: random.Random
) -> None:
    options = OPTIONS if closed else ()

    def verdicts(order: Sequence[int]) -> dict[int, Verdict]:
        mixed = [(rng.sample(rows[place][0], len(rows[place][0])), rows[place][1]) for place in order]
        found = taught(mixed, options, rule=rule, label=mode)
        return {place: found.verdict(*row, options) for place, row in zip(order, mixed, strict=True)}

    there = list(range(len(rows)))
    assert verdicts(there) == verdicts(rng.sample(there, len(there)))


@pytest.mark.parametrize("rule", POLLS)
@given(_ROWS, st.sampled_from(["vote", "gate", "ignore"]), st.sampled_from([OPTIONS, ()]), st.integers(1, 3))
def test_what_is_accepted_was_said_by_enough_teachers_and_never_by_the_label_alone(
    rule: str, rows: list[Row], mode: str, options: tuple[str, ...], teachers: int
) -> None:
    found = taught(rows, options, teachers=teachers, rule=rule, label=mode)
    for ballots, label in rows:
        verdict = found.verdict(ballots, label, options)
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
    before, after = (taught(some, OPTIONS, rule="dawid_skene") for some in (rows, renamed))
    for (ballots, label), (others, _) in zip(rows, renamed, strict=True):
        one, other = before.verdict(ballots, label, OPTIONS), after.verdict(others, label, OPTIONS)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-6)


def test_weights_are_the_agreement_with_the_plain_majority() -> None:
    said = [cast("awe", "awe", "awe")] * 2 + [cast("awe", "awe", "fear")] * 2 + [cast("awe", "", "fear")]
    rows: list[Row] = [(ballots, None) for ballots in said]
    found = taught(rows, OPTIONS, rule="weighted", label="ignore")
    assert found.model.teachers == {"a": 1.0, "b": 1.0, "c": 0.5}
    ballots = cast("fear", "awe", "awe")
    assert found.verdict(ballots, None, OPTIONS).confidence == pytest.approx(1.5 / 2.5)


def test_a_teacher_that_always_says_the_same_loses_its_say() -> None:
    rows, truth, options = world(600, accuracies=(0.85, 0.85, 0.8))
    stuck: list[Row] = [([*ballots, Ballot("stuck", options[0])], label) for ballots, label in rows]
    found = taught(stuck, options, teachers=4, rule="dawid_skene", label="ignore", target=0.8)
    with_it = [found.verdict(ballots, None, options) for ballots, _ in stuck]
    right = [verdict.answer == true for verdict, true in zip(with_it, truth, strict=True) if verdict.accepted]
    assert sum(right) / len(right) > 0.95
    assert found.decider.estimates["stuck"] < 0.4


@pytest.mark.parametrize(("classes", "by_class"), [(4, True), (60, False)])
def test_reliability_is_found_without_any_truth(classes: int, by_class: bool) -> None:
    skills = (0.55, 0.7, 0.85, 0.65)
    rows, truth, options = world(3_000, accuracies=skills, classes=classes)
    found = taught(rows, options, teachers=4, rule="dawid_skene", target=0.95)
    assert found.rows.votes.by_class == by_class
    assert found.decider.estimates == pytest.approx({f"t{place}": skill for place, skill in enumerate(skills)}, abs=0.05)
    verdicts = [found.verdict(*row, options) for row in rows]
    accepted = [(verdict, true) for verdict, true in zip(verdicts, truth, strict=True) if verdict.accepted]
    claimed = math.fsum(verdict.confidence for verdict, _ in accepted) / len(accepted)
    assert len(accepted) > 0.6 * len(rows)
    assert claimed == pytest.approx(sum(verdict.answer == true for verdict, true in accepted) / len(accepted), abs=0.02)
    assert sum(verdict.label_conflict for verdict, _ in accepted) > 0


def test_free_answers_are_agreed_on_too_and_strange_ones_stay_possible() -> None:
    rows, truth, _ = world(2_000, accuracies=(0.6, 0.75, 0.85), classes=200)
    found = taught(rows, (), rule="dawid_skene", label="ignore")
    verdicts = [found.verdict(ballots, None, ()) for ballots, _ in rows]
    accepted = [verdict.answer == true for verdict, true in zip(verdicts, truth, strict=True) if verdict.accepted]
    assert sum(accepted) / len(accepted) > 0.98
    assert len(accepted) > 0.6 * len(rows)
    lone = found.verdict([Ballot("t0", "x")], None, ())
    assert 0.5 < lone.confidence < 0.95


def test_repeats_of_one_teacher_are_not_more_evidence() -> None:
    rows, _, options = world(500, accuracies=(0.8, 0.8, 0.8))
    found = taught(rows, options, rule="dawid_skene")
    once = [Ballot("t0", "c1"), Ballot("t1", "c1")]
    thrice = [Ballot("t0", "c1")] * 3 + [Ballot("t1", "c1")]
    confidence = [found.verdict(ballots, None, options).confidence for ballots in (once, thrice)]
    assert confidence[0] == pytest.approx(confidence[1])
    repeated = taught([(ballots * 3, label) for ballots, label in rows], options, rule="dawid_skene")
    assert repeated.model == found.model


def test_an_answer_below_the_target_or_of_one_teacher_is_not_accepted() -> None:
    rows, _, options = world(500, accuracies=(0.9, 0.6, 0.6))
    sure = [Ballot("t0", "c1"), Ballot("t1", "c2")]
    assert decide(sure, "c1", options=options, teachers=3).reason == "one_teacher"
    assert taught(rows, options, rule="dawid_skene", target=0.9).verdict(sure, "c1", options).reason == "one_teacher"
    assert taught(rows, options, rule="dawid_skene", target=0.99).verdict(sure[1:], "c1", options).reason == "below_target"


def test_rows_with_options_of_their_own_are_learned_from_by_who_agrees() -> None:
    rows, _, options = world(400, accuracies=(0.9, 0.8, 0.7))
    own, other = (taught(some, lambda row: sorted({*options, f"x{row[1]}"}), rule="dawid_skene") for some in (rows, rows[::-1]))
    assert not own.rows.votes.by_class
    assert own.decider.estimates == pytest.approx({"t0": 0.9, "t1": 0.8, "t2": 0.7}, abs=0.07)
    assert own.model == other.model


def test_without_any_ballot_there_is_still_a_model_and_no_verdict() -> None:
    for rule in POLLS:
        found = taught([([], "awe")], OPTIONS, rule=rule)
        assert found.verdict([], "awe", OPTIONS).reason == "no_ballots"
        assert found.decider.estimates == {}


def test_votes_grow_with_the_ways_of_voting_not_with_the_samples() -> None:
    votes = taught([(cast("awe", "fear", "awe"), "awe"), (cast("fear", "fear", ""), None)] * 500, OPTIONS).rows.votes
    patterns = list(votes.patterns())
    assert [times for _, times in patterns] == [500, 500]
    assert {pattern.size for pattern, _ in patterns} == {3}


@pytest.mark.filterwarnings("ignore:The .* keyword")  # what crowd-kit still asks of pandas
def test_posteriors_are_those_of_crowd_kit_where_nothing_is_shrunk() -> None:
    import pandas
    from crowdkit.aggregation.classification import dawid_skene as aggregation

    from cotforge.consensus import em

    rows, _, options = world(300, accuracies=(0.7, 0.8, 0.85, 0.9))
    frame = pandas.DataFrame(
        [(str(item), ballot.teacher, ballot.answer) for item, (ballots, _) in enumerate(rows) for ballot in ballots],
        columns=["task", "worker", "label"],
    )
    # A tolerance below zero keeps it from stopping where clipping near-empty cells makes its bound dip: after 30 rounds, .04 off.
    theirs = aggregation.DawidSkene(n_iter=60, tol=-1.0).fit(frame).probas_
    votes = taught(rows, options).rows.votes
    ours = em.fit_matrices(em.vote_arrays(votes, label=False), votes.options, kappa=0)
    for item, (ballots, _) in enumerate(rows):
        posterior = ours.posterior(make_poll(ballots, None, options))
        assert posterior == pytest.approx(theirs.loc[str(item)].to_dict(), abs=1e-3)
