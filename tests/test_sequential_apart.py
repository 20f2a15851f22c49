"""Learning in a process of its own comes to the same, and leaves nothing behind."""

import asyncio
import random
import sys

import psutil
import pytest

from cotforge.consensus.sequential import Terms, Voter, learning, other_process
from cotforge.consensus.sequential.answer_table import Evidence
from cotforge.consensus.sequential.learning_cache import LearningCache

TERMS = Terms(
    voters=tuple(Voter(name) for name in "abcd"), options=tuple("VWXYZ"), target=0.9, objective="balanced", max_calls=None, label=True
)
EVERYBODY = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}


@pytest.fixture
def evidence() -> Evidence:
    """Of sixty Samples."""
    chance, found = random.Random(3), Evidence(TERMS)
    for _ in range(60):
        true = chance.choice(TERMS.options)
        answers = {name: true if chance.random() < right else chance.choice(TERMS.options) for name, right in EVERYBODY.items()}
        found.add(0, label=true, answers=answers, gold=None, everybody=True)
    return found


def test_what_is_learned_apart_is_what_is_learned_here_and_is_learned_once(evidence: Evidence) -> None:
    memory = LearningCache()
    there = asyncio.run(other_process.learn_elsewhere(TERMS, evidence, 0, memory=memory))
    assert there is not None
    assert learning.learn_policy(TERMS, evidence, 0, memory=memory) is there
    here = learning.teach_policy(learning.Grounds.of(TERMS, evidence, 0))
    assert (here.worth, here.value, here.accepts, here.costs) == (there.worth, there.value, there.accepts, there.costs)
    assert here.next("V", {"a": "W"}) == there.next("V", {"a": "W"}) is not None
    assert (here._choice_NK == there._choice_NK).all()
    assert (here._code_N == there._code_N).all()


def test_where_no_process_can_be_had_nothing_comes_of_it(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert asyncio.run(other_process.learn_elsewhere(TERMS, evidence, 0, memory=LearningCache())) is None


def test_whoever_no_longer_waits_leaves_no_process_behind(evidence: Evidence) -> None:
    before = set(psutil.Process().children())

    async def begun_and_left() -> set[psutil.Process]:
        task = asyncio.create_task(other_process.learn_elsewhere(TERMS, evidence, 0, memory=LearningCache()))
        while not (begun := set(psutil.Process().children()) - before):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return begun

    _, alive = psutil.wait_procs(asyncio.run(begun_and_left()), timeout=60)
    assert not alive
