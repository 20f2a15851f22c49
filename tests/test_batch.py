"""A teacher behind a batch API, against a real server: whatever it does, and whenever we are killed, nothing is lost or asked twice."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import JournalError, PipelineError, TeacherError
from cotforge.forge import PendingSample, TeacherCounts, missing_work
from cotforge.forge.batches import BatchRunner
from cotforge.forge.batches.spool import CALLS, Spool
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Sample
from cotforge.replies.attempt import Attempt
from cotforge.session import RunSession
from cotforge.teachers.batch import read_result
from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.preflight import check_teachers
from tests.batches import Provider
from tests.project import ran, sees, teacher, write_pipeline, write_rows


def project(folder: Path, provider: Provider | str, count: int = 6, *, batch: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A pipeline of one batch teacher over `count` pictures."""
    write_rows(folder, count)
    url = provider if isinstance(provider, str) else provider.url
    return write_pipeline(folder, teacher(url, kind="batch", batch={"poll": 0.02, **(batch or {})}, **fields))


class Once:
    """One process's work on a pipeline: what is open is adopted, what is missing submitted, all collected."""

    def __init__(
        self, path: Path, *, admit: Callable[[Call], bool] | None = None, collect: bool = True, submit: bool = True, most_bytes: int = 10**8
    ) -> None:
        self.meter, self.told, self.ended = TeacherCounts(), list[str](), list[Attempt]()
        with RunSession.open(path, out=path.parent / "run") as run:
            asyncio.run(self._run(run, admit, collect, submit, most_bytes))
            works = list(missing_work(run.loaded, run.samples(), run.journal))
            self.missing = sum(len(work.calls) for work in works if isinstance(work, PendingSample))
            self.stored = [stored for work in works if isinstance(work, PendingSample) for _, stored in work.had]

    async def _run(self, run: RunSession, admit: Callable[[Call], bool] | None, collect: bool, submit: bool, most_bytes: int) -> None:
        (teacher,) = run.loaded.pipeline.teachers
        folder = run.folder.path / "batches"
        ended = self.ended.append
        async with BatchRunner(teacher, run.journal, folder, "run-1", meter=self.meter, ended=ended, most_bytes=most_bytes) as batches:
            await batches.adopt(self.told.append)
            if submit:
                await batches.submit(missing_work(run.loaded, run.samples(), run.journal), admit)
            if collect:
                await asyncio.wait_for(batches.collect(self.told.append), 60)
            self.open, self.left, self.strange, self.closes = batches.open, batches.outbox.left, len(batches.strange), batches.outbox.closes

    @property
    def errors(self) -> list[str | None]:
        return [stored.error for stored in self.ended]


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path.parent / "run" / "journal.sqlite")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_calls_go_up_in_files_and_every_result_comes_back_to_its_call(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 7, batch={"most": 3}, price={"input": 1, "output": 2}, samples=2, max_tokens=99)
        once = Once(path)
        assert [len(batch.names) for batch in provider.batches] == [3, 3, 3, 3, 2]
        assert (once.missing, once.errors) == (0, [None] * 14)
        assert len(provider.paid) == 14
        bodies = [json.loads(line)["body"] for file in provider.files.values() for line in file.splitlines() if b'"method"' in line]
        assert {body["max_tokens"] for body in bodies} == {99}
        assert all(part["image_url"]["url"].startswith("data:image/jpeg;base64,") for body in bodies for part in pictures(body))
        for stored in once.stored:
            assert (stored.status, stored.final, stored.max_tokens, stored.url) == (200, True, 99, provider.url)
            assert stored.cost_usd == pytest.approx((100 + 2 * 10) / 1e6)
        assert (once.meter.asked, once.meter.attempts, once.meter.in_flight, once.meter.failed) == (14, 14, 0, 0)
        assert list((tmp_path / "run" / "batches").iterdir()) == [], "files are kept only while they may be needed"
        asked = len(provider.log)
        assert Once(path).meter.attempts == 0
        assert len(provider.log) == asked, "with nothing missing nobody is contacted"


def pictures(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for message in body["messages"] for part in message["content"] if part["type"] == "image_url"]


