"""Policies and beliefs come back from bytes as they were, and whatever is not so is seen to be damaged."""

import json
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.consensus.sequential import Terms, Voter
from cotforge.consensus.sequential.answer_table import AnswerTable, make_table, regroup_codes
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.calibration import Calibration
from cotforge.consensus.sequential.learning import fit_belief, solve_policy
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.stored import MAGIC, Damaged, belief_bytes, belief_of, number_bytes, number_of, policy_bytes, policy_of
from tests.voting import drawn, terms_of

BINNED = Terms((Voter("a", cuts=(0.4, 0.8)), Voter("b"), Voter("c")), ("c0", "c1", "c2"))
KINDS = {
    "classes": terms_of(3, 3),
    "no label": terms_of(3, 3, label=False),
    "many classes": terms_of(12, 3),
    "free answers": terms_of(0, 3),
    "with bins": BINNED,
}

FOLLOWS = ("_tables", "_asked", "_taken", "_most")


def world(terms: Terms, *, gold: int = 60) -> AnswerTable:
    """Answers of voters about these terms; the last but one repeats the first where that is wanted."""
    made, _ = drawn(np.random.default_rng(0), 400, len(terms.options) if terms.by_class else 6, (0.6, 0.7, 0.8, 0.9), gold=gold)
    answers_NV, gold_N = made.answers_NV.copy(), made.gold_N
    if terms.binned:
        answers_NV[:, 0] += terms.symbols * (np.arange(len(made)) % 4)
    if not terms.label:
        answers_NV[:, -1] = -1
    if not terms.by_class:
        answers_NV, found = regroup_codes(answers_NV, gold_N)
        assert found is not None
        gold_N = found
    return make_table(np.column_stack([made.wave_N, made.everybody_N, made.fold_N, gold_N, answers_NV]), made.times_N)[0].unfolded()


def policy_about(terms: Terms, *, gold: int = 60) -> Policy:
    policy = solve_policy(terms, world(terms, gold=gold), most=300)
    policy.settle()
    return policy


def alike(one: Any, other: Any, path: str = "") -> None:
    """The same in all that can be looked at, but for tables that follow from the rest and what is kept in mind."""
    assert type(one) is type(other), path
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, path
        assert np.array_equal(one, other), path
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for place, (first, second) in enumerate(zip(one, other, strict=True)):
            alike(first, second, f"{path}[{place}]")
    elif type(one).__module__.startswith("cotforge.") and not isinstance(one, (Terms, Voter)):
        names = getattr(type(one), "__slots__", None) or [
            name for name in vars(one) if name not in ("_tables", "_asked", "_taken", "_most")
        ]
        for name in names:
            alike(getattr(one, name), getattr(other, name), f"{path}.{name}")
    else:
        assert one == other, path


@pytest.mark.parametrize("gold", [0, 60])
@pytest.mark.parametrize("terms", KINDS.values(), ids=KINDS)
def test_what_was_written_is_read_as_it_was(terms: Terms, gold: int) -> None:
    policy = policy_about(terms, gold=gold)
    alike(policy_of(policy_bytes(policy), terms), policy)
    alike(belief_of(belief_bytes(policy.belief), terms), policy.belief)
    assert policy_bytes(policy_of(policy_bytes(policy), terms)) == policy_bytes(policy)


def test_a_belief_that_was_read_learns_on_as_the_one_that_was_written() -> None:
    terms = KINDS["classes"]
    policy, more = policy_about(terms), world(terms, gold=120)
    read = policy_of(policy_bytes(policy), terms)
    one, other = (fit_belief(terms, more, policy=each, like=each.belief) for each in (policy, read))
    alike(one, other)


