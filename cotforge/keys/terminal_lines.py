"""The keys of the pipeline file as lines for a terminal."""

import difflib
import re
import textwrap
from collections.abc import Iterator

from cotforge.errors import CotforgeError, show_value
from cotforge.keys.listing import Key, default_text, list_keys

WIDTH = 100


def key_lines(name: str | None = None) -> Iterator[str]:
    """The lines about all keys, or about one and those below it; a list's items may be named in any form (`[]`, `[0]`, `.0` or not).

    Raises CotforgeError where no key has that name.
    """
    found = list_keys()
    if name is not None:
        wanted = _bare_path(name)
        chosen = [key for key in found if f"{_bare_path(key.path)}.".startswith(f"{wanted}.")]
        if not chosen:
            raise CotforgeError(f"{show_value(name)}: no key has this name{_near_name(wanted, found)}")
        found = chosen
    for key in found:
        yield _head_line(key)
        yield textwrap.fill(key.meaning, WIDTH, initial_indent="    ", subsequent_indent="    ")


def _head_line(key: Key) -> str:
    of = f" ({', '.join(key.kinds)})" if key.kinds else ""
    default = "required" if key.required else f"default {default_text(key.default)}"
    return f"{key.path}{of}: {key.type.replace('`', '')}; {default}"


def _bare_path(path: str) -> str:
    return re.sub(r"\[\d*\]|\.\d+(?=\.|$)", "", path.strip())


def _near_name(wanted: str, keys: list[Key]) -> str:
    names = [_bare_path(key.path) for key in keys]
    last = [name for name in names if name.rpartition(".")[2] == wanted.rpartition(".")[2]]
    near = difflib.get_close_matches(wanted, names, n=1) or last[:1]
    return f"; did you mean {near[0]!r}?" if near else "; `cotforge keys` lists all"
