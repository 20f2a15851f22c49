"""The stages of a plan as a tree: with whose weights each begins, and what descends from it."""

import difflib
from collections.abc import Sequence

from cotforge.errors import shown
from cotforge.plan.stage import Stage

BASE = "base"
"""In `from`: the student before any stage."""


def parents(stages: Sequence[Stage]) -> dict[str, Stage | None]:
    """By a stage's name, the stage whose weights it begins with; None stands for the base."""
    named = {stage.name: stage for stage in stages}
    found: dict[str, Stage | None] = {}
    before: Stage | None = None
    for stage in stages:
        found[stage.name] = before if stage.from_ is None else named.get(stage.from_)
        before = stage if stage.leaves_weights else before
    return found


def origins(stages: Sequence[Stage]) -> dict[str, str]:
    """By a stage's name, the `from` that a reader has to be told of; empty where it begins with the stage before it."""
    found = {}
    before = BASE
    for stage in stages:
        found[stage.name] = "" if stage.from_ in (None, before) else str(stage.from_)
        before = stage.name if stage.leaves_weights else before
    return found


def branch(stages: Sequence[Stage], name: str) -> frozenset[str]:
    """A stage, and all that begin with its weights or with those of one that does, by name; of `base`, all stages."""
    if name == BASE and name not in (stage.name for stage in stages):
        return frozenset(stage.name for stage in stages)
    above, found = parents(stages), {name}
    for stage in stages:  # a parent stands before its children
        parent = above[stage.name]
        if parent is not None and parent.name in found:
            found.add(stage.name)
    return frozenset(found)


def fault(stages: Sequence[Stage], stage: Stage) -> str | None:
    """What is wrong with a stage's `from`; None where nothing is."""
    name, names = stage.from_, [each.name for each in stages]
    if name is None or (name == BASE and BASE not in names):
        return None
    before = [each.name for each in stages[: names.index(stage.name)] if each.leaves_weights]
    if name in before and name != BASE:
        return None
    known = f"name {BASE} or a stage before it" + (f": {', '.join(before)}" if before else "")
    if name == BASE:
        return f"{shown(name)} is the student before any stage, and a stage has that name too; give that stage another name"
    if name == stage.name:
        return f"{shown(name)} is the stage itself; {known}"
    if name not in names:
        near = difflib.get_close_matches(name, [BASE, *before], n=1)
        return f"no stage is named {shown(name)}; " + (f"did you mean {near[0]!r}?" if near else known)
    if not stages[names.index(name)].leaves_weights:
        return f"{shown(name)} is of kind {stages[names.index(name)].kind}, which leaves no weights; {known}"
    return f"{shown(name)} comes later; {known}"
