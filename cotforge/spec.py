"""The base of every typed section of the pipeline file."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _path(text: str) -> str:
    data = text.encode(errors="surrogateescape")
    if b"\0" in data or len(data) > 4_095 or max(map(len, data.split(b"/"))) > 255:  # Linux's limits
        raise ValueError("no file can have this name: a path has at most 4,095 bytes, 255 between slashes, and no NUL")
    return text


PathText = Annotated[str, AfterValidator(_path)]
"""A path, or another name that a file of that name goes before."""


class Spec(BaseModel):
    """A closed, frozen section: a key that is not a field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class WrongKey(ValueError):
    """What a section's validator finds wrong with a key below the section: `tree.faults` tells it at that key's own path."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key, self.message = key, message
