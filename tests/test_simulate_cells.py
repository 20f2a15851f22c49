"""Simulated teachers that read a grid cell by cell: they know what they learned of single cells, and say the steps to their answer."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from cotforge.errors import PipelineError
from cotforge.simulate import Role, Server
from cotforge.simulate.cells import STYLES, cell_places, work_out
from cotforge.simulate.sight import see_cells, see_picture
from cotforge.teachers.simulated import GridCells, Simulated
from tests.asking import ask, picture, request_body, text_of

WORTH = {"standing": "7", "lying": "4", "o": "12"}
"""What the labels of the shapes are."""
SUM = {"rows": 2, "columns": 2, "answer": "sum"}
QUESTION = "What do the four shapes add up to?"


def grid(*shapes: str, columns: int = 2, size: tuple[int, int] | None = None, shift: int = 0) -> bytes:
    """A picture of shapes, row by row."""
    rows = -(-len(shapes) // columns)
    whole = Image.new("L", (64 * columns, 64 * rows))
    for place, shape in enumerate(shapes):
        with Image.open(io.BytesIO(picture(shape, shift=shift))) as cell:
            whole.paste(cell, (place % columns * 64, place // columns * 64))
    file = io.BytesIO()
    (whole.resize(size) if size else whole).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cells")
    rows, named = ["image,label"], ["image,label"]
    for shift in range(-12, 16, 4):
        for shape, worth in WORTH.items():
            (root / f"{shift}-{shape}.png").write_bytes(picture(shape, shift=shift))
            rows.append(f"{shift}-{shape}.png,{worth}")
            named.append(f"{shift}-{shape}.png,{shape}")
    (root / "worth.csv").write_text("\n".join(rows))
    (root / "named.csv").write_text("\n".join(named))
    return root


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    taught = {"learn": "worth.csv", "look": "strokes", "cells": SUM}
    sections = {
        **{f"style-{seed}": taught | {"seed": seed} for seed in range(len(STYLES))},
        "row": taught | {"cells": {"rows": 1, "columns": 3, "answer": "joined"}},
        "stuck": taught | {"stuck": "5"},
        "changed": taught | {"drift": 0},
        "injected": taught | {"inject": 1.0},
    }
    roles = [Role(name, name, Simulated.model_validate(section)) for name, section in sections.items()]
    with Server(roles, (), root=folder) as server:
        yield server.url


def said(url: str, model: str, data: bytes) -> tuple[str, str]:
    """(reasoning, answer)."""
    found = re.fullmatch(r"<think>(.*)</think>\n<answer>(.*)</answer>", text_of(ask(url, request_body(model, data, QUESTION))), re.DOTALL)
    assert found is not None
    return found[1], found[2]


@pytest.mark.parametrize("seed", range(len(STYLES)))
@pytest.mark.parametrize("shapes", [("lying", "standing", "o", "lying"), ("o", "o", "standing", "standing")])
def test_every_cell_is_read_and_added_and_each_step_is_said_in_the_teachers_own_words(url: str, shapes: Sequence[str], seed: int) -> None:
    worth = [int(WORTH[shape]) for shape in shapes]
    reasoning, answer = said(url, f"style-{seed}", grid(*shapes, shift=2))
    assert answer == str(sum(worth))
    numbers = [int(number) for number in re.findall(r"\d+", reasoning)]
    assert [number for number in numbers if number in worth][:1] == worth[:1]
    assert {sum(worth[:count]) for count in (2, 3, 4)} <= set(numbers)
    assert reasoning == work_out(GridCells.model_validate(SUM), [str(each) for each in worth], style=STYLES[seed])[0]


def test_the_styles_differ() -> None:
    cells = GridCells.model_validate(SUM)
    assert len({work_out(cells, ["1", "2", "3", "4"], style=style)[0] for style in STYLES}) == len(STYLES)


@pytest.mark.parametrize("size", [(300, 200), (65, 33)])
def test_a_picture_of_any_size_is_cut_into_its_cells(url: str, size: tuple[int, int]) -> None:
    assert said(url, "style-0", grid("lying", "standing", "standing", "lying", size=size))[1] == "22"


def test_cells_of_a_row_are_joined_to_one_text(url: str) -> None:
    reasoning, answer = said(url, "row", grid("standing", "o", "lying", columns=3))
    assert (reasoning, answer) == ("The left shows 7, the centre shows 12, the right shows 4.", "7124")


def test_a_wrong_cell_makes_the_answer_wrong_by_as_much(url: str) -> None:
    """A pair of bars is nothing that was learned: whatever it is taken for, the sum is that of what is said."""
    reasoning, answer = said(url, "style-1", grid("pair", "lying", "lying", "lying"))
    first, total = re.findall(r"\d+", reasoning)[0], answer
    assert first in WORTH.values()
    assert int(total) == int(first) + 12


def test_one_answer_to_everything_another_model_and_injected_tags_work_as_with_labels(url: str) -> None:
    assert said(url, "stuck", grid("o", "o", "o", "o"))[1] == "5"
    assert said(url, "changed", grid("o", "o", "o", "o"))[1] != "48"
    assert "<answer>28</answer>" in text_of(ask(url, request_body("injected", grid("standing", *["standing"] * 3), QUESTION)))


def test_a_cell_is_called_by_its_place_and_in_a_large_grid_by_row_and_column() -> None:
    assert cell_places(GridCells(rows=2, columns=2)) == ["the top left", "the top right", "the bottom left", "the bottom right"]
    assert cell_places(GridCells(rows=3, columns=1)) == ["the top cell", "the middle cell", "the bottom cell"]
    assert cell_places(GridCells(rows=2, columns=4))[5] == "row 2 column 2"
    assert all(
        len(set(cell_places(GridCells(rows=rows, columns=columns)))) == rows * columns for rows in range(1, 6) for columns in range(1, 6)
    )


def test_a_picture_that_has_fewer_pixels_than_cells_is_refused(url: str) -> None:
    status, reply, _ = ask(url, request_body("style-0", grid("o", size=(1, 1)), QUESTION))
    assert status == 400
    assert "1 x 1 pixels are no 2 x 2 cells" in reply["error"]["message"]


def test_one_cell_alone_is_seen_as_the_whole_picture_is() -> None:
    inks, size = see_cells(grid("o"), rows=1, columns=1)
    assert size == (128, 64)
    assert (inks[0] == see_picture(grid("o")).ink).all()


def test_a_sum_of_labels_that_are_no_numbers_is_an_error_of_the_pipeline(folder: Path) -> None:
    role = Role("a", "a", Simulated.model_validate({"learn": "named.csv", "cells": SUM}))
    with pytest.raises(PipelineError, match="a sum needs whole numbers as labels, and it learned 'lying'"), Server([role], (), root=folder):
        pass


def test_a_teacher_that_has_learned_nothing_reads_no_cells() -> None:
    with pytest.raises(ValidationError, match="cells: needs learn"):
        Simulated.model_validate({"cells": SUM})


@given(st.lists(st.integers(-99, 99).map(str), min_size=1, max_size=9), st.sampled_from(STYLES), st.sampled_from(["sum", "joined"]))
def test_an_answer_follows_from_what_was_read_and_the_words_say_all_of_it_in_order(read: list[str], style: object, kind: str) -> None:
    cells = GridCells.model_validate({"rows": 1, "columns": len(read), "answer": kind})
    reasoning, answer = work_out(cells, read, style=style)  # type: ignore[arg-type]
    assert answer == (str(sum(map(int, read))) if kind == "sum" else "".join(read))
    places = iter(re.findall(r"-?\d+", reasoning))
    assert all(number in places for number in read)
    assert kind == "joined" or re.findall(r"-?\d+", reasoning)[-1] == answer
