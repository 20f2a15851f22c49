"""Rewards of all stages are tried before anything is evaluated or trained, and by `check`; a plan that holds nothing out is warned of."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import squares
from tests.project import environment, ran
from tests.teacher import Teacher

INJECT = {"name": "inject", "kind": "sft", "batch": 8, "steps": 2}
WRONG = "stage {!r}: rewards[0] reasoning_words: gives 1 to 6; a reward gives 0 to 1"


def grpo(name: str, measure: str, **others: Any) -> dict[str, Any]:
    return {"name": name, "kind": "grpo", "steps": 2, "batch": 8, "rewards": [{"measure": measure}], **others}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan whose second and third stage have rewards that cannot be, and no student in sight."""
    return squares.project(
        tmp_path_factory.mktemp("precheck") / "p", INJECT, grpo("second", "reasoning_words"),
        grpo("third", "reasoning_words", kind="dpo", data="rollouts"),
        eval={"split": "test"}, source={"kind": "table", "path": "rows.jsonl", "split": "test"},
    )  # fmt: skip


def test_all_wrong_rewards_are_told_before_anything_is_evaluated_or_trained(folder: Path) -> None:
    for words in ([], ["--stage", "inject"], ["--smoke"]):
        done = ran("train", "squares.yaml", "--out", "run", *words, cwd=folder)
        assert done.returncode == 2
        told = done.stderr.splitlines()[-2:]
        assert [line.partition("; ")[0] for line in told] == [
            f"stage {name!r}: rewards[0] reasoning_words: gives 1 to 7" for name in ("second", "third")
        ]
        assert not (folder / "run" / "eval").exists()
        assert not list((folder / "run" / "train").glob("0*"))


def test_check_tries_them_on_the_lessons_without_torch(folder: Path) -> None:
    program = (
        "import sys; from cotforge.cli import main\n"
        "try: main(['check', 'squares.yaml', '--out', 'run'])\n"
        "finally: print(*({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)), 'loaded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "loaded"
    assert [line.partition(";")[0] for line in done.stderr.splitlines()[-2:]] == [
        f"stage {name!r}: rewards[0] reasoning_words: gives 1 to 7" for name in ("second", "third")
    ]


def checked(folder: Path, whole: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    with Teacher(models=["m"]) as server:
        whole["teachers"] = [{"name": "one", "model": "m", "url": server.url}]
        (folder / "other.yaml").write_text(yaml.safe_dump(whole))
        return ran("check", "other.yaml", "--out", "other", cwd=folder)


def test_before_there_is_a_lesson_check_tries_their_range_on_labels_and_never_asks_for_marks(folder: Path) -> None:
    whole = yaml.safe_load((folder / "squares.yaml").read_text())
    wrong = checked(folder, whole)
    assert wrong.returncode == 2
    assert "stage 'second': rewards[0] reasoning_words: gives 23 to 23; a reward gives 0 to 1" in wrong.stderr
    whole["train"]["stages"] = [
        INJECT,
        grpo("second", "correct"),
        grpo("third", "mentions_prompt"),
        grpo("fourth", "correct", data="source"),
    ]
    right = checked(folder, whole)
    assert right.returncode == 0, right.stderr
    (folder / "own.py").write_text("def own(sample, trace, verdict):\n    return 1 / 0\n")
    whole["train"]["stages"] = [grpo("mine", "own.py:own")]
    own = checked(folder, whole)
    assert own.returncode == 2
    assert "stage 'mine': " in own.stderr.splitlines()[-1]
    assert "Traceback" not in own.stderr


def test_a_plan_without_anything_held_out_is_warned_of_by_check(folder: Path) -> None:
    whole = yaml.safe_load((folder / "squares.yaml").read_text())
    whole["train"]["stages"] = [INJECT]
    assert "train: stands without eval:" not in checked(folder, whole).stderr
    del whole["eval"]
    done = checked(folder, whole)
    assert done.returncode == 0, done.stderr
    assert (
        "train: stands without eval:, so nothing will show how good the student is; add eval: {share: 0.1} before the build" in done.stderr
    )


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is here")
def test_rollouts_by_a_vllm_that_is_not_here_are_told_by_check_and_before_anything_is_trained(folder: Path) -> None:
    whole = yaml.safe_load((folder / "squares.yaml").read_text())
    whole["train"]["stages"] = [INJECT, grpo("second", "correct", rollouts="vllm"), grpo("third", "correct", rollouts="auto")]
    done = checked(folder, whole)
    line = "stage 'second': rollouts: vllm: it needs vllm"
    assert (done.returncode, (done.stdout + done.stderr).count(line)) == (0, 1), done.stderr
    assert "stage 'third'" not in done.stdout + done.stderr
    shutil.copytree(folder / "run" / "dataset", folder / "other" / "dataset", dirs_exist_ok=True)
    ended = ran("train", "other.yaml", "--out", "other", cwd=folder)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(line)
    assert not list((folder / "other" / "train").glob("0*"))
