"""What `cotforge push` sends to a Hub on this machine: a first time, again without a change, and after ten rows have changed."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.forge.process import cotforge
from benchmarks.forge.table import print_table
from benchmarks.share.maker import MadeRun, change_labels
from tests.hub_server import TOKEN, HubServer

REPOSITORY = "me/share"


@dataclass
class PushTarget:
    """A Hub, and how much it holds by now."""

    name: str
    hub: HubServer
    switches: tuple[str, ...]
    held: Callable[[], int]
    """Bytes of large files that came in so far."""

    def line(self, made: MadeRun, what: str) -> list[str]:
        """One push."""
        os.environ |= {"HF_ENDPOINT": self.hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(made.folder / "hub-home")}
        before, commits = self.held(), self._commits()
        spent = cotforge("push", made.run, REPOSITORY, *self.switches, every=0.5)
        sent, made_commits = self.held() - before, self._commits() - commits
        figures = (f"{spent.seconds:.1f}", f"{spent.cpu:.1f}", f"{spent.peak:,.0f}", f"{sent / 1e6:,.1f}", f"{made_commits}")
        return [f"{what}, {self.name}", *figures]

    def _commits(self) -> int:
        return len(self.hub.dataset(REPOSITORY).commits) if ("datasets", REPOSITORY) in self.hub.repositories else 1


def print_pushes(made: MadeRun) -> None:
    """With Xet, and without."""
    disk = sum(path.stat().st_size for path in (made.run / "dataset").rglob("*.parquet"))
    print(f"\n`cotforge push` of {disk / 1e6:,.0f} MB of parquet to a Hub on this machine\n")
    with tempfile.TemporaryDirectory(dir=made.folder) as folder, HubServer(cas=Path(folder)) as xet, HubServer() as plain:
        targets = [
            PushTarget("Xet", xet, (), lambda: _size(Path(folder))),
            PushTarget("`--no-xet`", plain, ("--no-xet",), lambda: plain.put_bytes),
        ]
        print_table(("push", "seconds", "CPU, s", "peak MB", "MB sent", "commits"), _pushes(made, targets))


def _pushes(made: MadeRun, targets: Sequence[PushTarget]) -> Iterator[list[str]]:
    for what, labels in (("first", 0), ("again, nothing changed", 0), ("again, ten labels changed", 10)):
        if labels:
            change_labels(made.table, labels, seed=2)
            cotforge("curate", made.run, every=0.5)
        yield from (target.line(made, what) for target in targets)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