def test_every_reply_is_the_one_to_its_own_call(tmp_path: Path) -> None:
    """The teacher's answer names the picture it saw, and the order in which results come is not that of the requests."""

    def seen(body: dict[str, Any]) -> str:
        return hashlib.sha256(base64.b64decode(pictures(body)[0]["image_url"]["url"].partition(",")[2])).hexdigest()

    with Provider(seen, backwards=True) as provider:
        path = project(tmp_path, provider, 300, batch={"most": 70})
        Once(path)
        with RunSession.open(path, out=tmp_path / "run") as run:
            for sample in run.samples():
                assert isinstance(sample, Sample)
                ((_, call),) = run.loaded.calls(sample)
                body = json.loads(run.journal.replies([call.key])[call.key].body)
                assert body["choices"][0]["message"]["content"] == sample.pictures[0].digest


def test_a_file_is_readable_by_its_owner_alone_and_no_larger_than_the_bound(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 8)
        once = Once(path, most_bytes=6000, collect=False)
        files = list(provider.files.values())
        assert len(files) > 2
        assert max(map(len, files)) <= 6000
        for file in (tmp_path / "run" / "batches").iterdir():
            assert file.stat().st_mode & 0o077 == 0
        assert once.meter.in_flight == 8
        assert Once(path).missing == 0


def test_metadata_say_whose_a_batch_is(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        Once(project(tmp_path, provider, 4, batch={"most": 2}))
        assert {batch.metadata["cotforge"] for batch in provider.batches} == {"run-1"}
        assert [batch.metadata["part"] for batch in provider.batches] == [provider.names[batch.input] for batch in provider.batches]
        assert len({batch.metadata["part"] for batch in provider.batches}) == 2


def test_one_picture_under_two_ids_is_asked_once(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 4, batch={"most": 2})
        with (tmp_path / "rows.jsonl").open("a") as file:
            file.write(json.dumps({"id": "twin-near", "image": "images/3.jpg", "label": "awe"}) + "\n")
            file.write(json.dumps({"id": "twin-far", "image": "images/0.jpg", "label": "awe"}) + "\n")
        assert Once(path).missing == 0
        assert len(provider.paid) == 4


def test_a_budget_that_says_no_ends_the_pass_and_what_was_admitted_is_submitted(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 10)
        asked: list[str] = []

        def admit(call: Call) -> bool:
            asked.append(call.key)
            return len(asked) <= 4

        once = Once(path, admit=admit)
        assert (len(provider.paid), len(asked), once.missing) == (4, 5, 6)


def test_a_picture_that_is_gone_is_counted_and_the_others_are_asked(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 5)
        with RunSession.open(path, out=tmp_path / "run") as run:
            found = list(missing_work(run.loaded, run.samples(), run.journal))
            (tmp_path / "images" / "2.jpg").write_bytes(b"another picture")

            async def submit() -> int:
                async with BatchRunner(run.loaded.pipeline.teachers[0], run.journal, tmp_path / "run" / "batches", "r") as batches:
                    await batches.submit(iter(found))
                    await batches.collect(lambda line: None)
                    return batches.outbox.faults

            assert asyncio.run(submit()) == 1
        assert len(provider.paid) == 4


def test_two_teachers_of_one_provider_wait_side_by_side(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        write_rows(tmp_path, 6)
        two = [teacher(provider.url, name, kind="batch", batch={"poll": 0.02, "most": 2}) for name in ("one", "two")]
        path = write_pipeline(tmp_path, *two)
        with RunSession.open(path, out=tmp_path / "run") as run:

            async def both() -> None:
                await asyncio.gather(*map(one, run.loaded.pipeline.teachers))

            async def one(spec: TeacherKind) -> None:
                async with BatchRunner(spec, run.journal, tmp_path / "run" / "batches", "r") as batches:
                    await batches.submit(missing_work(run.loaded, run.samples(), run.journal))
                    await batches.collect(lambda line: None)

            asyncio.run(both())
            assert all(not work.calls for work in missing_work(run.loaded, run.samples(), run.journal) if isinstance(work, PendingSample))
        assert rows(path, "SELECT model, count(*) FROM batches GROUP BY 1 ORDER BY 1") == [("model-one", 3), ("model-two", 3)]
        assert len(provider.paid) == 12


def test_a_disk_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "batches").write_text("in the way")
    with pytest.raises(JournalError, match=r"batches/part-0a\.jsonl: .*run the same command again"):
        Spool(tmp_path / "batches" / "part-0a.jsonl")


@pytest.mark.parametrize("name", ["../../precious", "/etc/hostname", "..", "", "part-0a.jsonl/../../x.jsonl", "part 0a.jsonl", "x.sqlite"])
def test_a_received_journal_that_names_another_file_as_its_batch_has_it_neither_sent_nor_removed(tmp_path: Path, name: str) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 1)
        (tmp_path / "precious").write_text("precious")
        with RunSession.open(path, out=tmp_path / "run") as run:
            teacher = run.loaded.pipeline.teachers[0]
        with contextlib.closing(sqlite3.connect(tmp_path / "run" / "journal.sqlite")) as journal:
            journal.execute(
                "INSERT INTO batches (teacher, model, url, file, turn, begun_at) VALUES (?, ?, ?, ?, 1, 0)",
                (teacher.name, teacher.model, teacher.urls[0], name),
            )
            journal.commit()
        with pytest.raises(JournalError, match="is no name of a file of requests"):
            Once(path)
        assert (tmp_path / "precious").read_text() == "precious"


