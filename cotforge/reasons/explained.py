"""What a published word means."""

from typing import NamedTuple


class Explained(NamedTuple):
    """A published word in plain ones."""

    meaning: str
    """As a sentence."""
    counted: str = ""
    """As it follows a number of samples: 3 `tied`. Empty where the stage alone says it."""
    alone: str = ""
    """As it stands by itself; empty where the stage alone says it."""
