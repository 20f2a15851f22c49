"""Which shards are a run's own: those that its list or its card names. Nothing else in the folders of a dataset is ever removed.

The list is `.cotforge-shards` in the run folder, beside `.cotforge-shards.begun` of an export that is not finished, which names a shard
before it is there, so that what a killed export left is known too. Of a run from before there were lists, the card alone tells.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cotforge.atomic import write_whole
from cotforge.regular_files import demand_regular, open_regular, read_regular

LIST, BEGUN = ".cotforge-shards", ".cotforge-shards.begun"
_LARGEST = 64 << 20
_SHARD = r"(?:data|traces|preference)/[^\s/\\\"'*?\[\],]+\.parquet"
_LISTED = re.compile(rf"^{_SHARD}$", re.MULTILINE)
_IN_CARD = re.compile(rf"(?<![\w/.-]){_SHARD}(?![\w/.-])")


class Owned:
    """The shards of one run folder, by `<folder>/<name>` within its dataset."""

    def __init__(self, run: Path) -> None:
        self._list, self._begun, self._dataset = run / LIST, run / BEGUN, run / "dataset"
        listed = _file_text(self._list) + _file_text(self._begun)
        self.names = {*_LISTED.findall(listed), *_IN_CARD.findall(_file_text(self._dataset / "README.md"))}

    def claim(self, name: str) -> None:
        """Note that a shard is about to get its name. Raises OSError."""
        if name not in self.names:
            self.names.add(name)
            with open(open_regular(self._begun, os.O_WRONLY | os.O_CREAT | os.O_APPEND, alone=True), "w", encoding="utf-8") as file:
                file.write(name + "\n")

    def keep(self, named: Iterable[str]) -> None:
        """Remove the run's shards that are not `named`, which are all that it owns from now on. Raises OSError."""
        kept = set(named)
        for name in sorted(self.names - kept):
            with contextlib.suppress(OSError):  # no file, or a link: left as it is
                if demand_regular(self._dataset / name):
                    (self._dataset / name).unlink()
        write_whole(self._list, "".join(f"{name}\n" for name in sorted(kept)))
        self._begun.unlink(missing_ok=True)
        self.names = kept


def _file_text(path: Path) -> str:
    """The text of a file; empty where there is none that can be read."""
    try:
        return read_regular(path, most=_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
