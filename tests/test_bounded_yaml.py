"""YAML of anybody: bounded in time, memory and depth, and every fault has its line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cotforge import bounded_yaml
from cotforge.bounded_yaml import DEEPEST, MOST_BYTES, MOST_VALUES, YamlError, load_yaml, read_text
from cotforge.errors import PipelineError
from cotforge.tree import override_keys, read_tree

REST = "name: a\nnote: b\n"


def chain(first: str, step: Callable[[int], str], count: int = 40) -> str:
    return f"a0: &a0 {first}\n" + "".join(f"a{i}: &a{i} {step(i - 1)}\n" for i in range(1, count))


HOSTILE = {
    "aliases that multiply": (chain("[lol, lol]", lambda i: f"[{', '.join([f'*a{i}'] * 9)}]"), 6, "100,000 values"),
    "aliases of a long text": (f"- &a {'x' * 100_000}\n- [{', '.join(['*a'] * 1000)}]\n", 2, "100,000 values"),
    "merge keys that multiply": (chain("{x: 1}", lambda i: f"{{<<: [{', '.join([f'*a{i}'] * 9)}]}}"), 6, "100,000 values"),
    "merge keys beside keys": (chain("{x: 1}", lambda i: f"{{<<: *a{i}, k{i}: *a{i}}}"), 15, "100,000 values"),
    "aliases that lie deep": (chain("[" * 30 + "]" * 30, lambda i: "[" * 30 + f"*a{i}" + "]" * 30), 1, "64 levels"),
    "lists in lists": (REST + "a: " + "[" * 100_000, 3, "64 levels"),
    "mappings in mappings": ("{a: " * 100_000, 1, "64 levels"),
    "dashes": ("- " * 100_000, 1, "64 levels"),
    "lines": ("".join(" " * i + "a:\n" for i in range(500)), 64, "64 levels"),
    "questions": ("? " * 100_000, 1, "64 levels"),
    "too many values": ("[" + "a," * 101_000 + "]", 1, "100,000 values"),
    "a long number": (REST + "a: " + "9" * 20_000, 3, "too long for a number"),
    "a long number by its tag": (REST + "a: !!int " + "9" * 20_000, 3, "too long for a number"),
    "a long number in hex": (REST + "a: 0x" + "f" * 20_000, 3, "too long for a number"),
    "a long number in bits": (REST + "a: 0b" + "1" * 20_000, 3, "too long for a number"),
    "a long number in sixties": (REST + "a: 1" + ":59" * 9_000, 3, "too long for a number"),
    "a long fraction": (REST + "a: 1" + ":59" * 9_000 + ".5", 3, "too long for a number"),
    "an alias in itself": (REST + "a: &a [*a]\n", 3, "stands within what it names"),
    "an alias in its own mapping": (REST + "a: &a\n  b: {c: *a}\n", 4, "stands within what it names"),
    "a merge key of itself": (REST + "a: &a {<<: *a}\n", 3, "stands within what it names"),
    "an alias of nothing": (REST + "a: *nothing\n", 3, "undefined alias"),
    "a key twice": (REST + "name: c\n", 3, "'name' is given twice"),
    "a key twice, below": ("a:\n  b: 1\n  c: 2\n  b: 3\n", 4, "'b' is given twice"),
    "a key that is a list": ("[a]: 1\n", 1, "a key must be a word"),
    "a merge key of a word": (REST + "<<: a\n", 3, "'<<' takes a mapping"),
    "an object of Python": (REST + "a: !!python/object/apply:os.system [echo]\n", 3, "the tag '!!python/object/apply:os.system'"),
    "a name of Python": (REST + "a: !!python/name:os.system\n", 3, "has no place here"),
    "a tag of its own": (REST + "a: !mine 1\n", 3, "the tag '!mine'"),
    "bytes": (REST + "a: !!binary aGVsbG8=\n", 3, "the tag '!!binary'"),
    "a set": (REST + "a: !!set {b, c}\n", 3, "the tag '!!set'"),
    "no number": (REST + "a: !!int b\n", 3, "'b' is no int"),
    "an empty number": (REST + "a: !!float ''\n", 3, "'' is no float"),
    "neither true nor false": (REST + "a: !!bool maybe\n", 3, "'maybe' is no bool"),
    "a tab": (REST + "\ta: 1\n", 3, "a tab; indent with spaces"),
    "a NUL": (REST + "a: \0\n", 3, r"the character '\x00' is not allowed"),
    "an escape": (REST + "a: \x1b[31m\n", 3, r"the character '\x1b' is not allowed"),
    "half a character": (REST + "a: \ud800\n", 3, "is not allowed"),
    "an escape that is no character": (REST + 'a: "\\U00110000"\n', 3, "not in range"),
    "two documents": (REST + "---\na: 1\n", 3, "document"),
    "an old version": ("%YAML 99999999999999999999.1\n---\na: 1\n", 1, "version"),
    "a colon": (REST + "a: b: c\n", 3, "mapping values are not allowed here"),
    "an open bracket": (REST + "a: [b\n", 4, "expected ',' or ']'"),
}


@pytest.mark.parametrize(("text", "line", "problem"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_sound_yaml_is_refused_at_its_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    with pytest.raises(YamlError) as caught:
        load_yaml(text)
    assert problem in str(caught.value)
    assert caught.value.line == line
    assert len(str(caught.value)) < 700
    if text.isascii() and len(text) < 10_000:
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(PipelineError) as told:
            read_tree(tmp_path / "p.yaml")
        assert str(told.value).startswith(f"{tmp_path / 'p.yaml'}:{line}: not YAML: ")


def test_the_offending_line_is_shown(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(REST + "labels: awe: fear\n")
    with pytest.raises(PipelineError, match=r"p\.yaml:3: not YAML: mapping .*; the line is 'labels: awe: fear'"):
        read_tree(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    "hostile", ["[" * 60_000, "0x" + "f" * 9_000, "[&a [*a]]", "!!python/name:os.system", '"\\U00110000"', "{a: 1, a: 2}"]
)
def test_a_value_set_on_the_command_line_is_bounded_in_the_same_way(hostile: str) -> None:
    with pytest.raises(PipelineError) as caught:
        override_keys({"a": 1}, [f"a={hostile}"])
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("path", ["a." * 60_000 + "b", "b.²", "b.-1", "b." + "9" * 5_000, "b.0.c.d", "b.0\n", "\ud800"])
def test_a_path_that_leads_nowhere_is_one_line(path: str) -> None:
    with pytest.raises(PipelineError) as caught:
        override_keys({"a": {}, "b": [1]}, [f"{path}=1"])
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 700


def test_a_merged_key_gives_way_to_one_that_is_written_out() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nuse:\n  <<: [*base, *more]\n  a: 5\n"
    assert load_yaml(text)["use"] == {"a": 5, "b": 2, "c": 4} == yaml.safe_load(text)["use"]


def test_what_an_alias_names_is_a_copy() -> None:
    value = load_yaml("a: &a [1]\nb: *a\n")
    value["a"].append(2)
    assert value["b"] == [1]


def test_numbers_and_dates_are_read_as_people_write_them() -> None:
    assert load_yaml("[2.0e8, 1e-3, 2024-01-02, 0x10, =, yes]") == [2e8, 1e-3, "2024-01-02", 16, "=", True]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_other_editors_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "p.yaml").write_bytes("name: gefühle\r\n".encode(encoding))
    assert read_tree(tmp_path / "p.yaml") == {"name": "gefühle"}


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"name: a\nnote: \xff\n")
    with pytest.raises(PipelineError, match=r"p\.yaml:2: not YAML: is not text in UTF-8"):
        read_tree(tmp_path / "p.yaml")


def test_a_file_of_any_size_is_read_to_the_bound_only(tmp_path: Path) -> None:
    with (tmp_path / "p.yaml").open("wb") as file:
        file.truncate(2**40)  # sparse: a terabyte that takes no room
    with pytest.raises(YamlError, match=f"{MOST_BYTES:,} bytes"):
        read_text(tmp_path / "p.yaml")


def plain() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner), max_leaves=20
    )


@given(plain())
def test_what_was_dumped_is_read_back(value: Any) -> None:
    assert load_yaml(bounded_yaml.dump_yaml(value)) == value


@given(st.text(st.sampled_from(list("ab01:-?[]{},&*!|>'\"%#\n \t<.~\\ux")) | st.characters()))
def test_any_text_is_a_value_or_a_fault(text: str) -> None:
    try:
        value = load_yaml(text)
    except YamlError:
        return
    count, depth = _counted(value)
    assert count <= MOST_VALUES
    assert depth <= DEEPEST + 1


def _counted(value: Any) -> tuple[int, int]:
    below = [_counted(item) for item in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())]
    return 1 + sum(count for count, _ in below), 1 + max((depth for _, depth in below), default=0)


def test_the_bounds_hold_what_people_write() -> None:
    assert bounded_yaml.load_yaml("labels: [" + ", ".join(f"label {i}" for i in range(20_000)) + "]")["labels"][-1] == "label 19999"
