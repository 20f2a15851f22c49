"""The base of every typed section of the pipeline file."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A closed, frozen section: a key that is not a field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
