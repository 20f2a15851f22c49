"""How many more lessons, how right and at what cost: rescue, verification and weaving beside the plain vote, on the demo's digits and sums.

    python -m benchmarks.followups [--out DIR] [--limit 1200]
    python -m benchmarks.followups --smoke

The demo's five small classifiers answer (`cotforge simulate`), with their habits as they are by default: they follow a fifth of all hints,
and tell in a twentieth of their explanations that they were given one. 8 % of the labels are wrong. Every line has the votes of the first
one, out of the same journal, and its own follow-ups beside. What is done already in DIR is not asked again.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.followups.score import HEAD, ArmScore, score_arm
from benchmarks.forge.table import print_table
from cotforge.demo.digits import write_digits, write_if_changed
from cotforge.demo.sums import write_sums
from cotforge.pipeline import Loaded
from cotforge.prompts import shipped_folder
from cotforge.session import RunSession
from cotforge.simulate import Role, Server

TRUST = 0.34
"""Share of the ballots from which on a label that leads the vote is trusted: under `majority` a label with more than half is accepted."""
PLAIN = "plain vote"
_RESCUE = {"rescue": {"verify": 2, "trust": TRUST}}
_VERIFY = {"verify": {"share": 1.0, "by": 1}}
_WEAVE = {"weave": {"teacher": "nearest", "candidates": "any", "verify": 1}}
_VERIFIED = {"measure": "verified", "min": 1}
ARMS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "everybody asked twice": {"samples": 2},
    "+ rescue": _RESCUE,
    "+ rescue by one reader": {"rescue": {"verify": 1, "trust": TRUST}},
    "+ verification": {**_VERIFY, "filter": _VERIFIED},
    "+ weaving": _WEAVE,
    "+ all three": {**_RESCUE, **_VERIFY, **_WEAVE, "filter": _VERIFIED},
}
"""What each line adds to the shipped pipeline; `samples` is of every teacher, `filter` one more filter."""
TASKS = ("digits", "sums")


def main() -> None:
    """A table for each task, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, help="a folder to keep; without it all is gone at the end")
    asked.add_argument("--limit", type=int, default=1_200, help="pictures of each task (default: %(default)s)")
    asked.add_argument("--smoke", action="store_true", help="24 pictures and two lines: only to see that it runs")
    given = asked.parse_args()
    limit, names = (24, (PLAIN, "+ all three")) if given.smoke else (given.limit, tuple(ARMS))
    if given.out is not None:
        compare(given.out.resolve(), limit, names=names)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), limit, names=names)


def compare(out: Path, limit: int, *, names: Sequence[str] = tuple(ARMS)) -> None:
    """Both tables, with these lines; `out` then holds the data and a run folder for each line."""
    write_digits(out / "raw")
    write_sums(out / "raw" / "sums")
    for task in TASKS:
        scores = build_arms(out, task, limit, names=names)
        print(f"\n{task}: {limit:,} pictures\n")
        print_table(HEAD[task], (score.cells(scores[PLAIN]) for score in scores.values()))


def build_arms(out: Path, task: str, limit: int, *, names: Sequence[str] = tuple(ARMS)) -> dict[str, ArmScore]:
    """The scores of lines of a task, the plain vote first: its replies are copied for all others."""
    scores = {}
    with _serve_teachers(out / "raw", task) as url:
        for name in names:
            added = ARMS[name]
            file = arm_pipeline(out / "raw", task, name, added, url=url, limit=limit)
            run = out / file.stem
            run.mkdir(parents=True, exist_ok=True)
            if name != PLAIN and not (run / "journal.sqlite").exists():
                shutil.copy(out / arm_name(task, PLAIN) / "journal.sqlite", run / "journal.sqlite")
            with RunSession.open(file, out=run) as session:
                print(f"{file.stem}: {session.build()}", file=sys.stderr, flush=True)
            scores[name] = score_arm(name, run, out / "raw", task)
    return scores


def arm_name(task: str, name: str) -> str:
    """Of a pipeline file and a run folder: `sums-rescue`."""
    return f"{task}-{name.removeprefix('+ ').replace(' ', '-')}"


def arm_pipeline(folder: Path, task: str, name: str, added: dict[str, Any], *, url: str, limit: int) -> Path:
    """The shipped pipeline with what a line adds, its teachers at once and without a server's faults; those of the models stay."""
    text = (shipped_folder("pipelines") / f"{task}.yaml").read_text(encoding="utf-8")
    whole = yaml.safe_load(text.replace("${DIGITS_DIR}", "."))
    whole = {key: value for key, value in whole.items() if key not in ("train", "eval")}
    whole["name"] = arm_name(task, name)
    whole["source"]["limit"] = limit
    for teacher in whole["teachers"]:
        teacher |= {"url": url, "samples": added.get("samples", 1)}
        teacher["simulate"] = {
            key: value for key, value in teacher["simulate"].items() if key not in ("latency", "jitter", "errors", "limit")
        }
    if task == "sums" and "weave" in added:  # woven texts say more
        whole["filters"] = [{**each, "max": 200} if each["measure"] == "reasoning_words" else each for each in whole["filters"]]
    if "filter" in added:
        whole["filters"].append(added["filter"])
    whole |= {key: value for key, value in added.items() if key not in ("samples", "filter")}
    file = folder / f"{arm_name(task, name)}.yaml"
    write_if_changed(file, yaml.safe_dump(whole, sort_keys=False).encode())
    return file


@contextmanager
def _serve_teachers(folder: Path, task: str) -> Iterator[str]:
    file = arm_pipeline(folder, task, PLAIN, {}, url="http://127.0.0.1:1/v1", limit=1)
    pipeline = Loaded.load(file).pipeline
    with Server([Role.of(teacher) for teacher in pipeline.teachers], pipeline.task.options(), root=folder) as server:
        yield server.url


if __name__ == "__main__":
    main()
