"""The generated parts of the docs are as the code has them, and what they explain by hand is neither more nor less than there is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import cotforge
from cotforge.consensus import RULES
from cotforge.reasons import ASKING, DEDUP, FATES, READING, SOURCE, VOTING
from cotforge.records import ReadingFault, TraceFate, VoteReason
from cotforge.reference import REGIONS, stale_pages, write_pages
from cotforge.reference.dataset_columns import MEANINGS, Table, columns_of
from cotforge.reference.reasons import reasons_tables

DOCS = Path(__file__).parents[1] / "docs"


def test_the_generated_parts_of_the_docs_are_up_to_date() -> None:
    assert [page.name for page, _ in stale_pages(DOCS)] == [], "run `make reference`"


def test_every_region_stands_in_one_page() -> None:
    found = [name for page in DOCS.rglob("*.md") for name in re.findall(r"<!-- generated: (\S+) -->", page.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(REGIONS)


def test_a_page_is_written_between_its_marks_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: exits -->\nold\n<!-- end of generated -->\nafter\n")
    assert write_pages(tmp_path) == [page]
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    assert "| 0 | Done, also if nothing was accepted. |" in lines
    assert write_pages(tmp_path) == []


@pytest.mark.parametrize("table", get_args(Table))
def test_every_column_of_a_table_is_explained_and_no_other(table: Table) -> None:
    assert {*MEANINGS[table]} == {*columns_of(table)}


def raised() -> Iterator[str]:
    """Every reason of a Fault that the package names where it makes one."""
    for path in Path(cotforge.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "Fault(" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Fault" and node.args:
                yield from (each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def test_every_reason_for_which_a_row_is_not_read_is_explained_and_no_other() -> None:
    known = {reason for reason in raised() if re.fullmatch("[a-z0-9_]+", reason)}
    assert {*SOURCE} <= known | {"image_broken"}
    assert known - {"", "input_tokens", "parameter"} <= {*SOURCE} | {*ASKING} | {*DEDUP}


def test_every_reason_of_replies_votes_and_traces_is_explained_and_no_other() -> None:
    assert {*READING} == {*get_args(ReadingFault)}
    assert {*VOTING} == {*get_args(VoteReason)} - {""} | {"no_replies"}
    assert {fate.partition(":")[0] for fate in FATES} == {*get_args(TraceFate)}
    assert all(told.counted and told.alone for told in VOTING.values())


def test_the_page_of_reasons_speaks_of_rules_that_exist() -> None:
    assert {rule.name for rule in RULES}.isdisjoint({*re.findall(r"^\| `(\w+)`", reasons_tables(), re.MULTILINE)})