def test_twins_relatives_of_the_label_and_what_people_said_are_part_of_it() -> None:
    terms = KINDS["classes"]
    made = fit_belief(terms, world(terms))
    made.model.relatives.share_K[1] = 0.3
    calibration = Calibration(np.array([0.9, 0.2]), np.array([-2.0, -0.5]), 0.75)
    kept = Belief(terms, made.model, calibration, {2: 0}, 0.25, (1.0, 0.5, 1.0), repairs=True)
    alike(belief_of(belief_bytes(kept), terms), kept)


BYTES = policy_bytes(policy_about(KINDS["classes"]))


@settings(max_examples=200)
@given(st.integers(0, len(BYTES) - 1), st.integers(1, 255))
def test_any_byte_that_changed_is_noticed(place: int, by: int) -> None:
    damaged = BYTES[:place] + bytes([BYTES[place] ^ by]) + BYTES[place + 1 :]
    with pytest.raises(Damaged):
        policy_of(damaged, KINDS["classes"])


@given(st.binary(max_size=200) | st.integers(0, len(BYTES) - 1).map(lambda length: BYTES[:length]))
def test_what_is_no_such_file_is_damaged(data: bytes) -> None:
    for read in (policy_of, belief_of):
        with pytest.raises(Damaged):
            read(data, KINDS["classes"])


def test_what_belongs_to_another_vote_is_damaged() -> None:
    for other in (terms_of(4, 3), terms_of(3, 4), terms_of(0, 3), terms_of(12, 3), BINNED):
        with pytest.raises(Damaged):
            policy_of(BYTES, other)
    with pytest.raises(Damaged):
        belief_of(BYTES, KINDS["classes"])


def forged(change: Any) -> bytes:
    """The policy with other numbers in it, and a checksum that is right all the same."""
    body = BYTES[len(MAGIC) + 32 :]
    length = int.from_bytes(body[:4], "little")
    told, payload = json.loads(body[4 : 4 + length]), body[4 + length :]
    told, payload = change(told, payload)
    head = json.dumps(told).encode()
    body = len(head).to_bytes(4, "little") + head + payload
    return MAGIC + sha256(body).digest() + body


def _meta(name: str, value: Any) -> Any:
    return lambda told, payload: (told | {"meta": told["meta"] | {name: value}}, payload)


def _array(value: Any) -> Any:
    return lambda told, payload: (told | {"arrays": [value, *told["arrays"][1:]]}, payload)


FORGERIES = [
    _meta("twins", [[7, 0]]),
    _meta("twins", "ab"),
    _meta("twins", None),
    _meta("telling", [0, 1, 1]),
    _meta("telling", [1.0]),
    _meta("unlabelled", "much"),
    _meta("some_at_all", 0),
    _meta("some_at_all", None),
    _meta("unlabelled", float("nan")),
    _meta("figures", [1, 2]),
    _meta("kind", "belief"),
    _array(["calibration", "|O", [2]]),
    _array(["calibration", "<f8", [-2]]),
    _array(["calibration", "<f8", [1 << 60]]),
    _array(["calibration", "<f8", [1, 2]]),
    _array(5),
    lambda told, payload: (told, payload[:-8]),
    lambda told, payload: (told, payload + b"12345678"),
    lambda told, payload: (told, b"\xff" * len(payload)),
    lambda told, payload: (told, bytes(len(payload))),
    lambda told, payload: ([], payload),
    lambda told, payload: ({"meta": told["meta"], "arrays": {}}, payload),
]


def test_a_number_is_read_as_it_was_written_and_is_a_probability() -> None:
    assert number_of(number_bytes(0.875)) == 0.875
    for data in (number_bytes(1.5), number_bytes(float("nan")), BYTES, b""):
        with pytest.raises(Damaged):
            number_of(data)


@pytest.mark.parametrize("change", FORGERIES, ids=range(len(FORGERIES)))
def test_what_a_stranger_wrote_with_a_right_checksum_raises_nothing_else(change: Any) -> None:
    with pytest.raises(Damaged):
        policy_of(forged(change), KINDS["classes"])
