"""Values from the data as plain, harmless Python: nothing here trusts what it is given."""

import math
import re
from collections.abc import Collection, Mapping, Sequence

ASKING = ("human", "user")
"""Roles of a conversation whose turns are questions."""

ANSWERING = ("gpt", "assistant")
"""Roles whose turns are answers."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that change the direction of what is read
    "\ufeff\ud800-\udfff]"  # byte order marks, and halves of characters, which no encoding takes
)


def clean_value(text: str) -> str:
    """The text without control and direction-changing characters, and without space around it."""
    return text.strip() if text.isprintable() and text.isascii() else _UNSEEN.sub("", text).strip()


def value_text(value: object) -> str | None:
    """A value as one clean text: 7 and 7.0 are "7"; None where there is none (null, NaN, blank, a list)."""
    if isinstance(value, str):
        return clean_value(value) or None
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return None


def said_by(value: object, roles: Collection[str]) -> object:
    """What the first turn of these roles says, without `<image>`, where the value is a conversation; else the value itself.

    A conversation is a list of `{from, value}` (LLaVA) or `{role, content}` (OpenAI) turns. None where no turn is of these roles.
    Source: haotian-liu/LLaVA, docs/Finetune_Custom_Data.md.
    """
    if not (isinstance(value, list) and value and all(isinstance(turn, Mapping) and turn.keys() & {"from", "role"} for turn in value)):
        return value
    for turn in value:
        text = turn.get("value", turn.get("content"))
        if turn.get("from", turn.get("role")) in roles and isinstance(text, str):
            return text.replace("<image>", "").strip()
    return None


def named_label(value: object, names: Sequence[str] | None) -> str | int | None:
    """A raw label, an integer replaced by its name where there are names; None where there is none (null, NaN, -1 of a ClassLabel).

    An integer without a name stays an integer: it may be the place of an option.
    """
    if value is None or isinstance(value, Mapping | list | tuple | bytes):
        return None
    text = value_text(value)
    if text is None or names is None:
        number = whole_number(value)
        return text if number is None else number
    if text in names or not re.fullmatch(r"-?[0-9]{1,9}", text):
        return text
    number = int(text)
    if number == -1:
        return None
    return names[number] if 0 <= number < len(names) else text


def whole_number(value: object) -> int | None:
    """A value that is an integer, or a float without a fraction (a column with gaps); None for texts and all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def plain_value(value: object) -> object:
    """A value as JSON can hold it, its texts clean."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean_value(str(key)): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return clean_value(value if isinstance(value, str) else str(value))
