"""How the weights of a language model are called: in a text model's files, in a student's files of any age, and in memory.

One name for each, that below the decoder: `layers.0.self_attn.q_proj.weight`, `embed_tokens.weight`, `norm.weight`; the head, which lies
beside the decoder, is `lm_head.weight`. So a student's files may carry names other than those in memory, as a LLaVA's do.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cotforge.train.students.loaded_student import part_of_name

HEAD, EMBEDDING = "lm_head.weight", "embed_tokens.weight"
VOCABULARY = frozenset({HEAD, EMBEDDING, "wte.weight", "embed_in.weight"})
"""Weights with a row for each token."""
FUSED = re.compile(r"\b(qkv_proj|query_key_value|c_attn|W_pack|wqkv|qkv)\b")
"""Modules in which q, k and v are one matrix."""
_LAYER = re.compile(r"^((?:.*?\.)?)(?:layers|h|blocks|block)\.\d+\.")
_WRAPPERS = re.compile(r"\b(?:_fsdp_wrapped_module|_orig_mod|_checkpoint_wrapped_module|base_layer)\.")
_OUTER = re.compile(r"^(?:module\.)?(?:base_model\.model\.)?")


def decoder_names(keys: Iterable[str]) -> dict[str, str]:
    """By a name below the decoder, the key in the files; empty where no layers of a language model are among the keys.

    The prefix is the one that most layers outside of vision and projector have.
    """
    keys = [key for key in keys if part_of_name(key) == "language"]
    prefixes = Counter(found.group(1) for key in keys if (found := _LAYER.match(key)))
    if not prefixes:
        return {}
    prefix = prefixes.most_common(1)[0][0]
    names = {key.removeprefix(prefix): key for key in keys if key.startswith(prefix)}
    head = next((key for key in keys if key == HEAD or key.endswith(f".{HEAD}")), None)
    return names if head is None else {name: key for name, key in names.items() if key != head} | {HEAD: head}


def plain_name(name: str) -> str:
    """A name in memory without what PEFT, FSDP, DDP and torch.compile put before or into it."""
    return _WRAPPERS.sub("", _OUTER.sub("", name))


def decoder_weights(model: Any) -> dict[str, Any]:
    """The weights of a student's decoder in memory by their names below it, adapters left out."""
    return {plain_name(name): weight for name, weight in model.get_decoder().named_parameters() if ".lora_" not in name}


def key_of(names: Mapping[str, str], name: str) -> str | None:
    """The key of a weight in files, of which `names` are known; a head that is not in them is tied to the embedding."""
    return names.get(name) or (names.get(EMBEDDING) if name == HEAD else None)
