"""One Sample's way through its voters, followed by hand, and what is noted of many."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cotforge.answers import Task
from cotforge.consensus.sequential.terms import SHORT, mean_prices
from cotforge.forge.learned_waves import Notes
from cotforge.forge.sample_path import SamplePath
from cotforge.pipeline import Loaded
from cotforge.records import Call, Gold, Sample
from cotforge.replies.attempt import Attempt
from cotforge.sequence import Basis, Guide
from tests.attempts import attempt
from tests.guide import ByHand, Evidence, Waves
from tests.guide import Policy as InOrder
from tests.project import LABELS, said, write_pipeline

TASK = Task(kind="classify", question="?", labels=tuple(LABELS))
WHOLE = ("ann", "bob", "cyd")
BOTH = tuple(name + end for name in WHOLE for end in ("", SHORT))


def call(name: str) -> Call:
    sample = Sample("1", (), "?", tuple(LABELS))
    return Call(name.encode().hex(), sample, name.removesuffix(SHORT), "m", 0, (), "vote" if name.endswith(SHORT) else "solve")


def stored(name: str, text: str | None, *, usd: float = 0.0, seconds: float = 0.0) -> Attempt:
    """A reply with this answer, or an error."""
    body = json.dumps({"choices": [{"message": {"content": said(text or "")}}]})
    return attempt(1, name.encode(), error=None if text else "400", cost_usd=usd, seconds=seconds, body=body)


def walk(policy: Any, voters: Sequence[str] = WHOLE, *, known: Mapping[str, str | None] | None = None, **fields: Any) -> SamplePath:
    settled = {name: stored(name, text) for name, text in (known or {}).items()}
    calls = {name: call(name) for name in voters}
    return SamplePath("1", **{"label": None, "wave": 1, "calls": calls, "known": settled, "policy": policy, "everybody": False} | fields)


def steps(of: SamplePath, says: Mapping[str, str | None], closed: Sequence[str] = ()) -> list[list[str]]:
    """Who is asked, step by step, where they say so."""
    taken = []
    while names := of.step(closed):
        taken.append(names)
        for name in names:
            of.hear(name, stored(name, says[name]), TASK)
    return taken


def test_one_after_another_until_it_is_enough() -> None:
    policy = InOrder(WHOLE)
    assert steps(walk(policy), {"ann": "awe", "bob": "awe"}) == [["ann"], ["bob"]]
    assert steps(walk(policy), {"ann": "awe", "bob": "fear", "cyd": "awe"}) == [["ann"], ["bob"], ["cyd"]]
    assert steps(walk(policy, label="awe"), {"ann": "awe"}) == [["ann"]]
    heard = walk(policy)
    assert steps(heard, {"ann": None, "bob": "awe", "cyd": "fear"}) == [["ann"], ["bob"], ["cyd"]]
    assert (heard.answers, heard.accepted) == ({"ann": None, "bob": "awe", "cyd": "fear"}, False)


def test_whoever_is_closed_is_passed_over_and_missed_only_if_wanted() -> None:
    passed = walk(InOrder(WHOLE))
    assert steps(passed, {"bob": "awe", "cyd": "awe"}, closed=["ann"]) == [["bob"], ["cyd"]]
    assert passed.missed == {"ann"}
    unwanted = walk(InOrder(WHOLE))
    assert steps(unwanted, {"ann": "awe", "bob": "awe"}, closed=["cyd"]) == [["ann"], ["bob"]]
    assert unwanted.missed == set()
    nobody = walk(InOrder(WHOLE))
    assert steps(nobody, {}, closed=WHOLE) == []
    assert nobody.missed == {"ann"}
    assert steps(unlearned := walk(None), {}, closed=WHOLE) == []
    assert unlearned.missed == set(WHOLE)


def test_everybody_is_asked_at_once_but_for_those_who_cannot_be() -> None:
    assert steps(walk(None, everybody=True), dict.fromkeys(WHOLE, "awe")) == [list(WHOLE)]
    left = walk(None, everybody=True)
    assert steps(left, dict.fromkeys(WHOLE, "awe"), closed=["bob"]) == [["ann", "cyd"]]
    assert left.missed == {"bob"}


def test_what_is_known_is_heard_only_where_the_way_leads_there() -> None:
    known = walk(InOrder(WHOLE), known={"ann": "awe", "cyd": "awe"})
    assert not known.along(TASK), "bob has to be asked"
    assert known.answers == {"ann": "awe"}
    assert not known.asked
    known.hear("bob", stored("bob", "awe"), TASK)
    assert known.along(TASK)
    assert known.answers == {"ann": "awe", "bob": "awe"}
    assert known.asked
    assert known.accepted


def test_a_trace_is_wanted_where_what_is_accepted_was_said_in_short_alone() -> None:
    policy = InOrder(BOTH)
    says = {"ann": "fear", "bob:short": "awe", "cyd:short": "awe", "bob": "sadness", "cyd": "awe"}
    shown = walk(policy, BOTH)
    assert steps(shown, says) == [["ann"], ["bob:short"], ["cyd:short"], ["bob"], ["cyd"]]
    assert shown.answers == {"ann": "fear", "bob:short": "awe", "cyd:short": "awe"}, "what came later decided nothing"
    assert steps(walk(policy, BOTH), says | {"bob": "awe"})[3:] == [["bob"]]
    assert steps(walk(policy, BOTH), says | {"ann": "awe"}) == [["ann"], ["bob:short"]]
    without = walk(policy, BOTH, known={"bob:short": "awe"})
    assert steps(without, says, closed=["bob"]) == [["ann"], ["bob:short"], ["cyd:short"], ["cyd"]]
    assert without.missed == {"bob"}


@pytest.mark.parametrize("order", [("ann", "ann"), ("dan",)])
def test_a_policy_that_asks_whom_it_cannot_is_a_bug(order: tuple[str, ...]) -> None:
    class Wrong(InOrder):
        def next(self, label: Any, answers: Any, sure: Any = None, *, without: Any = ()) -> str | None:
            return self.order[len(answers)]

    with pytest.raises(RuntimeError, match="who cannot be asked"):
        steps(walk(Wrong(order)), {"ann": "awe"})


# notes


def guide(folder: Path, learn: Any = None) -> Guide:
    teachers = [{"name": name, "model": name, "url": "http://localhost:1/v1"} for name in WHOLE]
    loaded = Loaded.load(write_pipeline(folder, *teachers, consensus={"rule": "sequential"}))
    return Guide(loaded.pipeline, ByHand(lambda total, gold: Waves(), learn), Waves(), Gold({"1": "fear"}))


def over(wave: int, **took: tuple[float, float]) -> SamplePath:
    done = walk(None, everybody=True, wave=wave)
    for name, (usd, seconds) in took.items():
        done.hear(name, stored(name, "awe", usd=usd, seconds=seconds), TASK)
    return done


def test_prices_are_dollars_of_the_warm_up_or_seconds_or_nothing(tmp_path: Path) -> None:
    notes = Notes(guide(tmp_path))
    assert mean_prices(notes._took) == {"ann": 1.0, "bob": 1.0, "cyd": 1.0}
    notes.add(over(0, ann=(0.0, 2.0), bob=(0.0, 4.0)))
    notes.add(over(1, ann=(5.0, 50.0)))
    assert mean_prices(notes._took) == {"ann": 2.0, "bob": 4.0, "cyd": 3.0}
    notes.add(over(0, ann=(0.5, 4.0)))
    assert mean_prices(notes._took) == {"ann": 0.25, "bob": 0.0, "cyd": 0.125}
    walks = [over(0, ann=(0.1 * number, 1.0)) for number in range(20)]
    sums = []
    for order in (walks, walks[::-1]):
        again = Notes(guide(tmp_path))
        for each in order:
            again.add(each)
        sums.append(mean_prices(again._took))
    assert sums[0] == sums[1]


def test_what_ends_while_it_learns_is_noted_afterwards(tmp_path: Path) -> None:
    go, seen = threading.Event(), list[int]()

    def learn(terms: Any, evidence: Evidence, upto: int, hasty: bool) -> InOrder:
        seen.append(len(evidence.rows))
        assert go.wait(10)
        seen.append(len(evidence.rows))
        return InOrder(WHOLE)

    async def run() -> None:
        notes = Notes(guide(tmp_path, learn))
        notes.add(over(0, ann=(1.0, 1.0)))
        learning = asyncio.create_task(notes.learned(Basis(0, hasty=True)))
        while not seen and not learning.done():
            await asyncio.sleep(0.005)
        notes.add(over(1, ann=(1.0, 1.0)))
        next_one = asyncio.create_task(notes.learned(Basis(1, hasty=False)))
        await asyncio.sleep(0.05)
        go.set()
        await asyncio.gather(learning, next_one)

    asyncio.run(run())
    assert seen == [1, 1, 2, 2], "the next one waits, and knows all"


def test_what_is_not_learned_in_haste_is_learned_apart_and_here_where_that_cannot_be(tmp_path: Path) -> None:
    here, apart = list[tuple[int, bool]](), list[int]()

    def learn(terms: Any, evidence: Evidence, upto: int, hasty: bool) -> InOrder:
        here.append((upto, hasty))
        return InOrder(WHOLE)

    class Elsewhere(ByHand):
        async def policy_apart(self, terms: Any, evidence: Any, upto: int) -> Any:
            apart.append(upto)
            return InOrder(WHOLE) if upto == 0 else None

    async def run() -> None:
        notes = Notes(replace(guide(tmp_path), rule=Elsewhere(lambda total, gold: Waves(), learn)))
        notes.add(over(0, ann=(1.0, 1.0)))
        for basis in (Basis(0, hasty=True), Basis(0, hasty=False), Basis(1, hasty=False)):
            await notes.learned(basis)

    asyncio.run(run())
    assert (here, apart) == ([(0, True), (1, False)], [0, 1])
