from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cotforge.export.held_rows import HeldRows

values = st.one_of(st.none(), st.text(), st.floats(allow_nan=False), st.lists(st.tuples(st.text(), st.text())))
samples = st.lists(st.lists(st.tuples(st.text(), values), min_size=1, max_size=3), max_size=8)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples)
def test_rows_come_back_as_they_were_in_any_order_and_leave_no_file(tmp_path: Path, given_rows: list[list[tuple[object, ...]]]) -> None:
    held = HeldRows(tmp_path / "data")
    for _ in range(2):  # a second shard begins anew
        places = [held.keep(rows) for rows in given_rows]
        assert [held.rows_at(place) for place in reversed(places)] == [tuple(rows) for rows in reversed(given_rows)]
        held.clear()
    assert not list(tmp_path.rglob("*.*"))


def test_without_a_row_no_folder_is_made(tmp_path: Path) -> None:
    HeldRows(tmp_path / "data").clear()
    assert not list(tmp_path.iterdir())
