"""`import cotforge` as somebody in a notebook meets it: typed results, tables, one sample, and nothing printed."""

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import polars as pl
import pytest

import cotforge
from cotforge.notices import LOGGER
from cotforge.session import RunSession
from tests.hub_server import HubServer, client_of
from tests.project import environment, files, replay, said, sees, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def notices_on_stderr() -> None:
    """Nobody shows notices here: what is printed, the library has printed."""


def hostile(folder: Path) -> Path:
    """Six rows: everybody agrees on two, on three they do not, of one no picture can be read; a teacher writes HTML."""
    write_rows(folder, 6)
    (folder / "images" / "5.jpg").write_bytes(b"no picture")
    one = {f"row-{number}": said("awe").replace("one even colour", SCRIPT) for number in range(6)}
    two = one | {f"row-{number}": said("fear") for number in (2, 3, 4)}
    return write_pipeline(
        folder, replay(folder, "one", dict(one)), replay(folder, "two", dict(two)), consensus={"rule": "unanimous", "label": "ignore"}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cotforge.Run:
    folder = tmp_path_factory.mktemp("face")
    return cotforge.build(hostile(folder), out=folder / "run", trust=True)


# results


def test_a_build_returns_the_run_with_its_counts_and_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = hostile(tmp_path)
    built = cotforge.build(file, out=tmp_path / "run", limit=4, trust=True)
    assert capfd.readouterr() == ("", "")
    assert (built.path, built.name) == (tmp_path / "run", "feelings")
    assert isinstance(built.summary, cotforge.RunSummary)
    assert (built.summary.samples, built.summary.accepted + sum(built.summary.rejected.values())) == (4, 4)
    assert built.summary.values["teachers"].keys() == built.summary.teachers.keys() == {"one", "two"}
    again = cotforge.build(file, out=tmp_path / "run", limit=4, trust=True)
    assert again.summary.calls == 0


def test_progress_is_shown_on_stderr_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.umask(os.umask(0o022))
    file = hostile(tmp_path)
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run" / "note.txt").write_text("mine")
    (tmp_path / "run").chmod(0o755)
    cotforge.build(file, out=tmp_path / "run", limit=2, trust=True, progress=True)
    shown = capsys.readouterr()
    assert "other users can read it" in shown.err
    assert shown.out == ""


def test_a_check_returns_the_estimate_and_what_should_be_known(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path, 3)
    with Teacher(sees, models=["another"]) as server:
        file = write_pipeline(tmp_path, teacher(server, price={"input": 1, "output": 2}))
        found = cotforge.check(file, out=tmp_path / "run", offline=True)
        with pytest.raises(cotforge.TeacherError, match="served there: 'another'"):
            cotforge.check(file, out=tmp_path / "run")
    assert (found.calls, found.estimate.samples) == (3, 3)
    assert found.cost_usd > 0
    assert "in all 3 calls to make" in found.text
    assert str(found).startswith(found.text)
    assert capfd.readouterr() == ("", "")


def test_a_pipeline_is_loaded_with_changes_and_refused_once_its_file_says_something_else(tmp_path: Path) -> None:
    file = hostile(tmp_path)
    changes = {"consensus.rule": "majority", "filters": [{"measure": "reasoning_words", "min": 3.5e-7}], "name": "ünïcode-no"}
    with pytest.raises(cotforge.PipelineError, match="name"):
        cotforge.Pipeline.load(file, set=changes)
    pipeline = cotforge.Pipeline.load(file, set=changes | {"name": "other", "source.path": tmp_path / "rows.jsonl"})
    assert (pipeline.name, pipeline.consensus.rule, pipeline.filters[0].min) == ("other", "majority", 3.5e-7)
    assert cotforge.build(pipeline, out=tmp_path / "run", set={"consensus.rule": "unanimous"}).pipeline.consensus.rule == "unanimous"
    file.write_text(file.read_text().replace("evoke", "tell"))
    with pytest.raises(cotforge.PipelineError, match=r"has changed since it was loaded; load it again"):
        cotforge.build(pipeline, out=tmp_path / "run")
    with pytest.raises(cotforge.PipelineError, match=r"set .name.: .* cannot be written as YAML"):
        cotforge.Pipeline.load(file, set={"name": object()})


@pytest.mark.parametrize("limit", [0, -1, 2.5, "3", True])
def test_a_limit_that_is_no_number_of_samples_is_refused_before_anything_else(tmp_path: Path, limit: Any) -> None:
    with pytest.raises(cotforge.PipelineError, match=r"limit: .* does not do; a whole number, at least 1"):
        cotforge.build("digits", out=tmp_path / "run", limit=limit)
    assert not (tmp_path / "run").exists()


def test_keys_that_are_no_mapping_are_refused(run: cotforge.Run) -> None:
    with pytest.raises(cotforge.PipelineError, match=r"set: 'consensus.rule=unanimous' is no mapping; write it as {"):
        cotforge.curate(run, set="consensus.rule=unanimous")  # type: ignore[arg-type]


def test_curating_asks_nothing_and_changes_the_dataset_as_told(run: cotforge.Run) -> None:
    before = files(run.dataset)
    changed = cotforge.curate(run, set={"consensus.rule": "majority"}, trust=True)
    assert "vote:not_unanimous" not in changed.summary.rejected
    assert cotforge.curate(str(run.path), trust=True).summary.rejected["vote:not_unanimous"] == 3
    assert files(run.dataset) == before


def test_a_folder_that_is_no_run_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "photos").mkdir(parents=True)
    (tmp_path / "runs" / "photos" / "pipeline.yaml").write_text("name: photos\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cotforge.PipelineError, match=r"^runs/mine: is not a run folder; runs/ has: photos$"):
        cotforge.curate("runs/mine")
    with pytest.raises(cotforge.PipelineError, match=r"^runs/mine: no such file or run folder; runs/ has: photos$"):
        cotforge.Pipeline.load("runs/mine")
    with pytest.raises(cotforge.PipelineError, match=r"is not a run folder; there is no pipeline\.yaml in it"):
        cotforge.Run(tmp_path)
    with pytest.raises(cotforge.PipelineError, match="is not a run folder"):
        cotforge.curate(tmp_path)


# tables


def test_tables_are_lazy_frames_of_what_the_files_hold(run: cotforge.Run) -> None:
    lessons = run.lessons()
    assert isinstance(lessons, pl.LazyFrame)
    assert lessons.select("id", "answer", "split").collect().rows() == [("row-0", "awe", "train"), ("row-1", "awe", "train")]
    assert "images" not in lessons.collect_schema()
    assert "images" in run.lessons(images=True).collect_schema()
    assert run.traces().filter(pl.col("teacher") == "two").select("ballot").collect()["ballot"].to_list() == ["awe"] * 2 + ["fear"] * 3
    assert run.losses().filter(pl.col("stage") == "source").collect().height == 1
    assert run.preference().collect().height == 0
    assert run.metrics().height == 0
    assert run.to_pandas("losses", columns=["id", "reason"]).shape[1] == 2
    with pytest.raises(cotforge.PipelineError, match="table 'lesons': there is none"):
        run.to_pandas("lesons")  # type: ignore[arg-type]


def test_a_run_without_lessons_has_tables_without_rows(tmp_path: Path) -> None:
    built = cotforge.build(hostile(tmp_path), out=tmp_path / "run", set={"filters": [{"measure": "reasoning_words", "min": 900}]})
    assert built.lessons().collect().height == 0
    assert {"id", "answer", "split"} <= set(built.lessons().collect_schema())
    assert built.to_pandas().empty
    assert built.traces().collect().height > 0


def test_what_if_is_a_frame_with_a_row_for_each_rule_and_target(run: cotforge.Run, capfd: pytest.CaptureFixture[str]) -> None:
    frame = run.what_if(trust=True)
    assert {"majority", "unanimous", "sequential"} <= set(frame["rule"])
    assert (run.path / "what-if.html").exists()
    assert capfd.readouterr() == ("", "")


def test_a_run_is_viewed_in_a_thread_until_that_is_stopped(run: cotforge.Run) -> None:
    with run.view() as viewer, urlopen(viewer.url, timeout=60) as page:
        assert "cotforge view" in page.read().decode()
    with pytest.raises(URLError):
        urlopen(viewer.url, timeout=60)


def test_a_push_returns_what_was_sent_and_prints_nothing(run: cotforge.Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with HubServer(cas=tmp_path / "cas") as server, client_of(server, tmp_path / "xet"):
        tried = cotforge.push(run, "me/feelings", dry_run=True)
        assert (tried.dry_run, tried.created, tried.commit) == (True, True, None)
        pushed = cotforge.push(str(run.path), "me/feelings")
        assert (pushed.changed, pushed.private, pushed.kind) == (True, True, "dataset")
        assert not cotforge.push(run, "me/feelings").changed
    assert capfd.readouterr() == ("", "")


def test_lessons_are_exported_with_their_counts(run: cotforge.Run, tmp_path: Path) -> None:
    assert run.export("trl", out=tmp_path / "trl").rows == {"train": 2}


# one sample


def test_a_sample_has_pictures_votes_and_fates_and_shows_a_strangers_text_as_text(run: cotforge.Run) -> None:
    taught, lost = run.sample("row-0"), run.sample("row-3")
    assert (taught.answer, taught.label, dict(taught.votes)) == ("awe", "amusement", {"one": "awe", "two": "awe"})
    assert [picture.size for picture in (*taught.pictures, *lost.pictures)] == [(48, 32)] * 2
    assert (lost.answer, dict(lost.votes)) == (None, {"one": "awe", "two": "fear"})
    assert lost.options == taught.options == ("amusement", "awe", "fear", "sadness")
    html = taught._repr_html_()
    assert SCRIPT not in html
    assert "&lt;script&gt;alert(1)" in html
    assert 'src="data:image/jpeg;base64,' in html
    assert taught.lessons[0].endswith("<answer>awe</answer>")
    assert [view.id for view in run.samples(1, seed=3)] == [view.id for view in run.samples(1, seed=3)]
    with pytest.raises(cotforge.PipelineError, match="there is no sample 'row-99'"):
        run.sample("row-99")


def test_looking_at_a_run_changes_nothing_in_it_and_waits_for_no_lock(run: cotforge.Run) -> None:
    with RunSession.reopen(run.path):
        before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
        looked = cotforge.Run(run.path)
        assert looked.sample("row-4").answer is None
        assert "row-1" in looked.lessons().collect()["id"].to_list()
        assert "unanimous" in looked.pipeline.consensus.rule
        assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()} == before
    assert "<b>feelings</b>" in looked._repr_html_()


# notebooks: a loop runs in the thread that calls


def in_a_notebook(cell: Callable[[], Any]) -> Any:
    """What a cell gives: called by a loop, in the main thread, whose interrupts are Python's own as in Jupyter."""

    async def run() -> Any:
        return cell()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Teacher]:
    write_rows(tmp_path, 40)
    with Teacher(sees, latency=0.05) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=1), consensus={"label": "ignore"})
        yield server


