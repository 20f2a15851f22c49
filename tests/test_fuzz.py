"""A small part of `benchmarks.fuzz`: what a stranger hands over is read, refused in a line, or a fault of its row."""

import pytest

from benchmarks.fuzz.counts import FAULTS, counted
from benchmarks.fuzz.inputs import INPUTS

BEYOND_THE_INPUT = ("memory",)
"""What this process has used before is no fault of an input."""


@pytest.mark.parametrize("kind", INPUTS)
def test_mutated_inputs_bring_no_traceback_and_no_wait(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("USER_WORD", "A_KEY", "DIGITS_DIR", "EMOSET_DIR", "IMAGES_DIR"):
        monkeypatch.setenv(name, "word")
    counts = counted(kind, 60, seed=7)
    assert {name: counts[name] for name in FAULTS if name not in BEYOND_THE_INPUT and counts[name]} == {}, capsys.readouterr().err
    assert counts["refused"] + counts["row"] + counts["read"] == 60
    assert counts["read"]
