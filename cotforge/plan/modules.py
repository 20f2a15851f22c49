"""Which weights of a language model are meant by `modules` and `layers` in the pipeline file. No torch here.

Weights are named below the decoder: `layers.0.self_attn.q_proj.weight`, `embed_tokens.weight`, `norm.weight`, and `lm_head.weight`.
"""

import re
from collections.abc import Callable, Iterable, Sequence

GROUPS: dict[str, re.Pattern[str]] = {
    "norm": re.compile(r"(^|[._])(\w*norm\w*|ln_\w+)(\.|$)"),
    "embed": re.compile(r"^(embed_tokens|wte|wpe|embed_in|embed_positions)\."),
    "head": re.compile(r"^(lm_head|embed_out)\."),
    "attn": re.compile(r"(^|\.)(self_attn|self_attention|linear_attn|attention|attn)\."),
    "mlp": re.compile(r"(^|\.)(mlp|feed_forward|block_sparse_moe|ffn)\."),
}
"""Kinds of weights by their names in `modules`; a weight is of the first whose pattern its name has. As in the code of arXiv 2510.15050."""
SETS = {"default": ("attn", "mlp"), "language": tuple(GROUPS), "full": tuple(GROUPS)}
"""Names in `modules` for several kinds; `full` is the name of arXiv 2510.15050's code."""
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")


def group_of(name: str) -> str | None:
    """The kind of a weight: norm, embed, head, attn or mlp; None is another."""
    return next((group for group, pattern in GROUPS.items() if pattern.search(name)), None)


def layer_of(name: str) -> int | None:
    """The number of the layer that a weight belongs to; None where it belongs to none."""
    found = _LAYER.search(name)
    return int(found.group(1)) if found else None


def fault(modules: Iterable[str]) -> str | None:
    """What is wrong with `modules`; None where nothing is. What is no known name is a regular expression."""
    for each in modules:
        try:
            re.compile(each.removeprefix("re:"))
        except re.error as wrong:
            return f"{each!r} is none of {', '.join([*GROUPS, *SETS])}, and no regular expression: {wrong}"
    return None


def chosen(modules: Iterable[str], layers: Sequence[int] | None = None) -> Callable[[str], bool]:
    """Whether a weight is meant, by its name below the decoder; `layers` leaves out all that is in other layers or in none."""
    groups = {group for each in modules for group in SETS.get(each, (each,)) if group in GROUPS}
    patterns = [re.compile(each.removeprefix("re:")) for each in modules if each not in GROUPS and each not in SETS]
    among = None if layers is None else {*layers}

    def wanted(name: str) -> bool:
        if among is not None and layer_of(name) not in among:
            return False
        return group_of(name) in groups or any(pattern.search(name) for pattern in patterns)

    return wanted
