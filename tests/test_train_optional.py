"""Libraries that may be missing or broken without harm."""

import subprocess
import sys
from pathlib import Path

from tests.project import environment
from tests.squares import project

BROKEN = 'raise RuntimeError("operator torchvision::nms does not exist")\n'
LOOK = "from cotforge.optional import pass_over_torchvision as look; print(look())"


def broken(folder: Path) -> dict[str, str]:
    """The environment of a process that finds a torchvision built for another torch."""
    (folder / "torchvision").mkdir(parents=True)
    (folder / "torchvision" / "__init__.py").write_text(BROKEN)
    (folder / "torchvision-0.28.0.dist-info").mkdir()
    (folder / "torchvision-0.28.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    return environment({"PYTHONPATH": f"{folder}:{Path(__file__).parents[1]}", "OMP_NUM_THREADS": "1"})


def test_a_torchvision_that_does_not_go_with_torch_is_passed_over_with_a_line(tmp_path: Path) -> None:
    project(tmp_path / "p", {"name": "inject", "kind": "sft", "batch": 4, "steps": 1})
    done = subprocess.run(
        [sys.executable, "-m", "cotforge", "train", "squares.yaml", "--out", "run"],
        cwd=tmp_path / "p", capture_output=True, text=True, check=False, env=broken(tmp_path / "library"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "torchvision" in line]
    assert len(lines) == 1
    assert "torchvision 0.28.0 cannot be imported beside torch " in lines[0]
    assert "(operator torchvision::nms does not exist), and is passed over; take both from one index" in lines[0]


def test_a_torchvision_that_is_sound_or_not_there_is_not_told_of(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("")
    for path in (str(tmp_path), ""):
        done = subprocess.run(
            [sys.executable, "-c", LOOK], capture_output=True, text=True, check=False, env=environment({"PYTHONPATH": path})
        )
        assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
