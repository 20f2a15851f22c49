"""`--set`: what it changes in the tree of a pipeline file, and what is wrong with it in one line."""

from pathlib import Path
from typing import Any

import pytest

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.tree import override_keys
from tests.project import ran, replay, said, write_pipeline, write_rows

TREE: dict[str, Any] = {
    "filters": [{"measure": "a"}],
    "teachers": [{"name": "one", "url": "http://a"}],
    "task": {"labels": {"joy": ["glad"]}},
}


@pytest.mark.parametrize(
    ("given", "path", "found"),
    [
        ("filters.+={measure: b, min: 1}", ("filters",), [{"measure": "a"}, {"measure": "b", "min": 1}]),
        ("filters.+.measure=b", ("filters",), [{"measure": "a"}, {"measure": "b"}]),
        ("stages.+=x", ("stages",), ["x"]),
        ("train.stages.+.name=x", ("train", "stages"), [{"name": "x"}]),
        ("task.labels.joy.+=happy", ("task", "labels", "joy"), ["glad", "happy"]),
        ("teachers.0.url.+=http://b", ("teachers", 0, "url"), ["http://a", "http://b"]),
        ("teachers.+={name: two}", ("teachers", 1, "name"), "two"),
    ],
)
def test_a_plus_is_a_new_last_item_of_a_list(given: str, path: tuple[str | int, ...], found: object) -> None:
    tree: Any = override_keys(TREE, [given])
    for step in path:
        tree = tree[step]
    assert tree == found
    assert TREE["filters"] == [{"measure": "a"}], "the tree that was given stays as it was"


@pytest.mark.parametrize("given", ["task.+=1", "task.labels.+=joy", "teachers.0.+=x"])
def test_a_plus_where_there_is_no_list_is_one_line(given: str) -> None:
    with pytest.raises(PipelineError, match=r"^--set .*: '\+' appends to a list, and there is none; give the whole value$"):
        override_keys(TREE, [given])


def test_what_was_appended_holds_for_curate_and_once_only(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(tmp_path, replay(tmp_path, "one", {f"row-{number}": said("awe") for number in range(2)}))
    more = "filters.+={measure: reasoning_words, min: 3}"
    for _ in range(2):
        assert ran("build", "pipeline.yaml", "--set", more, cwd=tmp_path).returncode == 0
    assert ran("curate", "runs/feelings", cwd=tmp_path).returncode == 0
    assert [bound.measure for bound in Loaded.of_run(tmp_path / "runs/feelings").pipeline.filters] == ["reasoning_words"]
