"""`part:` of a stage of kind `sft`: one of several parts of its data, so that each of several branches learns from its own."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cotforge.spec import Spec, WrongKey


class DataPart(Spec):
    """One of several parts of a stage's data: together they are all of it, and no two hold the same row."""

    of: int = Field(ge=2)
    """How many parts there are."""
    index: int = Field(ge=0)
    """Which of them, from 0."""
    by: Literal["random", "label", "length", "hash"] = "random"
    """`random`: drawn, all of one size; `label`: all rows of an answer in one part; `length`: the shortest completions in part 0, the
    longest in the last; `hash`: by the row's id, so that a row stays in its part where others are added."""
    seed: int = 0
    """Of `random`; the parts of one split need the same one."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.index >= self.of:
            raise WrongKey("index", f"is {self.index}; {self.of} parts are numbered 0 to {self.of - 1}")
        return self

    @property
    def words(self) -> str:
        """As the plan's line has it."""
        return f"part {self.index} of {self.of} by {self.by}"
