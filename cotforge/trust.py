"""What a pipeline file does beside asking: Python it runs, variables it reads, keys and files it sends."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from cotforge import tree
from cotforge.errors import show_value

_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATHS = re.compile(
    r"(source\.path|dedup\.against\[\d+\]\.path|prompts\.\w+|gold|judge\.gold|teachers\[\d+\]\.(path|key_env)|filters\[\d+\]\.measure"
    r"|train\.(data|student\.model)"
    r"|train\.stages\[\d+\]\.rewards\[\d+\]\.measure)(\[\d+\])*"
)
"""Keys whose variables say where something lies, and are never sent."""
_SWITCHES = {"trust_remote_code": "runs Python that comes with a model", "push_to_hub": "pushes the student to the Hub with your token"}
"""Arguments of libraries that do more than a run needs."""


@dataclass(frozen=True)
class TrustFinding:
    """One thing that a pipeline file does beyond asking its own question about its own pictures."""

    does: Literal["runs", "reads", "sends"]
    """`runs` Python, pushes, or sends in training; `reads` a variable into the dataset's texts; `sends` something to a teacher."""
    where: str
    """The key in the file."""
    what: str
    outside: bool = False
    """A file out of the pipeline's folder: of note only where the pipeline is a stranger's."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def trust_findings(raw: tree.Tree, values: tree.Tree, root: Path) -> list[TrustFinding]:
    """All of a pipeline file. `raw` is the file as it is written, `values` with its variables filled in, `root` its folder."""
    hosts = [_teacher_hosts(teacher) for teacher in _as_list(values, "teachers")]
    return [
        *_python_findings(values),
        *_variable_findings(raw, hosts),
        *_key_findings(values, hosts),
        *_reader_findings(values),
        *_file_findings(values, root, _named_hosts(hosts)),
    ]


def is_near(path: Path) -> bool:
    """Whether a file lies under the present folder, links followed."""
    try:
        return path.resolve().is_relative_to(Path.cwd().resolve())
    except OSError:
        return False


def _python_findings(values: tree.Tree) -> Iterator[TrustFinding]:
    measures = [(f"filters[{place}]", each) for place, each in enumerate(_as_list(values, "filters"))]
    for place, stage in enumerate(_as_list(values.get("train"), "stages")):
        measures += [(f"train.stages[{place}].rewards[{index}]", each) for index, each in enumerate(_as_list(stage, "rewards"))]
    for where, each in measures:
        name = each.get("measure") if isinstance(each, Mapping) else None
        if isinstance(name, str) and ":" in name:
            file, _, function = name.rpartition(":")
            yield TrustFinding("runs", f"{where}.measure", f"runs Python: the function {show_value(function)} of {show_value(file)}")
    for where, value in _tree_leaves(values):
        does = _SWITCHES.get(where.rpartition(".")[2])
        if does and value is not False:
            yield TrustFinding("runs", where, does)


def _variable_findings(raw: tree.Tree, hosts: list[list[str]]) -> Iterator[TrustFinding]:
    for where, text in _tree_leaves(raw):
        names = [name for name in _VARIABLE.findall(text) if name] if isinstance(text, str) else []
        if not names or _PATHS.fullmatch(where):
            continue
        what = "reads " + ", ".join(f"${{{name}}}" for name in dict.fromkeys(names))
        teacher = re.match(r"teachers\[(\d+)\]\.", where)
        reached = hosts[int(teacher[1])] if teacher else _named_hosts(hosts)
        to = ", ".join(reached[:5]) + (f" and {len(reached) - 5:,} more" if len(reached) > 5 else "")
        if teacher and reached:
            yield TrustFinding("sends", where, f"{what}, and sends it to {to}")
        elif not teacher:
            yield TrustFinding("reads", where, f"{what} into the dataset" + (f", and may send it to {to}" if to else ""))


def _key_findings(values: tree.Tree, hosts: list[list[str]]) -> Iterator[TrustFinding]:
    for place, (teacher, reached) in enumerate(zip(_as_list(values, "teachers"), hosts, strict=True)):
        if isinstance(teacher, Mapping) and isinstance(teacher.get("key_env"), str) and reached:
            yield TrustFinding("sends", f"teachers[{place}].key_env", f"sends the key in {teacher['key_env']} to {', '.join(reached[:5])}")


def _reader_findings(values: tree.Tree) -> Iterator[TrustFinding]:
    """Second models that a stage's rewards ask: what the student says goes to them in training, and a key with it."""
    for place, stage in enumerate(_as_list(values.get("train"), "stages")):
        reader = stage.get("reader") if isinstance(stage, Mapping) else None
        if isinstance(reader, Mapping) and (reached := _teacher_hosts(reader)):
            key = f" with the key in {reader['key_env']}" if isinstance(reader.get("key_env"), str) else ""
            yield TrustFinding(
                "runs", f"train.stages[{place}].reader", f"sends what the student says to {', '.join(reached)}{key} in training"
            )


def _file_findings(values: tree.Tree, root: Path, hosts: list[str]) -> Iterator[TrustFinding]:
    """Files out of the pipeline's folder whose content is sent; the text of a template is."""
    prompts, source = values.get("prompts"), values.get("source")
    named = [(f"prompts.{key}", name) for key, name in prompts.items()] if isinstance(prompts, Mapping) else []
    named += [("source.path", source.get("path"))] if isinstance(source, Mapping) else []
    for where, name in named if hosts else ():
        if isinstance(name, str) and not name.endswith(".jinja") and _lies_outside(root, name):
            yield TrustFinding("sends", where, f"sends what is in {show_value(name)} to {', '.join(hosts[:5])}", outside=True)


def _lies_outside(root: Path, name: str) -> bool:
    try:
        path = (root / name).resolve()
        return path.exists() and not path.is_relative_to(root.resolve())
    except (OSError, ValueError):
        return False


def _teacher_hosts(teacher: Any) -> list[str]:
    urls = teacher.get("url") if isinstance(teacher, Mapping) else None
    return _named_hosts([[_url_host(url) for url in ([urls] if isinstance(urls, str) else urls or ()) if isinstance(url, str)]])


def _url_host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url


def _named_hosts(hosts: list[list[str]]) -> list[str]:
    return list(dict.fromkeys(host for each in hosts for host in each))


def _as_list(section: Any, key: str) -> list[Any]:
    items = section.get(key) if isinstance(section, Mapping) else None
    return items if isinstance(items, list) else []


def _tree_leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tree_leaves(item, tree.key_path(where, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _tree_leaves(item, f"{where}[{index}]")
    else:
        yield where, value
