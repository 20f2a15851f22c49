"""The command as a person meets it: help with examples, faults in a line each, and nothing on stdout but results."""

import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

import cotforge as package
from cotforge.cli import cli
from cotforge.cli_parts import EXAMPLES
from cotforge.errors import printable_line
from tests.project import Running, command, cotforge, environment, ran, replay, said, sees, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

ESCAPE = "\x1b]0;owned\x07\x1b[31m"
SECRET = "sk-0123456789abcdef-very-secret"


def write(folder: Path) -> None:
    """A pipeline that needs no server."""
    write_rows(folder, 3)
    replies = {f"row-{number}": said("awe") for number in range(3)}
    write_pipeline(folder, replay(folder, "one", dict(replies)), replay(folder, "two", dict(replies)))


def harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


# Help


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_explains_itself_with_an_example_that_is_one(name: str, tmp_path: Path) -> None:
    helped = ran(name, "--help", cwd=tmp_path)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert f"Usage: cotforge {name} " in helped.stdout
    assert EXAMPLES[name] in helped.stdout
    program, given, *words = shlex.split(EXAMPLES[name])
    assert (program, given) == ("cotforge", name)
    cli.commands[name].make_context(name, words)


@pytest.mark.parametrize("name", ["", *sorted(cli.commands)])
def test_help_tells_nothing_of_the_environment(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TEACHER_KEY", "COTFORGE_OUT", "COTFORGE_BUILD_OUT", "HF_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, SECRET)
    helped = ran(*([name] if name else []), "--help", cwd=tmp_path)
    assert SECRET not in helped.stdout + helped.stderr
    assert helped.stdout


def test_the_first_help_names_every_command_and_the_version_is_the_packages(tmp_path: Path) -> None:
    helped = ran("-h", cwd=tmp_path)
    assert helped.returncode == 0
    told = helped.stdout.partition("Commands:")[2]
    assert re.findall(r"^  ([a-z]+) {2,}\S", told, re.MULTILINE) == list(EXAMPLES)
    assert set(EXAMPLES) == set(cli.commands)
    assert "..." not in told
    assert ran("--version", cwd=tmp_path).stdout == f"cotforge {package.__version__}\n"


