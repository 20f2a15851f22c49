"""The keys of the pipeline file as Markdown: a heading and a table for each section, and for each of its kinds what these alone have."""

import re
from collections.abc import Sequence

from cotforge.keys import Key, default_text, list_keys
from cotforge.keys.listing import kind_of
from cotforge.plan.kinds import KINDS
from cotforge.reference.markdown import markdown_table

STAGES = tuple(map(kind_of, KINDS))
HEAD = ("key", "type", "default", "meaning")


def keys_tables() -> str:
    """Every key of the pipeline file, section by section."""
    keys = list_keys()
    groups: dict[str, dict[tuple[str, ...], list[Key]]] = {}
    for key in keys:
        groups.setdefault(key.section, {}).setdefault(key.kinds, []).append(key)
    parts = []
    for section, by_kinds in groups.items():
        for kinds in sorted(by_kinds, key=_kinds_order):
            parts += [f"{_heading_level(section, kinds, by_kinds)} {_section_title(section, kinds)}\n", _section_table(by_kinds[kinds])]
    return "\n".join(parts)


def _section_table(keys: Sequence[Key]) -> str:
    return markdown_table(HEAD, ([f"`{key.path}`", _type_cell(key), _default_cell(key), key.meaning] for key in keys))


def _kinds_order(kinds: tuple[str, ...]) -> tuple[int, list[int]]:
    """What all kinds have comes first, then what most have; else in the order of the kinds."""
    order = [*STAGES]
    return -len(kinds) if kinds else -100, [order.index(kind) for kind in kinds if kind in order]


def _section_title(section: str, kinds: tuple[str, ...]) -> str:
    if not section:
        return "Top level"
    return f"`{section}`" + (f" of kind{'s' * (len(kinds) > 1)} {', '.join(f'`{kind}`' for kind in kinds)}" if kinds else "")


def _heading_level(section: str, kinds: tuple[str, ...], by_kinds: dict[tuple[str, ...], list[Key]]) -> str:
    """The marks of a heading: the second level for what stands at the top of the file, the third for all below."""
    return "###" if "." in section or (kinds and () in by_kinds) else "##"


def _type_cell(key: Key) -> str:
    if not key.holds:
        return key.type
    title = _section_title(key.path, key.kinds)
    anchor = "".join(sign for sign in title.lower().replace(" ", "-") if sign.isalnum() or sign in "-_")
    return re.sub("list of sections|section", lambda match: f"[{match[0]}](#{anchor})", key.type, count=1)


def _default_cell(key: Key) -> str:
    return "required" if key.required else f"`{default_text(key.default)}`"
