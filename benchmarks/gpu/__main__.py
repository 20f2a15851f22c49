"""What training, rollouts, evaluation and local teachers cost on one GPU, beside plain TRL, in at most eight minutes.

    python -m benchmarks.gpu                      # all of it
    python -m benchmarks.gpu --only sft,grpo      # some parts
    python -m benchmarks.gpu --smoke              # on a CPU, a tiny student: only to see that it runs

Students of 1B and 3B of random weights are made on the GPU; nothing is fetched. Lessons have a picture of 448 pixels and 512 tokens of
text. `cotforge` is `cotforge train` on a pipeline's file in a run folder; `TRL` is TRL's own trainer on the same lessons, batch and
steps. A line for what is not installed (vllm, bitsandbytes) says so. Each part has a time of its own, after which its other lines are
left out. Where something fails, its whole output is in the folder that --out names.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # a look for GPUs is not to begin CUDA here: processes that use them are forked

from benchmarks.cells import FAULT, Cells, Clock
from benchmarks.forge.table import print_table
from benchmarks.gpu import card
from benchmarks.gpu.bench import SMOKE, WHOLE, Bench
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.train import ground

SECONDS = 470.0
FIRST = ("rate", "students")


def main() -> None:
    """The tables, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    asked.add_argument("--seconds", type=float, default=SECONDS, help="of all parts together, at most (default: %(default)g)")
    asked.add_argument("--out", type=Path, help="a folder to keep: students of gigabytes, run folders, logs")
    asked.add_argument("--smoke", action="store_true", help="a tiny student and a few steps, also on a CPU")
    given = asked.parse_args()
    wanted = given.only.split(",")
    if strange := [name for name in wanted if name not in PARTS]:
        asked.error(f"--only: there is no part {strange[0]!r}; there are {', '.join(PARTS)}")
    ground.quiet()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder: Path = (given.out or Path(name)).resolve()
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        clock = Clock.of(3600.0 if given.smoke else given.seconds)
        bench = Bench(SMOKE if given.smoke else WHOLE, folder, Cells(clock, folder / "logs"))
        bench.gpu = _has_gpu(bench.cells)
        if not bench.gpu and not given.smoke:
            print("There is no GPU here; --smoke runs on a CPU.")
            return
        for part in dict.fromkeys([*FIRST, *wanted]):
            measure(PARTS[part], bench)
        if given.smoke and bench.cells.faults:
            sys.exit("; ".join(bench.cells.faults))


def measure(part: Part, bench: Bench) -> None:
    """Its table, as it goes."""
    bench.cells.clock.begin(part.seconds if bench.size is WHOLE else SECONDS)
    print(f"{part.title}\n")
    print_table(part.head, part.lines(bench))
    print(flush=True)


def _has_gpu(cells: Cells) -> bool:
    """Where a forked process cannot use it, others are spawned."""
    cells.clock.begin(60)
    found = cells.run("look", card.look)
    if FAULT in found:
        cells.method = "spawn"
        found = cells.run("look", card.look)
    if found.get("gpu"):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return bool(found.get("gpu"))


if __name__ == "__main__":
    main()
