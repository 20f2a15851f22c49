"""A student's processor: found, seen to be one, and its pixel budget."""

import json
from math import isqrt
from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, ProcessorMixin, Qwen2_5_VLProcessor
from transformers.utils import is_torchvision_available

from cotforge.errors import PipelineError

IMAGES_ONLY = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl"})
"""Kinds of model whose processor asks for torchvision, because of videos alone."""

PROCESSOR = "processor_config.json"
"""Where transformers keeps all of a processor's parts from 5.0 on."""


class ImagesOnly(Qwen2_5_VLProcessor):  # type: ignore[misc]
    """The processor of a Qwen-VL without its videos; saved, it goes by the name of the whole one."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        video: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        self.video = video
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        self.video_processor = None
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def save_pretrained(self, folder: Any, **keys: Any) -> Any:
        """As `ProcessorMixin` does, under the whole one's name, with what it was told of videos: who loads the whole one looks for it."""
        saved = super().save_pretrained(folder, **keys)
        for file in Path(folder).glob("*_config.json"):
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace('"ImagesOnly"', '"Qwen2_5_VLProcessor"'), encoding="utf-8")
        if self.video is not None:
            whole = Path(folder) / PROCESSOR
            said = json.loads(whole.read_text(encoding="utf-8")) | {"video_processor": self.video}
            said.pop("video", None)
            whole.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return saved


def load(model: Path) -> Any:
    """The processor of a model's folder, padding on the left. Raises PipelineError where it is none for pictures."""
    try:
        found = (
            _images_only(model) if _kind(model) in IMAGES_ONLY and not is_torchvision_available() else AutoProcessor.from_pretrained(model)
        )
    except (OSError, ValueError, ImportError, KeyError) as fault:
        raise PipelineError(f"train.student.model: {str(model)!r} has no processor: {_first_line(fault)}") from fault
    if not isinstance(found, ProcessorMixin) or getattr(found, "image_processor", None) is None:
        raise PipelineError(
            f"train.student.model: the processor of {str(model)!r} came back as a bare {type(found).__name__}, which cannot see; "
            "it needs a processor_config.json with an image processor, or torchvision"
        )
    if getattr(found, "chat_template", None) is None:
        raise PipelineError(f"train.student.model: the processor of {str(model)!r} has no chat template; take an instruction-tuned model")
    found.tokenizer.padding_side = "left"
    if found.tokenizer.pad_token is None:
        found.tokenizer.pad_token = found.tokenizer.eos_token
    return found


def bound(processor: Any, pixels: int) -> None:
    """Have the processor make at most so many pixels of a picture, from now on and once saved. Raises PipelineError where it cannot."""
    images = processor.image_processor
    size = dict(images.size)
    if size.keys() == {"shortest_edge", "longest_edge"} and hasattr(images, "merge_size"):  # here an edge is an area
        least = size["shortest_edge"]
        if pixels < least:
            raise PipelineError(f"train.student.max_pixels: {pixels:,} is less than the {least:,} that this student needs at least")
        images.size = {"shortest_edge": least, "longest_edge": min(pixels, size["longest_edge"])}
    elif size.keys() == {"longest_edge"}:
        images.size = {"longest_edge": min(isqrt(pixels), size["longest_edge"])}
    elif (fixed := size.get("height", 0) * size.get("width", 0)) > pixels or not fixed:
        said = f"{size['height']} x {size['width']}" if fixed else " ".join(f"{name} {value}" for name, value in size.items())
        raise PipelineError(f"train.student.max_pixels: {pixels:,} cannot be had: this student always sees {said} pixels; leave it out")


def save(processor: Any, folder: str | Path) -> None:
    """As it was loaded: how its tokenizer padded and cut the last text, which `save_pretrained` takes down as well, is left out."""
    core = getattr(processor.tokenizer, "backend_tokenizer", None)
    if core is not None:
        core.no_padding()
        core.no_truncation()
    processor.save_pretrained(folder)


def _images_only(model: Path) -> ImagesOnly:
    words = AutoTokenizer.from_pretrained(model)
    there = model / PROCESSOR
    video = json.loads(there.read_text(encoding="utf-8")).get("video_processor") if there.is_file() else None
    return ImagesOnly(AutoImageProcessor.from_pretrained(model), words, chat_template=words.chat_template, video=video)


def _kind(model: Path) -> str:
    return str(json.loads((model / "config.json").read_text(encoding="utf-8")).get("model_type", ""))


def _first_line(fault: Exception) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0][:300]
