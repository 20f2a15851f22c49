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

from cotforge.train import devices, launched, processes
from tests import squares
from tests.project import environment, ran

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


def test_a_process_on_each_gpu_gets_what_torchrun_gives_and_a_single_one_only_its_gpu() -> None:
    (alone,) = launched.process_environments(["GPU-8f2c"], port=0, given={"HOME": "/h", "CUDA_VISIBLE_DEVICES": "0,1"})
    assert alone == {"HOME": "/h", "CUDA_VISIBLE_DEVICES": "GPU-8f2c", processes.PARENT: "1"}
    first, second = launched.process_environments(["3", "5"], port=4321, given={"OMP_NUM_THREADS": "7"})
    assert {name for name in first if first[name] != second[name]} == {"RANK", "LOCAL_RANK"}
    assert (first["CUDA_VISIBLE_DEVICES"], first["WORLD_SIZE"], first["MASTER_PORT"], first["OMP_NUM_THREADS"]) == ("3,5", "2", "4321", "7")
    assert (first["RANK"], second["RANK"]) == ("0", "1")
    assert devices.is_launched(first)
    assert not devices.is_launched(alone)


TWO = "import sys, torch; torch.cuda.device_count = lambda: 2; from cotforge.cli import main; main(sys.argv[1:])"
"""The command where torch sees two GPUs. The processes that it starts see none, and train on the CPU."""


def on_two(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TWO, "train", "squares.yaml", "--out", "run", "--trust", *words], cwd=folder,
        env=environment({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def test_on_two_gpus_without_a_launcher_a_process_trains_on_each(tmp_path: Path) -> None:
    folder = squares.project(tmp_path, {"name": "inject", "kind": "sft", "batch": 4, "epochs": 1, "accumulate": 1})
    wrong = on_two(folder, "--set", "train.student.model=nowhere")
    told = "2 GPUs (0, 1): a process trains on each, and batch is that of one process; --gpus 0 uses one alone"
    assert wrong.returncode == 2
    assert [line for line in wrong.stderr.splitlines() if "nowhere" in line or "Traceback" in line] == wrong.stderr.splitlines()[-1:]
    assert wrong.stderr.splitlines()[0] == told
    done = on_two(folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 GPUs") == 1
    assert done.stdout == "the student: run/train/student\n"
    assert (folder / "run/train/01-inject/metrics.jsonl").read_text().count("\n") == 2  # steps, of 16 lessons, four in each process
