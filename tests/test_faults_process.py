"""The fault matrix, what befalls the process: signals, clocks, sleep, limits of the system, and the end of a budget.

Each test names its row of the matrix. The server's ledger is the truth about what was paid for.
"""

import asyncio
import random
import re
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from cotforge.budget import Budget, Purse
from cotforge.forge import Forge, Progress, TeacherCounts
from cotforge.forge.sockets import SPARE
from cotforge.images import Images, Sending
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Picture, Sample
from tests.project import Running, command, environment, files, ran, replay, said, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Failure, Teacher, process, served
from tests.test_forge import ALONE, picture_of, until

RUN = Path("runs/feelings")


def started(folder: Path, *words: str) -> Running:
    """A build in a process of its own, whose stderr can be read."""
    return Running(
        command("build", "pipeline.yaml", *words),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def same_as_undisturbed(folder: Path, run: Path | str = RUN) -> bool:
    """Whether the dataset of a run is, byte for byte, that of one that nothing ever befell."""
    assert ran("build", "pipeline.yaml", "--out", "undisturbed", cwd=folder).returncode == 0
    return files(folder / run / "dataset/data") == files(folder / "undisturbed/dataset/data")


def ready(server: Teacher, asked: int, in_flight: int) -> bool:
    """Whether so many requests have come in, and so many of them are in flight."""
    return len(server.ledger) >= asked and server.in_flight == in_flight


def noted(ledger: Path, answered: int) -> bool:
    """Whether a teacher in a process of its own has answered so many requests."""
    return ledger.exists() and len(ledger.read_text().splitlines()) >= answered


# Signals


@pytest.mark.parametrize("signals", [2, 3, 12])
def test_however_often_it_is_interrupted_what_was_answered_is_kept(tmp_path: Path, signals: int) -> None:
    """Row 26."""
    write_rows(tmp_path, 40)
    with Teacher(sees, latency=0.05) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4), consensus=ALONE)
        with started(tmp_path) as run:
            until(lambda: len(server.ledger) > 12 and server.in_flight == 4)
            server.latency = 60.0
            until(lambda: server.in_flight == 4 and all(entry.finished for entry in server.ledger[:-4]))
            for _ in range(signals):
                run.send_signal(signal.SIGINT)
                time.sleep(0.01)
            begun = time.monotonic()
            _, told = run.communicate(timeout=90)
        assert time.monotonic() - begun < 30, "and not the 60 s of the server"
        assert run.returncode == 130, told
        assert told.splitlines()[-1].startswith("interrupted; what was paid for is kept")
        answered = {entry.call for entry in server.ledger if entry.finished}
        with Journal(tmp_path / RUN / "journal.sqlite") as journal:
            assert journal.rows("PRAGMA integrity_check") == [("ok",)]
            kept = journal.totals()
        assert len(answered) - 4 <= kept["calls_total"] <= len(answered)
        assert kept["unknown"] <= 4
        server.latency, before = 0.0, len(server.ledger)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) - before == 40 - kept["calls_total"]
        assert same_as_undisturbed(tmp_path)


def test_a_cluster_that_ends_the_job_twice_loses_nothing_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    """Row 27: SIGTERM, what is in flight is finished, again and again until all is done."""
    write_rows(tmp_path, 40)
    with Teacher(sees, latency=0.2) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4), consensus=ALONE)
        for wanted in (6, 16):
            with started(tmp_path) as run:
                until(partial(ready, server, wanted, 4))
                run.send_signal(signal.SIGTERM)
                _, told = run.communicate(timeout=90)
            assert run.returncode == 130, told
            assert told.splitlines()[-1].startswith("interrupted; what was paid for is kept")
        server.latency = 0.0
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert set(Counter(entry.call for entry in server.ledger).values()) == {1}
        assert len(server.ledger) == 40
        assert summary(tmp_path / RUN)["attempts_unknown"] == 0
        assert same_as_undisturbed(tmp_path)


