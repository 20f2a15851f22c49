"""Whether TRL can train a student of this family, seen before anything is trained: by what its processor makes of two pictures.

Not by a list of families: a new one that TRL cannot train is found as well.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from cotforge.errors import PipelineError
from cotforge.train.family_inputs import COUNTED
from cotforge.train.students import processors
from cotforge.train.trl_seam import GRPO_TAKES

SIZES = ((96, 64), (64, 160))
"""Width and height of the pictures that are tried."""
TEXTUAL = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})


def demand_fit(model: Path, stages: Iterable[tuple[str, str]]) -> None:
    """Raises PipelineError where a stage, given by name and kind, is of a kind for which TRL cannot use this student."""
    wanted = [(name, kind) for name, kind in stages if kind in _CHECKS]
    if not wanted:
        return
    processor = processors.load_processor(model)
    texts = [_picture_prompts(number) for number in range(len(SIZES))]
    for name, kind in wanted:
        if fault := _CHECKS[kind](processor, texts):
            raise PipelineError(
                f"stage {name!r}: {kind} by TRL {version('trl')} cannot train a student of {type(processor).__name__}: {fault}; "
                "leave the stage out, or take a student of another family"
            )


def _picture_prompts(number: int) -> list[dict[str, Any]]:
    """A prompt about a picture, as TRL has it."""
    picture = Image.new("RGB", SIZES[number], "grey")
    return [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": "What is it? " * (number + 1)}]}]


def _process_batch(processor: Any, prompts: list[list[dict[str, Any]]]) -> Mapping[str, Any]:
    """What the processor makes of a batch."""
    texts = processor.apply_chat_template(prompts, add_generation_prompt=True, tokenize=False)
    made: Mapping[str, Any] = processor(
        images=_prompt_pictures(prompts), text=texts, padding=True, return_tensors="pt", add_special_tokens=False
    )
    return made


def _prompt_pictures(prompts: list[list[dict[str, Any]]]) -> list[list[Any]]:
    return [[part["image"] for part in prompt[0]["content"] if part["type"] == "image"] for prompt in prompts]


def _grpo_fault(processor: Any, prompts: list[list[dict[str, Any]]]) -> str:
    try:
        processor.apply_chat_template(conversation=prompts, add_generation_prompt=True, tokenize=True, return_dict=True)
        made = _process_batch(processor, prompts)
        tiles = made["pixel_values"]
        if tiles.ndim == 4 and len(tiles) != len(prompts) and "spatial_shapes" not in made:  # then TRL asks how many there are, so
            processor.image_processor(images=_prompt_pictures(prompts), crop_to_patches=True, return_tensors="pt")["num_patches"]
    except Exception as fault:
        return f"its processor does not make of two prompts what TRL asks for: {type(fault).__name__}: {_last_line(fault)}"
    lost = [name for name in made if name not in GRPO_TAKES | TEXTUAL | {COUNTED}]
    return f"TRL does not hand on {', '.join(lost)}" if lost else ""


def _dpo_fault(processor: Any, prompts: list[list[dict[str, Any]]]) -> str:
    try:
        made = _process_batch(processor, prompts)
        processor(text=["It is grey."], return_tensors="pt", padding=True, add_special_tokens=False)
    except Exception as fault:
        return f"its processor does not take a prompt, or a text alone: {_last_line(fault)}"
    shape = made["input_ids"].shape
    short = [name for name, value in made.items() if name not in TEXTUAL and tuple(value.shape[:2]) == tuple(shape)]
    return f"TRL makes {', '.join(short)} for the prompt alone" if short else ""


_CHECKS = {"grpo": _grpo_fault, "dpo": _dpo_fault}


def _last_line(fault: Exception) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[-1][:200]
