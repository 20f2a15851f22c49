"""Rows for TRL, pictures inside. Source: huggingface/trl, docs/source/dataset_formats.md, read at 1.16."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cotforge.formats.format import ExportTerms, Format, picture_cells
from cotforge.formats.reward_files import reward_file
from cotforge.formats.row import ExportedPicture, ExportRow, Kind, make_message


class Trl(Format):
    """Its conversational prompt-completion, prompt-only and preference forms."""

    name: ClassVar[str] = "trl"
    kinds: ClassVar[tuple[Kind, ...]] = ("sft", "grpo", "dpo")
    suffix: ClassVar[str] = "parquet"
    splits_apart: ClassVar[bool] = False

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """Prompt and pictures, and what is learned from."""
        found: dict[str, Any] = {"id": row.id, "prompt": [make_message("user", row.prompt)], "images": picture_cells(row)}
        if terms.kind == "grpo":
            return found | {"solution": row.answer}
        better = [make_message("assistant", row.completion)]
        if terms.kind == "dpo":
            return found | {"chosen": better, "rejected": [make_message("assistant", row.rejected)]}
        return found | {"completion": better}

    def pictures(self, row: ExportRow) -> Sequence[ExportedPicture]:
        """None: they lie in the rows."""
        return ()

    def beside(self, files: Mapping[str, str], terms: ExportTerms) -> Mapping[str, str]:
        """A reward that knows the labels: TRL's own `accuracy_reward` passes over every word."""
        return {"reward.py": reward_file(self.name, terms.names)} if terms.kind == "grpo" else {}

    def start(self, files: Mapping[str, str], terms: ExportTerms) -> str:
        """Python that reads them."""
        trainer = {"sft": "SFTTrainer", "grpo": "GRPOTrainer", "dpo": "DPOTrainer"}[terms.kind]
        more = ", reward_funcs=[reward.accuracy, reward.form]" if terms.kind == "grpo" else ""
        listed, first = ", ".join(f'"{split}": "{file}"' for split, file in files.items()), next(iter(files), "train")
        return f'rows = load_dataset("parquet", data_files={{{listed}}})\n{trainer}(..., train_dataset=rows["{first}"]{more})'
