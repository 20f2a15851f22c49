"""Teachers of several kinds in one run: each is asked in its own way, and the vote is taken over all."""

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tests.batches import Provider
from tests.project import (
    Running,
    command,
    cotforge,
    environment,
    ran,
    replay,
    said,
    sees,
    summary,
    table,
    teacher,
    write_pipeline,
    write_rows,
)
from tests.teacher import Teacher


def test_a_server_a_batch_and_a_file_vote_together(tmp_path: Path) -> None:
    write_rows(tmp_path, 12)
    with Teacher(sees) as server, Provider(answer=sees) as provider:
        write_pipeline(
            tmp_path,
            teacher(server, "live"),
            teacher(provider.url, "later", kind="batch", batch={"poll": 0.05}),
            replay(tmp_path, "known", {f"row-{number}": said("awe") for number in range(12)}),
            consensus={"label": "ignore"},
        )
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        told = summary(tmp_path / "runs/feelings")
        assert (told["calls"], told["calls_failed"], told["samples"]) == (36, 0, 12)
        assert {name: one["answered"] for name, one in told["teachers"].items()} == {"live": 12, "later": 12, "known": 12}
        assert {vote["teacher"] for row in table(tmp_path / "runs/feelings", "data") for vote in row["votes"]} == {"live", "later", "known"}
        paid = len(server.ledger), len(provider.paid)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
        assert (len(server.ledger), len(provider.paid)) == paid == (12, 12)


def test_an_interrupt_while_a_batch_is_worked_on_loses_nothing_and_the_next_run_collects_it(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    held = [True]
    with Provider(answer=sees, trouble=lambda what: 503 if held and what == "GET /batches/id" else None) as provider:
        write_pipeline(tmp_path, teacher(provider.url, kind="batch", batch={"poll": 0.05}), consensus={"label": "ignore"})
        with Running(command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as run:
            end = time.monotonic() + 300
            while not provider.batches and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.3)
            run.send_signal(signal.SIGINT)
            _, words = run.communicate(timeout=90)
        assert run.returncode == 130, words
        assert words.count("what was handed in goes on, and is charged, at its provider") == 1
        told = ran("check", "pipeline.yaml", cwd=tmp_path)
        assert "teacher 'one': 8 of these calls wait in batches at its provider" in told.stderr
        held.clear()
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert (summary(tmp_path / "runs/feelings")["accepted"], len(provider.paid)) == (8, 8)


def test_two_models_take_turns_on_the_cpu_and_an_interrupted_run_goes_on_with_whose_turn_it_was(tmp_path: Path, vlm: Path) -> None:
    colours = ("red", "green", "blue", "white")
    write_pictures(tmp_path, colours)
    task = {"kind": "classify", "question": "Which colour is it?", "labels": list(colours)}
    kind = {"kind": "transformers", "model": str(vlm), "gpus": [], "concurrency": 4, "max_tokens": 40}
    two = [{"name": name, "temperature": temperature, **kind} for name, temperature in (("cold", 0), ("warm", 0.01))]
    write_pipeline(tmp_path, *two, task=task)
    with Running(command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as run:
        journal = tmp_path / "runs/feelings/journal.sqlite"
        end = time.monotonic() + 300
        while time.monotonic() < end and not (journal.exists() and answered(journal).get("cold")):
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        _, words = run.communicate(timeout=90)
    assert run.returncode == 130, words
    before = answered(journal)
    assert before["cold"] >= 1
    assert before.get("warm", 0) == 0, "its turn had not come"
    ended = cotforge("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert answered(journal) == {"cold": 8, "warm": 8}
    told = summary(tmp_path / "runs/feelings")
    assert (told["calls"], told["calls_failed"]) == (16 - before["cold"], 0)
    assert told["accepted"] >= 6, "a model that has learnt four colours agrees with itself and with the label"


def write_pictures(folder: Path, colours: Sequence[str]) -> None:
    """Two of each colour, and `rows.jsonl`."""
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(2 * len(colours)):
            colour = colours[number % len(colours)]
            Image.new("RGB", (32 + number, 32), colour).save(folder / f"{number}.png")
            file.write(json.dumps({"id": f"row-{number}", "image": f"{number}.png", "label": colour}) + "\n")


def answered(journal: Path) -> dict[str, int]:
    """Whole replies per teacher."""
    with sqlite3.connect(journal) as rows:
        try:
            return dict(
                rows.execute(
                    "SELECT name, count(*) FROM replies JOIN asked USING (id) JOIN teachers ON teachers.id = teacher "
                    "WHERE error IS NULL GROUP BY name"
                )
            )
        except sqlite3.OperationalError:  # not there yet
            return {}
