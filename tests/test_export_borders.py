import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cotforge.export.borders import Borders, PieceSize

SMALL = PieceSize(samples=6, bytes=1_000, seed=1)

ENDS = next((str(number), 0) for number in range(10_000) if SMALL.ends_after(str(number), 0))
"""A sample that ends a piece."""
samples = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3_000)), max_size=30)
"""(id, bytes) of each."""


def pieces(sequence: Sequence[tuple[str, int]], size: PieceSize = SMALL) -> list[list[tuple[str, int]]]:
    """The sequence, cut."""
    borders, found = Borders(size), [list[tuple[str, int]]()]
    for id, count in sequence:
        if borders.is_full(count):
            borders.restart()
            found.append([])
        found[-1].append((id, count))
        if borders.take(id, count):
            borders.restart()
            found.append([])
    return [piece for piece in found if piece]


@given(samples, samples)
def test_what_stands_before_a_sample_that_ends_a_piece_changes_no_border_after_it(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    assert pieces([*before, ENDS, *after]) == [*pieces([*before, ENDS]), *pieces(after)]


@given(samples)
def test_no_piece_is_larger_than_twice_the_mean_but_one_of_a_single_sample(sequence: list[tuple[str, int]]) -> None:
    for piece in pieces(sequence):
        assert len(piece) <= 2 * SMALL.samples
        assert len(piece) == 1 or sum(count for _, count in piece) <= 2 * SMALL.bytes


def test_pieces_have_the_mean_that_is_asked_for_by_samples_and_by_bytes() -> None:
    size = PieceSize(samples=50, bytes=100_000, seed=1)
    for count, wanted in ((0, 50), (100_000 // 50, 25), (100_000 // 5, 4.5)):
        found = pieces([(str(number), count) for number in range(20_000)], size)
        mean = 20_000 / len(found)
        assert 0.75 * wanted < mean < 1.1 * wanted, "the ceiling makes them smaller than the chance alone"


def test_ten_samples_more_or_less_among_thousands_change_few_pieces() -> None:
    size, chance = PieceSize(samples=50, bytes=100_000, seed=1), random.Random(0)
    sequence = [(str(number), chance.randint(100, 3_000)) for number in range(5_000)]
    fewer = [sample for place, sample in enumerate(sequence) if place % 500 != 250]
    before, after = ({tuple(piece) for piece in pieces(each, size)} for each in (sequence, fewer))
    assert len(before) > 120
    assert len(before - after) <= 20


def test_shards_and_row_groups_end_at_different_samples() -> None:
    one, other = PieceSize(samples=20, bytes=1_000, seed=1), PieceSize(samples=20, bytes=1_000, seed=2)
    ends = [{number for number in range(2_000) if size.ends_after(str(number), 0)} for size in (one, other)]
    assert len(ends[0] & ends[1]) < len(ends[0]) / 4
