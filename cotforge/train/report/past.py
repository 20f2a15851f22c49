"""What a training run has come to so far, read back from its folder: for the report and the student's card. No torch here."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotforge.plan import SMOKE_STEPS, Plan, Stage, plan_lines
from cotforge.plan.branches import stage_origins, stage_parents

BASE = "00-base"
"""Names the figures of the student before its first stage."""
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Chapter:
    """A stage that was begun."""

    stage: Stage
    line: str
    """As the plan tells of it."""
    folder: Path
    manifest: dict[str, Any]
    tried: dict[str, Any] | None
    """The figures of `eval/<folder>.json`; None where this student was not tried on what is held out."""
    parent: str | None = None
    """The stage whose weights it begins with, by name; None is the base."""
    origin: str = ""
    """The same where it is not the stage before it, in the plan's words."""

    @property
    def title(self) -> str:
        """Its name, and with whose weights it began where that is not the stage before it."""
        return f"{self.stage.name}, from {self.origin}" if self.origin else self.stage.name

    @property
    def finished(self) -> bool:
        """Whether it is done."""
        return bool(self.manifest.get("finished"))

    @property
    def last(self) -> dict[str, Any]:
        """The last row of its metrics; empty until it is done."""
        return dict(self.manifest.get("last") or {})

    def rows(self) -> Iterator[dict[str, Any]]:
        """Its metrics so far, a row per optimizer step, a row in memory at a time; numbers that are none are left out."""
        with suppress(OSError), (self.folder / "metrics.jsonl").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                with suppress(ValueError, AttributeError):  # the last one may have been cut short
                    yield {
                        name: value for name, value in json.loads(line).items() if isinstance(value, int | float) and math.isfinite(value)
                    }


def past_chapters(plan: Plan, run: Path, *, smoke: bool = False) -> list[Chapter]:
    """The stages of a plan that were begun in a run folder, or in its smoke, in their order."""
    told, stages = plan_lines(plan, steps=SMOKE_STEPS if smoke else None), plan.expanded()
    above, origin = stage_parents(stages), stage_origins(stages)
    chapters = []
    for place, stage in enumerate(stages):
        folder = run / "train" / ("smoke" if smoke else "") / f"{place + 1:02}-{stage.name}"
        manifest = read_object(folder / MANIFEST)
        if manifest:
            tried = None if smoke else _tried_figures(run, folder.name, stage, manifest)
            parent = above[stage.name]
            chapters.append(Chapter(stage, told[place], folder, manifest, tried, parent.name if parent else None, origin[stage.name]))
    return chapters


def trained_chapters(plan: Plan, chapters: Sequence[Chapter]) -> list[Chapter]:
    """Of the stages, those that the student went through: the last one that leaves weights, and all above it, the first one first."""
    last = [stage.name for stage in plan.expanded() if stage.leaves_weights][-1:]
    above, line = stage_parents(plan.expanded()), set(last)
    while last and (parent := above[last[0]]) is not None:
        last = [parent.name]
        line |= {*last}
    return [chapter for chapter in chapters if chapter.stage.name in line]


def outdone_line(plan: Plan, chapters: Sequence[Chapter]) -> str:
    """A line where another branch's student was right more often than the last one, surely (intervals apart); empty elsewhere."""
    line = trained_chapters(plan, chapters)
    last = line[-1].tried if line else None
    others = [chapter for chapter in chapters if chapter not in line and chapter.tried]
    if not last or last.get("accuracy") is None or not others:
        return ""
    best = max(others, key=lambda chapter: chapter.tried["accuracy"] or 0.0 if chapter.tried else 0.0)
    if not best.tried or not best.tried.get("accuracy_interval") or best.tried["accuracy_interval"][0] <= last["accuracy_interval"][1]:
        return ""
    return (
        f"train/student is {line[-1].title!r}, the last stage, with accuracy {last['accuracy']:.3f}; {best.title!r} has "
        f"{best.tried['accuracy']:.3f}: have it last in train.stages to keep it as the student"
    )


def base_figures(run: Path, chapters: list[Chapter]) -> dict[str, Any] | None:
    """The figures of the student before any stage."""
    found = read_object(run / "eval" / f"{BASE}.json")
    first = next((chapter.manifest["inputs"]["begin"] for chapter in chapters if chapter.parent is None), "")
    return found if found and str(found.get("key", "")).startswith(first) else None


def read_object(file: Path) -> dict[str, Any]:
    """A JSON file's object; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _tried_figures(run: Path, name: str, stage: Stage, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """Figures of an earlier student, of the same stage with other inputs, are none of this one."""
    found = read_object(run / "eval" / f"{name}.json")
    if not (found and manifest.get("finished")):
        return None
    return found if not stage.leaves_weights or str(found.get("key", "")).startswith(manifest["key"]) else None
