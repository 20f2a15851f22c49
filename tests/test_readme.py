"""What README and docs say is so: their commands run, their files load, and their tables name what there is, no more and no less."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import pytest
import yaml
from PIL import Image
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cotforge import cli, gold
from cotforge.answers import Task
from cotforge.consensus import RULES
from cotforge.demo.digits import FLIPPED, LESSONS, TEACHERS
from cotforge.export.columns import LOSSES, OPTIONAL, OPTIONAL_OF_TRACES, VERDICTS, lesson_columns, trace_columns
from cotforge.formats import FORMATS
from cotforge.measures import MEASURES
from cotforge.pipeline import Loaded, Pipeline
from cotforge.prompts import shipped_folder
from cotforge.spec import field_docs
from tests.hub_server import HubServer, client_of
from tests.project import environment, ran, summary
from tests.teacher import Teacher

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "index.md"
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
"""The file, and the heading in it."""


def pages_in_order() -> dict[Path, str]:
    """The README, and every page of the docs in the order in which the index names them."""
    links = [file for file, _ in LINK.findall(INDEX.read_text(encoding="utf-8"))]
    named = [INDEX.parent / file for file in links if file.endswith(".md") and not file.startswith("..")]
    return {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", INDEX, *named)}


PAGES = pages_in_order()
TEXT = "\n".join(PAGES.values())
NOT_RUN = ("simulate", "view", "demo")
"""Commands that are looked at but not run: two serve until they are interrupted, the third has tests of its own."""


def blocks(language: str) -> list[str]:
    """The text of every block in that language, also of those in a list."""
    return [dedent(found) for _, found in re.findall(rf"^( *)```{language}\n(.*?)^\1```$", TEXT, re.MULTILINE | re.DOTALL)]


def commands() -> list[list[str]]:
    """Every command line of README and docs, split into words, its comment left out."""
    return [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]


def tables() -> Iterator[tuple[str, list[list[str]]]]:
    """(first heading, rows) of every table; what stands in a cell is left as it is."""
    for found in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found.splitlines())
        yield head[0], rows


def rows(heading: str) -> list[list[str]]:
    """The rows of the one table whose first column is called so."""
    (found,) = (rows for head, rows in tables() if head == heading)
    return found


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def listed_in(heading: str) -> list[str]:
    """All names in the first column of that table."""
    return [name for row in rows(heading) for name in quoted(row[0])]


# the keys of the pipeline file


def listed() -> set[tuple[str, str]]:
    """(key, default) as the tables of keys have them."""
    return {(row[0].strip("`").replace("[]", ""), row[2]) for head, found in tables() if head == "key" for row in found}


def sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections(part)]


def keys(section: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """(key, default) of every field of a section and those below; `...` where it must be given."""
    for name, field in section.model_fields.items():
        key = above + (field.alias or name)
        below = sections(field.annotation)
        for each in below:
            yield from keys(each, f"{key}.")
        if not below or field.default is None or isinstance(field.default, str):
            default = field.get_default(call_default_factory=True)
            must = default is PydanticUndefined or "Required" in field_docs(section).get(name, "")  # of a validator, which can say more
            yield key, ... if must else list(default) if isinstance(default, tuple) else default


def as_plain(told: set[tuple[str, str]]) -> list[tuple[str, Any]]:
    def value(default: str) -> Any:
        return ... if default == "required" else "off" if default == "`off`" else yaml.safe_load(default.strip("`"))

    return [(key, value(default)) for key, default in told]


def test_every_key_of_the_pipeline_file_is_in_the_tables_with_its_defaults_and_no_other() -> None:
    told, there = listed(), list(keys(Pipeline))
    plain = as_plain(told)
    lacking = [(key, default) for key, default in there if key.rpartition(".")[2] != "kind" and (key, default) not in plain]
    assert lacking == []
    above = {".".join(key.split(".")[:depth]) for key, _ in there for depth in range(1, 9)}
    assert {key for key, _ in told} == {key for key, _ in there} | above


def test_every_choice_of_a_key_is_named() -> None:
    def choices(section: type[BaseModel]) -> Iterator[str]:
        for field in section.model_fields.values():
            for below in sections(field.annotation):
                yield from choices(below)
            yield from (value for value in get_args(field.annotation) if isinstance(value, str))

    assert [choice for choice in choices(Pipeline) if f"`{choice}`" not in TEXT] == []


# tables and lists


def test_the_tables_name_exactly_what_there_is() -> None:
    assert [row[0].strip("`") for row in rows("measure")] == [measure.__name__ for measure in MEASURES]
    assert [row[0].strip("`") for row in rows("rule")] == [rule.name for rule in RULES]
    kinds = {get_args(source.model_fields["kind"].annotation)[0] for source in sections(Pipeline.model_fields["source"].annotation)}
    assert {row[0].strip("`") for row in rows("kind")} == kinds
    assert {row[0].split()[1].strip("`") for row in rows("command")} == set(cli.cli.commands)
    assert [int(row[0]) for row in rows("exit")] == [cli.DONE, cli.WRONG, cli.STOPPED, cli.INTERRUPTED]


def test_every_export_format_is_listed_with_the_kinds_of_rows_that_it_has() -> None:
    assert {name.strip("`"): tuple(quoted(kinds)) for name, kinds, _ in rows("`--to`")} == {
        name: each.kinds for name, each in FORMATS.items()
    }


def test_the_options_of_the_measures_are_those_of_their_functions() -> None:
    told = {row[0].strip("`"): yaml.safe_load(f"{{{row[2].strip('`')}}}") for row in rows("measure")}
    assert told == {measure.__name__: measure.__kwdefaults__ or {} for measure in MEASURES}


def test_every_column_is_listed_in_its_place() -> None:
    assert listed_in("lesson column") == [*lesson_columns(["measure_*"], OPTIONAL)]
    assert listed_in("trace column") == [*trace_columns(["measure_*"], OPTIONAL_OF_TRACES)]
    for name, columns in (("losses", LOSSES), ("verdicts", VERDICTS)):
        (told,) = (row[1] for row in rows("path") if row[0] == f"`{name}.parquet`")
        assert quoted(told)[0] == ", ".join(columns)


def test_every_shipped_pipeline_and_prompt_is_named() -> None:
    for file in shipped_folder("pipelines").glob("*.yaml"):
        assert f"pipelines/{file.name})" in TEXT
    for file in shipped_folder("prompts").glob("*/*.jinja"):
        assert f"`{file.parent.name}/{file.stem}`" in TEXT


def test_the_demo_is_described_as_it_is() -> None:
    words = " ".join(TEXT.split())
    assert f"{FLIPPED * 100:g} % of their labels flipped" in words
    assert f"each trained on {LESSONS} other digits" in words
    (alone,) = (row[1] for row in rows("figure") if row[0] == "each teacher alone")
    assert re.findall(r"[a-z]+", alone) == list(TEACHERS)
    assert all(float(share) <= 0.93 for share in re.findall(r"0\.\d+", alone))


def test_every_figure_of_the_readme_stands_in_the_results_or_the_benchmarks() -> None:
    measured = (ROOT / "docs" / "results.md").read_text(encoding="utf-8") + (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    figures = re.findall(r"\d+\.\d+|\d{1,3}(?:,\d{3})+", PAGES[ROOT / "README.md"].partition("## Results")[2])
    assert figures
    assert [figure for figure in figures if figure not in measured] == []


# links and names


def headings(text: str) -> set[str]:
    return {re.sub(r"[^a-z0-9 _-]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def test_every_page_of_the_docs_is_named_in_the_index() -> None:
    assert {*PAGES} == {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    def leads(link: str, heading: str) -> bool:
        path = (page.parent / link).resolve() if link else page
        return path.exists() and (not heading or path.suffix != ".md" or heading in headings(path.read_text(encoding="utf-8")))

    text = page.read_text(encoding="utf-8")
    links = [found for found in LINK.findall(text) if not found[0].startswith("http")]
    assert [found for found in links if not leads(*found)] == []
    assert [picture for picture in re.findall(r'<img src="([^"]+)"', text) if not leads(picture, "")] == []


def test_every_file_of_the_repository_that_is_named_exists() -> None:
    named = re.findall(r"`((?:cotforge|tests|benchmarks|examples)/[\w./-]+)`", TEXT)
    assert named
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_every_command_is_of_a_program_we_know_and_every_make_target_and_extra_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for program, *arguments in commands():
        assert program in ("cotforge", "make", "pip", "python", "vllm"), program
        if program == "make":
            assert arguments[0] in targets
        if program == "python":
            assert (ROOT / arguments[0]).is_file()
        if program == "pip":
            assert set(re.findall(r"[a-z]+", arguments[-1].partition("[")[2])) <= set(extras)


# the files and commands, run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the reader has: photos, the YAML shown, the examples, and teachers that listen."""
    folder = tmp_path_factory.mktemp("readme")
    for number, label in enumerate(("awe", "awe", "fear", "sadness", "amusement", "contentment", "excitement", "anger", "disgust")):
        path = folder / "photos" / label / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (number * 25, 90, 200 - number * 20)).save(path)
    shutil.copytree(ROOT / "examples", folder / "examples")
    with Teacher() as server:
        for block in blocks("yaml"):
            if named := re.match(r"# (\S+\.yaml)\n", block):
                (folder / named[1]).write_text(re.sub(r"http://localhost:\d+/v1", server.url, block))
        yield folder


