"""Every family of students through SFT, GRPO, GRPO with clip and KL, DPO and held-out questions: what went through, what was refused.

python -m benchmarks.families [--smoke] [FAMILY ...]
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from benchmarks.families.builders import FAMILIES
from benchmarks.families.stages import STAGES, Outcome, go
from benchmarks.forge.table import print_table
from benchmarks.train.ground import quiet

DONE_FOR = {
    "LLaVA-OneVision": "GRPO told how many pictures a row has (TRL)",
    "PaliGemma": "texts without a picture (transformers), types of tokens in GRPO (TRL)",
    "Mllama": "attention across over the whole lesson",
    "Mistral3": "processor without torchvision, prompts of unequal length (transformers)",
    "Pixtral": "processor without torchvision, prompts of unequal length (transformers)",
    "Ovis2": "grids as lists, number of tiles (transformers)",
} | dict.fromkeys(
    ("Qwen2-VL", "Qwen2.5-VL", "Qwen3-VL", "Qwen3.5", "GLM-4V", "InternVL", "InternVL, tiles", "SmolVLM"), "processor without videos"
)
"""What cotforge does about a family, and whose gap it fills."""
SMOKE = ("LLaVA", "Ovis2")
ADAPTERS: dict[str, Any] = {"lora": {"rank": 4}, "freeze": ["vision"]}


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--smoke", action="store_true", help="two families, one column")
    asked.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    given = asked.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    quiet()
    with open(os.devnull, "w") as nowhere, redirect_stderr(sys.stderr if given.families else nowhere):  # what stages tell on the way
        _tables(given)


def _tables(given: argparse.Namespace) -> None:
    print(f"TRL {version('trl')}, transformers {version('transformers')}, torch {version('torch')}\n")
    names = given.families or (SMOKE if given.smoke else list(FAMILIES))
    if given.smoke:
        failed: dict[str, None] = {}
        print_table(("family", "one picture", "CPU s"), _lines(names, (("one", {}),), failed))
        if failed:
            sys.exit("\n".join(failed))
        return
    columns: Sequence[tuple[str, dict[str, Any]]] = (("one", {}), ("one or two", {}), ("one", ADAPTERS))
    refusals: dict[str, None] = {}
    print_table(("family", "one picture", "one or two", "LoRA", "CPU s", "done for it"), _lines(names, columns, refusals, DONE_FOR))
    for number, line in enumerate(refusals, 1):
        print(f"\n({number}) {line}")
    print(f"\nSFT and DPO on rows with none, one or two pictures: {_without(names)}")


def _lines(
    names: Sequence[str], columns: Sequence[tuple[Any, dict[str, Any]]], refusals: dict[str, None], told: dict[str, str] | None = None
) -> Iterator[tuple[str, ...]]:
    for name in names:
        begun, cells = process_time(), []
        for pictures, student in columns:
            with TemporaryDirectory() as folder:
                cells.append(_cell(go(FAMILIES[name], Path(folder), pictures, **student), refusals))
        yield name, *cells, f"{process_time() - begun:.1f}", *(() if told is None else (told.get(name, ""),))


def _cell(found: Outcome, refusals: dict[str, None]) -> str:
    """How many stages were finished, or the number of the line that refused them."""
    if found.went_through:
        return f"{len(found.stages)} of {len(STAGES)}"
    refusals.setdefault(found.refusal)
    return f"refused ({[*refusals].index(found.refusal) + 1})"


def _without(names: Sequence[str]) -> str:
    """Which families learn from rows without a picture among others, and which leave them out."""
    stages, fails = (STAGES[0], STAGES[-1]), []
    for name in names:
        with TemporaryDirectory() as folder:
            found = go(FAMILIES[name], Path(folder), "none, one or two", stages=stages)
            if not found.went_through:
                fails.append(f"{name} ({found.refusal})")
    return f"{len(names) - len(fails)} of {len(names)} families go through" + (f"; not {'; '.join(fails)}" if fails else "")


if __name__ == "__main__":
    main()
