"""`cotforge export`: every format gives back the dataset's own lessons, and no text is taken for a picture."""

import importlib.util
import json
import re
import shutil
import sys
import tarfile
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from openai.types.chat import ChatCompletionMessageParam
from PIL import Image
from pydantic import TypeAdapter
from trl.data_utils import is_conversational, prepare_multimodal_messages

from cotforge.formats import FORMATS, export_run
from tests.project import LABELS, files, ran, replay, said, table, write_pipeline, write_rows

ROWS = 6
TRAP = "What does <image> 3 evoke?"
"""A question with what other trainers take for the place of a picture."""

OPENAI = TypeAdapter(list[ChatCompletionMessageParam])  # kept: what it has checked is looked at later

Content = tuple[str, str, tuple[str, ...], str]
"""Id, prompt, digests of pictures and completion; a format has an empty text where it holds none."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two teachers that are agreed on all rows but one, and of a third that is wrong on one."""
    folder = tmp_path_factory.mktemp("run")
    write_rows(folder, ROWS)
    lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    lines[3]["question"] = TRAP
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    right = {line["id"]: said(line["label"]) for line in lines}
    teachers = [replay(folder, name, right) for name in ("one", "two")]
    teachers.append(replay(folder, "three", right | {"row-1": said("fear")}))
    labels = {"amusement": ["fun", "mirth"], **{label: [] for label in LABELS[1:]}}
    write_pipeline(
        folder,
        *teachers,
        source={"kind": "table", "path": "rows.jsonl", "columns": {"question": "question"}},
        task={"kind": "classify", "question": "What does this picture evoke?", "labels": labels},
        filters=[],
    )
    built = ran("build", "pipeline.yaml", "--out", "run", cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder / "run"


def lessons(run: Path, kind: str) -> list[Content]:
    """What the dataset itself holds."""
    if kind == "dpo":
        return [
            (row["id"], row["prompt"][0]["content"], digests(row["images"]), row["chosen"][0]["content"])
            for row in table(run, "preference")
        ]
    return [(row["id"], row["prompt"][0]["content"], digests(row["images"]), row["completion"][0]["content"]) for row in table(run, "data")]


def digests(cells: Any) -> tuple[str, ...]:
    return tuple(sha256(cell["bytes"]).hexdigest() for cell in cells)


def on_disk(folder: Path, paths: list[str]) -> tuple[str, ...]:
    return tuple(sha256((folder / path).read_bytes()).hexdigest() for path in paths)


def json_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def of_messages(folder: Path, kind: str) -> list[Content]:
    """ms-swift and LLaMA-Factory: `<image>` stands once for each picture, else the trainers refuse the row."""
    found = []
    for row in json_lines(folder):
        asked, *answered = row["messages"]
        assert asked["role"] == "user"
        assert asked["content"].count("<image>") == len(row["images"])
        completion = answered[0]["content"] if answered else row.get("chosen", {}).get("content", "")
        found.append((row.get("id", ""), asked["content"].removeprefix("<image>"), on_disk(folder, row["images"]), completion))
    return found


def of_conversations(folder: Path, kind: str) -> list[Content]:
    found = []
    for row in json_lines(folder):
        human, gpt = row["conversations"]
        assert (human["from"], gpt["from"], row["image"]) == ("human", "gpt", row["images"][0])
        assert human["value"].count("<image>") == 1
        found.append((row["id"], human["value"].removeprefix("<image>\n"), on_disk(folder, row["images"]), gpt["value"]))
    return found


def of_trl(folder: Path, kind: str) -> list[Content]:
    found = []
    for row in datasets.Dataset.from_parquet(str(folder / "train.parquet"), cache_dir=str(folder.parent / f"cache-{kind}")):
        assert is_conversational(row)
        assert all(isinstance(image, Image.Image) for image in row["images"])
        shown = prepare_multimodal_messages(row["prompt"], images=row["images"])
        assert [part["type"] for part in shown[0]["content"]] == ["image", "text"]
        assert kind != "grpo" or row["solution"] in LABELS
    for row in pq.read_table(folder / "train.parquet").to_pylist():
        said = (row.get("completion") or row.get("chosen") or [{"content": ""}])[0]["content"]
        found.append((row["id"], row["prompt"][0]["content"], digests(row["images"]), said))
    return found


def of_easyr1(folder: Path, kind: str) -> list[Content]:
    rows = pq.read_table(folder / "train.parquet").to_pylist()
    assert all(row["problem"].count("<image>") == len(row["images"]) and row["answer"] in LABELS for row in rows)
    return [(row["id"], row["problem"].removeprefix("<image>"), digests(row["images"]), "") for row in rows]


def of_axolotl(folder: Path, kind: str) -> list[Content]:
    found = []
    for row in json_lines(folder):
        asked, answered = row["messages"]
        image, text = asked["content"]
        assert (image["type"], text["type"], answered["content"][0]["type"]) == ("image", "text", "text")
        found.append(("", text["text"], on_disk(folder, [image["path"]]), answered["content"][0]["text"]))
    return found


def of_openai(folder: Path, kind: str) -> list[Content]:
    found = []
    for row in json_lines(folder):
        checked = OPENAI.validate_python(row["messages"])
        asked, answered = ({**each} for each in checked)
        shown, text = list(asked["content"])
        url = shown["image_url"]["url"]
        assert url.startswith("data:image/jpeg;base64,")
        found.append(("", text["text"], (sha256(b64decode(url.partition(",")[2])).hexdigest(),), answered["content"]))
    return found


def of_webdataset(folder: Path, kind: str) -> list[Content]:
    found = []
    read = datasets.load_dataset("webdataset", data_files={"train": str(folder / "train-*.tar")}, streaming=True)["train"]
    for row in read:
        assert isinstance(row["0.jpg"], Image.Image)
    with tarfile.open(folder / "train-00000.tar") as tar:
        names = tar.getnames()
        for name in names[1::2]:
            row = json.loads(tar.extractfile(name).read())  # type: ignore[union-attr]
            picture = tar.extractfile(names[names.index(name) - 1]).read()  # type: ignore[union-attr]
            found.append((row["id"], row["prompt"][0]["content"], (sha256(picture).hexdigest(),), row["completion"][0]["content"]))
    return found


READ: dict[str, Callable[[Path, str], list[Content]]] = {
    "llamafactory": of_messages,
    "ms-swift": of_messages,
    "easyr1": of_easyr1,
    "sharegpt": of_conversations,
    "trl": of_trl,
    "axolotl": of_axolotl,
    "openai": of_openai,
    "webdataset": of_webdataset,
}
KEEPS_PLACEHOLDERS = {"trl", "axolotl", "openai", "webdataset"}


@pytest.mark.parametrize(("to", "kind"), [(to, kind) for to, form in FORMATS.items() for kind in form.kinds])
def test_every_format_gives_back_the_lessons(run: Path, to: str, kind: Any) -> None:
    written = export_run(run, to, kind=kind)
    wanted = lessons(run, kind)
    assert written.rows == {"train": len(wanted)}
    if to not in KEEPS_PLACEHOLDERS:
        wanted = [(id, prompt.replace("<image>", "< image>"), shown, said) for id, prompt, shown, said in wanted]
        assert written.rewritten == sum("< image>" in prompt for _, prompt, _, _ in wanted)
    found = READ[to](written.folder, kind)
    assert len(found) == len(wanted) >= (1 if kind == "dpo" else ROWS)
    for (id, prompt, shown, completion), (true_id, true_prompt, true_shown, true_completion) in zip(found, wanted, strict=True):
        assert id in ("", true_id)
        assert (prompt, shown) == (true_prompt, true_shown)
        assert completion in (("",) if kind == "grpo" else (true_completion,))


@pytest.mark.parametrize("to", ["llamafactory", "trl", "webdataset"])
def test_the_same_run_gives_the_same_bytes(run: Path, to: str, tmp_path: Path) -> None:
    first, second = (files(export_run(run, to, out=tmp_path / name).folder) for name in ("a", "b"))
    assert first == second
    assert files(export_run(run, to, out=tmp_path / "a").folder) == first, "an earlier export is replaced"


def test_llamafactory_finds_every_column_by_name(run: Path) -> None:
    for kind, columns in (("sft", {"messages", "images"}), ("dpo", {"messages", "images", "chosen", "rejected"})):
        folder = export_run(run, "llamafactory", kind=kind).folder  # type: ignore[arg-type]
        listed = json.loads((folder / "dataset_info.json").read_text())["feelings-train"]
        assert listed["columns"].keys() == columns
        assert (folder / listed["file_name"]).is_file()
        assert all(row.keys() == columns for row in json_lines(folder))
        assert listed.get("ranking", False) == (kind == "dpo")


def test_thoughts_can_stand_on_lines_of_their_own(run: Path, tmp_path: Path) -> None:
    plain, lines = (json_lines(export_run(run, "llamafactory", out=tmp_path / str(flag), newlines=flag).folder) for flag in (False, True))
    for one, other in zip(plain, lines, strict=True):
        before, after = one["messages"][1]["content"], other["messages"][1]["content"]
        assert re.fullmatch(r"<think>\n[^<]+\n</think>\n\n<answer>\w+</answer>", after)
        assert after.split() == before.replace("<think>", "<think> ").replace("</think>", " </think>").split()


def reward_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The reward beside an export, imported as its trainer does."""
    swift = ModuleType("swift.rewards")
    swift.ORM, swift.orms = object, {}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "swift", ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.rewards", swift)
    spec = importlib.util.spec_from_file_location(f"reward_{folder.name.replace('-', '_')}", folder / "reward.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_rewards_know_the_labels_and_their_other_names(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [said("amusement"), said("Mirth."), said("awe"), "mirth", "<answer>awe</answer><answer>fun</answer>"]
    wanted = [1.0, 1.0, 0.0, 0.0, 1.0]
    swift = reward_of(export_run(run, "ms-swift", kind="grpo").folder, monkeypatch)
    solution = json_lines(run / "export" / "ms-swift-grpo")[0]["solution"]
    assert solution == "<answer>amusement</answer>"
    assert swift.orms["cotforge_accuracy"]()(texts, [solution] * len(texts)) == wanted
    trl = reward_of(export_run(run, "trl", kind="grpo").folder, monkeypatch)
    assert trl.accuracy([[{"role": "assistant", "content": text}] for text in texts], ["amusement"] * len(texts)) == wanted
    assert trl.form(texts) == [1.0, 1.0, 1.0, 0.0, 0.0]
    easy = reward_of(export_run(run, "easyr1").folder, monkeypatch)
    assert easy.compute_score({"response": texts[0], "ground_truth": "amusement"}) == {"overall": 1.0, "format": 1.0, "accuracy": 1.0}
    assert easy.compute_score({"response": texts[3], "ground_truth": "amusement"})["overall"] == 0.0


def test_what_no_export_wrote_is_never_removed(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    line = f"{mine}: holds 'notes.txt', which no export wrote; name another place with --out, or move it away\n"
    assert ran("export", run, "--to", "sharegpt", "--out", mine, cwd=tmp_path).stderr == line
    written = export_run(run, "sharegpt", out=tmp_path / "out").folder
    (written / "images" / "saved.pt").write_text("weights")
    refused = ran("export", run, "--to", "sharegpt", "--out", written, cwd=tmp_path)
    assert (refused.returncode, "holds 'images/saved.pt'" in refused.stderr) == (2, True)
    (tmp_path / "link").symlink_to(mine)
    assert ran("export", run, "--to", "sharegpt", "--out", tmp_path / "link", cwd=tmp_path).returncode == 2
    assert (mine / "notes.txt").read_text() == "keep"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".cotforge")]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("RUN", "--to", "lamafactory"), "'lamafactory': there is no such format; did you mean 'llamafactory'?"),
        (("RUN", "--to", "easyr1", "--kind", "sft"), "--kind sft: easyr1 is written for grpo alone"),
        (("nowhere", "--to", "trl"), "nowhere: is not a run folder; there is no pipeline.yaml in it"),
    ],
)
def test_what_is_wrong_is_one_line(run: Path, tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    ended = ran("export", *(str(run) if word == "RUN" else word for word in arguments), cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (2, f"{line}\n")


def test_a_damaged_shard_is_one_line_and_leaves_nothing(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("export"))
    shard = next((copy / "dataset" / "data").iterdir())
    shard.write_bytes(shard.read_bytes()[:-10])
    ended = ran("export", copy, "--to", "trl", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"{shard}: cannot be read: " in ended.stderr
    assert not any((copy / "export").iterdir())


def test_the_help_names_every_format() -> None:
    shown = ran("export", "--help", cwd=Path()).stdout
    assert all(name in shown for name in FORMATS)