def interrupt_after(server: Teacher, answers: int) -> threading.Thread:
    """Sends SIGINT to this process once so many questions were asked."""

    def wait() -> None:
        while len(server.ledger) < answers:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("notebook", [True, False])
def test_an_interrupt_keeps_what_was_paid_for_and_the_same_call_goes_on(tmp_path: Path, slow: Teacher, notebook: bool) -> None:
    run = in_a_notebook if notebook else lambda cell: cell()
    before = signal.getsignal(signal.SIGINT)
    waiting = interrupt_after(slow, 5)
    with pytest.raises(KeyboardInterrupt):
        run(lambda: cotforge.build(tmp_path / "pipeline.yaml", out=tmp_path / "run"))
    waiting.join()
    assert signal.getsignal(signal.SIGINT) is before
    asked = len(slow.ledger)
    assert asked < 40
    slow.latency = 0
    built = run(lambda: cotforge.build(tmp_path / "pipeline.yaml", out=tmp_path / "run"))
    assert (built.summary.calls_total, len(slow.ledger)) == (40, 40)
    assert built.summary.accepted == 40


def test_a_build_in_another_thread_installs_no_handlers(tmp_path: Path, slow: Teacher) -> None:
    slow.latency = 0
    built: list[cotforge.Run] = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: built.append(cotforge.build(tmp_path / "pipeline.yaml", out=tmp_path / "run", limit=3)))
    thread.start()
    thread.join()
    assert built[0].summary.accepted == 3
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_an_awaited_build_leaves_the_loop_free_and_ends_what_is_in_flight_when_cancelled(tmp_path: Path, slow: Teacher) -> None:
    async def main() -> int:
        work = asyncio.create_task(cotforge.build_async(tmp_path / "pipeline.yaml", out=tmp_path / "run"))
        turns = 0
        while len(slow.ledger) < 3:
            await asyncio.sleep(0.001)
            turns += 1
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        slow.latency = 0
        assert (await cotforge.build_async(tmp_path / "pipeline.yaml", out=tmp_path / "run")).summary.calls_total == 40
        return turns

    assert asyncio.run(main()) > 3
    assert len(slow.ledger) == 40


def test_a_budget_that_ends_a_build_raises_and_names_the_run(tmp_path: Path, slow: Teacher, capfd: pytest.CaptureFixture[str]) -> None:
    slow.latency = 0
    with pytest.raises(cotforge.Stopped, match="budget") as stopped:
        cotforge.build(tmp_path / "pipeline.yaml", out=tmp_path / "run", set={"budget.calls": 7})
    assert stopped.value.run is not None
    assert cotforge.Run(stopped.value.run).summary.accepted == 7
    assert "7 of 40 samples gave a lesson" in stopped.value.told
    assert capfd.readouterr() == ("", "")


# names


def test_names_that_are_modules_too_stay_functions_whatever_is_imported(tmp_path: Path) -> None:
    program = (
        "import cotforge.train.versions, cotforge.session, cotforge.curation, cotforge.whatif; "
        "import cotforge; from cotforge import train, build, curate, check, evaluate, decide, what_if; "
        "print([each.__module__ for each in (cotforge.train, cotforge.build, cotforge.curate, train, decide, what_if)])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.count("cotforge.face.calls") == 4


def test_every_function_of_the_face_is_typed_and_takes_one_argument_by_place() -> None:
    for name in ("build", "build_async", "check", "curate", "evaluate", "train"):
        function = getattr(cotforge, name)
        first, *others = inspect.signature(function).parameters.values()
        assert first.kind is first.POSITIONAL_OR_KEYWORD, name
        assert all(each.kind is each.KEYWORD_ONLY and each.annotation is not each.empty for each in others), name
        assert function.__doc__


def test_a_notice_reaches_whoever_listens_to_the_logger(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert LOGGER.propagate
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run" / "note.txt").write_text("mine")
    (tmp_path / "run").chmod(0o755)
    cotforge.build(hostile(tmp_path), out=tmp_path / "run", limit=1)
    assert any("other users can read it" in message for message in caplog.messages)
