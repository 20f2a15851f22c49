"""What is said of a claim: the bound first, and no number that nobody checked."""

import re

import pytest

from cotforge.consensus import Consensus
from cotforge.consensus.claim import Claim, Expected, HeldOut, make_claim
from cotforge.records import Gold
from cotforge.tally import Tally
from cotforge.tally.claims import best_case, best_case_of, claim_headline, claim_notes, claim_sentences, unvouched_classes

ONE = HeldOut(accepted=True, right=True, told=True, agrees=True, answer="cat", confidence=0.9)
AGAINST = ONE._replace(agrees=False, answer="dog")
UNTOLD = ONE._replace(right=False, told=False)


def test_the_bound_comes_first() -> None:
    said = claim_headline(make_claim([ONE] * 97 + [ONE._replace(right=False)] * 3, Expected(0.99)))
    assert said == "precision: at least 0.924 with 95 % confidence, about 0.968: 97 of 100 checked answers are right"


CERTIFIED = "100 checked without an error certify a precision of at least 0.970 with 95 % confidence, if the rule accepts an answer to each"
COUNT = "checked samples count, and it takes 20: those whose answer the rule accepts"
EVEN = ", and that are as if drawn by chance alone"


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (Claim(), "nobody checked enough answers; cotforge gold picks some to check"),
        (make_claim([ONE] * 19), f"only 19 of 19 {COUNT}; cotforge gold picks more to check"),
        (make_claim([UNTOLD] * 5), f"only 5 of 5 {COUNT}; cotforge gold picks more to check"),
        (make_claim([ONE] * 9 + [ONE._replace(accepted=False)] * 91), f"only 9 of 100 {COUNT}; cotforge gold picks more to check"),
        (
            make_claim([ONE] * 9 + [ONE._replace(weight=0.01, place=0.5)] * 91),
            f"only 9 of 100 {COUNT}{EVEN}; cotforge gold picks more to check",
        ),
    ],
)
def test_without_enough_checked_answers_there_is_no_number_and_it_is_said_which_of_them_count(made: Claim, why: str) -> None:
    assert claim_headline(made) == f"precision: uncalibrated, {why}"
    assert not re.search(r"\d\.\d", " ".join(claim_notes(made, {"cat": 10}) if not made.ambiguous else ""))


def test_the_parts_of_unequally_drawn_samples_are_said_not_to_add_up() -> None:
    drawn = [ONE._replace(weight=0.1 + number % 2, place=number / 100) for number in range(100)]
    told = " ".join(claim_notes(make_claim(drawn), {}))
    assert (
        "They are chosen separately for all samples, for each part and for each class. So the counts of the parts do not add up to" in told
    )
    assert "add up" not in " ".join(claim_notes(make_claim([ONE] * 100), {}))


def test_what_people_cannot_tell_is_told_with_its_share() -> None:
    lines = list(claim_notes(make_claim([ONE] * 80 + [UNTOLD] * 20), {"cat": 10}))
    assert lines[0].startswith("people could not tell 20 of 100 checked samples (20.0% of those that nobody checked, as estimated)")


def test_too_few_answers_against_the_label_are_counted_and_not_claimed() -> None:
    few = list(claim_notes(make_claim([ONE] * 80 + [AGAINST] * 7), {}))
    assert "against their label: 7 of 7 checked answers are right; below 20 checked ones no precision is claimed" in few
    none = list(claim_notes(make_claim([ONE] * 80), {}))
    assert "against their label: no checked answer; below 20 checked ones no precision is claimed" in none
    enough = list(claim_notes(make_claim([ONE] * 80 + [AGAINST] * 20), {}))
    assert any(re.fullmatch(r"against their label: at least 0\.861, about 0\.952 \(20 of 20 .*\)", line) for line in enough)


def test_a_class_that_cannot_be_vouched_for_is_named() -> None:
    made = make_claim([ONE] * 80 + [AGAINST] * 7)
    assert unvouched_classes(made, {"cat": 300, "dog": 20, "fox": 4, "hen": 0}) == ["fox", "dog"]
    assert list(claim_notes(made, {"cat": 300, "dog": 20, "fox": 4}))[-1] == (
        "nothing is claimed of 2 classes alone, below 20 checked answers: fox (0), dog (7)"
    )
    assert "nothing is claimed of any class alone" in list(claim_notes(made, {"dog": 20, "fox": 4}))[-1]
    many = list(claim_notes(made, {f"class {number:04}": 1 for number in range(1000)}))[-1]
    assert "and 994 more" in many
    assert len(many) < 300


def test_a_class_that_is_worse_than_the_rest_is_named_even_if_little_is_checked() -> None:
    blind = [ONE._replace(right=False, answer="local defect")] * 9
    lines = list(claim_notes(make_claim([ONE] * 90 + blind), {"cat": 1, "local defect": 1}))
    assert "class 'local defect' is worse than that: 0 of 9 checked answers are right" in lines
    assert not any("'cat'" in line for line in lines)


def test_a_tally_tells_its_claim_in_whole_sentences() -> None:
    tally = Tally(claim=make_claim([ONE] * 97 + [AGAINST] * 3, Expected(0.99)))
    first, *others = claim_sentences(tally)
    assert first.startswith("precision: at least ")
    assert others


@pytest.mark.parametrize(
    ("count", "consensus", "said"),
    [
        (0, Consensus(), "nobody has checked a sample, so no precision will be claimed; 100 checked without an error certify 0.970"),
        (100, Consensus(), CERTIFIED),
        (
            100,
            Consensus(rule="sequential", target=0.95),
            CERTIFIED,
        ),
        (
            100,
            Consensus(rule="sequential", target=0.99),
            f"{CERTIFIED}; 0.99 takes 299",
        ),
    ],
)
def test_what_a_number_of_checked_samples_can_certify(count: int, consensus: Consensus, said: str) -> None:
    assert best_case(count, consensus) == said


def test_where_samples_were_drawn_unequally_it_is_said_how_many_count_and_why() -> None:
    answers = {str(number): "a" for number in range(100)}
    told = best_case_of(Gold(answers, drawn={id: 0.1 if int(id) % 2 else 0.8 for id in answers}), Consensus())
    found = re.match(r"(\d+) of 100 samples count for a bound, as one that was likelier to be drawn counts less often: (\d+) checked", told)
    assert found is not None
    assert found[1] == found[2]
    assert best_case_of(Gold(answers), Consensus()) == CERTIFIED
    chosen = best_case_of(Gold(answers, drawn=dict.fromkeys(answers, 1.0)), Consensus())
    assert chosen == "none of the 100 checked samples was drawn by chance, so they certify nothing; cotforge gold draws some"
