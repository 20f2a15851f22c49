"""A run that is interrupted, killed, troubled by its server and edited in any order, against a model of what it must keep.

After every step everything that was acknowledged is stored, and the server's ledger holds no more than what is stored and what was in
flight when the run was killed; in the end the resumed run equals an undisturbed one.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cotforge.budget import Budget, Purse
from cotforge.forge import Forge, Progress, TeacherCounts
from cotforge.images import Sending
from cotforge.session import RunSession
from tests.project import files, ran, sees, teacher, write_pipeline, write_rows
from tests.teacher import Failure, Teacher
from tests.test_forge import ALONE

SEED = int(os.environ.get("MACHINE_SEED", "7"))
AT_ONCE = 4
"""Most in flight."""


class Machine(RuleBasedStateMachine):
    """`stored` is the model: the key of every reply that was ever seen in the journal, and its content."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.script: deque[Failure] = deque()
        self.server = Teacher(sees, fail=lambda body: self.script.popleft() if self.script else None, latency=0.01, retry_after=0.05)
        self.server.__enter__()
        self.stored: dict[bytes, str] = {}
        self.rows = self.prompt = self.names = self.may_be_lost = 0
        self.max_tokens = 100
        self.acknowledged = 0
        """Replies that a forge has counted, of all runs."""

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.server.__exit__()
            shutil.rmtree(self.folder)

    # what a user does

    @initialize(rows=st.integers(4, 16))
    def begin(self, rows: int) -> None:
        self._add(rows)
        self._write()

    @rule(what=st.sampled_from(["prompt", "rows", "name", "max_tokens"]))
    def edit(self, what: str) -> None:
        if what == "rows" and self.rows < 30:
            self._add(3)
        self.prompt = (self.prompt + (what == "prompt")) % 3
        self.names += what == "name"
        self.max_tokens += 100 * (what == "max_tokens")
        self._write()

    @rule()
    def resume(self) -> None:
        progress = self._forge("", 0)
        assert progress.stopped is None

    @rule(after=st.integers(1, 20))
    def interrupt(self, after: int) -> None:
        """Ctrl-C: what is in flight is finished."""
        self._forge("interrupt", after)

    @rule(after=st.integers(1, 20))
    def abandon(self, after: int) -> None:
        """Ctrl-C twice: what is in flight is dropped."""
        self._forge("abandon", after)
        self.may_be_lost += AT_ONCE

    @rule(after=st.integers(1, 20))
    def kill(self, after: int) -> None:
        """SIGKILL: of the run there is left what its files held at that moment."""
        self._forge("kill", after)
        self.may_be_lost += AT_ONCE

    # what a server does

    @rule(failures=st.lists(st.sampled_from([None, None, 500, "hang", "reset", "garbage"]), max_size=4), busy=st.booleans())
    def trouble(self, failures: Sequence[Failure], busy: bool) -> None:
        """At the next run."""
        self.script = deque(failures)
        self.server.limit = 2 if busy else None

    # what must hold

    @invariant()
    def nothing_is_lost(self) -> None:
        now = self._stored()
        assert self.stored.items() <= now.items(), "a reply that was stored is gone, or another one"
        self.stored = now
        assert self.acknowledged <= len(now), "a reply was acknowledged and is not stored"

    @invariant()
    def nothing_is_paid_for_in_vain(self) -> None:
        paid = [(entry.images, entry.prompt) for entry in self.server.ledger if entry.status == 200]
        assert len(paid) - len(self.stored) <= self.may_be_lost, "more was answered than is stored and was in flight"
        assert len(paid) - len(set(paid)) <= self.may_be_lost, "something was asked again that had been answered"

    # the works

    def _add(self, count: int) -> None:
        write_rows(self.folder, count, start=self.rows)
        self.rows += count

    def _write(self) -> None:
        (self.folder / "ask.jinja").write_text(f"{{{{ question }}}} One of {{{{ options | join(', ') }}}}. Version {self.prompt}.")
        one = teacher(self.server, concurrency=AT_ONCE, timeout=0.5, max_tokens=self.max_tokens)
        one |= {"name": f"teacher-{self.names}", "model": "model-one"}
        write_pipeline(self.folder, one, consensus=ALONE, prompts={"solve": "ask.jinja"}, max_failures=1)

    def _forge(self, end: str, after: int) -> Progress:
        """A run, ended so when so many more requests have come in."""
        copy = self.folder / "copy"
        with RunSession.open(self.folder / "pipeline.yaml", out=self.folder / "runs/feelings") as run:
            progress = Progress({one.name: TeacherCounts() for one in run.loaded.pipeline.teachers})
            asyncio.run(self._asked(run, progress, end, len(self.server.ledger) + after, copy))
            if end != "kill":
                self.acknowledged += progress.asked - progress.failed
        if copy.exists():
            for path in copy.iterdir():
                path.replace(self.folder / "runs/feelings" / path.name)
            copy.rmdir()
        self.script.clear()
        self.server.limit = None
        until = time.monotonic() + 5
        while self.server.in_flight and time.monotonic() < until:  # what was dropped is answered all the same
            time.sleep(0.005)
        return progress

    async def _asked(self, run: RunSession, progress: Progress, end: str, at: int, copy: Path) -> None:
        forge = Forge(
            run.loaded, run.journal, progress,
            sending=Sending(run.loaded.pipeline.images, run.folder.path), purse=Purse(Budget()), tell=note,
        )  # fmt: skip

        async def ending() -> None:
            while len(self.server.ledger) < at:
                await asyncio.sleep(0.002)
            if end == "kill":
                self.acknowledged += progress.asked - progress.failed
                copy.mkdir()
                for path in run.folder.path.glob("journal.sqlite*"):
                    if not path.name.endswith("-shm"):
                        shutil.copy(path, copy)
            (forge.stop if end == "interrupt" else forge.abandon)()

        task = asyncio.create_task(ending()) if end else None
        await forge.run(run.samples)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _stored(self) -> dict[bytes, str]:
        """Content of every reply in the journal, the last one under its key."""
        if not self.rows or not (self.folder / "runs/feelings/journal.sqlite").exists():
            return {}
        with RunSession.open(self.folder / "pipeline.yaml", out=self.folder / "runs/feelings") as run:
            assert run.journal.rows("PRAGMA integrity_check") == [("ok",)]
            rows: list[tuple[Any, ...]] = run.journal.rows("SELECT key, json_extract(body, '$.choices[0].message.content') FROM replies "
                                                           "WHERE error IS NULL ORDER BY id")  # fmt: skip
        return dict(rows)

    def _end(self) -> None:
        """The last run asks what is missing and nothing else, and gives what an undisturbed one gives."""
        if not self.rows:
            return
        self.script.clear()
        self.server.limit = None
        for name in ("feelings", "feelings", "undisturbed"):
            before = len(self.server.ledger)
            ended = ran("build", "pipeline.yaml", "--out", f"runs/{name}", cwd=self.folder)
            assert ended.returncode == 0, ended.stderr
            asked = len(self.server.ledger) - before
            self.nothing_is_lost()
            self.nothing_is_paid_for_in_vain() if name == "feelings" else None
        assert asked == self.rows
        resumed, undisturbed = (files(self.folder / "runs" / name / "dataset/data") for name in ("feelings", "undisturbed"))
        assert resumed == undisturbed


def test_whatever_happens_in_whatever_order_nothing_is_lost_nothing_paid_for_in_vain_and_the_end_is_the_same() -> None:
    """Rows 24 to 27, 34 and 35 in any mixture, with 429, 500, hangs and resets among them. `MACHINE_SEED` gives other mixtures."""
    bounds = settings(
        max_examples=20, stateful_step_count=8, phases=(Phase.generate,), suppress_health_check=list(HealthCheck), print_blob=True
    )
    print(f"MACHINE_SEED={SEED}")
    run_state_machine_as_test(seed(SEED)(Machine), settings=bounds)