def test_every_yaml_block_is_a_pipeline_or_a_part_of_one(tmp_path: Path) -> None:
    whole = next(block for block in blocks("yaml") if block.startswith("# emotions.yaml"))
    for number, block in enumerate(blocks("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(whole) | yaml.safe_load(block)))
        Loaded.load(path)


@pytest.fixture
def _hub(project: Path) -> Iterator[None]:
    """What is pushed goes to a Hub on this machine."""
    with HubServer(cas=project / "cas") as server, client_of(server, project / "xet"):
        yield


@pytest.mark.usefixtures("_hub")
def test_every_command_line_does_what_it_says_in_the_order_of_the_book(project: Path) -> None:
    for program, *arguments in commands():
        if program == "cotforge" and arguments[0] not in NOT_RUN:
            if "--read" in arguments:
                a_person_answers(project / arguments[1] / "gold-to-fill.csv", project / arguments[-1])
            done = ran(*arguments, cwd=project)
        elif program == "python":
            done = python(project, *arguments)
        else:
            continue
        assert done.returncode == 0, (program, arguments, done.stderr)
        assert arguments[0] == "push" or not done.stderr, (program, arguments)  # whose licences are not stated is told
        assert done.stdout, (program, arguments)
    for block in blocks("python"):
        done = python(project, "-c", block)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(("awe (64, 48) <think>", "shape: (", "samples "))
    run = project / "runs" / "emotions"
    missing = [
        path
        for path in (quoted(row[0])[0] for row in rows("path"))
        if not (run / path).exists() and path not in ("dataset/preference/", "duplicates.csv")
    ]
    assert missing == []
    counts = summary(run)
    assert sorted(listed_in("in `summary.json`")) == sorted(counts)
    assert sorted(listed_in("in `teachers`")) == sorted({*next(iter(counts["teachers"].values())), "checks", "twin_of"})
    assert sorted(listed_in("in `claim`")) == sorted(counts["claim"])


def a_person_answers(asked: Path, path: Path) -> None:
    path.write_text(asked.read_text().replace(",\n", ",awe\n"))


def test_the_answers_it_shows_can_be_read(tmp_path: Path) -> None:
    (shown,) = blocks("csv")
    (tmp_path / "gold.csv").write_text(shown)
    found = gold.read_gold(tmp_path / "gold.csv", Task(kind="classify", question="?", labels=("awe", "fear")))
    assert (found.answers, len(found.ambiguous)) == ({"c0a1": "awe"}, 1)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in that folder; `datasets` keeps what it loads there too, not in the home of whoever runs the tests."""
    env = environment({"HF_HOME": str(folder / "hub")})
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [words for program, *words in commands() if program == "cotforge" and words[0] in NOT_RUN])
def test_commands_that_are_not_run_name_options_and_keys_that_exist(project: Path, arguments: list[str]) -> None:
    helped = ran(arguments[0], "--help", cwd=project).stdout
    assert [word for word in arguments if word.startswith("--") and word not in helped] == []
    sets = [value for word, value in pairwise(arguments) if word == "--set"]
    if len(arguments) > 1 and arguments[1].endswith(".yaml"):
        Loaded.load(project / arguments[1], sets)
