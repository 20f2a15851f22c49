"""A new kind of teacher is one file and one entry: the package is copied, gets both, and a whole run is made with it."""

import shutil
from pathlib import Path

import pytest

import cotforge as package
from cotforge.sandbox import shipped_folder
from tests.project import cotforge, environment, said, summary, table, write_pipeline, write_rows

FILE = '''
"""`kind: memory`: one answer, known by heart, to everything that is shown."""

import json
from typing import ClassVar, Literal

from cotforge.teachers.kind import TeacherBackend, TeacherKind
from cotforge.teachers.wire import attempt_of


class MemoryTeacher(TeacherKind):
    sends_pictures: ClassVar[bool] = True

    kind: Literal["memory"] = "memory"
    says: str

    async def open(self, opening):
        return Memory(self)


class Memory(TeacherBackend):
    def __init__(self, teacher):
        self.teacher, self.addresses, self.most = teacher, ("memory:",), 4

    async def ask(self, call, images, at, *, number, timeout):
        assert all(images[picture.digest].startswith(b"data:image/jpeg;base64,") for picture in call.sample.pictures)
        body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": self.teacher.says}, "finish_reason": "stop"}]}
        return attempt_of(json.dumps(body), number=number, call=call, teacher=self.teacher, seconds=0.1)
'''
IMPORT, ENTRY = "from cotforge.teachers.kinds.memory import MemoryTeacher", "MemoryTeacher"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment in which the package has one kind more."""
    here = Path(package.__file__).parent
    there = tmp_path / "home" / "cotforge"
    shutil.copytree(here, there)  # what is compiled too, or all of it would be once more
    shutil.copytree(shipped_folder("prompts"), there / "shipped" / "prompts")
    (there / "teachers" / "kinds" / "memory.py").write_text(FILE)
    entries = there / "teachers" / "kinds" / "__init__.py"
    before, tuple_of, after = entries.read_text().partition("\nKINDS: tuple[type[TeacherKind], ...] = (")
    head, last, rest = after.partition(")\n")
    entries.write_text(f"{before}{IMPORT}\n{tuple_of}{head}, {ENTRY}{last}{rest}")
    return environment({"PYTHONPATH": str(there.parent)})


def test_a_whole_run_is_made_with_a_kind_that_is_one_file_and_one_entry(tmp_path: Path, home: dict[str, str]) -> None:
    write_rows(tmp_path, 8)
    two = [{"name": name, "model": name, "kind": "memory", "says": said("awe")} for name in ("one", "two")]
    write_pipeline(tmp_path, *two, consensus={"label": "ignore"}, budget={"usd": 1})
    checked = cotforge("check", "pipeline.yaml", cwd=tmp_path, env=home)
    assert checked.returncode == 0, checked.stderr
    assert "usd does not bound" not in checked.stdout, "nobody may charge for it"
    ended = cotforge("build", "pipeline.yaml", cwd=tmp_path, env=home)
    assert ended.returncode == 0, ended.stderr
    told = summary(tmp_path / "runs/feelings")
    assert (told["calls"], told["calls_failed"], told["accepted"]) == (16, 0, 8)
    assert {row["answer"] for row in table(tmp_path / "runs/feelings", "data")} == {"awe"}
    again = cotforge("curate", "runs/feelings", cwd=tmp_path, env=home)
    assert again.returncode == 0, again.stderr


def test_its_keys_are_checked_as_those_of_the_others(tmp_path: Path, home: dict[str, str]) -> None:
    write_rows(tmp_path, 1)
    write_pipeline(
        tmp_path,
        {"name": "one", "model": "a", "kind": "memory", "says": 3},
        {"name": "two", "model": "b", "kind": "memory", "say": "x", "says": "y"},
        {"name": "three", "model": "c", "kind": "replay", "path": "x", "says": "y"},
    )
    ended = cotforge("check", "pipeline.yaml", cwd=tmp_path, env=home)
    assert ended.returncode == 2, ended.stderr
    for line in (
        "teachers[0].says: 3: input should be a valid string",
        "teachers[1]: no key named 'say'; did you mean 'says'?",
        "teachers[2]: says is for kind 'memory'; kind 'replay' has none",
    ):
        assert line in ended.stderr
