"""`cotforge keys`: every key is told with its meaning, and the JSON schema takes and refuses what the typed pipeline does."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from cotforge import bounded_yaml, cli
from cotforge.errors import CotforgeError
from cotforge.keys import json_schema, key_lines, list_keys
from cotforge.pipeline import Pipeline
from cotforge.prompts import shipped_folder

ROOT = Path(__file__).parents[1]
FILES = [*sorted(shipped_folder("pipelines").glob("*.yaml")), *sorted((ROOT / "examples").glob("*.yaml"))]
BY_RULE = ("value_error", "assertion_error")
"""What pydantic calls the faults that a rule of ours finds, and not a type."""
PLACE = tuple[str | int, ...]


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


@cache
def pipeline(path: Path) -> Any:
    return bounded_yaml.load_yaml(path.read_text(encoding="utf-8"))


# meanings


def test_every_key_has_a_meaning_of_short_sentences() -> None:
    for key in list_keys():
        assert key.meaning.endswith((".", ".)")), key.path
        sentences = re.split(r"(?<=[.:;]) ", key.meaning)
        assert [sentence for sentence in sentences if len(sentence.split()) > 30] == [], key.path


def test_every_key_whose_default_is_null_says_what_null_means() -> None:
    assert [key.path for key in list_keys() if not key.required and key.default is None and "Null" not in key.meaning] == []


def test_no_key_is_told_twice_for_one_kind() -> None:
    told = [(key.path, kind) for key in list_keys() for kind in key.kinds or ("",)]
    assert len(told) == len({*told})


def test_a_key_that_two_kinds_have_with_different_defaults_is_told_for_each() -> None:
    found = {key.kinds: key.default for key in list_keys() if key.path == "train.stages[].accumulate"}
    assert found == {("sft", "dpo"): 1, ("grpo",): 8}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("consensus.target", "number above 0.5 and below 1"),
        ("teachers[].url", "text or list of texts"),
        ("train.stages[].clip", "`cliplow-upper`, `cliplow-lower`, section or `null`"),
        ("consensus.logprobs", "`auto` or `off`"),
        ("max_failures", "number from 0 to 1"),
        ("eval.best", "`accuracy`, `macro_recall`, `format_rate`, section or `null`"),
        ("teachers", "list of sections"),
    ],
)
def test_types_are_told_in_words(path: str, words: str) -> None:
    (key,) = (key for key in list_keys() if key.path.removesuffix("[]") == path)
    assert key.type == words


# lines for a terminal


@pytest.mark.parametrize("name", ["teachers[].price", "teachers.0.price", "teachers[2].price", "teachers.price"])
def test_a_key_is_found_however_its_list_is_written_and_brings_those_below_it(name: str) -> None:
    lines = list(key_lines(name))
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [
        "teachers[].price", "teachers[].price.input", "teachers[].price.output",
    ]  # fmt: skip
    assert lines[2] == "teachers[].price.input: number at least 0; default 0"


def test_a_key_that_does_not_exist_names_the_nearest_one() -> None:
    with pytest.raises(CotforgeError, match=r"did you mean 'consensus\.target'"):
        list(key_lines("consensus.tarket"))


def test_the_command_prints_the_schema_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["keys", "--schema"])
    assert json.loads(capsys.readouterr().out) == json_schema()


# the schema


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_an_editor_shows_the_meanings_and_only_for_that_is_the_source_read() -> None:
    schema, meanings = json_schema(), {key.path: key.meaning for key in list_keys()}
    told = {name: " ".join(found["description"].split()) for name, found in schema["properties"].items()}
    assert told == {name: meanings.get(name) or meanings[f"{name}[]"] for name in told}
    assert all("description" in found for found in schema["$defs"]["Plan"]["properties"].values())
    program = "import linecache, cotforge.session; print([path for path in linecache.cache if 'cotforge' in path])"
    started = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert started.stdout == "[]\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_takes_every_shipped_pipeline_as_it_is_written(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(pipeline(path))] == []


def test_the_schema_takes_every_pipeline_and_part_of_one_that_the_docs_show() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)]
    whole = pipeline(shipped_folder("pipelines") / "emoset.yaml")
    for block in blocks:
        assert [error.message for error in validator().iter_errors(whole | bounded_yaml.load_yaml(block))] == [], block
    assert len(blocks) > 10


def places(value: Any, at: PLACE = ()) -> Iterator[PLACE]:
    """The place of every value in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


def changed(tree: Any, place: PLACE, value: Any) -> Any:
    """A tree with another value at a place; `...` takes it out."""
    head, *rest = place
    inner = changed(tree[head], tuple(rest), value) if rest else value
    if isinstance(tree, list):
        return [inner if number == head else item for number, item in enumerate(tree)]
    return {key: inner if key == head else item for key, item in tree.items() if inner is not ... or key != head}


def mutants() -> Iterator[tuple[str, Any]]:
    """(what was changed, tree): each key of the shipped pipelines, with values of every type, taken out, and with a strange key below."""
    seen = set()
    for path in FILES:
        tree = json.loads(re.sub(r"\$\{\w+\}", "x", json.dumps(pipeline(path))))
        for place in places(tree):
            name = ".".join(str(step) for step in place if not isinstance(step, int))
            if name in seen or not isinstance(place[-1], str):
                continue
            seen.add(name)
            for value in (7, 0.5, "text", {"strange": 1}, ["text"], [{"strange": []}], None, ...):
                yield f"{path.stem}: {name}: {value}", changed(tree, place, value)


def refusals(tree: Any) -> list[str]:
    try:
        Pipeline.model_validate(tree)
    except ValidationError as error:
        return [found["type"] for found in error.errors(include_url=False)]
    return []


def test_the_schema_refuses_what_the_pipeline_refuses_by_type_and_nothing_that_it_takes() -> None:
    told = 0
    for change, tree in mutants():
        found = refusals(tree)
        takes = validator().is_valid(tree)
        if not found:
            assert takes, f"{change}: only the schema refuses it"
        elif not {*found} & {*BY_RULE}:
            assert not takes, f"{change}: only the pipeline refuses it: {found}"
            told += 1
    assert told > 300


@pytest.mark.parametrize(("key", "value"), [("url", ["http://a/v1"]), ("concurrency", "${MANY}"), ("logprobs", False)])
def test_the_schema_takes_the_other_forms_of_a_value(key: str, value: Any) -> None:
    tree = pipeline(shipped_folder("pipelines") / "emoset.yaml")
    assert validator().is_valid(changed(tree, ("teachers", 0), tree["teachers"][0] | {key: value}))


def test_a_teacher_without_a_kind_is_of_the_first_one_in_the_schema_too() -> None:
    tree = pipeline(shipped_folder("pipelines") / "emoset.yaml")
    teacher = {"name": "a", "model": "m", "url": "http://a/v1"}
    assert validator().is_valid(tree | {"teachers": [teacher]})
    assert not validator().is_valid(tree | {"teachers": [teacher | {"gpus": "all"}]})
