"""How many questions a student is asked at a time."""

BATCH, LARGEST = 16, 256
"""Questions of a student's first batch on a GPU, and of any later one at most; on a CPU all have the first one's size."""


def next_batch(batch: int, *, used: int, room: int) -> int:
    """How many questions the next batch may have: at most twice those of the last, which used so many bytes of the `room`."""
    fits = batch * room // used if used else 2 * batch
    return max(batch, min(2 * batch, fits, LARGEST))
