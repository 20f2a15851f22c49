"""`cotforge simulate`: the teachers of a pipeline, each where the file expects it, to rehearse a build before paying."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cotforge.simulate import Role, Server
from cotforge.teachers.simulated import Simulated
from tests.project import Running, command, environment, ran, summary, table, teacher, write_pipeline, write_rows


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def simulated(folder: Path, *words: str) -> Iterator[list[str]]:
    """The lines that `cotforge simulate` says until it is ready; those that Ctrl-C leaves behind come after them as the block ends."""
    with Running(
        command("simulate", "pipeline.yaml", *words),
        cwd=folder,
        env=environment({"PYTHONUNBUFFERED": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout is not None
        lines: list[str] = []
        try:
            for line in serving.stdout:
                lines.append(line.strip())
                if line.startswith("ready"):
                    break
            yield lines
            assert serving.poll() is None, "it serves until it is told to end"
        finally:
            serving.send_signal(signal.SIGINT)
            left, told = serving.communicate(timeout=90)
            lines += left.splitlines()
        assert (serving.returncode, told) == (0, "")


def test_a_pipeline_whose_teachers_are_on_this_machine_is_built_as_it_stands(tmp_path: Path) -> None:
    write_rows(tmp_path, 6)
    one, two = f"http://127.0.0.1:{free_port()}/v1", f"http://localhost:{free_port()}/v1"
    write_pipeline(tmp_path, teacher(one, "one"), teacher(one, "twin", simulate={"seed": 1}), teacher(two, "two"))
    with simulated(tmp_path) as lines:
        assert [line.partition(" at ")[0] for line in lines] == [
            "one: model-one",
            "twin: model-twin",
            "two: model-two",
            "ready; Ctrl-C ends it",
        ]
        checked = ran("check", "pipeline.yaml", cwd=tmp_path)
        assert (checked.returncode, checked.stderr) == (0, "")
        built = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert built.returncode == 0, built.stderr
    told = summary(tmp_path / "runs/feelings")
    assert (told["calls"], told["calls_failed"]) == (18, 0)
    assert {figures["answered"] for figures in told["teachers"].values()} == {6}
    assert len(table(tmp_path / "runs/feelings", "traces")) == 18
    card = (tmp_path / "runs/feelings/dataset/README.md").read_text()
    assert "This is a rehearsal: cotforge simulate answered for every teacher" in card
    assert card.count("simulated: true") == 3
    assert "This is a rehearsal" in (tmp_path / "runs/feelings/report.html").read_text()


def test_a_teacher_elsewhere_is_served_at_the_port_and_the_line_says_how_to_reach_it(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, teacher("https://api.example.com/v1"))
    port = free_port()
    with simulated(tmp_path, "--port", str(port)) as lines:
        assert lines[0].startswith(
            f"one: model-one at http://127.0.0.1:{port}/v1, no skill (it has nothing to learn from); build with --set "
        )
        given = re.search(r"--set (\S+)$", lines[0])
        assert given is not None
        assert ran("build", "pipeline.yaml", "--set", given.group(1), cwd=tmp_path).returncode == 0
    assert summary(tmp_path / "runs/feelings")["calls"] == 2


def test_the_faults_that_the_file_asks_for_are_played(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    url = f"http://127.0.0.1:{free_port()}/v1"
    write_pipeline(tmp_path, teacher(url, simulate={"truncate": 0.3, "malformed": 0.3}), consensus={"label": "ignore"})
    with simulated(tmp_path):
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    fates = {trace["fate"] for trace in table(tmp_path / "runs/feelings", "traces")}
    assert fates == {"lesson", "unread:truncated", "unread:no_answer"}


def test_what_became_of_every_request_is_told_at_the_end_and_agrees_with_the_run(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    replicas = [f"http://127.0.0.1:{free_port()}/v1" for _ in range(2)]
    faults = {"errors": 0.2, "garbage": 0.05, "reset": 0.05, "blocked": 0.2, "latency": 0.01}
    write_pipeline(tmp_path, teacher(replicas[0], "one") | {"url": replicas, "simulate": faults}, consensus={"label": "ignore"})
    with simulated(tmp_path) as lines:
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    told = summary(tmp_path / "runs/feelings")
    ends = {kind: int(count) for count, kind in re.findall(r"(\d+) (?:x )?(\w+)(?=,|$)", lines[-1].partition("requests: ")[2])}
    assert lines[-1].startswith(f"one: {told['attempts']} requests: {ends['answered']} answered, ")
    assert sum(ends.values()) == told["attempts"]
    assert told["calls"] == 40
    assert set(ends) >= {"answered", "400", "500"}
    assert ends["answered"] == told["calls"] - told["calls_failed"]


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write_pipeline(tmp_path, teacher(f"http://127.0.0.1:{port}/v1"))
        ended = ran("simulate", "pipeline.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert (
        ended.stderr == f"127.0.0.1:{port}: cannot be listened on (Address already in use); stop what runs there, or change the port: "
        "in teachers[].url, or --port for a teacher that is not on this machine\n"
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"simulate": {"eye": "hawk"}}, "pipeline.yaml: teachers[0].simulate.eye: 'hawk': "),
        ({"simulate": {"skil": 1}}, "pipeline.yaml: teachers[0].simulate: no key named 'skil'"),
        ({"simulate": {"errors": 7}}, "pipeline.yaml: teachers[0].simulate.errors: 7: "),
        ({"simulate": {"bursts": {"every": 5, "lasts": 5}}}, "pipeline.yaml: teachers[0].simulate.bursts: "),
        ({"simulate": {"ends": {"after": 5, "by": "boredom"}}}, "pipeline.yaml: teachers[0].simulate.ends.by: 'boredom': "),
        ({"simulate": {"stuck": "joy"}}, "simulate.stuck: 'joy' is not one of the task's labels"),
        ({"simulate": {"learn": "no/such.csv"}}, "no/such.csv"),
        ({"key_env": "NO_SUCH_KEY"}, "teacher 'one': the environment has no variable 'NO_SUCH_KEY'"),
    ],
)
def test_what_cannot_be_played_is_one_line(tmp_path: Path, fields: dict[str, object], told: str) -> None:
    write_pipeline(tmp_path, teacher(f"http://127.0.0.1:{free_port()}/v1", **fields))
    ended = ran("simulate", "pipeline.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert told in ended.stderr


def test_each_teachers_skill_is_told_on_samples_that_it_has_not_learned_and_no_librarys_warning(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    write_rows(tmp_path, 40)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):  # a standing bar is fear, a lying one awe
        fear = number % 2 == 0
        picture = Image.new("RGB", (48, 32), (200 + number, 200, 200))
        picture.paste((0, 0, 0), (18, 4, 30, 28) if fear else (8, 12, 40, 20))
        picture.save(tmp_path / row["image"], quality=95)
        row["label"] = "fear" if fear else "awe"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, learned in (("half.csv", rows[:20]), ("all.csv", rows)):
        (tmp_path / name).write_text("image,label\n" + "".join(f"{row['image']},{row['label']}\n" for row in learned))
    url = f"http://127.0.0.1:{free_port()}/v1"
    write_pipeline(
        tmp_path,
        teacher(url, "one", simulate={"learn": "half.csv"}),
        teacher(url, "two", simulate={"learn": "all.csv", "eye": "logistic"}),
        teacher(url, "three", simulate={"stuck": "awe"}),
        task={"kind": "classify", "question": "What?", "labels": ["awe", "fear"]},
    )
    with simulated(tmp_path) as lines:
        assert lines[0] == f"one: model-one at {url}, right about 100% of 20 samples that it has not learned (by their labels)"
        assert lines[1] == f"two: model-two at {url}, skill unknown (the source has no labelled sample that it has not learned)"
        assert lines[2] == f"three: model-three at {url}"


def test_the_skill_of_a_teacher_that_reads_cells_is_told_of_whole_pictures_by_their_free_answer(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    write_rows(tmp_path, 12)
    listed = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    learned = ["image,label"]
    for number, row in enumerate(listed):
        cells = [Image.new("L", (24, 24), 255 - number) for _ in range(2)]
        for cell, standing in zip(cells, (number % 2, number // 2 % 2), strict=True):
            cell.paste(0, (9, 2, 15, 22) if standing else (2, 9, 22, 15))
        whole = Image.new("L", (48, 24))
        for place, cell in enumerate(cells):
            whole.paste(cell, (24 * place, 0))
            if number < 4:
                cell.save(tmp_path / f"{number}-{place}.png")
                learned.append(f"{number}-{place}.png,{(number % 2, number // 2 % 2)[place]}")
        whole.save(tmp_path / row["image"], quality=95)
        row["label"] = number % 2 + number // 2 % 2
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    (tmp_path / "cells.csv").write_text("\n".join(learned))
    url = f"http://127.0.0.1:{free_port()}/v1"
    adds = {"learn": "cells.csv", "cells": {"rows": 1, "columns": 2, "answer": "sum"}}
    write_pipeline(tmp_path, teacher(url, "one", simulate=adds), task={"kind": "answer", "question": "What?", "verifier": "number"})
    with simulated(tmp_path) as lines:
        assert lines[0] == f"one: model-one at {url}, right about 100% of 12 samples that it has not learned (by their labels)"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "[::1]:{port}", "Origin": "http://localhost:{port}"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "evil.example:{port}"}, 400),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 400),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "127.0.0.1:1"}, 400),
        ({"Host": ""}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_page_in_a_browser_is_not_answered_nor_is_another_name_of_this_machine(served: int, headers: dict[str, str], status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served, timeout=30)
    for method, path in (("GET", "/v1/models"), ("GET", "/ledger"), ("POST", "/v1/chat/completions")):
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value.format(port=served))
        connection.putheader("Content-Length", "2" if method == "POST" else "0")
        connection.endheaders(b"{}" if method == "POST" else None)
        answer = connection.getresponse()
        told = answer.read().decode()
        asked = method == "POST" and status == 200  # an empty request is refused as such
        assert answer.status == (400 if asked else status), (method, path, told)
        assert ("this server" in told) is (status != 200), told
    connection.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with Server([Role("one", "m", Simulated())], ["a", "b"], root=tmp_path_factory.mktemp("served")) as server:
        yield int(server.url.rpartition(":")[2].removesuffix("/v1"))
