"""Forms of one conversation to a row that only supervised learning reads: ShareGPT, axolotl, OpenAI-compatible hosts.

Sources: haotian-liu/LLaVA, docs/Finetune_Custom_Data.md; axolotl-ai-cloud/axolotl, docs/multimodal.qmd (0.21.0);
https://developers.openai.com/api/docs/guides/vision-fine-tuning.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cotforge.formats.format import ExportTerms, Format
from cotforge.formats.row import ExportedPicture, ExportRow, make_message


class ShareGpt(Format):
    """LLaVA's keys: `conversations` of `from` and `value`; one picture stands under `image` too."""

    name: ClassVar[str] = "sharegpt"

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """A turn of each side."""
        images = [picture.path for picture in row.pictures]
        asked = "<image>\n" * len(images) + row.prompt
        turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": row.completion}]
        return {"id": row.id, "conversations": turns, "images": images} | ({"image": images[0]} if len(images) == 1 else {})


class Axolotl(Format):
    """Messages whose content is a list of parts."""

    name: ClassVar[str] = "axolotl"
    splits_apart: ClassVar[bool] = False

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """Pictures by their path, before the prompt."""
        asked = [{"type": "image", "path": picture.path} for picture in row.pictures] + [{"type": "text", "text": row.prompt}]
        return {"messages": [make_message("user", asked), make_message("assistant", [{"type": "text", "text": row.completion}])]}

    def start(self, files: Mapping[str, str], terms: ExportTerms) -> str:
        """Lines of its YAML file."""
        listed = "\n".join(f"  - {{path: {file}, ds_type: json, type: chat_template}}" for file in files.values())
        more = "processor_type: AutoProcessor\nskip_prepare_dataset: true\nremove_unused_columns: false\nsample_packing: false"
        return f"datasets:\n{listed}\n{more}"


class OpenAi(Format):
    """What OpenAI-compatible hosts take for fine-tuning: pictures as data URLs."""

    name: ClassVar[str] = "openai"
    splits_apart: ClassVar[bool] = False

    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """Pictures inside, before the prompt."""
        shown = [
            {"type": "image_url", "image_url": {"url": f"data:{each.mime};base64,{b64encode(each.data).decode()}", "detail": "auto"}}
            for each in row.pictures
        ]
        asked = make_message("user", [*shown, {"type": "text", "text": row.prompt}])
        return {"messages": [asked, make_message("assistant", row.completion)]}

    def pictures(self, row: ExportRow) -> Sequence[ExportedPicture]:
        """None: they lie in the rows."""
        return ()
