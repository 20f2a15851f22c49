"""Files under a second name, so that weights that lie in two folders take their room on the disk once."""

import shutil
from pathlib import Path


def link_or_copy(source: str, target: str) -> None:
    """A file under a second name, where the disk can, else a copy of it."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
