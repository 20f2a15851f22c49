"""A pipeline file: every fault is one line with its place, and all of them are told at once."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cotforge.errors import LONGEST_LINE, CotforgeError, PipelineError
from cotforge.pipeline import Loaded
from cotforge.prompts import Prompts, shipped_folder

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
        ({"resque": {"explain": True}}, "p.yaml: no key named 'resque'; did you mean 'rescue'?"),
        ({"max_failures": "many"}, "p.yaml: max_failures: 'many': input should be a valid number"),
        ({"task": GOOD["task"] | {"kind": "clasify"}}, "input should be 'classify' or 'answer'; did you mean 'classify'?"),
        ({"consensus": {"label": "gat"}}, "did you mean 'gate'?"),
        ({"task": GOOD["task"] | {"labels": "circle"}}, "p.yaml: task.labels: 'circle': input should be a list or a section of keys"),
        ({"name": "a/b"}, "p.yaml: name: 'a/b' cannot name a folder"),
        ({"filters": [{"measure": "repeted_ngrams", "max": 1}]}, "did you mean 'repeated_ngrams'?"),
        ({"filters": [{"measure": "reasoning_words"}]}, "p.yaml: filters[0]: min, max: neither is given"),
        ({"prompts": {"solve": "long_cot/slove"}}, "did you mean 'long_cot/solve'"),
        ({"teachers": [GOOD["teachers"][0] | {"url": "gpu1:8000"}]}, "is not a URL of a server"),
        ({"teachers": [GOOD["teachers"][0] | {"url": "http://me:secret@h/v1"}]}, "must not hold a password"),
        ({"teachers": [GOOD["teachers"][0] | {"body": {"n": 4}}]}, "body may not hold 'n'"),
        (
            {"filters": [{"measure": "judge", "min": 3}]},
            "p.yaml: filters[0].with.dimension: no marks are given for 'evidence'; there is no section judge",
        ),
        (
            {"filters": [{"measure": "judge", "with": {"dimension": "style"}, "min": 3}], "judge": {"rubric": [{"name": "wit"}]}},
            "p.yaml: filters[0].with.dimension: no marks are given for 'style'; there are wit",
        ),
        (
            {"filters": [{"measure": "judge", "with": {"dimension": "My Style"}, "min": 3}], "judge": {}},
            "p.yaml: filters[0].with: dimension: 'My Style' does not do; input should be a small letter, then at most 31 small letters, "
            "digits and _",
        ),
        ({"judge": {"rubric": []}}, "p.yaml: judge.rubric: there is none; at least 1 is needed"),
        ({"filters": [{"measure": "grounded", "min": 1}]}, "filters[0].measure: 'grounded' is taken by the section probe; there is none"),
        (
            {"filters": [{"measure": "verified", "min": 1}]},
            "filters[0].measure: 'verified' is taken by the sections verify, rescue, weave; there is none",
        ),
        ({"probe": {"blank": 2}}, "p.yaml: probe.blank: 2: input should be less than or equal to 1"),
        ({"teachers": []}, "p.yaml: teachers: there is none; at least one is needed"),
    ],
)
def test_a_fault_names_its_place_and_what_would_be_right(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    assert any(fault in line for line in faults(tmp_path, **changes)), faults(tmp_path, **changes)


def test_a_rubric_with_faults_is_told_in_one_plain_line_for_each(tmp_path: Path) -> None:
    rubric = [{"name": "a", "low": 5, "high": 1}, {"name": "Two Words"}]
    assert [line.partition("p.yaml: ")[2] for line in faults(tmp_path, judge={"rubric": rubric})] == [
        "judge.rubric[0]: low is 5 and high is 1; low is the lowest mark, and must be below high",
        "judge.rubric[1].name: 'Two Words': input should be a small letter, then at most 31 small letters, digits and _",
    ]


def test_a_line_that_is_indented_with_a_tab_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: x\nsource:\n\tkind: table\n")
    with pytest.raises(PipelineError, match="not YAML: a tab; indent with spaces; the line is 'kind: table'"):
        Loaded.load(tmp_path / "p.yaml")


@pytest.mark.parametrize("url", ["http://me:secret@h/v1", "http://me:secret@[::1/v1", "http://secret@\u2100.com", "ftp://me:secret@h"])
def test_a_secret_in_a_url_is_not_repeated(tmp_path: Path, url: str) -> None:
    assert "secret" not in " ".join(faults(tmp_path, teachers=[GOOD["teachers"][0] | {"url": url}]))


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1", "http://[v1.x]/v1", "http://host:99999", "http://host:0", "http://host:-1", "http://host:abc", "http://h:80:80/v1",
        "http://h:\uff18\uff10/v1", "http://h:+80", "http://a b/v1", "http://h\n/v1", "http://h\x1b[31m/v1", "http://h\t:80", "http://",
        "http:///v1",
        "//h/v1", "h/v1", "file:///etc/passwd", "http://h/v1?x=1", "http://h/v1#x", "http://...", "http://h%00/v1", "http://xn--/v1",
        "http://\u2100.com", "http://" + "a" * 300, "http://" + "a." * 3000 + "com",
        "http://\u00e9" + "\u00e9" * 80 + ".com", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_a_url_that_reaches_no_server_is_one_short_line(tmp_path: Path, url: str) -> None:
    for given in (url, ["http://good/v1", url]):
        (line,) = faults(tmp_path, teachers=[GOOD["teachers"][0] | {"url": given}])
        assert "is not a URL of a server" in line
        assert len(line) < 400
        assert line.isprintable()


def test_odd_urls_that_reach_a_server_are_taken(tmp_path: Path) -> None:
    for url in (
        "HTTP://H/v1",
        " http://h/v1 ",
        "http://[::1]:8000/v1",
        "http://b\u00fccher.example/v1",
        "https://my_gpu-1.local:65535/a/b",
        "http://h./v1",
    ):
        assert load(tmp_path, teachers=[GOOD["teachers"][0] | {"url": url}]).pipeline.teachers[0].urls == (url.strip(),)


LONG = "x" * 300
PLACES = """
    name source.path source.split source.columns.id task.question task.labels teachers.0.name teachers.0.model teachers.0.body
    teachers.0.key_env teachers.0.temperature teachers.0.timeout gold prompts.solve prompts.completion filters max_failures
    images.max_pixels     budget.usd consensus.rule consensus.target select.per_sample eval train train.data