# what comes back


def test_results_under_a_wrong_name_or_for_the_second_time_are_kept_aside_and_overwrite_nothing(tmp_path: Path) -> None:
    fates = {1: "stranger", 3: "twice", 4: "torn"}
    order: list[str] = []

    def fate(body: dict[str, Any], number: int) -> str | None:
        order.append(pictures(body)[0]["image_url"]["url"])
        return fates.get(len(order) - 1) if number == 0 else None

    with Provider(sees, fate=fate) as provider:
        path = project(tmp_path, provider, 6)
        once = Once(path)
        aside = [json.loads(line) for line in (tmp_path / "run" / "batches" / "strange.jsonl").read_text().splitlines()]
        assert (len(aside), once.strange) == (3, 3)
        assert all(row["batch"] == "batch_0" for row in aside)
        assert once.missing == 0, "the one without a result was asked a second time"
        assert [len(batch.names) for batch in provider.batches] == [6, 1]
        contents = [json.loads(stored.body)["choices"][0]["message"]["content"] for stored in once.stored]
        assert all(content.startswith("<think>") for content in contents), "the first of two results counts"


def test_an_expired_batch_keeps_what_was_finished_and_the_rest_is_asked_once_more(tmp_path: Path) -> None:
    count = iter(range(100))
    with Provider(sees, end=lambda number: "expired" if number == 0 else "completed",
                  fate=lambda body, number: "unmade" if number == 0 and next(count) % 2 else None) as provider:  # fmt: skip
        path = project(tmp_path, provider, 8)
        once = Once(path)
        assert once.missing == 0
        assert [len(batch.names) for batch in provider.batches] == [8, 4]
        assert sorted(provider.paid) == sorted(set(provider.paid))
        assert len(provider.paid) == 8
        assert rows(path, "SELECT error, count(*) FROM replies GROUP BY error ORDER BY 1") == [(None, 8), ("expired", 4)]
        assert rows(path, "SELECT final, passing FROM replies WHERE error = 'expired' GROUP BY 1, 2") == [(0, 1)]


def test_what_two_batches_left_unanswered_is_given_up_for_this_run_and_asked_by_the_next(tmp_path: Path) -> None:
    with Provider(sees, end=lambda number: "expired", fate=lambda body, number: "missing") as provider:
        path = project(tmp_path, provider, 3)
        once = Once(path)
        assert (once.errors, once.missing, len(provider.batches)) == (["expired"] * 3, 3, 2)
        assert once.meter.failed == 3
        provider.fate, provider.end = lambda body, number: None, lambda number: "completed"
        assert Once(path).missing == 0
        assert len(provider.paid) == 3


