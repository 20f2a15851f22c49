"""`kind: batch`: a batch API in OpenAI's form. Its Calls go up in files and come back in hours: `forge.batches` sees to that."""

from typing import Literal, Self

from pydantic import model_validator

from cotforge.teachers.kinds.served import ServedTeacher
from cotforge.teachers.teacher import Batched


class BatchTeacher(ServedTeacher):
    """A model behind an OpenAI-compatible batch API."""

    kind: Literal["batch"] = "batch"
    """`batch`: an OpenAI-compatible batch API, which takes files of requests and answers in hours."""
    batch: Batched = Batched()
    """Limits of the batch API."""

    @model_validator(mode="after")
    def _has_no_replicas(self) -> Self:
        if len(self.url) > 1:
            raise ValueError("url has replicas; a batch API is one URL")
        return self

    @property
    def batched(self) -> Batched:
        return self.batch
