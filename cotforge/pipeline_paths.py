"""Where a pipeline file is, and the paths in it made absolute: a run folder keeps the file elsewhere."""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from cotforge import tree
from cotforge.errors import PipelineError, show_value
from cotforge.folder import list_beside, run_folders
from cotforge.plan.kinds import KINDS
from cotforge.prompts import shipped_folder
from cotforge.spec import paths_in

_STAGES = {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in KINDS}


def absolute_paths(values: tree.Tree, root: Path) -> tree.Tree:
    """Paths that the file gives relative to itself, made absolute where such a file is there (a Hub id or shipped name stays)."""
    _made_absolute(values["source"], "path", root)
    for name in values["prompts"]:
        _made_absolute(values["prompts"], name, root)
    _made_absolute(values, "gold", root)
    if judge := values.get("judge"):
        _made_absolute(judge, "gold", root)
    if isinstance(image := values["consensus"].get("image"), dict):
        for name in image:
            _made_absolute(image, name, root)
    for reference in (values.get("dedup") or {}).get("against", ()):
        _made_absolute(reference, "path", root)
    for teacher in values["teachers"]:
        _made_absolute(teacher, "path", root)
    for bound in values["filters"]:
        _made_absolute(bound, "measure", root)
    if plan := values.get("train"):
        _made_absolute(plan, "data", root)
        _made_absolute(plan["student"], "model", root)
        stages = {stage["name"] for stage in plan["stages"]}
        for stage in plan["stages"]:
            for given, name in paths_in(_STAGES[stage["kind"]], stage):
                if given[name] not in stages:  # a merge may name a stage where it may name a folder
                    _made_absolute(given, name, root, folders=True)
            for reward in stage.get("rewards", ()):
                _made_absolute(reward, "measure", root)
    return values


def _made_absolute(section: tree.Tree, name: str, root: Path, *, folders: bool = False) -> None:
    value = section.get(name)
    if not isinstance(value, str) or "$" in value:
        return
    there = root / (value.rpartition(":")[0] if name == "measure" else value)
    if there.is_file() or ((folders or name in ("path", "data", "model")) and there.exists()) or name == "gold":  # gold may come later
        section[name] = str((root / value).resolve())


def path_origin(key: str, written: object, root: Path) -> str:
    """From which variables a path of the file is made, behind an error about it; empty where there are none, or something lies there."""
    names = tree.variable_names(written)
    if not names or not isinstance(written, str):
        return ""
    path = tree.expand_variables(written, missing=lambda where, name: None)
    if os.path.exists(root / Path(path).expanduser()):
        return ""
    told = " and ".join(f"{name} is {show_value(os.environ.get(name, ''))}" for name in names)
    hint = "" if Path(path).expanduser().is_absolute() else ": a relative path, which starts at the pipeline file; set an absolute one"
    return f"{key} is {show_value(written)} and {told}{hint}"


def find_pipeline(name: str) -> Path:
    path = Path(name)
    if is_file(path):
        return path.absolute()
    ours = sorted(file.stem for file in shipped_folder("pipelines").glob("*.yaml"))
    if name in ours:
        return (shipped_folder("pipelines") / f"{name}.yaml").absolute()
    shown = show_value(name)[1:-1]
    if os.path.isdir(path):
        raise PipelineError(f"{shown}: is a folder; {_shipped_names(ours)}")
    files, folders = _pipeline_files(path.parent), run_folders(path.parent)
    near = get_close_matches(path.name, [*files, *folders, *(ours if len(path.parts) == 1 else ())], n=1)
    meant = f"did you mean {show_value(str(path.with_name(near[0])))[1:-1]}? " if near else ""
    if len(path.parts) == 1:
        raise PipelineError(f"{shown}: no such file; {meant}{_shipped_names(ours)}")
    what = "no such file or run folder" if folders else "no such file"
    raise PipelineError(
        f"{shown}: {what}; {meant}{list_beside(path, [*files, *folders]) or ('' if meant else _shipped_names(ours))}".rstrip()
    )


def _shipped_names(ours: Sequence[str]) -> str:
    return f"give a pipeline file, or the name of a shipped one: {', '.join(ours)}"


def _pipeline_files(folder: Path) -> list[str]:
    """The names of files in a folder that may be pipelines, sorted."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml") and entry.is_file())
    except OSError:
        return []


def is_file(path: Path) -> bool:
    """Whether it is one; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False
