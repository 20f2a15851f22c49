"""The card and the rate of its matrix unit, measured: what all shares are of."""

import time
from statistics import median

import torch

from benchmarks.cells import Figures

TIMES = 20
"""Products that are timed, after three that are not."""


def rate(side: int) -> Figures:
    """TFLOP/s of products of square matrices of random bf16 numbers (float32 on a CPU), and GB/s of copies within the card."""
    gpu = torch.cuda.is_available()
    device, kind = ("cuda", torch.bfloat16) if gpu else ("cpu", torch.float32)
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    seconds = _seconds(lambda: left @ right)
    source = torch.empty(2**30 if gpu else 2**24, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = _seconds(lambda: target.copy_(source))
    return {
        "name": torch.cuda.get_device_name() if gpu else "CPU",
        "gb": torch.cuda.get_device_properties(0).total_memory / 1e9 if gpu else 0.0,
        "tflops": 2 * side**3 / seconds / 1e12,
        "copy": 2 * source.numel() / copying / 1e9,
        "torch": torch.__version__,
    }


def look() -> Figures:
    """Whether there is a GPU, and one that can be used from this process."""
    if not torch.cuda.is_available():
        return {"gpu": False}
    torch.cuda.init()
    return {"gpu": True}


def _seconds(work: object) -> float:
    """The median of TIMES."""
    assert callable(work)
    taken = []
    for _ in range(TIMES + 3):
        _wait()
        begun = time.perf_counter()
        work()
        _wait()
        taken.append(time.perf_counter() - begun)
    return median(taken[3:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
