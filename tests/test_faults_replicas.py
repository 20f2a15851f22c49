"""Replicas and teachers that die, stall, cannot be found and come back."""

import atexit
import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cotforge.endings import Closing, Stop
from cotforge.forge.liveness import Patience
from tests.aftermath import RUN, ends, equals_the_undisturbed, forged
from tests.project import ran, sees, summary, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

ALONE = {"label": "ignore"}
QUICK = Patience(away=0.5, lost=1.2, queue=0.1, back=0.2, look=0.05)
"""As patient as a test can be."""


@contextlib.contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """What happens to the servers while a run goes on."""
    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join(90)
    assert not thread.is_alive()


def until(true: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


CLOSED = socket.socket()
atexit.register(CLOSED.close)
CLOSED.bind(("127.0.0.1", 0))  # and kept, or a server of another test may get its port


def nowhere() -> str:
    """The URL of a port at which nobody listens."""
    return f"http://127.0.0.1:{CLOSED.getsockname()[1]}/v1"


@contextlib.contextmanager
def swallowing() -> Iterator[str]:
    """The URL of a port that neither takes nor refuses a connection: its queue is full, and nobody looks at it."""
    with contextlib.ExitStack() as stack:
        silent, *queued = (stack.enter_context(socket.socket()) for _ in range(5))
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for each in queued:
            each.setblocking(False)
            each.connect_ex(silent.getsockname())
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/v1"


# Replicas


def test_one_of_three_replicas_dies_in_the_middle_and_the_others_do_its_work(tmp_path: Path) -> None:
    write_rows(tmp_path, 150)
    servers = [Teacher(sees, latency=0.05) for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(server) if server is not servers[1] else server.__enter__()
        write_pipeline(tmp_path, teacher(servers[0], concurrency=4) | {"url": [server.url for server in servers]}, consensus=ALONE)

        def die() -> None:
            until(lambda: len(servers[1].ledger) >= 12)
            servers[1].__exit__()

        with meanwhile(die):
            ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        asked = Counter(entry.call for server in servers for entry in server.ledger)
        shares = [len(server.ledger) for server in servers]
    told = summary(tmp_path / RUN)
    assert (ended.returncode, told["accepted"], told["calls_failed"], len(asked)) == (0, 150, 0, 150), ended.stderr
    assert asked.total() - 150 <= 4, "only what it had in flight"
    assert shares[1] < 30
    assert abs(shares[0] - shares[2]) < 40, "what is left is shared evenly"
    assert ends(tmp_path)["unknown"] == 0
    assert equals_the_undisturbed(tmp_path)


@pytest.mark.parametrize("fields", [{"concurrency": 4}, {"rpm": 1200}], ids=["as many as there is room for", "few"])
def test_the_replica_with_less_outstanding_work_is_asked(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Whether all are kept full or, under a ceiling of 20 a second, none is."""
    write_rows(tmp_path, 48)
    with Teacher(sees, latency=0.3) as slow, Teacher(sees, latency=0.1) as quick:
        write_pipeline(tmp_path, teacher(slow, **fields) | {"url": [slow.url, quick.url]}, consensus=ALONE)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(slow.ledger) + len(quick.ledger) == 48
        assert 1.5 < len(quick.ledger) / len(slow.ledger) < 5
        assert quick.most_in_flight <= slow.most_in_flight <= 5
    assert equals_the_undisturbed(tmp_path)


def test_what_stalls_at_one_replica_is_asked_of_another(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with Teacher(sees, fail=lambda body: "hang") as stalled, Teacher(sees, latency=0.1) as sound:
        write_pipeline(tmp_path, teacher(sound, timeout=0.5, concurrency=4) | {"url": [stalled.url, sound.url]}, consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        asked = [Counter(entry.call for entry in server.ledger) for server in (stalled, sound)]
    told = summary(tmp_path / RUN)
    assert (ended.returncode, told["accepted"], told["calls_failed"]) == (0, 40, 0), ended.stderr
    assert set(asked[1].values()) == {1}
    assert set(asked[0].values()) == {1}, "none comes back to where it stalled"
    assert 1 <= asked[0].total() <= 24
    assert ends(tmp_path) == {"answered": 40, "timeout": asked[0].total()}
    assert equals_the_undisturbed(tmp_path)


# Teachers


def test_a_teacher_that_dies_is_gone_on_without_and_is_asked_again_when_it_is_back(tmp_path: Path) -> None:
    """Two of three live; the third is given up, comes back, and what it was not asked meanwhile is asked then."""
    write_rows(tmp_path, 60)
    names = ("one", "two", "three")
    with contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(Teacher(sees, latency=0.15)) for _ in range(2))
        three = Teacher(sees, latency=0.05)
        three.__enter__()
        back = Teacher(sees, port=three.port)
        fields = {"concurrency": 2}
        write_pipeline(tmp_path, *(teacher(at, name, **fields) for at, name in zip((one, two, three), names, strict=True)), consensus=ALONE)

        def die_and_come_back() -> None:
            until(lambda: len(three.ledger) >= 10)
            three.__exit__()
            time.sleep(1.5)
            stack.enter_context(back)

        with meanwhile(die_and_come_back):
            progress, told = forged(tmp_path, QUICK)
        asked = Counter(entry.call for entry in (*three.ledger, *back.ledger))
        assert (len(one.ledger), len(two.ledger)) == (60, 60)
    assert told == [
        "teacher 'three': out of reach for 0.5 s; going on without it until it is back",
        "teacher 'three': back again",
    ]
    assert (progress.asked, progress.failed, progress.stopped) == (180, 0, None)
    assert len(asked) == 60
    assert asked.total() <= 62
    assert equals_the_undisturbed(tmp_path)


@pytest.mark.parametrize("swallows", [False, True], ids=["refuses connections", "swallows connections"])
def test_a_teacher_that_stays_dead_holds_up_nobody_and_is_told_of(tmp_path: Path, swallows: bool) -> None:
    write_rows(tmp_path, 20)
    with Teacher(sees, latency=0.2) as one, Teacher(sees, latency=0.2) as two, swallowing() as silent:
        servers: tuple[Teacher | str, ...] = (one, two, silent if swallows else nowhere())
        fields = {"concurrency": 2, "timeout": 1.5}
        write_pipeline(tmp_path, *(teacher(server, f"t{n}", **fields) for n, server in enumerate(servers)), consensus=ALONE)
        begun = time.monotonic()
        progress, told = forged(tmp_path, QUICK)
        assert time.monotonic() - begun < 7
        assert (len(one.ledger), len(two.ledger)) == (20, 20)
    assert told == ["teacher 't2': out of reach for 0.5 s; going on without it until it is back"]
    dead = progress.teachers["t2"]
    assert (dead.closed, dead.asked, dead.postponed, progress.stopped) == (Closing.OUT_OF_REACH, 0, 20, None)
    assert dead.attempts < 30, "a dead server is not stormed"
    assert equals_the_undisturbed(tmp_path, calls=20)


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/v1", nowhere()], ids=["no such host", "nobody listens"])
def test_where_nobody_can_be_reached_the_run_waits_tells_so_and_ends_in_the_end(tmp_path: Path, url: str) -> None:
    """Row 11."""
    write_rows(tmp_path, 5)
    write_pipeline(tmp_path, teacher(url))
    begun = time.monotonic()
    progress, told = forged(tmp_path, QUICK)
    assert 1.2 < time.monotonic() - begun < 6
    assert told == ["no teacher can be reached; waiting, at most 0.02 minutes"]
    assert (progress.stopped, progress.told) == (Stop.UNREACHABLE, "no teacher could be reached for 0.02 minutes")
    assert progress.asked == 0
    assert progress.teachers["one"].attempts < 30, "rests grow"
    assert equals_the_undisturbed(tmp_path, calls=5)


def test_a_server_that_swallows_connections_costs_no_call_an_attempt(tmp_path: Path) -> None:
    """Row 11, a connection that is neither made nor refused: as from a machine that was switched off."""
    write_rows(tmp_path, 10)
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(contextlib.ExitStack())
        url = silent.enter_context(swallowing())
        write_pipeline(tmp_path, teacher(url, timeout=0.6, concurrency=4), consensus=ALONE)
        awake = Teacher(sees, port=int(url.removesuffix("/v1").rpartition(":")[2]))

        def wake() -> None:
            time.sleep(2.5)
            silent.close()
            stack.enter_context(awake)

        with meanwhile(wake):
            progress, _ = forged(tmp_path, Patience())
        assert (progress.asked, progress.failed) == (10, 0)
        assert set(Counter(entry.call for entry in awake.ledger).values()) == {1}
    found = ends(tmp_path)
    assert (found["answered"], found["timeout"], found["connection"] > 0) == (10, 0, True)
    assert equals_the_undisturbed(tmp_path)


def test_servers_that_come_and_go_lose_nothing_and_are_asked_little_twice(tmp_path: Path) -> None:
    """Three replicas, of which one after the other dies and comes back at moments that the seed decides."""
    write_rows(tmp_path, 120)
    chance = random.Random(11)
    with contextlib.ExitStack() as stack:
        servers = [Teacher(sees, latency=0.06) for _ in range(3)]
        for server in servers:
            server.__enter__()
        urls = [server.url for server in servers]
        write_pipeline(tmp_path, teacher(servers[0], concurrency=3) | {"url": urls}, consensus=ALONE)
        seen = list(servers)

        def come_and_go() -> None:
            until(lambda: servers[0].ledger)
            for number in range(3):
                time.sleep(chance.uniform(0.1, 0.3))
                servers[number].__exit__()
                time.sleep(chance.uniform(0.1, 0.3))
                servers[number] = stack.enter_context(Teacher(sees, latency=0.06, port=servers[number].port))
                seen.append(servers[number])

        with meanwhile(come_and_go):
            progress, _ = forged(tmp_path, Patience())
        asked = Counter(entry.call for server in seen for entry in server.ledger)
    assert (progress.asked, progress.failed, len(asked)) == (120, 0, 120)
    assert asked.total() - 120 <= 3 * 3, "what three deaths found in flight"
    assert equals_the_undisturbed(tmp_path)
