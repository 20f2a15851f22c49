"""A student's processor: found, seen to be one, and its pixel budget."""

import json
from math import isqrt
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES, processor_class_from_name

from cotforge.errors import PipelineError
from cotforge.train.students.mends import mended_class
from cotforge.train.students.pixtral import PixtralProcessor
from cotforge.train.students.student_folder import SAFE

TILED = ("image_grid_pinpoints", "max_image_tiles")
"""What processors say of tiles that their models are built for."""
NAMED_IN = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
"""Files of a model's folder that may name the class of its processor, the first that does."""


def load_processor(model: Path) -> Any:
    """The processor of a model's folder, for pictures alone, padding on the left.

    No Python in the folder is run. Raises PipelineError where it is none for pictures.
    """
    try:
        found = _find_processor(model)
    except MemoryError:
        raise
    except Exception as fault:  # of many kinds, depending on what is wrong with which file
        raise PipelineError(f"train.student.model: {str(model)!r} has no processor: {_why_not_loaded(fault)}") from fault
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


def bound_pixels(processor: Any, pixels: int) -> None:
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
    elif (tile := size.get("height", 0) * size.get("width", 0)) and pixels >= tile and hasattr(images, "max_patches"):
        room = pixels // tile  # two tiles or more have a view of the whole beside them
        images.max_patches = min(images.max_patches, room - 1 if room > 2 else 1)
    elif tile > pixels or not tile or any(hasattr(images, name) for name in TILED):
        said = f"{size['height']} x {size['width']}" if tile else " ".join(f"{name} {value}" for name, value in size.items())
        each = " a tile, and the tiles that it was made for" if tile and tile <= pixels else ""
        raise PipelineError(
            f"train.student.max_pixels: {pixels:,} cannot be had: this student always sees {said} pixels{each}; leave it out"
        )


def save_processor(processor: Any, folder: str | Path) -> None:
    """As it was loaded: how its tokenizer padded and cut the last text, which `save_pretrained` takes down as well, is left out."""
    core = getattr(processor.tokenizer, "backend_tokenizer", None)
    if core is not None:
        core.no_padding()
        core.no_truncation()
    processor.save_pretrained(folder)


def _find_processor(model: Path) -> Any:
    stock = _stock_class(model)
    return (AutoProcessor if stock is None else mended_class(stock)).from_pretrained(model, **SAFE)


def _stock_class(model: Path) -> Any:
    """The class of a folder's processor; None where it names none, or one that transformers does not know."""
    named = next(filter(None, (read_json(model / file).get("processor_class") for file in NAMED_IN)), None)
    named = named or PROCESSOR_MAPPING_NAMES.get(read_json(model / "config.json").get("model_type"))
    if named == PixtralProcessor.__name__:
        return PixtralProcessor
    return processor_class_from_name(named) if isinstance(named, str) else None


def read_json(file: Path) -> dict[str, Any]:
    """What a JSON file of a model's folder holds; nothing where it is not there, or holds something else than names and values."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def _why_not_loaded(fault: Exception) -> str:
    said = (str(fault).strip().splitlines() or [type(fault).__name__])[0][:300]
    if "custom code" in said:
        return "it is Python of its own, which is never run here; take a model whose processor transformers has itself"
    return said
