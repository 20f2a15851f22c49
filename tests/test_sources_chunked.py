"""A pool that is handed several items at once gives each its own result, at once where it is asked for."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.sources.chunked import CHUNK, ChunkedPool


def doubled(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return 2 * number


@given(st.lists(st.integers(-3, 100), max_size=3 * CHUNK), st.integers(1, 3 * CHUNK))
def test_every_item_has_its_own_result_or_error_however_many_are_ahead(numbers: list[int], ahead: int) -> None:
    pool = ChunkedPool(doubled, 2, name="test")
    try:
        for start in range(0, len(numbers), ahead):
            some = numbers[start : start + ahead]
            for number, pending in [(number, pool.submit(number)) for number in some]:
                if number < 0:
                    with pytest.raises(ValueError, match=f"^{number} is below 0$"):
                        pending.result()
                else:
                    assert pending.result() == 2 * number
    finally:
        pool.close()


def test_a_full_chunk_is_worked_on_before_anybody_asks() -> None:
    done = threading.Event()
    pool = ChunkedPool(lambda number: number < CHUNK - 1 or done.set(), 1, name="test")
    for number in range(CHUNK):
        pool.submit(number)
    assert done.wait(60)
    pool.close()


def test_a_result_can_be_asked_for_twice() -> None:
    pool = ChunkedPool(doubled, 1, name="test")
    pending = pool.submit(4)
    assert (pending.result(), pending.result()) == (8, 8)
    pool.close()
