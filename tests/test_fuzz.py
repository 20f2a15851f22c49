"""A small part of `python -m benchmarks.fuzz`: mutated files of every kind, through the command."""

import sys

import pytest

from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.watch import FAULTS, watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads memory and time of a process from /proc")

INPUTS = 15
SEED = 11


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[kind.name for kind in KINDS])
def test_a_mutated_file_never_raises_and_never_takes_ten_seconds_or_a_gigabyte(kind: int) -> None:
    seen = list(watched(kind, SEED, range(INPUTS)))
    assert [one for one in seen if one.outcome in FAULTS] == []
    assert len(seen) == INPUTS