@pytest.mark.parametrize(("status", "word", "left"), [(400, "400", 0), (500, None, 0), (429, None, 0), (404, "404", 2)])
def test_a_request_that_failed_is_settled_or_tried_once_more_as_its_status_says(
    tmp_path: Path, status: int, word: str | None, left: int
) -> None:
    with Provider(sees, fate=lambda body, number: status if number == 0 else None) as provider:
        once = Once(project(tmp_path, provider, 2))
        assert (once.errors, once.missing) == ([word] * 2, left)
        assert len(provider.batches) == (1 if word else 2)


def test_a_batch_that_somebody_cancelled_is_not_made_again_in_this_run(tmp_path: Path) -> None:
    with Provider(sees, end=lambda number: "cancelled", fate=lambda body, number: "unmade") as provider:
        once = Once(project(tmp_path, provider, 2))
        assert (once.errors, once.missing, len(provider.batches)) == (["cancelled"] * 2, 2, 1)


def test_a_batch_that_failed_as_a_whole_ends_its_calls_with_its_reason(tmp_path: Path) -> None:
    with Provider(sees, end=lambda number: "failed") as provider:
        once = Once(project(tmp_path, provider, 2))
        assert (once.errors, once.missing) == (["invalid_json_line"] * 2, 2)
        assert once.meter.last_error == "invalid_json_line: told: invalid_json_line"


def test_a_provider_without_room_takes_one_batch_after_another(tmp_path: Path) -> None:
    with Provider(sees, room=3) as provider:
        once = Once(project(tmp_path, provider, 7, batch={"most": 2}))
        assert once.missing == 0
        assert len(provider.paid) == len(set(provider.paid)) == 7


def test_a_batch_that_is_too_large_for_its_provider_says_so_and_ends(tmp_path: Path) -> None:
    with Provider(sees, room=3) as provider:
        once = Once(project(tmp_path, provider, 5))
        assert (once.errors, once.missing, provider.paid) == (["token_limit_exceeded"] * 5, 5, [])


def test_files_whose_ids_come_later_than_the_end_are_waited_for(tmp_path: Path) -> None:
    with Provider(sees, late=3) as provider:
        once = Once(project(tmp_path, provider, 3))
        assert (once.missing, len(provider.batches), len(provider.paid)) == (0, 1, 3)


def test_a_download_that_is_cut_is_begun_again_and_nothing_counts_twice(tmp_path: Path) -> None:
    cuts = iter(["cut", "cut"])
    with Provider(sees, trouble=lambda what: next(cuts, None) if what == "GET /files/id/content" else None) as provider:
        path = project(tmp_path, provider, 600)
        once = Once(path)
        assert (once.missing, once.meter.failed, once.strange) == (0, 0, 0)
        assert provider.log.count("GET /files/id/content") == 3
        assert once.meter.asked == len(provider.paid) > CALLS, "more than are looked up at a time"
        assert rows(path, "SELECT count(*) FROM replies") == [(once.meter.asked,)]


def test_a_reply_without_usage_is_estimated_and_says_so(tmp_path: Path) -> None:
    with Provider(sees, fate=lambda body, number: "bare") as provider:
        once = Once(project(tmp_path, provider, 1, price={"input": 1.0}))
        (stored,) = once.stored
        assert stored.input_tokens > 20
        assert "estimated" in stored.detail
        assert stored.cost_usd == pytest.approx(stored.input_tokens / 1e6)


# a provider in trouble


@pytest.mark.parametrize("what", ["POST /files", "POST /batches", "GET /batches/id", "GET /files/id/content"])
@pytest.mark.parametrize("trouble", [500, 429, "lost", (200, "<html>welcome</html>", {}), (429, "", {"Retry-After": "0.05"})])
def test_passing_trouble_of_any_request_costs_time_and_nothing_else(tmp_path: Path, what: str, trouble: Any) -> None:
    left = iter([trouble] * 2)
    with Provider(sees, trouble=lambda asked: next(left, None) if asked == what else None) as provider:
        once = Once(project(tmp_path, provider, 3))
        assert (once.missing, once.meter.failed) == (0, 0)
        assert len(provider.batches) == 1, "a batch that was made without our hearing of it is found, not made again"
        assert len(provider.paid) == 3


