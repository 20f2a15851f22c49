"""Rows for ms-swift. Source: modelscope/ms-swift, docs/source_en/Customization/Custom-dataset.md, read at 4.6.0."""

from collections.abc import Mapping
from typing import Any, ClassVar

from cotforge.formats.format import ExportTerms, Format
from cotforge.formats.reward_files import reward_file
from cotforge.formats.row import ExportRow, Kind, make_message


class MsSwift(Format):
    """Messages and paths of pictures; `--dataset train.jsonl` needs no registry."""

    name: ClassVar[str] = "ms-swift"
    kinds: ClassVar[tuple[Kind, ...]] = ("sft", "grpo", "dpo")

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """Without the answer's turn for reinforcement, whose rewards get every further column."""
        asked, images = make_message("user", row.place_held), [picture.path for picture in row.pictures]
        if terms.kind == "grpo":
            return {"messages": [asked], "images": images, "solution": f"<answer>{row.answer}</answer>", "id": row.id}
        found = {"messages": [asked, make_message("assistant", row.completion)], "images": images}
        return found | ({"rejected_response": row.rejected} if terms.kind == "dpo" else {"id": row.id})

    def beside(self, files: Mapping[str, str], terms: ExportTerms) -> Mapping[str, str]:
        """A reward that knows the labels: its own `accuracy` gives 0 to every word."""
        return {"reward.py": reward_file(self.name, terms.names)} if terms.kind == "grpo" else {}

    def start(self, files: Mapping[str, str], terms: ExportTerms) -> str:
        """Its command, run in this folder: paths of pictures are relative to it."""
        file = next(iter(files.values()), "train.jsonl")
        return {
            "sft": f"swift sft --dataset {file}",
            "dpo": f"swift rlhf --rlhf_type dpo --dataset {file}",
            "grpo": f"swift rlhf --rlhf_type grpo --dataset {file} --external_plugins reward.py --reward_funcs cotforge_accuracy format",
        }[terms.kind]
