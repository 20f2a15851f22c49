"""A reply that is one JSON object with a reasoning and an answer, as models write that were asked for JSON, in a fence or without."""

import json
import re
from typing import Any, NamedTuple

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*)\n?```", re.DOTALL | re.IGNORECASE)
_REASONING = frozenset({
    "reasoning", "reason", "reasons", "rationale", "explanation", "analysis", "thought", "thoughts", "thinking", "think",
    "chain of thought", "cot",
})  # fmt: skip
_ANSWER = frozenset({"answer", "final answer", "label", "choice"})
LONGEST = 2**18
"""Characters above which a text is not looked at (default chosen by us)."""


class JsonReply(NamedTuple):
    """What such an object says."""

    reasoning: str
    answer: str
    in_order: bool
    """Whether the reasoning stands before the answer."""


def read_json(content: str) -> JsonReply | None:
    """Of an object with exactly two keys, both texts, one named like a reasoning and one like an answer; None for everything else."""
    text = content.strip()
    if not text.startswith(("{", "```")) or len(text) > LONGEST:
        return None
    fenced = _FENCE.fullmatch(text)
    try:
        pairs = json.loads(fenced[1] if fenced else text, strict=False, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, tuple) or len(pairs) != 2 or not all(isinstance(value, str) and value.strip() for _, value in pairs):
        return None
    kinds = [_kind_of_key(name) for name, _ in pairs]
    said: dict[str, Any] = dict(zip(kinds, (value for _, value in pairs), strict=True))
    return JsonReply(said["reasoning"], said["answer"], kinds[0] == "reasoning") if said.keys() == {"reasoning", "answer"} else None


def _kind_of_key(name: str) -> str:
    plain = re.sub(r"[\s_-]+", " ", name).strip().casefold()
    return "reasoning" if plain in _REASONING else "answer" if plain in _ANSWER else ""
