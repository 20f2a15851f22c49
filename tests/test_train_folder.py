"""A student's folder from a stranger: no Python in it is run, no pickle is read, and what is wrong is one line."""

import ast
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import cotforge
from cotforge.errors import PipelineError
from cotforge.train.students import loaded_student, tiny
from cotforge.train.students.student_folder import demand_safe, demand_student, passed_over
from tests.project import ran
from tests.squares import SIZE, TEXTS, project

EVIL = """
from pathlib import Path

Path({!r}).touch()


class Evil:
    from_pretrained = classmethod(lambda *_, **__: Evil())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("made") / "llava", TEXTS, SIZE)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A student's folder with Python that leaves a trace where it is run."""
    shutil.copytree(made, tmp_path / "student")
    (tmp_path / "student" / "evil.py").write_text(EVIL.format(str(tmp_path / "trace")))
    return tmp_path / "student"


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    held = json.loads(file.read_text()) if file.exists() else {}
    change(held)
    file.write_text(json.dumps(held))


def load(folder: Path) -> loaded_student.Pupil:
    return loaded_student.load_pupil(loaded_student.Student(model=str(folder)), loaded_student.model_folder(str(folder), Path()))


CODE = {
    name: f"evil.Evil{suffix}" for suffix in [""] for name in ("AutoConfig", "AutoModel", "AutoModelForImageTextToText", "AutoProcessor")
}
ASKS = {
    "a model of its own": ("config.json", lambda held: held.update(model_type="evil", auto_map=CODE)),
    "a model of its own, elsewhere": (
        "config.json", lambda held: held.update(model_type="evil", auto_map={"AutoConfig": "stranger/evil--evil.Evil"}),
    ),
    "a part of its own": ("config.json", lambda held: held["vision_config"].update(model_type="evil", auto_map=CODE)),
    "a part that is no model by itself": (
        "config.json", lambda held: held["text_config"].update(model_type="vision-encoder-decoder", auto_map=CODE),
    ),
    "a processor of its own": (
        "processor_config.json", lambda held: held.update(processor_class="Evil", auto_map={"AutoProcessor": "evil.Evil"}),
    ),
    "a part for pictures of its own": (
        "processor_config.json",
        lambda held: held["image_processor"].update(image_processor_type="Evil", auto_map={"AutoImageProcessor": "evil.Evil"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ASKS)
def test_python_of_a_students_own_is_never_run(folder: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, change = ASKS[what]
    edit(folder / file, change)
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(PipelineError, match=r"^train\.student\.model: [^\n]*$"):
        load(folder)
    assert not (folder.parent / "trace").exists()


def test_a_tokenizer_of_its_own_is_passed_over_for_that_of_transformers(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", lambda held: held.update(tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil"] * 2}))
    assert load(folder).processor.tokenizer.eos_token == "<|im_end|>"
    assert not (folder.parent / "trace").exists()


def test_python_that_is_not_needed_is_passed_over_and_told_of(folder: Path) -> None:
    edit(folder / "config.json", lambda held: held.update(auto_map=CODE))
    (folder / "custom_generate").mkdir()
    shutil.copy(folder / "evil.py", folder / "custom_generate" / "generate.py")
    assert type(load(folder).model).__name__ == "LlavaForConditionalGeneration"
    assert passed_over(folder) == "the student has Python of its own (evil.py), which is not run: transformers' own llava is trained"
    assert not (folder.parent / "trace").exists()


def test_train_ends_with_one_line_and_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, {"name": "inject", "kind": "sft", "steps": 1})
    (tmp_path / "student" / "evil.py").write_text(EVIL.format(str(tmp_path / "trace")))
    edit(tmp_path / "student" / "config.json", ASKS["a model of its own"][1])
    monkeypatch.setattr("sys.stdin", answers := io.StringIO("y\n" * 9))
    done = ran("train", "squares.yaml", "--out", "run", cwd=tmp_path)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "is a model with Python of its own (evil.py), which is never run here; take one that transformers" in line
    assert "Traceback" not in done.stderr
    assert answers.tell() == 0
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "weights.pkl"])
def test_pickled_weights_alone_are_not_read(made: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(made, tmp_path / "student")
    (tmp_path / "student" / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, tmp_path / "student" / name)
    with pytest.raises(
        PipelineError, match=rf"has its weights pickled alone \({name}\), .* use_safetensors=False\) and save_pretrained it$"
    ):
        load(tmp_path / "student")


def test_pickled_weights_beside_sound_ones_are_not_read(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "student")
    (tmp_path / "student" / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert loaded_student.weights_fingerprint(tmp_path / "student") == loaded_student.weights_fingerprint(made)
    load(tmp_path / "student").save(tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.bin"))


def test_adapters_in_a_students_folder_are_not_read(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "student")
    (tmp_path / "student" / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "stranger/evil"}')
    torch.save({}, tmp_path / "student" / "adapter_model.bin")
    with pytest.raises(PipelineError, match=r"has adapters beside its weights \(adapter_config.json\); merge them in"):
        load(tmp_path / "student")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '"llava"', "null", '{"model_type": 5}', '{"model_type": ["llava"]}', "[" * 100_000, "\x00"]
)
def test_a_configuration_that_is_none_is_one_line(made: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(made, tmp_path / "student")
    (tmp_path / "student" / "config.json").write_text(text)
    for demand in (demand_safe, demand_student, load):
        with pytest.raises(PipelineError, match=r"^train\.student\.model: "):
            demand(tmp_path / "student")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", lambda held: held.update(vision_config=5)),
        ("config.json", lambda held: held.update(text_config={"model_type": "nothing"})),
        ("config.json", lambda held: held["text_config"].update(hidden_size="wide")),
        ("processor_config.json", lambda held: held.update(processor_class=5)),
        ("processor_config.json", lambda held: held.update(processor_class="Nothing")),
        ("processor_config.json", lambda held: held.update(image_processor="nothing")),
        ("processor_config.json", lambda held: held.update(image_processor={"image_processor_type": "Nothing"})),
        ("tokenizer.json", lambda held: held.update(model=5)),
        ("tokenizer_config.json", lambda held: held.update(tokenizer_class=["a"])),
    ],
)
def test_files_of_a_student_that_make_no_sense_are_one_line(
    made: Path, tmp_path: Path, file: str, change: Callable[[dict[str, Any]], object]
) -> None:
    shutil.copytree(made, tmp_path / "student")
    edit(tmp_path / "student" / file, change)
    with pytest.raises(PipelineError, match=r"^train\.student\.model: "):
        load(tmp_path / "student")


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of the package that loads something from a model's folder."""
    for path in Path(cotforge.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("from_pretrained", "from_config"):
                yield f"{path.name}:{node.lineno}", node


def test_every_load_of_the_package_says_that_no_foreign_python_is_run() -> None:
    said = {"SAFE", "SAFE_WEIGHTS", "where", "arguments"}
    found = dict(calls())
    assert len(found) >= 5
    for place, call in found.items():
        names = {node.id for word in call.keywords if word.arg is None for node in ast.walk(word.value) if isinstance(node, ast.Name)}
        assert names & said or any(word.arg == "trust_remote_code" for word in call.keywords), place
