"""Asking one teacher after another: exactly what the policies say is asked, whatever the order of answers, faults, and ends in between."""

import asyncio
import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from cotforge.budget import Budget, Purse
from cotforge.curation import Curation
from cotforge.errors import PipelineError
from cotforge.forge import Forge, Progress, TeacherCounts
from cotforge.forge.liveness import Patience
from cotforge.forge.lookahead import LOOKAHEAD
from cotforge.forge.retry import Retry
from cotforge.images import Images, Sending
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import CuratedSample, Sample
from cotforge.sequence import Guide
from cotforge.session import RunSession
from tests.guide import ByHand, Policy, Waves, by_hand, forge, learn
from tests.project import LABELS, Running, environment, said, sees, teacher, write_pipeline, write_rows
from tests.teacher import Entry, Failure, Teacher
from tests.test_forge import abandon, endless, picture_of, until

IN_TURN = {"rule": "sequential"}
NAMES = ("ann", "bob", "cyd")


def opinion(name: str, *, wrong: float = 0.4) -> Callable[[dict[str, Any]], str]:
    """A teacher that errs in its own way, by the picture alone."""

    def answer(body: dict[str, Any]) -> str:
        drawn = int(hashlib.sha256(f"{name} {picture_of(body)}".encode()).hexdigest(), 16)
        right = sees(body)
        return said(LABELS[drawn // 1000 % 4]) if drawn % 1000 < 1000 * wrong else right

    return answer


def short_or_whole(name: str, *, short: str | None = None) -> Callable[[dict[str, Any]], str]:
    """The same, in as many words as it is asked for; a vote may be for something else."""
    whole = opinion(name)

    def answer(body: dict[str, Any]) -> str:
        text = whole(body)
        if not is_vote(body):
            return text
        return f"<answer>{short}</answer>" if short else text[text.index("<answer>") :]

    return answer


def is_vote(body: dict[str, Any]) -> bool:
    return "Explain nothing" in json.dumps(body)


@contextmanager
def three(**fields: Any) -> Iterator[dict[str, Teacher]]:
    """Servers of three teachers."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Teacher(opinion(name), **fields)) for name in NAMES}


def pipeline(folder: Path, servers: dict[str, Teacher], *, concurrency: int = 4, **sections: Any) -> Path:
    fields = {"concurrency": concurrency}
    return write_pipeline(
        folder, *(teacher(server, name, **fields) for name, server in servers.items()), **({"consensus": IN_TURN} | sections)
    )


def asked(servers: dict[str, Teacher]) -> Counter[tuple[str, str]]:
    """How often each teacher was asked each Call."""
    return Counter((name, entry.call) for name, server in servers.items() for entry in server.ledger)


def by_picture(servers: dict[str, Teacher]) -> dict[str, list[tuple[str, Entry]]]:
    """What was asked about each picture, in order."""
    found = defaultdict(list)
    for name, server in servers.items():
        for entry in server.ledger:
            found[entry.images[0]].append((name, entry))
    return {picture: sorted(entries, key=lambda one: one[1].started) for picture, entries in found.items()}


def pictures(folder: Path, rows: int) -> dict[str, str]:
    """From a row's id to its picture, as it is sent."""
    return {f"row-{number}": hashlib.sha256((folder / f"images/{number}.jpg").read_bytes()).hexdigest() for number in range(rows)}


def started(folder: Path, *, seconds: float = 0.0) -> Running:
    """The forge in a process of its own."""
    words = [sys.executable, "-W", "error", "-m", "tests.guide", "pipeline.yaml", "run", str(seconds)]
    return Running(words, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True)


# what is asked


def test_about_a_sample_one_teacher_is_asked_after_another_and_everybody_where_it_must_be(tmp_path: Path) -> None:
    write_rows(tmp_path, 80)
    learned: list[tuple[int, int]] = []
    with three(latency=0.01) as servers:
        progress = forge(pipeline(tmp_path, servers), tmp_path / "run", by_hand(learned=learned))
        found, waves = by_picture(servers), Waves()
    sent = pictures(tmp_path, 80)
    whole = {id for id in sent if waves.everybody(id)}
    for id, picture in sent.items():
        names = [name for name, _ in found[picture]]
        assert len(names) == len(set(names))
        if id in whole:
            assert set(names) == set(NAMES)
        else:
            entries = [entry for _, entry in found[picture]]
            assert all(one.finished is not None and one.finished <= other.started for one, other in pairwise(entries))
    fewer = [picture for id, picture in sent.items() if len(found[picture]) < 3]
    assert len(fewer) > 20
    assert learned == [(0, sum(waves.wave(id) == 0 for id in sent)), (1, sum(waves.wave(id) <= 1 for id in sent))]
    assert (progress.samples, progress.settled, progress.failed, progress.stopped) == (80, 80, 0, None)
    assert progress.judged == 80
    assert 20 < progress.agreed < 80


def test_what_a_walk_asks_follows_from_the_answers_to_it_and_the_policy_of_its_wave_alone(tmp_path: Path) -> None:
    """Answers that come in any order, from any number of calls at a time, leave the same set of Calls."""
    write_rows(tmp_path, 80)
    chance, sets = random.Random(3), []
    with three() as servers:
        for number, concurrency in enumerate((1, 16, 5)):

            def late(body: dict[str, Any]) -> Failure:
                for server in servers.values():
                    server.latency = chance.uniform(0, 0.02)
                return None

            for server in servers.values():
                server.fail = late if number else None
                server.ledger.clear()
            forge(pipeline(tmp_path, servers, concurrency=concurrency), tmp_path / f"run-{number}", by_hand())
            sets.append(asked(servers))
    assert sets[0] == sets[1] == sets[2]
    assert set(sets[0].values()) == {1}
    assert 120 < len(sets[0]) < 220


def test_a_second_run_asks_nothing_and_needs_no_server(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with three() as servers:
        path = pipeline(tmp_path, servers)
        assert forge(path, tmp_path / "run", by_hand()).asked > 40
    again = forge(path, tmp_path / "run", by_hand())
    assert (again.asked, again.stopped) == (0, None)


def test_killed_and_continued_it_asks_what_an_undisturbed_run_asks_and_what_was_in_flight_once_more(tmp_path: Path) -> None:
    write_rows(tmp_path, 80)
    chance, kills = random.Random(11), 4
    with three(latency=0.03) as servers:
        pipeline(tmp_path, servers)
        for kill in range(1, kills + 1):
            with started(tmp_path) as run:
                until(lambda kill=kill: sum(len(server.ledger) for server in servers.values()) >= 25 * kill)
                time.sleep(chance.uniform(0, 0.06))
                run.kill()
        time.sleep(0.1)
        with started(tmp_path) as run:
            assert run.wait(timeout=60) == 0
        counts = asked(servers)
        for server in servers.values():
            server.ledger.clear()
            server.latency = 0.0
        forge(tmp_path / "pipeline.yaml", tmp_path / "undisturbed", by_hand())
        assert counts.keys() == asked(servers).keys()
    assert counts.total() - len(counts) <= kills * 3 * 4


def test_one_picture_under_two_ids_is_asked_about_once_and_both_samples_are_walked(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with (tmp_path / "rows.jsonl").open("a") as file:
        for number in range(120):
            row = {"id": f"twin-{number}", "image": f"images/{number % 30}.jpg", "label": LABELS[number // 30]}
            file.write(json.dumps(row) + "\n")
    with three(latency=0.02) as servers:
        progress = forge(pipeline(tmp_path, servers, concurrency=8), tmp_path / "run", by_hand())
        assert set(asked(servers).values()) == {1}
        found = by_picture(servers)
    assert len(found) == 30
    assert (progress.samples, progress.stopped, progress.failed) == (150, None, 0)
    assert forge(tmp_path / "pipeline.yaml", tmp_path / "run", by_hand()).asked == 0


def test_a_teacher_that_is_asked_anew_is_asked_what_it_was_asked_before(tmp_path: Path) -> None:
    """By `--refresh`; and by `--retry` exactly what came to nothing for that reason."""
    write_rows(tmp_path, 40)
    with three() as servers:
        servers["bob"].fail = lambda body: 400 if int(hashlib.sha256(picture_of(body).encode()).hexdigest(), 16) % 5 == 0 else None
        path = pipeline(tmp_path, servers)
        refused = forge(path, tmp_path / "run", by_hand()).teachers["bob"].failed
        assert refused > 2
        servers["bob"].fail = None
        with RunSession.open(path, out=tmp_path / "run", rule=by_hand()) as run:
            run.asking.again = Retry(run.loaded, ["400"])
            run.forge(retried := Progress({name: TeacherCounts() for name in NAMES}), {})
        before = {name: len(server.ledger) for name, server in servers.items()}
        with RunSession.open(path, out=tmp_path / "run", rule=by_hand()) as run:
            run.forge(anew := Progress({name: TeacherCounts() for name in NAMES}), {"bob": run.journal.latest()})
        assert {name: len(server.ledger) - before[name] for name, server in servers.items() if name != "bob"} == {"ann": 0, "cyd": 0}
        counts = asked({"bob": servers["bob"]})
    assert refused <= retried.teachers["bob"].asked <= refused + 5, "and whom a better policy adds"
    assert anew.teachers["bob"].asked == len(servers["bob"].ledger) - before["bob"] > 10
    assert max(counts.values()) <= 3


@pytest.mark.parametrize("limit", [None, 7])
def test_waves_are_told_how_many_samples_there_are(tmp_path: Path, limit: int | None) -> None:
    """Also where the source does not tell how many rows it has."""
    write_rows(tmp_path, 20)
    (tmp_path / "gold.csv").write_text("id,answer\nrow-3,awe\nrow-4,?\n")
    told: list[tuple[int, set[str]]] = []

    def waves(total: int, gold: Any) -> Waves:
        told.append((total, set(gold)))
        return Waves()

    near = teacher("http://localhost:1/v1", price={"input": 1.0})
    for place, source in enumerate(({"kind": "table", "path": "rows.jsonl"}, {"kind": "webdataset", "path": "shards"})):
        if source["kind"] == "webdataset":
            (tmp_path / "shards").mkdir(exist_ok=True)
            with tarfile.open(tmp_path / "shards/0.tar", "w") as tar:
                for number in range(20):
                    tar.add(tmp_path / f"images/{number}.jpg", f"{number:03}.jpg")
        path = write_pipeline(tmp_path, near, consensus=IN_TURN, source=source, gold="gold.csv")
        with RunSession.open(path, out=tmp_path / f"run-{place}", limit=limit) as run:
            guide = Guide.of(run.loaded, run.folder.path, lambda: run.reader.total, rule=ByHand(waves, learn))
        assert guide.gold.answers == {"row-3": "awe"}
    assert told == [(limit or 20, {"row-3", "row-4"})] * 2


# waves


def test_a_slow_sample_holds_up_the_wave_that_needs_it_and_no_other(tmp_path: Path) -> None:
    write_rows(tmp_path, 80)
    waves, sent = Waves(), pictures(tmp_path, 80)
    of_wave = {picture: waves.wave(id) for id, picture in sent.items()}
    stuck = {}
    for wave in (0, 1):
        stuck[next(picture for id, picture in sent.items() if waves.wave(id) == wave and waves.everybody(id))] = wave
    held = set(stuck)

    class Holding(Teacher):
        async def _complete(self, request: Any, noise: str = "") -> Any:
            entry = len(self.ledger)
            answer = asyncio.ensure_future(super()._complete(request))
            while len(self.ledger) == entry:
                await asyncio.sleep(0.001)
            while self.ledger[entry].images[0] in held:
                await asyncio.sleep(0.005)
            return await answer

    with ExitStack() as stack:
        servers: dict[str, Teacher] = {name: stack.enter_context(Holding(opinion(name))) for name in NAMES}
        pipeline(tmp_path, servers, concurrency=32)

        def begun() -> set[int]:
            return {of_wave[entry.images[0]] for server in servers.values() for entry in list(server.ledger)}

        with started(tmp_path) as run:
            until(lambda: sum(len(server.ledger) for server in servers.values()) == 3 * sum(wave == 0 for wave in of_wave.values()))
            time.sleep(0.2)
            assert begun() == {0}
            held -= {picture for picture, wave in stuck.items() if wave == 0}
            until(lambda: 2 in begun())
            time.sleep(0.3)
            assert begun() == {0, 1, 2}, "the third wave needs the first"
            held.clear()
            assert run.wait(timeout=90) == 0
        assert begun() == {0, 1, 2, 3, 4}


def test_before_the_warm_up_is_over_no_picture_of_another_wave_is_looked_at(tmp_path: Path) -> None:
    write_rows(tmp_path, 150)
    warm = sum(Waves().wave(f"row-{row}") == 0 for row in range(150))
    with three() as servers:
        for server in servers.values():
            server.fail = lambda body: "hang"
        pipeline(tmp_path, servers, concurrency=64)
        with started(tmp_path) as run:
            cache = tmp_path / "run/cache/images.sqlite"
            until(lambda: cache.exists() and any(len(server.ledger) for server in servers.values()))
            with closing(sqlite3.connect(cache)) as known:
                until(lambda: known.execute("SELECT count(*) FROM contents").fetchone()[0] >= warm)
                time.sleep(0.3)
                assert known.execute("SELECT count(*) FROM contents").fetchone()[0] == warm
            run.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_it_can_be_stopped_while_it_learns_and_goes_on_later(tmp_path: Path, number: signal.Signals) -> None:
    write_rows(tmp_path, 40)
    warm = sum(Waves().wave(f"row-{row}") == 0 for row in range(40))
    with three() as servers:
        pipeline(tmp_path, servers)
        with started(tmp_path, seconds=60) as run:
            until(lambda: all(len(server.ledger) == warm and not server.in_flight for server in servers.values()))
            time.sleep(0.3)
            run.send_signal(number)
            begun = time.monotonic()
            run.communicate(timeout=90)
        assert time.monotonic() - begun < 30, "and not the 60 s of its learning"
        assert {len(server.ledger) for server in servers.values()} == {warm}
        forge(tmp_path / "pipeline.yaml", tmp_path / "run", by_hand())
        assert set(asked(servers).values()) == {1}


def test_a_bug_in_the_engine_ends_the_run_with_its_traceback(tmp_path: Path) -> None:
    write_rows(tmp_path, 20)

    def learn(*_: object) -> Policy:
        raise ZeroDivisionError

    class Stubborn(Policy):
        def next(self, label: Any, answers: Any, sure: Any = None, *, without: Any = ()) -> str | None:
            return self.order[0]

    with three() as servers:
        path = pipeline(tmp_path, servers)
        with pytest.raises(ZeroDivisionError):
            forge(path, tmp_path / "run", ByHand(lambda total, gold: Waves(), learn))
        with pytest.raises(RuntimeError, match="who cannot be asked"):
            forge(path, tmp_path / "run", ByHand(lambda total, gold: Waves(), lambda *_: Stubborn(NAMES)))


# teachers that cannot be asked


def test_a_teacher_that_is_gone_is_done_without_and_asked_what_it_missed_once_it_is_back(tmp_path: Path) -> None:
    write_rows(tmp_path, 80)
    with three() as servers:
        servers["ann"].fail = lambda body: (429, "insufficient_quota") if len(servers["ann"].ledger) > 30 else None
        path = pipeline(tmp_path, servers)
        progress = forge(path, tmp_path / "run", by_hand())
        assert progress.teachers["ann"].closed in ("quota", "over")
        assert progress.teachers["ann"].postponed > 5
        found = by_picture(servers)
        assert set(found) == set(pictures(tmp_path, 80).values()), "the others were asked about all"
        servers["ann"].fail = None
        before = asked(servers)
        again = forge(path, tmp_path / "run", by_hand())
        assert again.teachers["ann"].asked > 5
        after = asked(servers)
        assert all(count == 1 for (name, _), count in after.items() if name != "ann")
        assert before.keys() <= after.keys()
        assert forge(path, tmp_path / "run", by_hand()).asked == 0


def test_a_teacher_that_comes_back_while_it_goes_on_is_asked_in_a_second_reading(tmp_path: Path) -> None:
    """It dies in the warm-up, and is out of reach until the others have done all there is."""
    few, learned = Patience(away=0.3, back=0.1, look=0.05), list[tuple[int, int]]()
    dying = Teacher(opinion("bob"), latency=0.01)
    with Teacher(opinion("ann"), latency=0.01) as ann, Teacher(opinion("cyd"), latency=0.01) as cyd, ExitStack() as stack:
        dying.__enter__()
        back = Teacher(opinion("bob"), port=dying.port)
        path = pipeline(tmp_path, {"ann": ann, "bob": dying, "cyd": cyd}, concurrency=2)

        def die_and_come_back() -> None:
            until(lambda: len(dying.ledger) >= 6)
            dying.__exit__()
            until(lambda: len(cyd.ledger) > 90)  # the warm-up is over without it
            stack.enter_context(back)

        thread = threading.Thread(target=die_and_come_back)
        thread.start()
        progress = guided(tmp_path, lambda: islice(endless([]), 160), by_hand(learned=learned), patience=few)
        thread.join()
        counts = asked({"ann": ann, "bob": back, "cyd": cyd})
        first = {entry.call for entry in dying.ledger if entry.finished}
    assert (progress.samples, progress.stopped, progress.failed) == (160, None, 0), path
    assert max(counts.values()) == 1
    assert not first & {call for name, call in counts if name == "bob"}
    waves = Waves()
    warm = sum(waves.everybody(f"row-{number}") for number in range(160))
    assert len(first) + len(back.ledger) >= warm, "what it missed of the warm-up too"
    assert progress.teachers["bob"].postponed == 0
    assert [upto for upto, _ in learned] == [0, 1, 0, 1]


def test_where_nobody_is_left_the_run_ends(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with three() as servers:
        for server in servers.values():
            server.fail = lambda body, server=server: (401, "invalid_api_key") if len(server.ledger) > 3 else None  # type: ignore[misc]
        progress = forge(pipeline(tmp_path, servers, max_failures=1), tmp_path / "run", by_hand())
    assert progress.samples == 40
    assert all(meter.postponed for meter in progress.teachers.values())


def test_what_cannot_be_read_or_was_given_up_is_no_answer_and_the_next_is_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with three() as servers:
        servers["ann"].answer = "I would rather not say."
        servers["bob"].fail = lambda body: 400 if len(servers["bob"].ledger) % 3 == 0 else None
        path = pipeline(tmp_path, servers)
        progress = forge(path, tmp_path / "run", by_hand())
        assert progress.samples == progress.settled == 40
        assert 0 < progress.teachers["bob"].failed < 20
        assert len(servers["cyd"].ledger) > 30
        assert forge(path, tmp_path / "run", by_hand()).asked == 0, "a refusal is an end"


def test_too_many_failures_end_it(tmp_path: Path) -> None:
    write_rows(tmp_path, 120)
    with three() as servers:
        for server in servers.values():
            server.fail = lambda body: 400
        progress = forge(pipeline(tmp_path, servers, max_failures=0.2), tmp_path / "run", by_hand())
        assert progress.stopped == "failures"
        assert sum(len(server.ledger) for server in servers.values()) < 100


@pytest.mark.parametrize("calls", [20, 70])
def test_a_budget_ends_it_in_the_warm_up_and_after_it(tmp_path: Path, calls: int) -> None:
    write_rows(tmp_path, 80)
    with three(latency=0.005) as servers:
        path = pipeline(tmp_path, servers, budget={"calls": calls})
        progress = forge(path, tmp_path / "run", by_hand())
        assert progress.told.startswith(f"budget: calls {calls} reached")
        assert asked(servers).total() == calls
        with RunSession.open(path, out=tmp_path / "run", sets=["budget.calls=null"], rule=by_hand()) as run:
            run.forge(Progress({name: TeacherCounts() for name in NAMES}), {})
        counts = asked(servers)
        assert set(counts.values()) == {1}
        for server in servers.values():
            server.ledger.clear()
        forge(pipeline(tmp_path, servers), tmp_path / "undisturbed", by_hand())
        assert asked(servers) == counts


def test_a_picture_that_is_gone_ends_its_sample_and_no_other(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with three(latency=0.05) as servers:
        pipeline(tmp_path, servers, concurrency=1)
        with started(tmp_path) as run:
            until(lambda: len(servers["ann"].ledger) >= 2)
            for number in range(15, 30):
                (tmp_path / f"images/{number}.jpg").unlink()
            assert run.wait(timeout=60) == 0
        assert len(by_picture(servers)) >= 15
        assert set(asked(servers).values()) == {1}


# the lines


def test_what_follows_in_a_sample_goes_before_what_begins_another(tmp_path: Path) -> None:
    """Ann, who is slow, is first for most Samples, and second for a few; these do not wait until she has begun all others."""
    rows, second = 60, (20, 40, 59)
    write_rows(tmp_path, rows)
    labelled = [{"id": f"row-{row}", "image": f"images/{row}.jpg", "label": "fear" if row in second else "awe"} for row in range(rows)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))

    class Either(Policy):
        def next(self, label: Any, answers: Any, sure: Any = None, *, without: Any = ()) -> str | None:
            return next((name for name in (("bob", "ann") if label == "fear" else ("ann",)) if name not in answers), None)

    either = ByHand(lambda total, gold: Waves(count=2, warm=0.0, audit=0), lambda *_: Either(NAMES))
    with three() as servers:
        servers["ann"].latency = 0.02
        forge(pipeline(tmp_path, servers, concurrency=1), tmp_path / "run", either)
        order, sent = [entry.images[0] for entry in servers["ann"].ledger], pictures(tmp_path, rows)
    assert len(order) == rows
    assert all(order.index(sent[f"row-{row}"]) < 20 for row in second)


def of_wave(samples: Callable[[], Iterator[Sample]], guide: Guide, wave: int, *, stopped: Callable[[], object]) -> Iterator[Sample]:
    """The Samples of one wave, until `stopped`."""
    for sample in samples():
        if stopped():
            return
        if guide.waves.wave(sample.id) == wave:
            yield sample


def guided(
    folder: Path,
    samples: Callable[[], Iterator[Sample]],
    rule: ByHand,
    *,
    full: Callable[[Progress], bool] = lambda progress: False,
    patience: Patience | None = None,
) -> Progress:
    """The counts of a forge that asks until a second after it is `full`, or for a minute, and then drops everything."""
    loaded = Loaded.load(folder / "pipeline.yaml")
    progress = Progress({one.name: TeacherCounts() for one in loaded.pipeline.teachers})
    guide = Guide(loaded.pipeline, rule, rule.waves(100_000, ()))

    async def run(journal: Journal) -> None:
        sending = Sending(Images(), folder)
        purse, tell = Purse(Budget()), list[str]().append
        asking = Forge(loaded, journal, progress, sending=sending, purse=purse, tell=tell, guide=guide, patience=patience)
        ending = asyncio.create_task(abandon(asking, lambda: full(progress)))
        await asking.run(partial(of_wave, samples, guide))
        ending.cancel()

    with Journal(folder / "journal.sqlite") as journal:
        asyncio.run(run(journal))
    return progress


@pytest.mark.parametrize("slow", ["all", "second"])
def test_servers_that_stall_do_not_make_the_source_be_read_ahead(tmp_path: Path, slow: str) -> None:
    """Neither in the warm-up, nor where a quick teacher is first and a slow one second."""
    drawn: list[int] = []
    with three() as servers:
        for name, server in servers.items():
            server.fail = (lambda body: "hang") if slow == "all" or name == "bob" else None
        pipeline(tmp_path, servers, concurrency=3)
        # Without a warm-up there is nobody to wait for; the second is asked where the first is not enough.
        shape: dict[str, Any] = {"warm": 1.0, "audit": 0} if slow == "all" else {"warm": 0.0, "audit": 0}
        rule = ByHand(lambda total, gold: Waves(**shape), lambda *_: Policy(NAMES, needed=3))
        room = 3 * (2 * 3 + 64)

        def full(progress: Progress) -> bool:
            if slow == "second":
                return progress.asked >= room
            return all(server.in_flight == 3 for server in servers.values())

        progress = guided(tmp_path, lambda: islice(endless(drawn), 3000), rule, full=full)
    assert 3 <= progress.samples - progress.settled <= room + 1
    if slow == "all":
        assert len(drawn) <= room + 3 * LOOKAHEAD
        assert progress.asked == 0
    else:
        assert progress.asked == room, "the quick one went on until the room was full"


# short votes


def test_after_the_first_trace_votes_are_short_and_what_nobody_showed_is_asked_for(tmp_path: Path) -> None:
    write_rows(tmp_path, 80)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Teacher(short_or_whole(name))) for name in NAMES}
        path = pipeline(tmp_path, servers, consensus={**IN_TURN, "votes": "short", "label": "ignore"})
        forge(path, tmp_path / "run", by_hand())
        found, waves = by_picture(servers), Waves()
        assert set(asked(servers).values()) == {1}
    sent, shown = pictures(tmp_path, 80), 0
    for id, picture in sent.items():
        kinds = [(name, "Explain nothing" in entry.prompt) for name, entry in found[picture]]
        if waves.everybody(id):
            assert set(kinds) == {(name, short) for name in NAMES for short in (False, True)}
            continue
        assert not kinds[0][1]
        first = next((place for place, (_, short) in enumerate(kinds[1:], 1) if not short), len(kinds))
        assert all(short for _, short in kinds[1:first])
        assert not any(short for _, short in kinds[first:]), "traces that are asked for later come last"
        shown += first < len(kinds)
        voted = {name for name, short in kinds if short}
        assert {name for name, _ in kinds[first:]} <= voted
    assert shown > 0
    assert forge(path, tmp_path / "run", by_hand()).asked == 0


def test_a_trace_is_asked_of_one_after_another_until_one_says_what_was_voted(tmp_path: Path) -> None:
    """All vote for awe in short; whole, only the last says so."""
    write_rows(tmp_path, 30)
    whole = {"ann": said("fear"), "bob": said("sadness"), "cyd": said("awe")}
    with ExitStack() as stack:
        servers = {}
        for name, text in whole.items():

            def answer(body: dict[str, Any], text: str = text) -> str:
                return "<answer>awe</answer>" if is_vote(body) else text

            servers[name] = stack.enter_context(Teacher(answer))
        path = pipeline(tmp_path, servers, consensus={**IN_TURN, "votes": "short"})
        order = ("ann", "ann:short", "bob", "bob:short", "cyd", "cyd:short")
        ordered = ByHand(lambda total, gold: Waves(audit=0), lambda *_: Unlabelled(order))
        forge(path, tmp_path / "run", ordered)
        found, waves = by_picture(servers), Waves()
    sent = pictures(tmp_path, 30)
    later = [found[picture] for id, picture in sent.items() if waves.wave(id)]
    assert later
    for entries in later:
        assert [(name, "Explain nothing" in entry.prompt) for name, entry in entries] == [
            ("ann", False),
            ("bob", True),
            ("cyd", True),
            ("bob", False),
            ("cyd", False),
        ]


class Unlabelled(Policy):
    """One to whom the label is nothing."""

    def accepted(self, label: Any, answers: Any, sure: Any = None) -> str | None:
        return super().accepted(None, answers)


def test_short_votes_are_ballots_and_never_lessons(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Teacher(short_or_whole(name))) for name in NAMES}
        path = pipeline(tmp_path, servers, consensus={**IN_TURN, "votes": "short"})
        forge(path, tmp_path / "run", by_hand())
        calls = asked(servers).total()
    with RunSession.open(path, out=tmp_path / "run", rule=by_hand()) as run:
        samples = [sample for sample in run.samples() if isinstance(sample, Sample)]
        guide = Guide.of(run.loaded, run.folder.path, lambda: run.reader.total, rule=by_hand())
        curation = Curation(run.loaded, run.journal, lambda: iter(samples), guide=guide)
        assert sum(one.answer is not None for _, heard in curation.heard() for one in heard) == calls
        fates = Counter(
            (one.trace.origin, one.fate) for found in curation.outcomes() if isinstance(found, CuratedSample) for one in found.traces
        )
    assert {fate for origin, fate in fates if origin == "vote"} == {"vote"}
    assert {fate for origin, fate in fates if origin == "solve"} <= {"lesson", "surplus", "wrong", "undecided"}
    assert fates.total() == calls


# what cannot be


def test_what_cannot_be_asked_in_turn_is_a_fault_of_the_file(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    batch = {"name": "far", "model": "m", "kind": "batch", "url": "http://localhost:1/v1"}
    with pytest.raises(PipelineError, match="'far' is a batch, which answers in hours; use another rule, or kind 'openai'"):
        Loaded.load(write_pipeline(tmp_path, batch, consensus=IN_TURN))
    near = [{"name": name, "model": name, "kind": "transformers", "gpus": []} for name in ("one", "two")]
    with RunSession.open(write_pipeline(tmp_path, *near, consensus=IN_TURN), out=tmp_path / "run", rule=by_hand()) as run:
        with pytest.raises(ValueError, match=r"teacher 'two': shares a GPU with 'one', and consensus.rule 'sequential' asks now the one"):
            run.check(print)
        with pytest.raises(ValueError, match="teacher 'two': shares a GPU with 'one'"):
            run.forge(Progress({name: TeacherCounts() for name in ("one", "two")}), {})
    same = {"solve": "label_only/solve"}
    with pytest.raises(PipelineError, match=r"prompts.vote: asks what prompts.solve asks"):
        Loaded.load(write_pipeline(tmp_path, near[0], consensus={**IN_TURN, "votes": "short"}, prompts=same))


def test_check_says_what_is_asked_at_least_and_at_most(tmp_path: Path) -> None:
    write_rows(tmp_path, 50)
    whole = sum(Waves().everybody(f"row-{row}") for row in range(50))
    told: list[str] = []
    with three() as servers:
        path = pipeline(tmp_path, servers, budget={"calls": 140})
        with RunSession.open(path, out=tmp_path / "run", rule=by_hand()) as run:
            run.check(told.append)
        assert asked(servers).total() == 0
        progress = forge(path, tmp_path / "run", by_hand())
    lines = told[0].splitlines()
    assert lines[1].startswith(f"ann  {whole} to 50 calls to make, 0 in the journal, at least about ")
    least = 3 * whole + 50 - whole
    assert f"in all {least} to 150 calls to make, as the answers decide" in told[0]
    assert "budget: calls 140 may not suffice: 0 spent, up to 150 to come" in lines
    assert least <= progress.asked <= 150


def test_a_probe_asks_only_what_a_build_would_ask_too(tmp_path: Path) -> None:
    write_rows(tmp_path, 50)
    with three() as servers:
        path = pipeline(tmp_path, servers)
        with RunSession.open(path, out=tmp_path / "run", rule=by_hand()) as run:
            run.check(lambda _: None, probe=3)
        assert asked(servers).total() == 9
        forge(path, tmp_path / "run", by_hand())
        counts = asked(servers)
        for server in servers.values():
            server.ledger.clear()
        forge(path, tmp_path / "undisturbed", by_hand())
        assert asked(servers) == counts


def test_ids_with_gold_are_asked_about_of_everybody(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    plain = Waves()
    id = next(f"row-{row}" for row in range(40) if not plain.everybody(f"row-{row}"))
    (tmp_path / "gold.csv").write_text(f"id,answer\n{id},awe\n")
    with three() as servers:
        forge(pipeline(tmp_path, servers, gold="gold.csv"), tmp_path / "run", by_hand())
        assert len(by_picture(servers)[pictures(tmp_path, 40)[id]]) == 3
