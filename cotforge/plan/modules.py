"""Which weights of a language model are meant by `modules` and `layers` in the pipeline file. No torch here.

Weights are named below the decoder: `layers.0.self_attn.q_proj.weight`, `embed_tokens.weight`, `norm.weight`, and `lm_head.weight`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cotforge.errors import show_value

GROUPS: dict[str, re.Pattern[str]] = {
    "norm": re.compile(r"(^|[._])(\w*norm\w*|ln_\w+)(\.|$)"),
    "embed": re.compile(r"^(embed_tokens|wte|wpe|embed_in|embed_positions)\."),
    "head": re.compile(r"^(lm_head|embed_out)\."),
    "attn": re.compile(r"(^|\.)(self_attn|self_attention|linear_attn|attention|attn)\."),
    "mlp": re.compile(r"(^|\.)(mlp|feed_forward|block_sparse_moe|ffn)\."),
}
"""Kinds of weights by their names in `modules`; a weight is of the first whose pattern its name has. As in the code of arXiv 2510.15050."""
PATTERN = "re:"
"""Begins a regular expression in `modules`."""
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")
_RANGE = re.compile(r"(\d{1,4})-(\d{1,4})")


def group_of(name: str) -> str | None:
    """The kind of a weight: norm, embed, head, attn or mlp; None is another."""
    return next((group for group, pattern in GROUPS.items() if pattern.search(name)), None)


def layer_of(name: str) -> int | None:
    """The number of the layer that a weight belongs to; None where it belongs to none."""
    found = _LAYER.search(name)
    return int(found.group(1)) if found else None


def wrong_modules(modules: Iterable[str], known: Iterable[str]) -> str | None:
    """What is wrong with `modules`, of which those names are known; None where nothing is."""
    for given in modules:
        if not given.startswith(PATTERN) and given not in {*known}:
            return f"no modules are named {show_value(given)}; there are {', '.join(known)}, or a regular expression after {PATTERN!r}"
        try:
            re.compile(given.removeprefix(PATTERN))
        except re.error as fault:
            return f"{show_value(given)} is no regular expression: {fault}"
    return None


def choose_modules(modules: Iterable[str], layers: Sequence[int] | None = None) -> Callable[[str], bool]:
    """Whether a weight is meant, by its name below the decoder; `layers` leaves out all that is in other layers or in none."""
    groups = {*modules} & GROUPS.keys()
    patterns = [re.compile(each.removeprefix(PATTERN)) for each in modules if each.startswith(PATTERN)]
    among = None if layers is None else {*layers}

    def wanted(name: str) -> bool:
        if among is not None and layer_of(name) not in among:
            return False
        return group_of(name) in groups or any(pattern.search(name) for pattern in patterns)

    return wanted


def number_layers(given: Any) -> Any:
    """A list of layers with its ranges, such as `6-27`, written out; a range alone is a list of it."""
    given = [given] if isinstance(given, str | int) and not isinstance(given, bool) else given
    if not isinstance(given, list | tuple):
        return given
    found: list[Any] = []
    for each in given:
        bounds = _RANGE.fullmatch(each) if isinstance(each, str) else None
        found += range(int(bounds[1]), int(bounds[2]) + 1) if bounds else [each]
    return found


Layers = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^\d{1,4}-\d{1,4}$")]
WITH_RANGES = BeforeValidator(number_layers, json_schema_input_type=Layers | tuple[Layers, ...])
"""Of a list of layers: ranges are written out, and one alone is a list of it."""
