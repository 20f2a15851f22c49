"""What was learned before, by the content it follows from: the latest policies in memory, and all of it in the cache of a run folder.

Whatever a key names is a pure function of the parts it was made of, and of this code: so nothing is ever out of date. A file that is
damaged, of another version, or no such file at all, is as if it were not there.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path

from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.stored import Damaged, belief_bytes, belief_of, number_bytes, number_of, policy_bytes, policy_of
from cotforge.consensus.sequential.terms import Terms
from cotforge.errors import JournalError
from cotforge.images import kept
from cotforge.regular_files import read_regular

FOLDER = "cache/learned"
"""Under the run folder."""
LATEST = 6
"""Policies kept in memory: a run looks what is missing, asks, and curates by the same ones; it has as many at 50,000 Samples."""
FILES = 60
"""Most files in the folder; beyond, those go that were used longest ago. A run has up to a dozen for each pipeline and journal."""
LARGEST = 1 << 27
"""Bytes of a file that is read."""


class LearningCache:
    """Finds and keeps policies and beliefs. Not to be used by two threads at once."""

    def __init__(self, run: Path | None = None) -> None:
        """`run`: the run folder; without one nothing outlives the process."""
        self._folder = run and run / FOLDER
        self._latest: OrderedDict[str, Policy] = OrderedDict()
        self._numbers: dict[str, float] = {}

    @property
    def lasts(self) -> bool:
        """Whether another process can find what is kept."""
        return self._folder is not None

    def policy(self, key: str, terms: Terms) -> Policy | None:
        """The policy of these terms that was kept under a key; None where there is none."""
        policy = self._latest.get(key)
        if policy is None and (data := self._read_entry(key)) is not None:
            with suppress(Damaged):
                policy = policy_of(data, terms)
        if policy is not None:
            self._note_policy(key, policy)
        return policy

    def keep_policy(self, key: str, policy: Policy) -> None:
        """Keep a policy under a key."""
        self._note_policy(key, policy)
        if self._folder is not None:
            self._write_entry(key, policy_bytes(policy))

    def belief(self, key: str, terms: Terms) -> Belief | None:
        """The belief about these terms that was kept under a key; None where there is none."""
        if (data := self._read_entry(key)) is not None:
            with suppress(Damaged):
                return belief_of(data, terms)
        return None

    def keep_belief(self, key: str, belief: Belief) -> None:
        """Keep a belief under a key; without a folder it is not kept."""
        if self._folder is not None:
            self._write_entry(key, belief_bytes(belief))

    def number(self, key: str) -> float | None:
        """The probability that was kept under a key; None where there is none."""
        if key not in self._numbers and (data := self._read_entry(key)) is not None:
            with suppress(Damaged):
                self._numbers[key] = number_of(data)
        return self._numbers.get(key)

    def keep_number(self, key: str, number: float) -> None:
        """Keep a probability under a key."""
        self._numbers[key] = number
        if self._folder is not None:
            self._write_entry(key, number_bytes(number))

    def _note_policy(self, key: str, policy: Policy) -> None:
        self._latest[key] = policy
        self._latest.move_to_end(key)
        while len(self._latest) > LATEST:
            self._latest.popitem(last=False)

    def _read_entry(self, key: str) -> bytes | None:
        if self._folder is None:
            return None
        path = self._folder / key
        try:
            data = read_regular(path, most=LARGEST)
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)  # used just now
        return data

    def _write_entry(self, key: str, data: bytes) -> None:
        """A folder that cannot be written, or a full disk, costs time and nothing else."""
        assert self._folder is not None
        with suppress(OSError, JournalError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            kept.write_file(str(self._folder / key), data)
            for path in _oldest_files(self._folder):
                path.unlink(missing_ok=True)


@lru_cache(maxsize=4)
def cache_of(run: Path | None) -> LearningCache:
    """The one of a run folder, or of votes over tables, which belong to none."""
    return LearningCache(run)


def key_of(*parts: object) -> str:
    """The name of what follows from these parts, which are bytes or have a `repr` that tells all of them."""
    found = sha256(_code_hash())
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


@cache
def _code_hash() -> bytes:
    """A hash of the code that learns: another version of it learns something else."""
    found = sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        found.update(path.read_bytes())
    return found.digest()


def _oldest_files(folder: Path) -> Iterator[Path]:
    """The files that are too many, those used longest ago first."""
    with os.scandir(folder) as entries:
        ages = sorted((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries)
    return (Path(path) for _, path in ages[: max(0, len(ages) - FILES)])
