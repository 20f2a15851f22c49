"""Files that a stranger can hand over: how a sound one is made, what may get into it, and which command reads it."""

import csv
import io
import json
import random
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.tokens import JSON, PICTURES, TABLES, TARS, TEMPLATES, YAML

LABELS = ("awe", "fear", "joy")
ROWS = 4
TEMPLATE = """{% if images | length > 1 %}{{ images | length }} pictures.{% endif %}
{{ question }}{% for option in options %}
- {{ option | trim }}{% endfor %}
{% set place = meta.place | default("nowhere") %}Taken in {{ place | upper }}.
Think in <think></think>, then answer in <answer></answer>.
"""


@dataclass(frozen=True)
class FileKind:
    """One kind of file in a small, sound project, and the command that has to cope with any form of it."""

    name: str
    victims: tuple[str, ...]
    """Of these files, relative to the project, one is mutated."""
    command: tuple[str, ...]
    tokens: tuple[bytes, ...]
    source: Mapping[str, Any]
    """The `source:` section of the project's pipeline."""
    built: bool = False
    """Whether the project has a finished run folder from the start."""
    more: Mapping[str, Any] | None = None
    """Further sections of the pipeline file."""
    make: Callable[[Path], None] = lambda folder: None
    """Writes what this kind needs beside the project that all have."""

    def write_input(self, project: Path, draw: random.Random) -> Path:
        """A random one of the victims becomes a mutated one; its path."""
        path = project / draw.choice(self.victims)
        path.write_bytes(mutated(path.read_bytes(), draw, self.tokens))
        return path


def write_project(folder: Path, kind: FileKind) -> None:
    """A sound project: four pictures, as a table and as a folder of classes, replies of two teachers, a pipeline file."""
    for number in range(ROWS):
        path = folder / "images" / LABELS[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 16), (number * 60, 90, 200 - number * 40)).save(path)
    rows = [
        {"id": f"r{n}", "image": f"images/{LABELS[n % 3]}/{n}.jpg", "label": LABELS[n % 3], "place": "north", "question": "What is felt?"}
        for n in range(ROWS)
    ]
    _lines(folder / "rows.jsonl", rows)
    for teacher in "ab":
        _lines(folder / f"{teacher}.jsonl", [_reply(f"r{n}", LABELS[n % 3]) for n in range(ROWS + len(PICTURE_FORMATS))])
    (folder / "solve.jinja").write_text(TEMPLATE)
    (folder / "gold.csv").write_text("id,answer,person\n" + "".join(f"r{n},{LABELS[n % 3]},one\n" for n in range(ROWS)))
    kind.make(folder)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(_pipeline(kind), sort_keys=False))


def _pipeline(kind: FileKind) -> dict[str, Any]:
    teachers = [{"name": name, "model": f"model-{name}", "kind": "replay", "path": f"{name}.jsonl"} for name in "ab"]
    return {
        "name": "fuzz",
        "source": dict(kind.source),
        "task": {"kind": "classify", "question": "What is felt?", "labels": list(LABELS)},
        "teachers": teachers,
        **(kind.more or {}),
    }


def _reply(id: str, answer: str) -> dict[str, Any]:
    content = f"<think>It shows the one colour of {answer}, and nothing that speaks against it.</think>\n<answer>{answer}</answer>"
    return {"id": id, "content": content, "usage": {"prompt_tokens": 40, "completion_tokens": 20}}


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def _tables(folder: Path) -> None:
    rows = _rows(folder)
    for name, delimiter in (("rows.csv", ","), ("rows.tsv", "\t")):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        (folder / name).write_text(text.getvalue())
    (folder / "rows.json").write_text(json.dumps(rows, indent=1))
    bytes_in = [{**row, "image": {"bytes": (folder / str(row["image"])).read_bytes(), "path": None}} for row in rows]
    pq.write_table(pa.Table.from_pylist(bytes_in), folder / "rows.parquet")


def _tar(folder: Path) -> None:
    with tarfile.open(folder / "shard.tar", "w") as shard:
        for row in _rows(folder):
            shard.add(folder / str(row["image"]), f"{row['id']}.jpg")
            shard.addfile(*_member(f"{row['id']}.cls", str(row["label"]).encode()))
            shard.addfile(*_member(f"{row['id']}.json", json.dumps({"label": row["label"]}).encode()))


def _member(name: str, data: bytes) -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, io.BytesIO(data)


def _pictures(folder: Path) -> None:
    """One picture of each format, among sound ones."""
    rows = _rows(folder)
    for number, (ending, form) in enumerate(PICTURE_FORMATS.items(), ROWS):
        picture = Image.effect_noise((48, 40), 60)
        picture.convert("P" if ending == "gif" else "RGB").save(folder / f"victim.{ending}", form)
        rows.append({"id": f"r{number}", "image": f"victim.{ending}", "label": LABELS[number % 3]})
    _lines(folder / "rows.jsonl", rows)


PICTURE_FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP"}

_TABLE = {"kind": "table", "path": "rows.jsonl"}
_RUN = "runs/fuzz"


def _table_kind(ending: str, tokens: tuple[bytes, ...]) -> FileKind:
    source = {"kind": "table", "path": f"rows.{ending}"}
    return FileKind(f"table, {ending}", (f"rows.{ending}",), ("check", "pipeline.yaml"), tokens, source, make=_tables)


KINDS = (
    FileKind("pipeline file", ("pipeline.yaml",), ("check", "pipeline.yaml"), YAML, _TABLE, more={
        "prompts": {"solve": "solve.jinja"}, "consensus": {"rule": "majority", "label": "vote"},
        "filters": [{"measure": "reasoning_words", "min": 1, "max": 900}], "budget": {"usd": 5.0, "calls": 100}, "max_failures": 0.5,
    }),
    FileKind("template", ("solve.jinja",), ("check", "pipeline.yaml"), TEMPLATES, _TABLE, more={"prompts": {"solve": "solve.jinja"}}),
    _table_kind("csv", TABLES),
    _table_kind("tsv", TABLES),
    _table_kind("json", JSON),
    _table_kind("jsonl", JSON),
    _table_kind("parquet", ()),
    FileKind("tar", ("shard.tar",), ("check", "pipeline.yaml"), TARS, {"kind": "webdataset", "path": "shard.tar"}, make=_tar),
    FileKind("picture", tuple(f"victim.{ending}" for ending in PICTURE_FORMATS), ("build", "pipeline.yaml"), PICTURES, _TABLE,
             make=_pictures),
    FileKind("replies", ("a.jsonl", "b.jsonl"), ("build", "pipeline.yaml"), JSON, _TABLE),
    FileKind("journal", (f"{_RUN}/journal.sqlite",), ("build", "pipeline.yaml"), JSON, _TABLE, built=True),
    FileKind("gold", ("gold.csv",), ("curate", _RUN), TABLES, _TABLE, built=True, more={"gold": "gold.csv"}),
    FileKind("run folder", (f"{_RUN}/pipeline.yaml", f"{_RUN}/summary.json", f"{_RUN}/dataset/README.md"), ("curate", _RUN), YAML, _TABLE,
             built=True),
)  # fmt: skip


def whole_journal(run: Path) -> None:
    """The journal as one file: what its log holds is written into it, so that a mutation meets what a reader reads."""
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for log in run.glob("journal.sqlite-*"):
        log.unlink()


def renewed(template: Path, project: Path) -> None:
    """`project` as it was before an input was written into it."""
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(template, project, symlinks=True)
