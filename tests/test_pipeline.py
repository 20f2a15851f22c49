"""A pipeline file: every fault is one line with its place, and all of them are told at once."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.prompts import shipped

GOOD: dict[str, Any] = {
    "name": "feelings",
    "source": {"kind": "table", "path": "rows.jsonl"},
    "task": {"kind": "classify", "question": "Which?", "labels": ["awe", "fear"]},
    "teachers": [{"name": "one", "model": "m", "url": "http://h:1/v1"}],
}


def load(folder: Path, text: str | None = None, *sets: str, **changes: Any) -> Loaded:
    (folder / "p.yaml").write_text(yaml.safe_dump(GOOD | changes) if text is None else text)
    return Loaded.load(folder / "p.yaml", sets)


def faults(folder: Path, text: str | None = None, *sets: str, **changes: Any) -> list[str]:
    with pytest.raises(PipelineError) as caught:
        load(folder, text, *sets, **changes)
    assert all("\n" not in fault for fault in caught.value.faults)
    return [fault.replace(str(folder / "p.yaml"), "p.yaml") for fault in caught.value.faults]


def test_what_is_left_out_is_as_documented(tmp_path: Path) -> None:
    pipeline = load(tmp_path).pipeline
    assert (pipeline.consensus.rule, pipeline.consensus.label, pipeline.select.per_sample, pipeline.source.split) == (
        "majority",
        "vote",
        1,
        "train",
    )
    assert (pipeline.teachers[0].samples, pipeline.teachers[0].kind, pipeline.max_failures) == (1, "openai", 0.5)
    assert pipeline.prompts.solve == "long_cot/solve"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"consensu": {}}, "p.yaml: no key named 'consensu'; did you mean 'consensus'?"),
        ({"source": GOOD["source"] | {"colums": {}}}, "p.yaml: source: no key named 'colums'; did you mean 'columns'?"),
        ({"source": GOOD["source"] | {"columns": {"lable": "x"}}}, "p.yaml: source.columns: no key named 'lable'; did you mean 'label'?"),
        ({"teachers": [GOOD["teachers"][0] | {"modle": "x"}]}, "p.yaml: teachers[0]: no key named 'modle'; did you mean 'model'?"),
        ({"rescue": {"explain": True}}, "p.yaml: no key named 'rescue'"),
        ({"max_failures": "many"}, "p.yaml: max_failures: 'many': input should be a valid number"),
        ({"name": "a/b"}, "p.yaml: name: 'a/b' cannot name a folder"),
        ({"filters": [{"measure": "repeted_ngrams", "max": 1}]}, "did you mean 'repeated_ngrams'?"),
        ({"filters": [{"measure": "reasoning_words"}]}, "p.yaml: filters[0]: min, max: neither is given"),
        ({"prompts": {"solve": "long_cot/slove"}}, "did you mean 'long_cot/solve'"),
        ({"teachers": [GOOD["teachers"][0] | {"url": "gpu1:8000"}]}, "is not a URL of a server"),
        ({"teachers": [GOOD["teachers"][0] | {"url": "http://me:secret@h/v1"}]}, "must not hold a password"),
        ({"teachers": [GOOD["teachers"][0] | {"body": {"n": 4}}]}, "body may not hold 'n'"),
        ({"teachers": []}, "p.yaml: teachers: there is none; at least one is needed"),
    ],
)
def test_a_fault_names_its_place_and_what_would_be_right(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    assert any(fault in line for line in faults(tmp_path, **changes)), faults(tmp_path, **changes)


def test_a_secret_in_a_url_is_not_repeated(tmp_path: Path) -> None:
    assert "secret" not in " ".join(faults(tmp_path, teachers=[GOOD["teachers"][0] | {"url": "http://me:secret@h/v1"}]))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    assert len(faults(tmp_path, max_failures=7, selct={}, teachers=[{"name": "one"}])) == 3


def test_two_teachers_whose_calls_coincide_are_a_fault(tmp_path: Path) -> None:
    one = GOOD["teachers"][0]
    said = faults(tmp_path, teachers=[one, one | {"name": "two", "url": "http://other/v1", "max_tokens": 7}])
    assert said == ["p.yaml: teachers: teachers 'one' and 'two' ask the same Calls; give one teacher both URLs, or set samples"]
    load(tmp_path, teachers=[one, one | {"name": "two", "temperature": 0.1}])


def test_a_missing_variable_is_named_with_its_place_and_two_dollars_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "m7")
    loaded = load(tmp_path, teachers=[GOOD["teachers"][0] | {"model": "${MODEL}-$$"}])
    assert loaded.pipeline.teachers[0].model == "m7-$"
    assert loaded.unexpanded["teachers"][0]["model"] == "${MODEL}-$$"
    assert faults(tmp_path, source={"kind": "table", "path": "${NO_SUCH}/x"}) == [
        "p.yaml: source.path: the environment has no variable 'NO_SUCH'"
    ]


def test_set_takes_yaml_values_and_list_items_by_index(tmp_path: Path) -> None:
    loaded = load(tmp_path, None, "teachers.0.max_tokens=64", "consensus.label=gate", "task.labels=[a, b, c]", "teachers.0.temperature=")
    assert (loaded.pipeline.teachers[0].max_tokens, loaded.pipeline.consensus.label) == (64, "gate")
    assert loaded.pipeline.task.options() == ("a", "b", "c")
    assert loaded.pipeline.teachers[0].temperature is None
    for wrong in ("teachers.3.name=x", "name", "teachers.0.nam=x", "name.x=1", "x=[", "teachers.one.name=x"):
        assert len(faults(tmp_path, None, wrong)) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name: a\nname: b\n", "p.yaml:2: not YAML: 'name' is given twice"),
        ("name: [", "not YAML"),
        ("- a\n", "holds no pipeline"),
        ("", "holds no pipeline"),
        ("name: !!python/object/apply:os.system [echo]\n", "not YAML"),
        ("a: &a [*a]\n", "p.yaml"),
        ("? {a: b}\n: c\n", "p.yaml:1: not YAML: a key must be a word"),
    ],
)
def test_what_is_not_a_pipeline_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    assert fault in faults(tmp_path, text)[0]


def test_binary_rubbish_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xff\xfe\x00\x00binary")
    with pytest.raises(PipelineError, match="not YAML"):
        Loaded.load(tmp_path / "p.yaml")


def test_what_the_run_folder_keeps_loads_to_the_same_pipeline_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "ask.jinja").write_text("{{ question }}")
    (tmp_path / "own.py").write_text("def brevity(sample, trace, verdict):\n    return 1.0\n")
    first = load(tmp_path, prompts={"solve": "ask.jinja"}, filters=[{"measure": "own.py:brevity", "min": 0}])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/pipeline.yaml").write_text(first.text())
    (tmp_path / "p.yaml").unlink()
    again = Loaded.of_run(tmp_path / "elsewhere")
    assert again.prompts.solve.text == "{{ question }}"
    assert again.pipeline.model_dump(exclude={"source", "prompts", "filters"}) == first.pipeline.model_dump(
        exclude={"source", "prompts", "filters"}
    )
    assert again.pipeline.source.path == str((tmp_path / "rows.jsonl").resolve())


@pytest.mark.parametrize("path", sorted(shipped("pipelines").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_pipeline_loads_by_its_bare_name(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DIGITS_DIR", "EMOSET_DIR", "IMAGES_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Loaded.load(path.stem).pipeline.teachers


def test_no_such_pipeline_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no such file; .*digits"):
        Loaded.load(tmp_path / "nothing.yaml")
