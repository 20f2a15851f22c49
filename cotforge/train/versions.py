"""Which releases of the training libraries cotforge is made for. Nothing is imported of them.

`python -m cotforge.train.versions`, a part of `make check`, prints a line for each installed library that is out of range, and exits 1.
"""

import sys
import tomllib
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from importlib.util import find_spec
from pathlib import Path

from cotforge import version as own_version

BOUND = ("trl", "transformers")
"""Libraries of which more than the documented interface is used (`cotforge.train.trl_seam`)."""

VLLM = ((0, 22), (0, 32))
"""The releases of vLLM that TRL 1.16 is made for, by its `trl.import_utils.is_vllm_available`, and 0.32, which was tried here."""


def vllm_lacks() -> str:
    """What rollouts by vLLM lack of packages on this machine; empty where nothing."""
    found = vllm_release()
    if found is None:
        return "it needs vllm, also to talk to its server: pip install --no-deps vllm, and what it lacks (it names an older transformers)"
    from packaging.version import Version  # vllm needs it

    if not VLLM[0] <= Version(found).release[:2] <= VLLM[1]:
        first, last = (".".join(map(str, release)) for release in VLLM)
        return f"vllm {found} is installed; TRL 1.16 is made for {first} to {last}"
    return "TRL's client needs requests: pip install requests" if find_spec("requests") is None else ""


def vllm_release() -> str | None:
    """The release of vLLM that is installed here. Its builds for CPUs have names of their own."""
    with suppress(PackageNotFoundError):
        return version(next(iter(packages_distributions().get("vllm", ())), "vllm"))
    return None


def out_of_range(wanted: Iterable[str], installed: Callable[[str], str] = version) -> list[str]:
    """A line for each bound library that is installed in a release which the requirements `wanted` leave out."""
    from packaging.requirements import Requirement  # trl, transformers and accelerate need it; cotforge itself does not

    lines = []
    for requirement in dict.fromkeys(map(Requirement, wanted)):
        if requirement.name not in BOUND:
            continue
        try:
            found = installed(requirement.name)
        except PackageNotFoundError:
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            lines.append(
                f"{requirement.name} {found} is installed; cotforge is made for {requirement.name}{requirement.specifier}: "
                f"pip install '{requirement.name}{requirement.specifier}'"
            )
    return list(dict.fromkeys(lines))


def wanted_releases() -> list[str]:
    """What the extra `train` requires: of the checkout, where cotforge runs from one, else as it was installed."""
    project = Path(own_version.__file__).parents[1] / "pyproject.toml"
    if project.is_file():
        extras: dict[str, list[str]] = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
        return extras["train"]
    return [line.partition(";")[0] for line in requires("cotforge") or () if 'extra == "train"' in line.replace("'", '"')]


def print_out_of_range() -> int:
    """Lines on stderr, and how many libraries are out of range: 0 or 1 as an exit code."""
    lines = out_of_range(wanted_releases())
    for line in lines:
        print(line, file=sys.stderr)
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(print_out_of_range())
