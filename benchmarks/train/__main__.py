"""All that is measured of `cotforge train`, one table after the other.

python -m benchmarks.train [--smoke]
"""

import argparse

from benchmarks.train import evaluation, first, grpo, memory, sft


def main() -> None:
    """The tables, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--smoke", action="store_true", help="seconds instead of many minutes, too short to mean anything")
    if asked.parse_args().smoke:
        sft.measure(16, 1, 32)
        grpo.measure(2, 16, 32)
        memory.measure([40])
        first.measure(1, ["sft"], warm=False)
        evaluation.measure(8, 8, 1)
    else:
        sft.measure(320, 3, 128)
        grpo.measure(30, 64, 128)
        memory.measure([5_000, 50_000])
        first.measure(3)
        evaluation.measure(256, 48, 3)


if __name__ == "__main__":
    main()
