"""What is shipped arrives, whichever way it is installed."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from cotforge.prompts import shipped_folder

pytest.importorskip("hatchling", reason="building needs the extra 'dev'")

ROOT = Path(__file__).parents[1]

LOOK = """
import os, re
from pathlib import Path
import cotforge
from cotforge.pipeline import Loaded
from cotforge.prompts import Prompt, shipped_folder

print(Path(cotforge.__file__).parent)
print(shipped_folder("prompts"))
for file in sorted(shipped_folder("pipelines").glob("*.yaml")):
    for variable in re.findall(r"[$][{](\\w+)[}]", file.read_text()):
        os.environ[variable] = os.getcwd()
    print(Loaded.load(file.stem).pipeline.name, Prompt.load("short_cot/solve", Path()).path)
"""


def pip(*arguments: str | Path) -> None:
    """Quiet, without an index or an environment of its own: what building needs is installed beside pytest."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def fresh(folder: Path) -> Path:
    """The interpreter of a new environment that sees the libraries beside pytest, but not what is installed there as editable."""
    venv.create(folder, symlinks=True)
    here = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    Path(here, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def look(python: Path, elsewhere: Path) -> list[str]:
    """What the installed package says of itself, from another folder."""
    elsewhere.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", LOOK], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    helped = subprocess.run(
        [python.parent / "cotforge", "--help"], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert (helped.returncode, "build" in helped.stdout) == (0, True), helped.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_the_package_with_pipelines_and_prompts_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"cotforge"}
    for kind in ("pipelines", "prompts"):
        here = {file.relative_to(shipped_folder(kind)).as_posix() for file in shipped_folder(kind).rglob("*.*")}
        prefix = f"cotforge/shipped/{kind}/"
        assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == here
    assert "cotforge/py.typed" in names


def test_a_wheel_finds_its_prompts_and_pipelines_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    python = fresh(tmp_path / "venv")
    pip("--python", python, "install", "--no-deps", "--no-index", "--ignore-installed", wheel)
    package, prompts, *pipelines = look(python, tmp_path / "elsewhere")
    assert package.startswith(str(tmp_path))
    assert prompts == f"{package}/shipped/prompts"
    assert [line.split()[1] for line in pipelines] == [f"{prompts}/short_cot/solve.jinja"] * len(pipelines)
    assert len(pipelines) == len(list(shipped_folder("pipelines").glob("*.yaml"))) > 0


def test_an_editable_install_finds_them_in_the_checkout(tmp_path: Path) -> None:
    python = fresh(tmp_path / "venv")
    pip("--python", python, "install", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--editable", ROOT)
    package, prompts, *pipelines = look(python, tmp_path / "elsewhere")
    assert package == str(ROOT / "cotforge")
    assert prompts == str(ROOT / "prompts")
    assert pipelines
