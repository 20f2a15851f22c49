"""One row of a dataset, as every format starts from it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

Kind = Literal["sft", "grpo", "dpo"]
"""What the rows are for: learning texts, learning from rewards, learning from pairs of texts."""

PLACEHOLDER = re.compile(r"<(?=(?:image|video|audio)>)")
"""Text that other trainers take for the place of a picture."""

_SUFFIXES = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))


@dataclass(frozen=True, slots=True)
class ExportedPicture:
    """A picture as it lies in the dataset."""

    data: bytes
    name: str
    """Digest and suffix."""

    @classmethod
    def of(cls, data: bytes) -> "ExportedPicture | None":
        """None where the bytes are no JPEG, PNG or WebP, which are the kinds that a dataset holds."""
        suffix = next((suffix for head, suffix in _SUFFIXES if data.startswith(head)), None)
        return None if suffix is None else cls(data, f"{sha256(data).hexdigest()}.{suffix}")

    @property
    def path(self) -> str:
        """Its place in an exported folder: at most 256 folders, so that none gets too full."""
        return f"images/{self.name[:2]}/{self.name}"

    @property
    def mime(self) -> str:
        """Its media type."""
        return {"jpg": "image/jpeg"}.get(self.name[-3:], f"image/{self.name.rpartition('.')[2]}")


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A lesson, a prompt with its answer, or a pair of texts."""

    id: str
    split: str
    prompt: str
    """The student's prompt."""
    pictures: tuple[ExportedPicture, ...]
    completion: str = ""
    """What the student learns to say; the better text of a pair."""
    rejected: str = ""
    """The worse text of a pair."""
    answer: str | None = None
    label: str | None = None

    @property
    def place_held(self) -> str:
        """The prompt behind one `<image>` for each picture."""
        return "<image>" * len(self.pictures) + self.prompt

    def without_placeholders(self) -> "ExportRow":
        """The same where no text holds what would be taken for the place of a picture: `<image>` becomes `< image>`."""
        prompt, completion, rejected = (PLACEHOLDER.sub("< ", text) for text in (self.prompt, self.completion, self.rejected))
        return replace(self, prompt=prompt, completion=completion, rejected=rejected)

    def with_thoughts(self, form: Callable[[str], str]) -> "ExportRow":
        """The same with its texts written in another form."""
        return replace(self, completion=form(self.completion), rejected=form(self.rejected))


def make_message(role: str, content: Any) -> dict[str, Any]:
    """One message of a conversation."""
    return {"role": role, "content": content}


def of_values(values: Mapping[str, Any], split: str) -> ExportRow | None:
    """A row of a dataset's parquet file; None where one of its pictures is none."""
    pictures = [ExportedPicture.of(cell["bytes"] or b"") for cell in values["images"]]
    if not all(pictures):
        return None
    texts = {name: _message_text(values.get(name)) for name in ("prompt", "completion", "chosen", "rejected")}
    return ExportRow(
        values["id"],
        split,
        texts["prompt"],
        tuple(picture for picture in pictures if picture is not None),
        texts["completion"] or texts["chosen"],
        texts["rejected"],
        values.get("answer"),
        values.get("label"),
    )


def _message_text(messages: Sequence[Mapping[str, Any]] | None) -> str:
    return str(messages[-1]["content"]) if messages else ""