@pytest.mark.parametrize(
    ("what", "status", "closes"), [("POST /files", 401, "key"), ("POST /batches", 402, "quota"), ("POST /files", 413, None)]
)
def test_a_provider_that_will_not_take_a_file_is_told_and_its_calls_are_asked_by_the_next_run(
    tmp_path: Path, what: str, status: int, closes: str | None
) -> None:
    refuses = True
    with Provider(sees, trouble=lambda asked: status if refuses and asked == what else None) as provider:
        path = project(tmp_path, provider, 4, batch={"most": 2})
        once = Once(path)
        assert once.errors == [str(status)] * (2 if closes else 4), "after a wrong key or an empty purse no further file is tried"
        assert (once.missing, once.closes, provider.paid) == (4, closes, [])
        refuses = False
        assert Once(path).missing == 0
        assert len(provider.paid) == 4


def test_a_batch_that_its_provider_does_not_know_is_left_and_its_calls_are_not_asked_again(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 2)
        Once(path, collect=False)
        held = provider.batches.pop()
        once = Once(path)
        assert "is the key of another project?" in once.told[-1]
        assert (len(once.left), len(provider.batches), once.missing) == (1, 0, 2)
        provider.batches.append(held)
        assert Once(path).missing == 0
        assert len(provider.paid) == 2


def test_batches_at_another_url_are_told_of_and_what_they_hold_is_not_asked_here(tmp_path: Path) -> None:
    with Provider(sees) as provider, Provider(sees) as other:
        path = project(tmp_path, provider, 2)
        Once(path, collect=False)
        write_pipeline(tmp_path, teacher(other.url, kind="batch", batch={"poll": 0.02}))
        once = Once(path)
        assert once.told == [
            f"teacher 'one': 1 batches wait at {provider.url}; what they hold is not asked here: write that url until they are collected"
        ]
        assert not other.batches


def test_the_key_goes_with_every_request_and_into_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", "sk-very-secret")
    with Provider(sees, key="sk-very-secret") as provider:
        path = project(tmp_path, provider, 2, key_env="BATCH_KEY")
        assert Once(path).missing == 0
        provider.key = "sk-other"
        write_rows(tmp_path, 1, start=2)
        assert Once(path).errors == ["401"]
        for file in filter(Path.is_file, (tmp_path / "run").rglob("*")):
            assert b"sk-very-secret" not in file.read_bytes()


def test_retry_after_is_obeyed_also_where_looks_would_come_quicker(tmp_path: Path) -> None:
    looks: list[float] = []

    def trouble(what: str) -> tuple[int, str, dict[str, str]] | None:
        if what != "GET /batches/id":
            return None
        looks.append(time.monotonic())
        return (429, "", {"Retry-After": "1.5"}) if len(looks) == 1 else None

    with Provider(sees, trouble=trouble) as provider:
        assert Once(project(tmp_path, provider, 1)).missing == 0
        assert looks[1] - looks[0] >= 1.5
        assert looks[2] - looks[1] < 1.5


# stopping and going on

