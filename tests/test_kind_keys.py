"""Sections of several kinds in the pipeline file: every fault names a place that is there, and a key of another kind says whose it is."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded, Pipeline
from tests.project import write_pipeline

WRONG = float("inf")
"""No key may be that."""
NEEDED: dict[str, Any] = {"name": "one", "model": "m", "path": "rows.jsonl", "url": "http://localhost:1/v1"}
"""For keys that must be given."""


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def listed(annotation: Any) -> bool:
    """Whether sections stand in a list."""
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return any(map(listed, get_args(annotation)))
    return get_origin(annotation) is tuple


def unions(model: type[BaseModel], above: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], type[BaseModel]]]:
    """(place, kind) of every section that may be of several kinds."""
    for name, field in model.model_fields.items():
        place = (*above, field.alias or name, *((0,) if listed(field.annotation) else ()))
        below = models(field.annotation)
        for each in below:
            if len(below) > 1 and "kind" in each.model_fields:  # a section of `consensus.image` is told by its only key
                yield place, each
            yield from unions(each, place)


def wrongs(model: type[BaseModel], wrong: Any = WRONG) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, section) with one key that is wrong, be it deep below."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield key, {key: wrong}
        for each in models(field.annotation):
            for path, section in wrongs(each, wrong):
                if listed(field.annotation):
                    yield f"{key}[0].{path}", {key: [section]}
                else:
                    yield f"{key}.{path}", {key: section}


def kind(model: type[BaseModel]) -> str:
    return str(get_args(model.model_fields["kind"].annotation)[0])


def put(place: tuple[str | int, ...], section: Any) -> Any:
    for step in reversed(place):
        section = [section] if isinstance(step, int) else {step: section}
    return section


def written(place: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def is_there(path: str, tree: Any) -> bool:
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if key and not (isinstance(tree, Mapping) and key in tree):
            return False
        if index and not (isinstance(tree, list) and int(index) < len(tree)):
            return False
        tree = tree[key or int(index)]
    return True


def faults(path: Path) -> list[str]:
    with pytest.raises(PipelineError) as caught:
        Loaded.load(path)
    return [fault.removeprefix(f"{path}: ") for fault in caught.value.faults]


KINDS = list(unions(Pipeline))


def test_the_unions_of_the_file_are_sources_teachers_stages_and_what_must_not_be_repeated() -> None:
    assert {written(place) for place, _ in KINDS} == {"source", "teachers[0]", "train.stages[0]", "dedup.against[0]"}


@pytest.mark.parametrize(("place", "model"), KINDS, ids=[kind(model) for _, model in KINDS])
def test_a_fault_in_any_key_of_any_kind_names_the_place_where_it_stands(
    tmp_path: Path, place: tuple[str | int, ...], model: type[BaseModel]
) -> None:
    needed = {name: NEEDED[name] for name in model.model_fields if name in NEEDED}
    for path, section in wrongs(model):
        extra = put(place, {"kind": kind(model), **needed, **section})
        if "train" in extra:
            extra["train"]["student"] = {"model": "m"}
        file = write_pipeline(tmp_path, {**NEEDED, "path": None}, **extra)
        told, tree = faults(file), yaml.safe_load(file.read_text())
        places = [fault.partition(":")[0] for fault in told if "is missing" not in fault]
        assert f"{written(place)}.{path}" in places, told
        assert all(is_there(each, tree) for each in places), told


@pytest.mark.parametrize("wrong", [{"no_such_key": 1}, [{"kind": "no_such_kind"}], ""], ids=str)
@pytest.mark.parametrize(("place", "model"), [*KINDS, ((), Pipeline)], ids=[*(kind(model) for _, model in KINDS), "pipeline"])
def test_whatever_is_wrong_in_whatever_key_only_places_that_are_in_the_file_are_named(
    tmp_path: Path, place: tuple[str | int, ...], model: type[BaseModel], wrong: Any
) -> None:
    needed = {"kind": kind(model), **{name: NEEDED[name] for name in model.model_fields if name in NEEDED}} if place else {}
    tried = 0
    for path, section in wrongs(model, wrong):
        file = write_pipeline(tmp_path, {**NEEDED, "path": None}, **put(place, {**needed, **section}))
        try:
            Loaded.load(file)
        except PipelineError as error:
            tried += 1
            tree, told = yaml.safe_load(file.read_text()), [fault.removeprefix(f"{file}: ") for fault in error.faults]
            for fault in told:
                named, _, words = fault.partition(": ")
                there = named.rpartition(".")[0] if words.startswith("is missing") else named
                assert is_there(there, tree), (path, fault)
    assert tried


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"gpus": [0]}, "teachers[0]: gpus is for kinds 'transformers' and 'vllm'; kind 'openai' has none"),
        ({"kind": "batch", "path": "x"}, "teachers[0]: path is for kind 'replay'; kind 'batch' has none"),
        ({"kind": "vllm"}, "teachers[0]: url is for kinds 'openai' and 'batch'; kind 'vllm' has none"),
        ({"kind": "replay", "path": "x", "url": [], "engine": {"x": 1}},
         "teachers[0]: engine is for kinds 'transformers' and 'vllm'; kind 'replay' has none"),
        ({"kind": "opnai"}, "teachers[0].kind: 'opnai': there is no such kind; did you mean 'openai'?"),
        ({"kind": "batch", "batch": {"poll": 1}, "url": "x"},
         "teachers[0].url: 'x' is not a URL of a server; write it like 'http://localhost:8000/v1'"),
        ({"body": {"x": [{"dict": WRONG}]}}, "teachers[0].body.x[0].dict: inf: input should be a finite number"),
        ({"url": WRONG}, "teachers[0].url: inf: input should be a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_teacher_is_one_line(tmp_path: Path, fields: dict[str, Any], line: str) -> None:
    assert faults(write_pipeline(tmp_path, {"name": "one", "model": "m", "url": "http://localhost:1/v1", **fields})) == [line]


def test_a_source_and_a_stage_say_so_too(tmp_path: Path) -> None:
    stages = [{"kind": "sft", "name": "first", "beta": 1}, {"kind": "sfd", "name": "second"}]
    path = write_pipeline(
        tmp_path, {"name": "one", "model": "m", "url": "http://localhost:1/v1"}, source={"path": "x"},
        train={"student": {"model": "m"}, "stages": stages},
    )  # fmt: skip
    assert faults(path) == [
        "source.kind: is missing; there are emoset, hf, imagefolder, table, webdataset",
        "train.stages[0]: beta is for kinds 'grpo' and 'dpo'; kind 'sft' has none",
        "train.stages[1].kind: 'sfd': there is no such kind; did you mean 'sft'?",
    ]


def test_a_kept_pipeline_in_which_every_teacher_has_the_keys_of_all_kinds_is_read(tmp_path: Path) -> None:
    """As run folders of earlier versions hold it."""
    rest = {"path": None, "gpus": "all", "engine": {}, "batch": {"window": "24h", "most": 50000, "poll": 60.0}}
    local = {"url": [], "kind": "vllm"} | rest | {"gpus": [0]}
    path = write_pipeline(
        tmp_path,
        {"name": "one", "model": "a", "kind": "openai", "url": ["http://localhost:1/v1"]} | rest,
        {"name": "two", "model": "b"} | local,
    )
    one, two = Loaded.load(path).pipeline.teachers
    assert (one.urls, one.kind, two.urls, two.kind) == (("http://localhost:1/v1",), "openai", (), "vllm")
