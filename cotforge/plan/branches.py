"""The stages of a plan as a tree: with whose weights each begins, and what descends from it."""

import difflib
from collections.abc import Iterator, Sequence

from cotforge.errors import show_value
from cotforge.plan.stage import Stage

BASE = "base"
"""In `from`: the student before any stage."""


def stage_parents(stages: Sequence[Stage]) -> dict[str, Stage | None]:
    """By a stage's name, the stage whose weights it begins with; None stands for the base."""
    named = {stage.name: stage for stage in stages}
    found: dict[str, Stage | None] = {}
    before: Stage | None = None
    for stage in stages:
        found[stage.name] = before if stage.from_ is None else named.get(stage.from_)
        before = stage if stage.leaves_weights else before
    return found


def read_by(stages: Sequence[Stage], stage: Stage) -> dict[str, Stage | None]:
    """The stages whose weights a stage reads beside those it begins with, by the key that names each; None stands for the base."""
    named = {each.name: each for each in stages}
    return {key: named.get(name) for key, name in stage.reads().items() if name in named or name == BASE}


def depends_on(stages: Sequence[Stage]) -> dict[str, frozenset[str]]:
    """By a stage's name, the stages whose weights it begins with or reads; the base is not among them."""
    begins = stage_parents(stages)
    read = {stage.name: [begins[stage.name], *read_by(stages, stage).values()] for stage in stages}
    return {name: frozenset(each.name for each in found if each is not None) for name, found in read.items()}


def models_of(stages: Sequence[Stage], name: str) -> list[str]:
    """The models, other than stages and the base, whose weights went into a stage's: it, or one that it depends on, read them."""
    known, wanted = depends_on(stages), {name}
    for stage in reversed(stages):  # those that read it stand after it
        if stage.name in wanted:
            wanted |= known[stage.name]
    names = {BASE, *known}
    return list(dict.fromkeys(model for stage in stages if stage.name in wanted for model in stage.reads().values() if model not in names))


def stage_origins(stages: Sequence[Stage]) -> dict[str, str]:
    """By a stage's name, the `from` that a reader has to be told of; empty where it begins with the stage before it."""
    found = {}
    before = BASE
    for stage in stages:
        found[stage.name] = "" if stage.from_ in (None, before) else str(stage.from_)
        before = stage.name if stage.leaves_weights else before
    return found


def stage_branch(stages: Sequence[Stage], name: str) -> frozenset[str]:
    """A stage, and all that begin with or read its weights or those of one that does, by name; of `base`, all stages."""
    if name == BASE and name not in (stage.name for stage in stages):
        return frozenset(stage.name for stage in stages)
    known, found = depends_on(stages), {name}
    for stage in stages:  # those above stand before it
        if known[stage.name] & found:
            found.add(stage.name)
    return frozenset(found)


def reference_faults(stages: Sequence[Stage], stage: Stage) -> Iterator[tuple[str, str]]:
    """What is wrong with the stages that a stage names, in `from` or where it reads models, each with its key."""
    names = {each.name for each in stages}
    given = {"from": stage.from_} | {key: name for key, name in stage.reads().items() if name in names or name == BASE}
    for key, name in given.items():
        if wrong := _reference_fault(stages, stage, name):
            yield key, wrong


def _reference_fault(stages: Sequence[Stage], stage: Stage, name: str | None) -> str | None:
    """What is wrong with the name of a stage before that one; None where nothing is."""
    names = [each.name for each in stages]
    if name is None or (name == BASE and BASE not in names):
        return None
    before = [each.name for each in stages[: names.index(stage.name)] if each.leaves_weights]
    if name in before and name != BASE:
        return None
    known = f"name {BASE} or a stage before it" + (f": {', '.join(before)}" if before else "")
    if name == BASE:
        return f"{show_value(name)} is the student before any stage, and a stage has that name too; give that stage another name"
    if name == stage.name:
        return f"{show_value(name)} is the stage itself; {known}"
    if name not in names:
        near = difflib.get_close_matches(name, [BASE, *before], n=1)
        return f"no stage is named {show_value(name)}; " + (f"did you mean {near[0]!r}?" if near else known)
    if not stages[names.index(name)].leaves_weights:
        return f"{show_value(name)} is of kind {stages[names.index(name)].kind}, which leaves no weights; {known}"
    return f"{show_value(name)} comes later; {known}"
