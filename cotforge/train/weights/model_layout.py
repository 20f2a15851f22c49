"""Whether two language models are built alike, by configuration and tokenizer; else a difference of weights means nothing."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from cotforge.errors import PipelineError, in_words
from cotforge.train.students.student_folder import SAFE, STUDENT

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
ALIKE = 0.99
"""Share of the smaller vocabulary's words that have to have the same number in both (chosen by us): some families rename a few."""


def demand_alike(expert: Path, student: Path, *, key: str) -> list[str]:
    """What is worth a note though the two can be compared. Raises PipelineError where layers, heads or vocabulary are others.

    Another base frequency of the rotary embedding is a note only: DeepSeek-R1-Distill-Qwen-7B has 1e4 and Qwen2.5-VL-7B 1e6, and arXiv
    2510.15050 takes the one as the expert of the other.
    """
    theirs, ours = model_layout(expert, key=key), model_layout(student, key=STUDENT)
    differ = [name for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]]
    if wrong := sorted(set(differ) - {"rope_theta", "vocab_size"}):
        told = ", ".join(f"{name} {theirs[name]} where the student has {ours[name]}" for name in wrong)
        raise PipelineError(f"{key}: {str(expert)!r} is not of the shape of the student's language model: {told}; take one of its family")
    if fault := _vocabulary_fault(expert, student, "vocab_size" in differ):
        raise PipelineError(f"{key}: {str(expert)!r}: {fault}; take a model with the student's tokenizer")
    if "rope_theta" in differ:
        return [f"{key}: its positions have another base frequency, {theirs['rope_theta']:g} where the student has {ours['rope_theta']:g}"]
    return []


def model_layout(folder: Path, *, key: str) -> dict[str, Any]:
    """Sizes of a model's language part by name. Raises PipelineError where its configuration cannot be read."""
    try:
        config = AutoConfig.from_pretrained(folder, **SAFE).get_text_config()
    except Exception as fault:  # of many kinds, depending on what is wrong with a configuration
        raise PipelineError(f"{key}: {str(folder)!r}: config.json cannot be read: {in_words(fault)}") from fault
    found = {name: value for name in (*SIZES, "vocab_size") if isinstance(value := getattr(config, name, None), int)}
    heads = found.get("num_attention_heads")
    width = getattr(config, "head_dim", None) or (heads and found.get("hidden_size", 0) // heads)
    rope = getattr(config, "rope_parameters", None)
    rope = rope if isinstance(rope, dict) else {}
    share = rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None))
    more = {"head_dim": width, "partial_rotary_factor": share or 1.0, "rope_theta": rope.get("rope_theta")}
    return {"num_key_value_heads": heads} | found | {name: value for name, value in more.items() if value is not None}


def _vocabulary_fault(expert: Path, student: Path, differs: bool) -> str:
    """Why the words of two models are others; empty where they are not. `differs`: their configurations name other numbers of words."""
    theirs, ours = _tokenizer_words(expert), _tokenizer_words(student)
    if theirs is None or ours is None:
        return "its vocabulary is of another size, and no tokenizer.json tells whether its words are the student's" if differs else ""
    fewer, more = sorted((theirs, ours), key=len)
    same = sum(more.get(word) == number for word, number in fewer.items())
    if same >= ALIKE * len(fewer):
        return ""
    return f"its vocabulary is another: {same:,} of {len(fewer):,} words have the same number in the student's"


def _tokenizer_words(folder: Path) -> dict[str, int] | None:
    """The words of a tokenizer with their numbers, without those added to it; None where there is no tokenizer.json that can be read."""
    try:
        held = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        return dict(held) if isinstance(held, dict) else {word: number for number, (word, _) in enumerate(held)}
    except (OSError, ValueError, KeyError, TypeError):
        return None
