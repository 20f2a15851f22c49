"""Rows for EasyR1, pictures inside. Source: hiyouga/EasyR1, verl/utils/dataset.py and examples/config.yaml, read 2026-07-30."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cotforge.formats.format import ExportTerms, Format, picture_cells
from cotforge.formats.reward_files import reward_file
from cotforge.formats.row import ExportedPicture, ExportRow, Kind


class EasyR1(Format):
    """Prompts with their answers, in parquet; the type of a folder's files is guessed there, so that the file is to be named."""

    name: ClassVar[str] = "easyr1"
    kinds: ClassVar[tuple[Kind, ...]] = ("grpo",)
    suffix: ClassVar[str] = "parquet"

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """Problem, answer and pictures."""
        return {"problem": row.place_held, "answer": row.answer, "images": picture_cells(row), "id": row.id}

    def pictures(self, row: ExportRow) -> Sequence[ExportedPicture]:
        """None: they lie in the rows."""
        return ()

    def beside(self, files: Mapping[str, str], terms: ExportTerms) -> Mapping[str, str]:
        """The reward, and a template that leaves the prompt as it is: that of a run says what is wanted."""
        return {"reward.py": reward_file(self.name, terms.names), "format.jinja": "{{ content }}\n"}

    def start(self, files: Mapping[str, str], terms: ExportTerms) -> str:
        """Lines of its configuration; prompts longer than `max_prompt_length` with their pictures would be dropped there."""
        lines = [
            "data:",
            f"  train_files: {files.get('train', next(iter(files.values()), ''))}",
            *(f"  val_files: {file}" for split, file in files.items() if split != "train"),
            "  prompt_key: problem\n  answer_key: answer\n  image_key: images\n  format_prompt: format.jinja",
            *([f"  max_pixels: {terms.max_pixels}"] if terms.max_pixels else []),
            "worker:\n  reward:\n    reward_function: reward.py:compute_score",
        ]
        return "\n".join(lines)