def test_killed_four_times_in_one_run_only_what_was_in_flight_is_asked_again(tmp_path: Path) -> None:
    """Row 24, with two teachers, one of which fails now and then: ledger minus stored is at most what was in flight at each end."""
    write_rows(tmp_path, 60)
    ledger, chance = tmp_path / "ledger.jsonl", random.Random(24)
    with process(ledger, "--latency", "0.03") as url:
        write_pipeline(tmp_path, teacher(url, concurrency=4), teacher(url, "two", concurrency=4))
        for kill in range(1, 5):
            with started(tmp_path) as run:
                until(partial(noted, ledger, 25 * kill))
                time.sleep(chance.uniform(0, 0.05))
                run.kill()
            until(lambda: run.poll() is not None)
            with Journal(tmp_path / RUN / "journal.sqlite") as journal:
                assert len(served(ledger)) - journal.totals()["calls_total"] <= 8 * kill
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len({entry["call"] for entry in served(ledger)}) == 120
        assert len(served(ledger)) - 120 <= 8 * 4
        assert same_as_undisturbed(tmp_path)


# Clocks and sleep


JUMPING = """
import random, sys, time
real, chance = time.time, random.Random(0)
time.time = lambda: real() + chance.choice([-3600, 0, 3600, -86400 * 400])
from cotforge.cli import main
main()
"""


def test_a_clock_that_jumps_by_hours_and_years_makes_nobody_wait_and_nothing_be_lost(tmp_path: Path) -> None:
    """Row 32: no timer looks at the time of day, and a date in Retry-After is reckoned from the server's own clock."""
    write_rows(tmp_path, 30)
    turned: list[float] = []

    class Dated(Teacher):
        async def _complete(self, request: web.BaseRequest, noise: str = "") -> web.StreamResponse:
            if len(turned) < 3:
                turned.append(time.time())
                headers = {"Retry-After": formatdate(time.time() + 1, usegmt=True), "Date": formatdate(usegmt=True)}
                return web.json_response({"error": {"message": "later"}}, status=429, headers=headers)
            return await super()._complete(request)

    with Dated(sees, latency=0.02) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4, rpm=6000), consensus=ALONE)
        begun = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-c", JUMPING, "build", "pipeline.yaml"],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, "")
        assert time.monotonic() - begun < 60, "and not the hour of a jump"
        assert (len(turned), len(server.ledger)) == (3, 30)
        assert summary(tmp_path / RUN)["seconds"] > 0
        assert same_as_undisturbed(tmp_path)


def test_after_a_sleep_in_which_every_deadline_passed_and_the_server_was_started_anew_all_goes_on(tmp_path: Path) -> None:
    """Row 33. The process is stopped as a whole, as by a closed lid or Ctrl-Z: connections are rebuilt, and there is no storm."""
    write_rows(tmp_path, 60)
    first = Teacher(sees, latency=0.1)
    with first:
        write_pipeline(tmp_path, teacher(first, concurrency=8, timeout=1.0), consensus=ALONE)
        run = started(tmp_path)
        until(partial(ready, first, 24, 8))
        run.send_signal(signal.SIGSTOP)
    time.sleep(2.0)
    with Teacher(sees, latency=0.1, port=first.port) as second, run:
        run.send_signal(signal.SIGCONT)
        _, told = run.communicate(timeout=90)
        assert (run.returncode, told) == (0, "")
        assert second.most_in_flight <= 8
        calls = Counter(entry.call for entry in (*first.ledger, *second.ledger))
        assert len(calls) == 60
        assert sum(calls.values()) - 60 <= 8
        assert summary(tmp_path / RUN)["calls_failed"] == 0
        assert same_as_undisturbed(tmp_path)


def test_answers_that_came_while_the_process_stood_still_are_read_though_their_deadline_is_over(tmp_path: Path) -> None:
    """Row 46: a stall longer than the deadline is no timeout, nothing is paid for twice, and a line says how long it was."""
    write_rows(tmp_path, 60)
    with Teacher(sees, latency=0.3) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=8, timeout=1.5), consensus=ALONE)
        with started(tmp_path) as run:
            until(partial(ready, server, 24, 8))
            run.send_signal(signal.SIGSTOP)
            time.sleep(5.5)
            run.send_signal(signal.SIGCONT)
            _, told = run.communicate(timeout=90)
        assert run.returncode == 0, told
        assert re.fullmatch(r"this process stood still for \d s: the machine slept or is overloaded; deadlines were prolonged\n", told)
        assert set(Counter(entry.call for entry in server.ledger).values()) == {1}
    assert (summary(tmp_path / RUN)["attempts"], summary(tmp_path / RUN)["accepted"]) == (60, 60)


# Limits of the system


