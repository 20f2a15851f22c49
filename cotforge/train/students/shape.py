"""How large a student is, from its configuration alone: parameters by part and tensor widths. No weight is loaded."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from cotforge.errors import in_words
from cotforge.plan import Lora
from cotforge.train.students.loaded_student import matches_target, part_of_name
from cotforge.train.students.student_folder import SAFE


@dataclass(frozen=True)
class Stack:
    """One stack of transformer layers."""

    layers: int
    width: int
    """Of hidden states."""
    attended: int
    """Heads times their width."""
    inner: int
    """Of the feed-forward part; of all experts that a token meets, where there are several."""
    gated: bool
    """Whether the feed-forward part has a gate (text) or not (pictures)."""


@dataclass(frozen=True)
class ModelShape:
    """A student's sizes."""

    parameters: Mapping[str, int]
    """By part: vision, projector, language; a tied head is counted once."""
    linear: Mapping[str, tuple[tuple[str, int, int], ...]]
    """By part: name, inputs and outputs of each linear layer but the head."""
    text: Stack
    vision: Stack | None
    vocabulary: int
    patch: int
    """Pixels of a vision token's side."""

    def trained(self, freeze: tuple[str, ...], lora: Lora | None) -> dict[str, int]:
        """Parameters that an optimizer changes, by part."""
        free = [name for name in self.parameters if name not in freeze]
        if lora is None:
            return {name: self.parameters[name] for name in free}
        layers = {name: self.linear.get(name, ()) for name in free}
        return {
            name: sum(lora.rank * (i + o) for module, i, o in found if lora.targets is None or matches_target(module, lora.targets))
            for name, found in layers.items()
        }


def shape_of(folder: Path) -> ModelShape | None:
    """The sizes of the student in a folder; None where its classes cannot be made without weights."""
    try:
        config = AutoConfig.from_pretrained(folder, **SAFE)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config, **SAFE)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError, NotImplementedError):
        return None
    counts: Counter[str] = Counter()
    for name, weight in model.named_parameters():
        counts[part_of_name(name)] += weight.numel()
    linear: dict[str, list[tuple[str, int, int]]] = {}
    head = model.get_output_embeddings()
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and layer is not head:
            linear.setdefault(part_of_name(name), []).append((name, layer.in_features, layer.out_features))
    text, seen = config.get_text_config(), getattr(config, "vision_config", None)
    patch = getattr(seen, "patch_size", 14)
    return ModelShape(
        dict(counts),
        {name: tuple(found) for name, found in linear.items()},
        _read_stack(text, gated=True),
        _read_stack(seen, gated=False) if seen is not None else None,
        int(getattr(text, "vocab_size", 0)),
        int(patch[0] if isinstance(patch, (list, tuple)) else patch),
    )


def attention_fault(folder: Path, attention: str, *, gpu: bool) -> str | None:
    """Why the student in a folder cannot compute attention so on this machine; None where it can."""
    needs = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}.get(attention)
    if (needs or attention == "flex_attention") and not gpu:
        return f"{attention!r} trains on a GPU only; leave it out"
    if needs and find_spec(needs) is None:
        return f"{attention!r} needs the package {needs}, which is not installed; leave it out for sdpa"
    try:
        with torch.device("meta"):
            AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder, **SAFE), attn_implementation=attention, **SAFE)
    except (ValueError, ImportError) as fault:
        return f"{attention!r} is nothing for this student: {in_words(fault)}"
    except Exception:  # it cannot be made without weights, which says nothing of attention
        return None
    return None


def _read_stack(config: Any, *, gated: bool) -> Stack:
    """By the names that families have for the same thing."""

    def first(*names: str) -> Any:
        return next((found for name in names if isinstance(found := getattr(config, name, None), (int, float)) and found), 0)

    width = int(first("hidden_size", "embed_dim", "width", "dim"))
    inner = int(first("intermediate_size", "mlp_dim", "ffn_dim") or width * first("mlp_ratio"))
    if experts := int(first("num_experts_per_tok")):
        inner = experts * int(first("moe_intermediate_size") or inner)
    heads = int(first("num_attention_heads", "num_heads"))
    return Stack(int(first("num_hidden_layers", "depth", "num_layers")), width, heads * int(first("head_dim")) or width, inner, gated)
