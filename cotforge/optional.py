"""Libraries that may be missing or broken without harm."""

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


def pass_over_torchvision() -> str:
    """Have transformers find no torchvision where it is there and cannot be imported; a line about it, empty where nothing is wrong.

    PyPI's torchvision is built for PyPI's torch and fails beside one from another index ("operator torchvision::nms does not exist"), and
    everything in transformers that sees pictures with it. To be called before transformers is imported.
    """
    if find_spec("torchvision") is None:
        return ""
    try:
        import torchvision  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401
    except Exception as fault:
        sys.modules["torchvision"] = None  # type: ignore[assignment]
        said = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
        return (
            f"torchvision {_installed_version('torchvision')} cannot be imported beside "
            f"torch {_installed_version('torch')} ({said}), and is passed over; "
            "take both from one index, PyPI's or PyTorch's own"
        )
    return ""


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
