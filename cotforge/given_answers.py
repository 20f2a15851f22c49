"""What people said of samples, person by person: the rows of `gold.csv` as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

FILE = "gold.csv"
"""In the run folder: where gold is kept if the pipeline file names no other place."""
UNTOLD = "?"
"""The answer of a person who could not tell."""
REVIEWER = "view"
"""The person that an answer is by which was given in the viewer, where nobody is named."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What one person said of a sample."""

    person: str
    answer: str
    """As the file has it; empty where there is only a note."""
    note: str = ""

    @property
    def is_untold(self) -> bool:
        """Whether the person could not tell."""
        return self.answer == UNTOLD


@dataclass(frozen=True, slots=True)
class GoldSheet:
    """Every answer of a file of gold, by the samples' ids. Unlike `Gold`, it keeps who said what."""

    answers: Mapping[str, tuple[GivenAnswer, ...]] = field(default_factory=dict)

    def state(self, id: str) -> str:
        """`checked`, `unsure` where people disagree or cannot tell, or empty where nobody has answered."""
        said = {one.answer for one in self.answers.get(id, ()) if one.answer}
        return "" if not said else "unsure" if len(said) > 1 or UNTOLD in said else "checked"
