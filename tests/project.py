"""A small pipeline on real JPEG files for tests, and the command run as a user runs it."""

import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from cotforge.cli import main
from tests.forked import Running as Running
from tests.teacher import Teacher

LABELS = ["amusement", "awe", "fear", "sadness"]


def write_rows(folder: Path, count: int, *, start: int = 0) -> None:
    """`count` pictures that all differ, and `rows.jsonl`, appended to, with id, image and label."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("a") as file:
        for number in range(start, start + count):
            picture = Image.new("RGB", (48, 32), (number * 7 % 256, number * 13 % 256, number // 256))
            picture.save(folder / "images" / f"{number}.jpg", quality=95)
            file.write(json.dumps({"id": f"row-{number}", "image": f"images/{number}.jpg", "label": LABELS[number % 4]}) + "\n")


def write_pipeline(folder: Path, *teachers: dict[str, Any], **sections: Any) -> Path:
    """`pipeline.yaml` on `rows.jsonl`; `sections` are put in as they are."""
    pipeline = {
        "name": "feelings",
        "source": {"kind": "table", "path": "rows.jsonl"},
        "task": {"kind": "classify", "question": "What does this picture evoke?", "labels": LABELS},
        "teachers": list(teachers),
        **sections,
    }
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(pipeline, sort_keys=False))
    return path


def teacher(server: Teacher | str, name: str = "one", **fields: Any) -> dict[str, Any]:
    """A teacher of the pipeline file; each name is a model of its own."""
    url = server if isinstance(server, str) else server.url
    return {"name": name, "model": f"model-{name}", "url": url, **fields}


def replay(folder: Path, name: str, replies: dict[str, str | dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A teacher whose replies are known: from a row's id to its content, or to the whole line but the id."""
    lines = [{"id": row, **({"content": reply} if isinstance(reply, str) else reply)} for row, reply in replies.items()]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"name": name, "model": f"model-{name}", "kind": "replay", "path": f"{name}.jsonl", **fields}


def sees(body: dict[str, Any]) -> str:
    """A skilled answer: it depends on the options as asked and on the picture's bytes alone."""
    text = "".join(part["text"] for part in body["messages"][0]["content"] if part["type"] == "text")
    options = [label for label in LABELS if re.search(rf"\b{label}\b", text)]
    url = next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url")
    choice = options[int(hashlib.sha256(url.encode()).hexdigest(), 16) % len(options)]
    return said(choice)


def said(choice: str) -> str:
    """A reply in the asked form."""
    thought = f"The picture is one even colour, and its tone speaks of {choice} more than of anything else here."
    return f"<think>{thought}</think>\n<answer>{choice}</answer>"


def cotforge(*arguments: object, cwd: Path, env: dict[str, str] | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    words, pipe = command(*arguments), subprocess.PIPE
    with Running(words, cwd=cwd, env=environment(env), stdout=pipe, stderr=pipe, text=True) as process:
        out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def ran(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in this process: as `cotforge`, and quicker."""
    words, out, err = list(map(str, arguments)), io.StringIO(), io.StringIO()
    umask = os.umask(0o077)
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(words)
    finally:
        os.umask(umask)
    assert isinstance(ended.value.code, int)
    return subprocess.CompletedProcess(words, ended.value.code, out.getvalue(), err.getvalue())


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-c", "from cotforge.cli import main; main()", *map(str, arguments)]


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | (extra or {})


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())  # type: ignore[no-any-return]


def table(run: Path, kind: str) -> list[dict[str, Any]]:
    """All rows of `data`, `traces`, `preference` or `losses`."""
    if kind == "losses":
        return pq.read_table(run / "losses.parquet").to_pylist()  # type: ignore[no-any-return]
    return [row for path in sorted((run / "dataset" / kind).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def files(folder: Path) -> dict[str, str]:
    """Name to sha256 of every file of a dataset."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }
