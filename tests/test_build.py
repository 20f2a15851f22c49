"""`cotforge build` as its user meets it: real pictures, a real server, a process that can be killed."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.project import Running, command, cotforge, environment, files, ran, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher, process, served


def test_a_build_asks_every_teacher_once_about_every_row_and_writes_the_agreed_lessons(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    with Teacher(sees) as server:
        write_pipeline(
            tmp_path, teacher(server, "one", price={"input": 1, "output": 2}), teacher(server, "two"), consensus={"label": "ignore"}
        )
        built = cotforge("build", "pipeline.yaml", cwd=tmp_path)
        assert built.returncode == 0, built.stderr
        assert Counter(entry.model for entry in server.ledger) == {"model-one": 12, "model-two": 12}
    run = tmp_path / "runs/feelings"
    told = summary(run)
    assert (told["samples"], told["accepted"], told["calls"], told["calls_total"], told["calls_failed"]) == (12, 12, 24, 24, 0)
    assert told["cost_usd"] > 0
    lessons, traces = table(run, "data"), table(run, "traces")
    assert (len(lessons), len(traces)) == (told["lessons"], told["traces"]) == (12, 24)
    assert [lesson["id"] for lesson in lessons] == [f"row-{number}" for number in range(12)]
    assert lessons[0]["completion"][0]["content"].endswith(f"</think>\n<answer>{lessons[0]['answer']}</answer>")
    assert told["label_conflicts"] == sum(lesson["label"] != lesson["answer"] for lesson in lessons)


def test_a_second_build_asks_nothing_even_of_servers_that_are_gone_and_gives_the_same_bytes(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, "one"), teacher(server, "two"))
        assert cotforge("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    run = tmp_path / "runs/feelings"
    before = files(run / "dataset")
    again = cotforge("build", "pipeline.yaml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert summary(run)["calls"] == 0
    assert files(run / "dataset") == before


def test_another_filter_bound_offline_asks_nothing_and_changes_the_lessons(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), filters=[{"measure": "reasoning_words", "min": 3}], consensus={"label": "ignore"})
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    told = ran("build", "pipeline.yaml", "--offline", "--set", "filters.0.min=500", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert summary(tmp_path / "runs/feelings")["rejected"] == {"filter:reasoning_words": 6}
    assert "filter:reasoning_words" in told.stdout
    assert not (tmp_path / "runs/feelings/dataset/data").exists() or not list((tmp_path / "runs/feelings/dataset/data").iterdir())
    assert ran("curate", "runs/feelings", "--set", "filters.0.min=3", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / "runs/feelings")["accepted"] == 6
    assert ran("curate", "runs/feelings", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / "runs/feelings")["accepted"] == 0, "what build was told holds on, what curate was told does not"


def test_ten_more_rows_ask_ten_more_calls_and_a_renamed_teacher_asks_none(tmp_path: Path) -> None:
    write_rows(tmp_path, 10)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        ran("build", "pipeline.yaml", cwd=tmp_path)
        write_rows(tmp_path, 10, start=10)
        ran("build", "pipeline.yaml", cwd=tmp_path)
        assert len(server.ledger) == 20
        ran("build", "pipeline.yaml", "--set", "teachers.0.name=renamed", cwd=tmp_path)
        assert len(server.ledger) == 20
        assert set(summary(tmp_path / "runs/feelings")["teachers"]) == {"renamed"}
        ran("build", "pipeline.yaml", "--set", "teachers.0.temperature=0.1", cwd=tmp_path)
        assert len(server.ledger) == 40, "another temperature is another call"


def test_a_higher_max_tokens_asks_again_only_what_was_cut_off(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    seen: Counter[str] = Counter()

    def cut(body: dict) -> str | None:  # type: ignore[type-arg]
        seen["all"] += 1
        return "truncated" if body["max_tokens"] == 50 and seen["all"] <= 3 else None

    with Teacher(sees, fail=cut) as server:
        write_pipeline(tmp_path, teacher(server, max_tokens=50), consensus={"label": "ignore"})
        ran("build", "pipeline.yaml", cwd=tmp_path)
        assert summary(tmp_path / "runs/feelings")["rejected"] == {"vote:no_ballots": 3}
        ran("build", "pipeline.yaml", "--set", "teachers.0.max_tokens=40", cwd=tmp_path)
        assert len(server.ledger) == 8
        ran("build", "pipeline.yaml", "--set", "teachers.0.max_tokens=500", cwd=tmp_path)
        assert len(server.ledger) == 11
        assert summary(tmp_path / "runs/feelings")["accepted"] == 8


def test_refresh_asks_one_teacher_anew_and_keeps_what_it_said_before(tmp_path: Path) -> None:
    write_rows(tmp_path, 5)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, "one"), teacher(server, "two"))
        ran("build", "pipeline.yaml", cwd=tmp_path)
        ran("build", "pipeline.yaml", "--refresh", "two", cwd=tmp_path)
        assert Counter(entry.model for entry in server.ledger) == {"model-one": 5, "model-two": 10}
        wrong = ran("build", "pipeline.yaml", "--refresh", "three", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr) == (2, "--refresh three: no teacher of that name; there are one, two\n")
    told = summary(tmp_path / "runs/feelings")
    assert (told["calls_total"], told["attempts_total"]) == (10, 15)


def test_one_image_under_two_ids_is_asked_once_and_two_rows_alike_are_one_sample(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    rows = (tmp_path / "rows.jsonl").read_text()
    (tmp_path / "rows.jsonl").write_text(
        rows + rows.replace("row-0", "twin") + '{"id": "row-1", "image": "images/0.jpg", "label": "awe"}\n'
    )
    with Teacher(sees, latency=0.1) as server:
        write_pipeline(tmp_path, teacher(server), consensus={"label": "ignore"})
        ran("build", "pipeline.yaml", cwd=tmp_path)
        assert len(server.ledger) == 2
    run = tmp_path / "runs/feelings"
    assert [lesson["id"] for lesson in table(run, "data")] == ["row-0", "row-1", "twin"]
    assert summary(run)["rejected"] == {"source:duplicate_id": 1}
    assert summary(run)["duplicates"] == 1
    assert [(loss["stage"], loss["reason"]) for loss in table(run, "losses")] == [("source", "duplicate_id")]


def test_calls_that_always_fail_are_listed_and_every_good_row_arrives(tmp_path: Path) -> None:
    write_rows(tmp_path, 20)

    def broken(body: dict) -> int | None:  # type: ignore[type-arg]
        return 500 if "awe</answer>" in sees(body) else None

    with Teacher(sees, fail=broken) as server:
        write_pipeline(tmp_path, teacher(server), consensus={"label": "ignore"})
        built = ran("build", "pipeline.yaml", cwd=tmp_path)
        failed = len({entry.call for entry in server.ledger if entry.status == 500})
    run = tmp_path / "runs/feelings"
    told = summary(run)
    assert 0 < failed < 10, "the pictures fell badly"
    assert (built.returncode, told["calls"], told["calls_failed"], told["accepted"]) == (0, 20, failed, 20 - failed)
    assert told["attempts"] == 20 + 3 * failed
    losses = [loss for loss in table(run, "losses") if loss["stage"] == "ask" and loss["teacher"]]
    assert {(loss["teacher"], loss["reason"]) for loss in losses} == {("one", "500")}
    assert len(losses) == failed
    with Teacher(sees) as well:
        again = ran("build", "pipeline.yaml", "--set", f"teachers.0.url={well.url}", cwd=tmp_path)
        assert (again.returncode, len(well.ledger), summary(run)["accepted"]) == (0, failed, 20)


def test_too_many_failures_end_with_3_and_what_was_paid_for_is_a_dataset(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(sees, fail=lambda body: 500 if "fear" in sees(body) or "awe" in sees(body) else None) as server:
        write_pipeline(tmp_path, teacher(server), max_failures=0.1, consensus={"label": "ignore"})
        built = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 3
    assert "max_failures 0.1" in built.stderr
    assert "teacher 'one': 500" in built.stderr
    assert len(table(tmp_path / "runs/feelings", "data")) == summary(tmp_path / "runs/feelings")["accepted"] > 0


def test_what_the_server_refuses_is_asked_once_and_not_again_by_a_rerun(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(sees, fail=lambda body: 400) as server:
        write_pipeline(tmp_path, teacher(server), max_failures=1)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 4
    assert summary(tmp_path / "runs/feelings")["rejected"] == {"vote:no_replies": 4}


@pytest.mark.parametrize("seed", range(3))
def test_sigkill_at_any_moment_repeats_at_most_what_was_in_flight_and_changes_no_lesson(tmp_path: Path, seed: int) -> None:
    write_rows(tmp_path, 120)
    ledger = tmp_path / "ledger.jsonl"
    with process(ledger, "--latency", "0.03", "--model", "model-one") as url:
        write_pipeline(tmp_path, teacher(url, concurrency=8))
        pause = random.Random(seed).uniform(0.5, 1.1)
        with Running(
            command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as run:
            time.sleep(pause)
            run.send_signal(signal.SIGKILL)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert ran("build", "pipeline.yaml", "--out", "undisturbed", cwd=tmp_path).returncode == 0
    calls = Counter(entry["call"] for entry in served(ledger))
    assert len(calls) == 120
    repeated = sum(calls.values()) - 2 * 120
    assert 0 <= repeated <= 8
    killed, undisturbed = files(tmp_path / "runs/feelings/dataset/data"), files(tmp_path / "undisturbed/dataset/data")
    assert killed == undisturbed


def test_the_first_interrupt_finishes_what_is_in_flight_and_ends_with_130(tmp_path: Path) -> None:
    write_rows(tmp_path, 60)
    with Teacher(sees, latency=0.3) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4))
        with Running(command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as run:
            while server.in_flight < 4:
                time.sleep(0.01)
            run.send_signal(signal.SIGINT)
            _, said = run.communicate(timeout=90)
        assert run.returncode == 130, said
        assert "finishing what is in flight" in said
        asked = len(server.ledger)
        assert asked <= 8
        told = summary(tmp_path / "runs/feelings")
        assert (told["stopped"], told["samples"], told["samples_asked"]) == ("interrupted", 60, asked)
        assert told["calls_missing"] == 60 - asked, "what there is was exported"
        server.latency = 0.0
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 60, "nothing that was answered is asked again"


def test_a_limit_is_remembered_when_the_run_is_curated_again(tmp_path: Path) -> None:
    write_rows(tmp_path, 9)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        assert ran("build", "pipeline.yaml", "--limit", 4, cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 4
    assert ran("curate", "runs/feelings", cwd=tmp_path).returncode == 0
    assert summary(tmp_path / "runs/feelings")["samples"] == 4


def test_a_run_folder_of_an_earlier_version_keeps_the_first_samples_that_its_limit_meant(tmp_path: Path) -> None:
    write_rows(tmp_path, 9)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    kept = tmp_path / "runs/feelings/pipeline.yaml"
    kept.write_text(kept.read_text() + "# limit: 4\n")
    assert ran("curate", "runs/feelings", "--replace", cwd=tmp_path).returncode == 0
    assert [row["id"] for row in table(tmp_path / "runs/feelings", "traces")] == ["row-0", "row-1", "row-2", "row-3"]


def test_a_trial_sees_every_class_and_its_calls_stay_in_use(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    rows = sorted(map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines()), key=lambda row: str(row["label"]))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = {row["id"]: row["label"] for row in rows}
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        for limit, asked in ((4, 4), (9, 9), (9, 9)):
            assert ran("build", "pipeline.yaml", "--limit", limit, cwd=tmp_path).returncode == 0
            assert len(server.ledger) == asked
            assert {labels[row["id"]] for row in table(tmp_path / "runs/feelings", "traces")} == set(labels.values())
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 30, "nothing of a trial is asked again"


def test_curate_works_from_the_run_folder_alone_where_the_pipeline_file_is_gone(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    with Teacher(sees) as server:
        path = write_pipeline(tmp_path, teacher(server))
        assert ran("build", path, cwd=tmp_path).returncode == 0
    before = files(tmp_path / "runs/feelings/dataset/data")
    path.unlink()
    curated = ran("curate", "runs/feelings", cwd=tmp_path)
    assert curated.returncode == 0, curated.stderr
    assert files(tmp_path / "runs/feelings/dataset/data") == before


def test_a_key_is_sent_to_its_teacher_and_reaches_no_file(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    secret = "sk-0123456789abcdef"
    with Teacher(sees, key=secret, models=["model-one"]) as server:
        write_pipeline(tmp_path, teacher(server, key_env="TEACHER_KEY", body={"user": "${WHO}"}))
        built = cotforge("build", "pipeline.yaml", cwd=tmp_path, env={"TEACHER_KEY": secret, "WHO": "somebody-known"})
        assert built.returncode == 0, built.stderr
        assert all(entry.sampling["user"] == "somebody-known" for entry in server.ledger)
    for path in (tmp_path / "runs").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
        assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"
    assert "${WHO}" in (tmp_path / "runs/feelings/pipeline.yaml").read_text()


def test_a_process_that_holds_the_folder_keeps_a_second_one_out(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(sees) as server:
        server.held = True
        write_pipeline(tmp_path, teacher(server))
        with Running(
            command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as first:
            while not server.in_flight:
                time.sleep(0.01)
            second = ran("build", "pipeline.yaml", cwd=tmp_path)
            assert (second.returncode, second.stderr.count("\n")) == (2, 1)
            assert f"in use by process {first.pid}" in second.stderr
            server.held = False
            assert first.wait(90) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_clear_line_and_what_was_committed_is_kept(tmp_path: Path) -> None:
    write_rows(tmp_path, 60)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(small)], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        with Teacher(lambda body: sees(body).replace("The picture", "The picture " + "is, " * 5000)) as server:
            write_pipeline(tmp_path, teacher(server))
            built = cotforge("build", "pipeline.yaml", "--out", "small/run", cwd=tmp_path)
            assert built.returncode == 2, built.stderr
            assert "make room" in built.stderr
            assert "Traceback" not in built.stderr
            assert 0 < len(server.ledger) < 60
            subprocess.run(["mount", "-o", "remount,size=50m", str(small)], check=True)
            assert cotforge("build", "pipeline.yaml", "--out", "small/run", cwd=tmp_path).returncode == 0
            assert len(server.ledger) == 60, "nothing that was served is asked again"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_an_interrupted_refresh_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    write_rows(tmp_path, 24)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=2))
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        server.latency = 0.3
        refreshing = command("build", "pipeline.yaml", "--refresh", "one")
        with Running(refreshing, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
            while len(server.ledger) < 24 + 6:
                time.sleep(0.01)
            run.send_signal(signal.SIGINT)
            assert run.wait(90) == 130
        assert len(server.ledger) < 48
        server.latency = 0.0
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 48
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert len(server.ledger) == 48, "a finished refresh is over"


def test_a_refresh_that_was_interrupted_is_counted_told_and_not_ended_by_a_limit(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), consensus={"label": "ignore"})
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        marks = tmp_path / "runs/feelings/refresh.json"
        marks.write_text(json.dumps({"one": 8}))  # as a refresh leaves it that was interrupted before its first reply
        checked = ran("check", "pipeline.yaml", cwd=tmp_path)
        assert "8 calls to make" in checked.stdout
        assert "refresh was interrupted and goes on" in checked.stderr
        limited = ran("build", "pipeline.yaml", "--limit", 3, cwd=tmp_path)
        assert "refresh was interrupted and goes on" in limited.stderr
        assert (len(server.ledger), marks.exists()) == (11, True)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert (len(server.ledger), marks.exists()) == (16, False)
    assert summary(tmp_path / "runs/feelings")["attempts_unknown"] == 0


def test_a_rerun_in_which_a_few_calls_fail_again_is_no_failure_of_the_run(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    with Teacher(sees, fail=lambda body: 500 if "awe</answer>" in sees(body) else None) as server:
        write_pipeline(tmp_path, teacher(server))
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        again = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "teacher one: " in again.stdout
    assert "given up, the last: 500: told to fail with 500" in again.stdout
