"""What every test may count on: no network, no telemetry, one thread per torch, and the same examples at every run."""

import fcntl
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cotforge.notices import shown_on_stderr
from cotforge.optional import pass_over_torchvision
from cotforge.redaction import forget_secrets
from tests.nursery import Nursery

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost")
os.environ["OMP_NUM_THREADS"] = "1"  # so small models only wait for more of them, and tests run side by side
pass_over_torchvision()  # as `cotforge train` does: here it may be one that does not go with torch

settings.register_profile("cotforge", deadline=None, derandomize=True, database=None)
settings.load_profile("cotforge")


@pytest.fixture(autouse=True)
def frozen_heap() -> None:
    """What is there before a test is not looked through at each collection: with torch that takes 0.2 s, four times a stage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def notices_on_stderr() -> Iterator[None]:
    """Notices and progress are shown as the command shows them; tests of the Python face, which prints nothing, do without."""
    with shown_on_stderr():
        yield


@pytest.fixture(autouse=True)
def no_known_credentials() -> Iterator[None]:
    """What a process knows to be a key it cuts out of everything: the keys of one test are words of another."""
    yield
    forget_secrets()


@pytest.fixture(scope="session")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model that tells colours, made once: whoever gets it only reads it."""
    pytest.importorskip("torch", reason="a model on this machine needs the extra 'transformers'")
    from tests.tiny_vlm import build

    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    with (root / "vlm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of all who run tests side by side one makes it
        if not (root / "vlm").exists():
            (root / "vlm.new").mkdir()
            build(root / "vlm.new").rename(root / "vlm")
    return root / "vlm"


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Processes that train, forked from one that imports torch once for all tests."""
    pytest.importorskip("trl", reason="training needs the extra 'train'")
    with Nursery() as nursery:
        yield nursery