@pytest.mark.parametrize(("hard", "held"), [(256, 256 - SPARE), (2048, 450)])
def test_with_256_open_files_as_many_calls_are_made_as_these_allow(tmp_path: Path, hard: int, held: int) -> None:
    """Row 47: the limit is raised where the system lets us; where it does not, the pool is as large as it allows, and a line says so."""
    write_rows(tmp_path, 250)
    with Teacher(sees, latency=1.0) as server:
        write_pipeline(tmp_path, *(teacher(server, name, concurrency=150) for name in ("one", "two", "three")))
        ended = subprocess.run(
            command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=90, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)),
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert held / 3 < server.most_in_flight <= held
        assert (len(server.ledger), set(Counter(entry.call for entry in server.ledger).values())) == (750, {1})
    told = f"at most {held} of 450 calls are made at a time: the limit on open files is too low; `ulimit -n` raises it\n"
    lines = [line for line in ended.stderr.splitlines(keepends=True) if not line.startswith("this process stood still")]  # as under load
    assert lines == ([told] if held < 450 else [])
    assert (summary(tmp_path / RUN)["calls_failed"], summary(tmp_path / RUN)["calls_missing"]) == (0, 0)


def peak(folder: Path, url: str, rows: int) -> int:
    """Bytes that asking five teachers about so many rows takes at most; one of them is slow."""

    def samples() -> Iterator[Sample]:
        for number in range(rows):
            data = b"\xff\xd8" + bytes(20_000) + number.to_bytes(4, "big")
            picture = Picture(f"{number:064x}", "image/jpeg", 8, 8, len(data), lambda data=data: data)  # type: ignore[misc]
            yield Sample(f"row-{number}", (picture,), "Which?", ("awe", "fear"))

    folder.mkdir()
    quick = [replay(folder, f"quick-{place}", {f"row-{number}": said("awe") for number in range(rows)}) for place in range(4)]
    loaded = Loaded.load(write_pipeline(folder, *quick, teacher(url, concurrency=4)))
    progress = Progress({one.name: TeacherCounts() for one in loaded.pipeline.teachers})

    async def run(journal: Journal) -> None:
        forge = Forge(loaded, journal, progress, sending=Sending(Images(), folder), purse=Purse(Budget()), tell=print)
        await forge.run(samples)

    with Journal(folder / "journal.sqlite") as journal:
        tracemalloc.start()
        asyncio.run(run(journal))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (progress.asked, progress.failed) == (5 * rows, 0)
    return most


def test_five_teachers_one_of_them_slow_take_no_more_memory_for_more_rows(tmp_path: Path) -> None:
    """Row 45, scaled down. A row weighs 20 kB here; of recent Calls keys and short prompts are remembered."""
    with process(tmp_path / "ledger.jsonl", "--latency", "0.01") as url:
        peak(tmp_path / "warm", url, 50)
        few, many = peak(tmp_path / "few", url, 200), peak(tmp_path / "many", url, 800)
    assert many - few < 2_000_000, "600 rows more would be 12 MB, were they held"


# The end of the money


def test_a_budget_of_calls_holds_through_hanging_failing_and_being_killed(tmp_path: Path) -> None:
    """Row 49: what a server was asked and may have done, in all invocations together, is never more than the budget."""
    write_rows(tmp_path, 60)
    seen: Counter[str] = Counter()

    def fail(body: dict[str, object]) -> Failure:
        seen[picture_of(body)] += 1
        first = seen[picture_of(body)] == 1
        return "hang" if first and len(seen) % 9 == 0 else 500 if first and len(seen) % 4 == 0 else None

    with Teacher(sees, fail=fail, latency=0.1) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=8, timeout=0.6), consensus=ALONE, budget={"calls": 30})
        with started(tmp_path) as run:
            until(lambda: len(server.ledger) >= 14)
            run.kill()
        until(lambda: run.poll() is not None)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 3
        (told,) = ended.stderr.splitlines()
        assert told.startswith("budget: calls 30 reached: 30 made, 0 in flight")
        assert sum(entry.status != 500 for entry in server.ledger) <= 30
        again = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert (again.returncode, again.stderr) == (3, told + "\n")
        assert sum(entry.status != 500 for entry in server.ledger) <= 30
    assert len(table(tmp_path / RUN, "data")) == summary(tmp_path / RUN)["accepted"] >= 10