NURSERY = """
import os, sys, traceback
from pathlib import Path
from tests.test_batch import Once
for line in sys.stdin:
    if (child := os.fork()) == 0:
        try:
            Once(Path(line.rstrip()))
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    """Processes that work on a pipeline and are killed; forked from one that has imported everything, for speed."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[1])
        command = [sys.executable, "-W", "error", "-c", NURSERY]
        env = os.environ | {"PYTHONPATH": root}
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=root)

    def killed(self, provider: Provider, path: Path, moment: str, nth: int) -> None:
        """Have the pipeline worked on until the server kills it: before or after what it asked for is done, and unanswered."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        born, child, times = threading.Event(), [0], iter(range(1000))

        def hook(when: str) -> None:
            if when == moment and next(times) == nth and born.wait(10):
                with contextlib.suppress(ProcessLookupError):  # it is gone once its parent has been told
                    while True:
                        os.kill(child[0], signal.SIGKILL)
                        time.sleep(0.005)

        provider.hook = hook
        print(path, file=self._parent.stdin, flush=True)
        child[0] = int(self._parent.stdout.readline())
        born.set()
        assert int(self._parent.stdout.readline()) == signal.SIGKILL
        provider.hook = lambda when: None

    def close(self) -> None:
        self._parent.communicate(timeout=90)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def test_every_attempt_stands_in_the_journal_before_its_file_is_uploaded(tmp_path: Path) -> None:
    begun: list[int] = []

    def hook(when: str) -> None:
        if when == "before POST /files":
            begun.append(rows(tmp_path / "pipeline.yaml", "SELECT count(*) FROM asked JOIN members ON attempt = asked.id")[0][0])

    with Provider(sees, hook=hook) as provider:
        Once(project(tmp_path, provider, 200, batch={"most": 50}))
        assert begun[:2] == [50, 100]


MOMENTS = [
    "before POST /files",
    "after POST /files",
    "before POST /batches",
    "after POST /batches",
    "before GET /batches/id",
    "after GET /batches/id",
    "before GET /files/id/content",
    "after GET /files/id/content",
]


@pytest.mark.parametrize(("moment", "nth"), [*((moment, 0) for moment in MOMENTS), (MOMENTS[3], 1), (MOMENTS[7], 1)])
def test_after_sigkill_at_any_moment_the_next_process_goes_on_and_nothing_is_asked_twice(
    tmp_path: Path, nursery: Nursery, moment: str, nth: int
) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 5, batch={"most": 3})
        nursery.killed(provider, path, moment, nth)
        once = Once(path)
        assert once.missing == 0
        assert len(provider.paid) == len(set(provider.paid)) == 5
        assert rows(path, "SELECT count(*) FROM replies WHERE error IS NULL") == [(5,)]
        assert Once(path).meter.attempts == 0


@pytest.mark.parametrize("moment", ["before POST /files", "after POST /batches"])
def test_after_sigkill_while_an_expired_batch_is_asked_once_more_nothing_is_asked_twice(
    tmp_path: Path, nursery: Nursery, moment: str
) -> None:
    odd = iter(range(100))
    with Provider(sees, end=lambda number: "expired" if number == 0 else "completed",
                  fate=lambda body, number: "unmade" if number == 0 and next(odd) % 2 else None) as provider:  # fmt: skip
        path = project(tmp_path, provider, 6)
        nursery.killed(provider, path, moment, 1)
        assert Once(path).missing == 0
        assert len(provider.paid) == len(set(provider.paid)) == 6


def test_a_batch_among_many_pages_of_others_is_found_again(tmp_path: Path) -> None:
    with Provider(sees, page=2) as provider:
        path = project(tmp_path, provider, 2)
        Once(path, collect=False)
        forget_the_id(path)
        provider.batches += [type(provider.batches[0])(f"batch_x{number}", "file-x", {}, []) for number in range(7)]
        assert Once(path).missing == 0
        assert len(provider.paid) == 2


def test_a_batch_of_unknown_fate_is_held_until_the_list_can_be_seen_again(tmp_path: Path) -> None:
    lost = iter(["lost"])
    blind = True

    def trouble(what: str) -> int | str | None:
        return next(lost, None) if what == "POST /batches" else 401 if blind and what == "GET /batches" else None

    with Provider(sees, trouble=trouble) as provider:
        path = project(tmp_path, provider, 4, batch={"most": 2})
        for _ in range(2):
            once = Once(path)
            assert (len(once.left), once.meter.failed) == (1, 0)
        assert len(provider.batches) == 2, "the other Calls were asked meanwhile"
        blind = False
        assert Once(path).missing == 0
        assert len(provider.paid) == len(set(provider.paid)) == 4


def test_where_the_provider_has_no_list_a_batch_of_unknown_fate_is_told_and_asked_anew(tmp_path: Path) -> None:
    with Provider(sees, trouble=lambda what: 404 if what == "GET /batches" else None) as provider:
        path = project(tmp_path, provider, 2)
        Once(path, collect=False)
        forget_the_id(path)
        once = Once(path)
        assert "there is no list of batches" in once.told[0]
        assert (once.errors[:2], once.missing) == (["unknown"] * 2, 0)


def forget_the_id(path: Path) -> None:
    """As if the process had died before it could note that its batch was made."""
    connection = sqlite3.connect(path.parent / "run" / "journal.sqlite")
    with connection:
        connection.execute("DELETE FROM steps WHERE state = 'created'")
    connection.close()


def test_a_pipeline_that_changed_asks_its_new_calls_and_still_takes_the_old_results(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 3)
        Once(path, collect=False)
        write_rows(tmp_path, 2, start=3)
        once = Once(path)
        assert (once.missing, once.meter.asked, once.meter.attempts) == (0, 5, 2)
        assert len(provider.paid) == 5


def test_a_max_tokens_that_changed_meanwhile_is_not_taken_for_that_of_the_requests(tmp_path: Path) -> None:
    with Provider(sees) as provider:
        path = project(tmp_path, provider, 1, max_tokens=50)
        Once(path, collect=False)
        write_pipeline(tmp_path, teacher(provider.url, kind="batch", batch={"poll": 0.02}, max_tokens=500))
        (stored,) = Once(path).stored
        assert stored.max_tokens == 50


def test_waiting_can_be_cancelled_at_any_time(tmp_path: Path) -> None:
    slow = True
    with Provider(sees, trouble=lambda what: 503 if slow and what == "GET /batches/id" else None) as provider:
        path = project(tmp_path, provider, 2)
        with RunSession.open(path, out=tmp_path / "run") as run:

            async def wait() -> None:
                async with BatchRunner(run.loaded.pipeline.teachers[0], run.journal, tmp_path / "run" / "batches", "r") as batches:
                    await batches.submit(missing_work(run.loaded, run.samples(), run.journal))
                    task = asyncio.create_task(batches.collect(lambda line: None))
                    while provider.log.count("GET /batches/id") < 3:
                        await asyncio.sleep(0.01)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task

            asyncio.run(wait())
        slow = False
        assert Once(path).missing == 0
        assert len(provider.paid) == 2


# the file, the check, the lines


def test_looking_at_a_batch_teacher_first_names_what_is_served(tmp_path: Path) -> None:
    with Provider(models=["other/model"]) as provider:
        path = project(tmp_path, provider, 1)
        with pytest.raises(TeacherError, match=r"does not serve 'model-one'; served there: 'other/model'"):
            asyncio.run(check_teachers(Loaded.load(path).pipeline.teachers))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "batch", "url": ["http://a/v1", "http://b/v1"]}, "a batch API is one URL"),
        ({"kind": "batch", "url": []}, "url is missing"),
        ({"batch": {"most": 10}}, "batch is for kind 'batch'"),
        ({"kind": "batch", "batch": {"poll": 0}}, "greater than 0"),
    ],
)
def test_a_batch_section_that_cannot_be_meant_is_a_fault_of_the_file(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    write_rows(tmp_path, 1)
    path = write_pipeline(tmp_path, teacher("http://localhost/v1") | fields)
    with pytest.raises(PipelineError, match=said):
        Loaded.load(path)


FIELDS = st.sampled_from(["custom_id", "response", "error", "status_code", "body", "code"])
ROWS = st.recursive(st.none() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(FIELDS, inner))


@given(st.binary() | ROWS.map(lambda row: json.dumps(row).encode()) | st.just(b"[" * 100_000))
def test_no_line_of_a_stranger_raises(line: bytes) -> None:
    found = read_result(line)
    assert found is None or isinstance(found.name, str)


def test_a_journal_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    from cotforge.journal import MIGRATIONS

    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
    connection.execute("INSERT INTO teachers VALUES (1, 't', 'm')")
    connection.execute("INSERT INTO asked VALUES (1, x'00', 1, ?)", (time.time(),))
    connection.commit()
    connection.close()
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.rows("SELECT count(*) FROM batches") == [(0,)]
        assert journal.latest() == 1


def test_a_quota_that_ends_in_the_middle_of_a_batch_closes_its_teacher_and_the_rest_is_asked_again(tmp_path: Path) -> None:
    left = iter([None] * 4 + [402] * 2)
    with Provider(sees, fate=lambda body, number: next(left, None)) as provider:
        project(tmp_path, provider, 6)
        stopped = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert stopped.returncode == 3
        assert "teacher 'one': paused: quota or credit is used up; 2 calls were not answered" in stopped.stderr
        assert "told to fail" in stopped.stderr
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(provider.paid) == 6
