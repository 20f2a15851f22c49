"""`part:` of a stage of kind `sft`: one of several parts of its data, so that each of several branches learns from its own."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cotforge.spec import Spec, WrongKey


class DataPart(Spec):
    """One part of a stage's data. Together the parts are all of it, and no row is in two of them."""

    of: int = Field(ge=2)
    """Number of parts."""
    index: int = Field(ge=0)
    """Which part to use, from 0."""
    by: Literal["random", "label", "length", "hash"] = "random"
    """How rows are divided. `random`: at random, into parts of equal size. `label`: all rows of an
    answer go to one part. `length`: the shortest completions go to part 0. `hash`: by the row's id,
    so that new rows do not move old ones."""
    seed: int = 0
    """Random seed for `random`. All parts of one split need the same."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.index >= self.of:
            raise WrongKey("index", f"is {self.index}; {self.of} parts are numbered 0 to {self.of - 1}")
        return self

    @property
    def words(self) -> str:
        """As the plan's line has it."""
        return f"part {self.index} of {self.of} by {self.by}"
