"""Budgets against servers that count wrong: what a run asks, and what it takes for spent. Prints the table of benchmarks/README.md.

python -m benchmarks.forge.counters
python -m benchmarks.forge.counters --smoke
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.forge.table import print_table
from tests.project import command, environment, sees, summary, teacher, write_pipeline, write_rows
from tests.teacher import Raw, Teacher

ROWS, LATENCY = 200, 0.05
BUDGETS: tuple[dict[str, float], ...] = ({"tokens": 20_000}, {"usd": 0.01})
"""At a dollar per million tokens."""
COUNTERS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "honest": lambda read, wrote: {"prompt_tokens": read, "completion_tokens": wrote},
    "a thousand times the input": lambda read, wrote: {"prompt_tokens": 1000 * read, "completion_tokens": wrote},
    "7,500,000 for every call": lambda read, wrote: {"prompt_tokens": 7_500_000, "completion_tokens": wrote},
    "7,500,000 of output": lambda read, wrote: {"prompt_tokens": read, "completion_tokens": 7_500_000},
    "16,000 for a picture": lambda read, wrote: {"prompt_tokens": 16_000 + read, "completion_tokens": wrote},
    "nothing": lambda read, wrote: {"prompt_tokens": 0, "completion_tokens": 0},
    "texts and negative numbers": lambda read, wrote: {"prompt_tokens": "many", "completion_tokens": -1},
}


def main() -> None:
    """Prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one budget and two counters: only to see that it runs")
    smoke = parser.parse_args().smoke
    counters = list(COUNTERS)[:2] if smoke else list(COUNTERS)
    lines = (_line(budget, counter) for budget in BUDGETS[: 1 if smoke else None] for counter in counters)
    print_table(["budget", "the server counts", "calls asked", "tokens it counted", "tokens spent", "dollars spent", "exit"], lines)


def _line(budget: dict[str, float], counter: str) -> list[str]:
    counted: list[int] = []

    def answer(body: dict[str, Any]) -> Raw:
        usage = COUNTERS[counter](100, 30)
        counted.append(sum(count for count in usage.values() if isinstance(count, int)))
        choice = {"message": {"content": sees(body)}, "finish_reason": "stop"}
        return Raw(json.dumps({"choices": [choice], "usage": usage}))

    with tempfile.TemporaryDirectory() as name, Teacher(answer, latency=LATENCY) as server:
        folder = Path(name)
        write_rows(folder, ROWS)
        one = teacher(server, "one", max_tokens=100, concurrency=64, price={"input": 1, "output": 1})
        write_pipeline(folder, one, consensus={"label": "ignore"}, budget=budget)
        ended = subprocess.run(command("build", "pipeline.yaml"), cwd=folder, env=environment(), capture_output=True)
        told = summary(folder / "runs/feelings")
    spent = [f"{sum(told['tokens'].values()):,}", f"{told['cost_usd']:.4f}", str(ended.returncode)]
    return [json.dumps(budget).strip("{}").replace('"', ""), counter, f"{len(counted)}", f"{sum(counted):,}", *spent]


if __name__ == "__main__":
    main()