# Wrong arguments


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["build", "pipeline.yaml", "--ofline"], "No such option '--ofline'. Did you mean '--offline'?"),
        (["biuld", "pipeline.yaml"], "No such command 'biuld'"),
        (["pipeline.yaml", "check"], "cotforge: the command comes first: cotforge check pipeline.yaml; see --help"),
        (["curate", "pipeline.yaml"], "is a pipeline file, and a run folder is wanted; its run folder is runs/feelings"),
        (["build"], "Missing argument 'PIPELINE'"),
        (["build", "pipeline.yaml", "more"], "unexpected extra argument"),
        (["build", "pipeline.yaml", "--limit", "0"], "0 is out of range; at least 1"),
        (["build", "pipeline.yaml", "--limit", "many"], "'many' is no whole number"),
        (["simulate", "pipeline.yaml", "--port", "70000"], "70000 is out of range; 1 to 65535"),
        (["check", "pipeline.yaml", "--refresh", "one"], "No such option '--refresh'"),
        (["build", "nothing.yaml"], "nothing.yaml: no such file"),
        (["build", "."], ".: is a folder"),
        (["build", "pipeline.yaml", "--set", "teachers"], "--set 'teachers': write it as key.path=value"),
        (["build", "pipeline.yaml", "--set", "teachers.7.name=x"], "--set teachers.7.name: '7' is no item of a list of 2"),
        (["build", "pipeline.yaml", "--set", "selct.per_sample=2"], "no key named 'selct'; did you mean 'select'?"),
        (["build", "pipeline.yaml", "--refresh", "tow"], "--refresh tow: no teacher of that name; there are one, two"),
    ],
)
def test_a_wrong_word_ends_with_2_and_says_which(tmp_path: Path, words: list[str], told: str) -> None:
    write(tmp_path)
    ended = ran(*words, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_without_a_word_the_help_is_shown_and_the_code_is_2(tmp_path: Path) -> None:
    ended = ran(cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Usage: cotforge" in ended.stderr


# Results and messages


def test_stdout_holds_results_and_nothing_else(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), consensus={"label": "ignore"})
        checked = cotforge("check", "pipeline.yaml", cwd=tmp_path)
        built = cotforge("build", "pipeline.yaml", cwd=tmp_path)
        assert checked.stdout.splitlines()[-1] == "in all 4 calls to make"
    *lines, paid, files = built.stdout.splitlines()
    assert lines == [
        "no sample was accepted as 'awe' (label: 1): the dataset has no lesson of this class",
        "4 of 4 samples gave a lesson; the answer of 3 of these is not their label",
        "accepted per class: amusement 2 (label: 1), awe 0 (1), fear 1 (1), sadness 1 (1)",
        "perhaps mislabelled: 3 files whose agreed answer is not the label, with a lesson or without; "
        "runs/feelings/conflicts.csv lists them, the surest first",
        "rule in force: majority (by default), label ignore (pipeline.yaml)",
        "precision: uncalibrated, nobody checked enough answers; cotforge gold picks some to check",
    ]
    assert re.fullmatch(r"4 calls now, 0 given up; in all 4 calls since this folder began, \d+ tokens in \+ \d+ out, no price given", paid)
    assert files == "runs/feelings/dataset, runs/feelings/report.html, runs/feelings/losses.parquet"
    assert (checked.stderr, built.stderr) == ("", "")


def test_a_run_that_ends_with_3_still_prints_its_results(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(fail=lambda body: 400) as server:
        write_pipeline(tmp_path, teacher(server))
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 3
    assert ended.stdout.startswith("0 of 4 samples gave a lesson")
    assert ended.stderr.count("\n") == 1


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    write(tmp_path)
    ended = ran("build", "pipeline.yaml", "--set", "max_failures=7", "--set", "selct={}", "--set", "name=a/b", cwd=tmp_path)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 3
    assert all(line.startswith(str(tmp_path / "pipeline.yaml")) for line in ended.stderr.splitlines())


def test_output_into_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    write(tmp_path)
    with Running(
        command("check", "pipeline.yaml"), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as checking:
        assert checking.stdout is not None
        assert checking.stderr is not None
        checking.stdout.close()
        told = checking.stderr.read()
    assert "Traceback" not in told
    assert "Exception" not in told


# What a terminal would obey


def test_no_name_in_the_data_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    path = write_pipeline(tmp_path, replay(tmp_path, "one", {}), source={"kind": "table", "path": "rows.jsonl"})
    for rows in (
        f'{{"id": "{ESCAPE}", "image": "{ESCAPE}.jpg", "label": "awe"}}',
        f'{{"id": "1", "image": "images/0.jpg", "label": "{ESCAPE}"}}',
        f'{{"{ESCAPE}": "1", "picture": "images/0.jpg"}}',
        ESCAPE,
    ):
        (tmp_path / "rows.jsonl").write_text(rows.replace("\x1b", "\\u001b").replace("\x07", "\\u0007") + "\n")
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 2
        assert harmless(ended.stdout + ended.stderr), ended
    path.write_text(
        path.read_text().replace("name: feelings", f'"{ESCAPE}": 1\nname: feelings'.replace("\x1b", "\\e").replace("\x07", "\\a"))
    )
    ended = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert harmless(ended.stdout + ended.stderr), ended


@pytest.mark.parametrize("status", [400, 200])
def test_no_word_of_a_server_reaches_the_terminal_as_a_command(tmp_path: Path, status: int) -> None:
    write_rows(tmp_path, 2)
    with Teacher(ESCAPE, models=[f"model{ESCAPE}"], fail=lambda body: None if status == 200 else (400, ESCAPE)) as server:
        write_pipeline(tmp_path, teacher(server))
        ended = ran("check", "pipeline.yaml", cwd=tmp_path)
        assert ended.returncode == 2
        assert "does not serve" in ended.stderr
        assert harmless(ended.stdout + ended.stderr), ended
        write_pipeline(tmp_path, teacher(server, listed=False))
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert harmless(ended.stdout + ended.stderr), ended


def test_plain_text_is_one_line_that_a_terminal_only_shows() -> None:
    assert printable_line(f"a{ESCAPE}b\r\nc\u202ed") == r"a\x1b]0;owned\x07\x1b[31mb c\u202ed"
    assert printable_line("ä 漢 字 …") == "ä 漢 字 …"


# Secrets and interrupts


def test_no_fault_repeats_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path, 2)
    monkeypatch.setenv("A_KEY", SECRET)
    with Teacher(sees, fail=lambda body: (400, f"bad key {SECRET}"), key="another") as server:
        for fields in ({"key_env": "A_KEY"}, {"key_env": "A_KEY", "listed": False}):
            write_pipeline(tmp_path, teacher(server, **fields))
            for words in (["check"], ["build"]):
                ended = ran(*words, "pipeline.yaml", cwd=tmp_path)
                assert SECRET not in ended.stdout + ended.stderr
    for path in (tmp_path / "runs").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("more", [0, 30])
def test_an_interrupt_before_anything_is_asked_ends_with_130_however_many_more_follow(tmp_path: Path, more: int) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, teacher("http://127.0.0.1:9/v1"))
    # An interrupt may come between the opening of a file and its guard; Python closes it, and is not to speak of it here.
    build = command("build", "pipeline.yaml")
    build[3:3] = ["-W", "ignore::ResourceWarning"]
    with Running(build, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        while not (tmp_path / "runs/feelings/pipeline.yaml").exists():
            assert waiting.poll() is None
            time.sleep(0.001)
        waiting.send_signal(signal.SIGINT)
        told = waiting.stderr.readline().strip() or waiting.stderr.readline()
        for _ in range(more):
            waiting.send_signal(signal.SIGINT)
            time.sleep(0.002)
        told += waiting.stderr.read()
    assert waiting.returncode == 130
    assert told.strip() == "interrupted; what was paid for is kept: run the same command again to go on"
