"""Rows for LLaMA-Factory, with its `dataset_info.json`.

Source: hiyouga/LLaMA-Factory, data/README.md and src/llamafactory/data/converter.py, read at 0.9.5.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from cotforge.formats.format import ExportTerms, Format
from cotforge.formats.row import ExportRow, Kind, make_message

TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


class LlamaFactory(Format):
    """Its `sharegpt` form with the tags of messages: its `openai` form adds a system prompt of its own."""

    name: ClassVar[str] = "llamafactory"
    kinds: ClassVar[tuple[Kind, ...]] = ("sft", "dpo")

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """Messages, with the better and the worse text apart where there is a pair."""
        asked, images = make_message("user", row.place_held), [picture.path for picture in row.pictures]
        better = make_message("assistant", row.completion)
        if terms.kind == "dpo":
            return {"messages": [asked], "chosen": better, "rejected": make_message("assistant", row.rejected), "images": images}
        return {"messages": [asked, better], "images": images}

    def beside(self, files: Mapping[str, str], terms: ExportTerms) -> Mapping[str, str]:
        """Each split as a dataset; columns that are not named would be taken for absent."""
        columns = {"messages": "messages", "images": "images"}
        more: dict[str, Any] = {}
        if terms.kind == "dpo":
            more, columns = {"ranking": True}, columns | {"chosen": "chosen", "rejected": "rejected"}
        listed = {
            _dataset_name(terms, split): {"file_name": file, "formatting": "sharegpt", **more, "columns": columns, "tags": TAGS}
            for split, file in files.items()
        }
        return {"dataset_info.json": json.dumps(listed, indent=2, ensure_ascii=False) + "\n"}

    def start(self, files: Mapping[str, str], terms: ExportTerms) -> str:
        """Lines of its YAML file."""
        first = _dataset_name(terms, next(iter(files), "train"))
        return f"stage: {terms.kind}\ndataset: {first}\ndataset_dir: .   # this folder"


def _dataset_name(terms: ExportTerms, split: str) -> str:
    return f"{terms.name}-{split}"
