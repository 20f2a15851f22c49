"""What the functions of the Python face return."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cotforge.errors import PipelineError, in_words
from cotforge.regular_files import read_regular

if TYPE_CHECKING:
    from cotforge.estimate import Estimate

_LARGEST = 64 << 20
"""Bytes of a file of figures."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What `check` found: the file, its prompts, its source and its teachers are sound, and this is what a build would ask."""

    estimate: "Estimate"
    """Calls, tokens, dollars and hours still to come, in all and by teacher (`estimate.shares`)."""
    text: str
    """The same as the command prints it."""
    notices: tuple[str, ...]
    """What a person should know of before paying."""

    @property
    def calls(self) -> int:
        """Calls still to be made, at most."""
        return self.estimate.calls

    @property
    def cost_usd(self) -> float:
        """What they cost, about, in US dollars; teachers without a price cost nothing here."""
        return self.estimate.usd.about

    def __str__(self) -> str:
        return "\n".join([self.text, *self.notices])


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What `train` came to. `Run.metrics` and `Run.evaluations` have the figures of the stages."""

    run: Path
    """The run folder."""
    student: Path | None
    """The trained student; None where some stages are not done yet, or where this was `smoke`."""
    text: str
    """What the command prints last."""
    notices: tuple[str, ...]
    """What was told on the way."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model on held-out labels, as a file of `eval/` has it; `figures` has all of that file."""

    path: Path
    model: str
    n: int
    """Held-out samples that were answered."""
    accuracy: float
    """In [0, 1]."""
    macro_recall: float | None
    """The mean of the classes' recalls, in [0, 1]; None where answers are free."""
    recall: Mapping[str, float | None]
    """Of each class, in [0, 1]; None where no sample of it was held out."""
    format_rate: float
    """Share of answers in the asked form, in [0, 1]."""
    figures: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises PipelineError where the file holds no such figures."""
        try:
            found = json.loads(read_regular(path, most=_LARGEST))
            named = {name: found[name] for name in ("model", "n", "accuracy", "macro_recall", "recall", "format_rate")}
        except (OSError, ValueError, LookupError, TypeError) as fault:
            raise PipelineError(f"{path}: holds no figures of an evaluation: {in_words(fault)}; cotforge eval writes them") from fault
        return cls(path, **named, figures=found)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the accuracy: 95 %, by bootstrap; None where it is not known."""
        found = self.figures.get("accuracy_interval")
        return (float(found[0]), float(found[1])) if found else None
