"""`cotforge train --launch`: a run of its own for each stage; a launcher that writes down what it is given stands in for torchrun."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.project import ran

NOTES = 'echo "$@" >> asked; echo "stage done"; echo "the student: $#"'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    stages = [{"name": name, "kind": "sft"} for name in ("inject", "more", "last")]
    pipeline = {
        "name": "squares",
        "source": {"kind": "table", "path": "rows.jsonl"},
        "task": {"kind": "classify", "question": "Which colour?", "labels": ["red", "blue"]},
        "teachers": [{"name": "one", "model": "m", "url": "http://localhost:1/v1"}],
        "train": {"student": {"model": "some/model"}, "stages": stages},
    }
    (tmp_path / "squares.yaml").write_text(yaml.safe_dump(pipeline))
    return tmp_path


def launcher(folder: Path, script: str) -> str:
    (folder / "launch.sh").write_text(script + "\n")
    return f"sh {folder / 'launch.sh'} --processes 2"


def train(folder: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return ran("train", "squares.yaml", "--out", "run", "--launch", launcher(folder, script), *words, cwd=folder)


def asked(folder: Path) -> list[str]:
    return [
        line.removeprefix("--processes 2 -m cotforge train squares.yaml --out run ") for line in (folder / "asked").read_text().splitlines()
    ]


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ([], ["--stage inject", "--stage more", "--stage last"]),
        (["--from", "more"], ["--stage inject", "--stage more --from more", "--stage last --from last"]),
        (["--from", "base"], ["--stage inject --from inject", "--stage more --from more", "--stage last --from last"]),
        (["--stage", "more"], ["--stage more"]),
        (["--smoke"], ["--smoke"]),
        (["--stage", "last", "--set", "train.cache_gb=1"], ["--set train.cache_gb=1 --stage last"]),
    ],
)
def test_each_stage_is_a_run_of_its_own(project: Path, words: list[str], runs: list[str]) -> None:
    done = train(project, NOTES, *words)
    assert done.returncode == 0, done.stderr
    assert asked(project) == runs
    assert done.stdout.startswith("the student: ")
    assert done.stdout.count("\n") == 1
    assert not (project / "run").exists()  # held by the runs, not by who takes the turns


def test_of_a_tree_the_stages_below_the_first_are_done_again(project: Path) -> None:
    whole = yaml.safe_load((project / "squares.yaml").read_text())
    whole["train"]["stages"][2]["from"] = "inject"
    (project / "squares.yaml").write_text(yaml.safe_dump(whole))
    assert train(project, NOTES, "--from", "more").returncode == 0
    assert asked(project) == ["--stage inject", "--stage more --from more", "--stage last"]


def test_a_run_that_fails_ends_the_turns_with_a_line(project: Path) -> None:
    done = train(project, 'echo "$@" >> asked; exit 7')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "inject: 'sh' ended with 7; what is wrong stands above"
    assert len(asked(project)) == 1


def test_a_launcher_that_is_not_there_is_a_line(project: Path) -> None:
    done = ran("train", "squares.yaml", "--launch", "tortoiserun --fast", cwd=project)
    assert done.returncode == 2
    assert "--launch: 'tortoiserun' cannot be run: No such file or directory; is it installed" in done.stderr


def test_told_to_end_it_passes_that_on_and_waits(project: Path) -> None:
    def tell() -> None:
        for _ in range(3_000):
            if (project / "begun").exists():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.01)

    teller = threading.Thread(target=tell)
    teller.start()
    done = train(project, 'trap "echo saved > saved; exit 1" TERM; touch begun; for i in $(seq 600); do sleep 0.1; done')
    teller.join()
    assert done.returncode == 130
    assert (project / "saved").exists()


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cotforge", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_launcher_beside_this_python_is_found_without_a_path(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = ran("train", "squares.yaml", "--out", "run", "--launch", Path(sys.executable).name + " -c pass", cwd=project)
    assert done.returncode == 0, done.stderr