"""
ODD_VALUES = (
    "..", "con\0", LONG, "x" * 100_000, "a/" * 4_000, "\x1b[31m", "\u202ex", "", float("nan"), float("inf"), -1, True, 10**30, 1e308, None,
    [], {}, [LONG * 9], {LONG * 9: 1}, {"a": float("inf")}, [[1]], {"a": {"b": float("nan")}},
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES.split())
def test_an_odd_value_in_any_place_is_taken_or_refused_in_a_short_line(tmp_path: Path, place: str) -> None:
    for value in ODD_VALUES:
        tree = json.loads(json.dumps(GOOD))
        *above, last = place.split(".")
        at: Any = tree
        for step in above:
            at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
        at[last] = value
        (tmp_path / "p.yaml").write_text(yaml.safe_dump(tree))
        loaded, said = _loaded(tmp_path / "p.yaml")
        assert all(len(fault) <= LONGEST_LINE + 100 and "\n" not in fault for fault in said)
        if loaded is not None:
            (tmp_path / "run").mkdir(exist_ok=True)
            (tmp_path / "run/pipeline.yaml").write_text(loaded.text())
            assert Loaded.of_run(tmp_path / "run").pipeline.task == loaded.pipeline.task


def _loaded(path: Path) -> tuple[Loaded | None, tuple[str, ...]]:
    try:
        return Loaded.load(path), ()
    except PipelineError as error:
        return None, error.faults


def test_half_of_a_character_is_refused_and_two_halves_are_one(tmp_path: Path) -> None:
    text = yaml.safe_dump(GOOD)
    assert load(tmp_path, text.replace("Which?", '"\\ud83d\\ude00?"')).pipeline.task.question == "\U0001f600?"
    for place in ("Which?", "awe", "m\n"):
        (line,) = faults(tmp_path, text.replace(place, '"\\ud83d"\n', 1))
        assert "holds half of a character" in line


def test_a_body_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, teachers=[GOOD["teachers"][0] | {"body": {"a": [1, float("inf")]}}])
    assert line == "p.yaml: teachers[0].body.a[1]: inf: input should be a finite number"


def test_variables_cannot_multiply_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONG", "x" * 20_000)
    (line,) = faults(tmp_path, task=GOOD["task"] | {"question": "${LONG}" * 20_000})
    assert line == "task.question: LONG: variables bring more than 1,048,576 characters into the file"


def test_of_many_faults_the_first_are_told_and_the_rest_is_counted(tmp_path: Path) -> None:
    said = faults(tmp_path, **{f"k{number}": 1 for number in range(3_000)})
    assert len(said) == 51
    assert said[-1] == "p.yaml: and 2,950 faults more"


DAMAGED = (
    b"\xff\xfe\x00", b"# from: /a\n# limit: " + b"9" * 6000 + b"\nname: a\n", b"[" * 9000, b"a: &a [*a]\n", b"x" * 2_000_000
)  # fmt: skip


@pytest.mark.parametrize("kept", DAMAGED, ids=range(len(DAMAGED)))
def test_a_run_folder_with_a_damaged_pipeline_is_one_line(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "pipeline.yaml").write_bytes(kept)
    with pytest.raises(CotforgeError) as caught:
        Loaded.of_run(tmp_path)
    assert len(str(caught.value)) < 2_000
    with contextlib.suppress(CotforgeError):
        assert Loaded.limit(tmp_path) == (None, True)


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


def test_own_prompts_of_every_kind_and_marks_of_people_are_found_from_the_run_folder(tmp_path: Path) -> None:
    kinds = [*Prompts.model_fields]
    for name in kinds:
        (tmp_path / f"{name}.jinja").write_text(f"Own {name}.")
    (tmp_path / "marks.csv").write_text("id,evidence\n")
    teachers = [GOOD["teachers"][0] | {"name": name, "model": f"{name}-7b"} for name in ("qwen", "glm")]
    first = load(tmp_path, prompts={name: f"{name}.jinja" for name in kinds}, teachers=teachers, judge={"gold": "marks.csv"})
    (tmp_path / "run").mkdir()
    (tmp_path / "run/pipeline.yaml").write_text(first.text())
    (tmp_path / "p.yaml").unlink()
    again = Loaded.of_run(tmp_path / "run")
    assert {name: getattr(again.prompts, name).text for name in kinds} == {name: f"Own {name}." for name in kinds}
    assert again.pipeline.judge is not None
    assert again.pipeline.judge.gold == str((tmp_path / "marks.csv").resolve())


@pytest.mark.parametrize("path", sorted(shipped_folder("pipelines").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_pipeline_loads_by_its_bare_name(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", path.read_text()):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Loaded.load(path.stem).pipeline.teachers


def test_no_such_pipeline_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no such file; .*digits"):
        Loaded.load(tmp_path / "nothing.yaml")


def test_a_wrong_file_name_shows_the_nearest_one_first_and_files_before_run_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for run in ("base-runs", "photos"):
        (tmp_path / "bad" / run).mkdir(parents=True)
        (tmp_path / "bad" / run / "pipeline.yaml").write_text("name: photos\n")
    for place in ("bad", "emp", "."):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "base.yaml").write_text("name: base\n")
    (tmp_path / "bad" / "other.yaml").write_text("name: other\n")
    told = {
        "bad/base.yml": "no such file or run folder; did you mean bad/base.yaml? bad/ has: base.yaml, other.yaml, base-runs, photos",
        "bad/nothing": "no such file or run folder; bad/ has: base.yaml, other.yaml, base-runs, photos",
        "emp/base.yml": "no such file; did you mean emp/base.yaml? emp/ has: base.yaml",
        "base.yml": "no such file; did you mean base.yaml? give a pipeline file, or the name of a shipped one: ",
        "digitz": "no such file; did you mean digits? give a pipeline file, or the name of a shipped one: ",
        "bad": "is a folder; give a pipeline file, or the name of a shipped one: ",
    }
    for name, line in told.items():
        with pytest.raises(PipelineError, match=f"^{re.escape(f'{name}: {line}')}"):
            Loaded.load(name)
