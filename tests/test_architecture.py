"""The shape of the package: who may import whom, how long a file is, what importing it costs, what it offers."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cotforge

PACKAGE = Path(cotforge.__file__).parent

FLOORS = (
    "redaction visible plain_record",
    "errors spec order regular_files optional plots coroutines garbage version endings findings",
    "records layout notices given_answers card_keys atomic reasons",
    "replies bounded_yaml bounded_jinja",
    "answers images parallel sandbox journal folder tree dataset_shards",
    "sources prompts history trust difficulty refreshes",
    "teachers consensus measures scores",
    "filters selection budget dedup",
    "followups",
    "plan",
    "pipeline_paths pipeline_trust",
    "pipeline",
    "tally pages keys",
    "gold",
    "sequence",
    "heard sample_reader sample_finding",
    "curator",
    "forge curation",
    "export card card_example report simulate display estimate whatif",
    "hub",
    "card_extras finished",
    "results early_end doubts formats asking",
    "session scaffold view",
    "train",
    "face",
    "demo",
    "cli_parts",
    "cli_training",
    "cli",
    "__main__ reference",
)
"""From the ground up: a module imports only from its own package and from lines above its own."""

PUBLIC = """
    Ballot
    Call CheckResult CotforgeError CuratedSample Decisions Evaluation Fault HubError JournalError Judged Lesson Outcome Picture Pipeline
    PipelineError Pushed Reply Run RunSummary Sample SampleView SourceError Stopped TeacherError Trace TrainingResult Verdict __version__
    build build_async check curate decide evaluate push train what_if
"""

HEAVY = "accelerate datasets huggingface_hub numpy pandas peft polars pyarrow ray scipy sklearn sympy torch transformers trl vllm"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str) -> Iterator[str]:
    """The modules of this package that one of them imports: at its head, inside a function or for typing only."""
    known = modules()
    for node in ast.walk(ast.parse(known[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: imports relative to itself; write 'from cotforge...'"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    yield whole
                elif node.module in known:
                    yield str(node.module)


def floor(module: str) -> int:
    """How high a module stands; the package itself, which only names errors and records, stands on them."""
    unit = module.split(".")[1] if "." in module else "records"
    return next((height for height, units in enumerate(FLOORS) if unit in units.split()), len(FLOORS))


def unit(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_every_module_has_a_floor_and_no_floor_is_empty() -> None:
    assert {module.split(".")[1] for module in modules() if "." in module} == {name for units in FLOORS for name in units.split()}


def test_every_package_is_named_in_the_page_on_architecture() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {module.split(".")[1] for module in modules() if module.count(".") > 1}
    assert [package for package in sorted(packages) if f"`{package}`" not in page] == []


def test_no_module_imports_from_its_own_floor_or_above() -> None:
    upward = [
        f"{module} imports {other}"
        for module in modules()
        for other in imports(module)
        if unit(module) != unit(other) and floor(other) >= floor(module) and module != "cotforge"
    ]
    assert not upward


def test_no_modules_import_one_another() -> None:
    graph = {module: {other for other in imports(module) if other != module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as knot:
        pytest.fail(" -> ".join(knot.args[1]))


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert {module: length for module, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize(("module", "seconds"), [("cotforge", 0.5), ("cotforge.cli", 0.8)])
def test_importing_is_quick_and_brings_nothing_heavy(module: str, seconds: float) -> None:
    program = (
        "import sys, time; start = time.process_time(); "
        f"import {module}; print(time.process_time() - start, *(sorted(set(sys.argv[1:]) & set(sys.modules))))"
    )
    command = [sys.executable, "-c", program, *HEAVY.split()]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent).stdout.split() for _ in range(2)]
    assert runs[0][1:] == []
    assert min(float(run[0]) for run in runs) < seconds


def test_the_public_names_are_these() -> None:
    assert sorted(cotforge.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(cotforge, name) for name in PUBLIC.split())
