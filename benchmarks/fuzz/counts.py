"""Inputs of one kind, read one after another, and what went wrong, counted."""

import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from benchmarks.fuzz.inputs import INPUTS
from cotforge.errors import LONGEST_LINE, MOST_FAULTS, CotforgeError
from cotforge.records import Fault

VARIABLES = ("USER_WORD", "A_KEY", "DIGITS_DIR", "EMOSET_DIR", "IMAGES_DIR")
"""Set for all inputs: those that the pipelines name."""
SLOW_S = 10.0
"""Seconds of CPU that one input may take."""
MOST_BYTES = 2**30
"""Of the process, over all of its inputs."""
FAULTS = {
    "traceback": "tracebacks",
    "slow": f"inputs that took more than {SLOW_S:g} s",
    "long": "errors that are long, or more than one line",
    "memory": "megabytes beyond a gigabyte",
}
SEEN = {"refused": "refused", "row": "a fault of the row", "read": "read", "worst": "ms of CPU for the worst one", "peak": "MB at the peak"}


def counted(kind: str, inputs: int, seed: int) -> Counter[str]:
    """What came of so many mutated inputs of a kind; each that goes wrong is told on stderr."""
    os.environ.update(dict.fromkeys(VARIABLES, "word"))
    made, counts = INPUTS[kind], Counter[str]()
    for number in range(inputs):
        text = made.make(random.Random(f"{kind} {seed} {number}"))
        begun = time.process_time()
        with tempfile.TemporaryDirectory(prefix="cotforge-fuzz-") as folder:
            outcome = _outcome(kind, text, Path(folder))
        took = time.process_time() - begun
        counts["worst"] = max(counts["worst"], int(1000 * took))
        wrong = [outcome] if outcome in FAULTS else []
        wrong += ["slow"] if took > SLOW_S else []
        counts.update({outcome: 1} | dict.fromkeys(wrong, 1))
        for what in wrong:
            sys.stderr.write(f"{kind}, seed {seed}, number {number}: {what}: {text[:300]!r}\n")
    counts["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    counts["memory"] = max(0, counts["peak"] - MOST_BYTES // 2**20)
    return counts


def _outcome(kind: str, text: str, folder: Path) -> str:
    try:
        INPUTS[kind].read(text, folder)
    except CotforgeError as fault:
        short = all(len(line) <= LONGEST_LINE + 100 and "\n" not in line for line in fault.faults)
        return "refused" if short and len(fault.faults) <= MOST_FAULTS + 1 else "long"
    except Fault:
        return "row"
    except Exception:
        traceback.print_exc(limit=-6)
        return "traceback"
    return "read"
