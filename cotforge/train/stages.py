"""A plan's stages in turn, each with the weights of the one it names: finished ones are skipped, interrupted ones resumed."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import torch

from cotforge.atomic import replace_folder
from cotforge.errors import Interrupted, PipelineError
from cotforge.plan import SMOKE_STEPS, Dpo, Grpo, Stage, plan_lines
from cotforge.plan.branches import depends_on, read_by, stage_branch, stage_parents
from cotforge.train import precheck, ranks
from cotforge.train.evaluation import engines
from cotforge.train.evaluation.evaluate import figure_text
from cotforge.train.explained_errors import explain_full_disk
from cotforge.train.foreseen import stage_estimates
from cotforge.train.links import link_or_copy
from cotforge.train.report import trackers
from cotforge.train.report.past import BASE, outdone_line, past_chapters
from cotforge.train.rollouts.rollout_engine import lacking_vllm
from cotforge.train.stage_run import TrainingRun
from cotforge.train.step import Step
from cotforge.train.students.fits import demand_fit
from cotforge.train.students.loaded_student import release_memory, weights_fingerprint
from cotforge.train.students.shape import attention_fault


@dataclass(frozen=True)
class Choice:
    """Which stages are asked for."""

    only: str | None = None
    """This one alone."""
    first: str | None = None
    """This one and all that descend from it, anew, `base` is all; others are done where they are not yet."""
    smoke: bool = False
    """Those that are asked for, SMOKE_STEPS each, in a folder beside."""

    def wants(self, stage: Stage) -> bool:
        """Whether it is asked for."""
        return self.only in (None, stage.name)


def run_plan(training: TrainingRun, choice: Choice) -> Path | None:
    """Do what is not done yet. The student's folder, or None where not all stages are done.

    Raises PipelineError where a stage cannot be done or would throw away what it has done, JournalError on a full disk, KeyboardInterrupt
    once SIGTERM or SIGINT was heeded.
    """
    plan = training.plan
    for option, name in (("--stage", choice.only), ("--from", choice.first)):
        plan.require(option, name)
    trackers.check_trackers(plan)
    _check_machine(training, choice)
    demand_fit(training.begin, [(stage.name, stage.kind) for stage in plan.expanded() if choice.wants(stage)])
    if choice.smoke:
        ranks.from_first(lambda: shutil.rmtree(training.out / "smoke", ignore_errors=True))
    steps = _make_steps(training, choice)
    for step in steps.values():
        if choice.wants(step.stage) or step.folder.exists() or step.earlier():
            _ = step.key  # that there is nothing to learn from is told before a trial
    _check_held_out(training, [step.stage for step in steps.values() if choice.wants(step.stage) or step.folder.exists()])
    precheck.try_all(plan, lambda stage: _try_rewards(training, stage, needed=choice.wants(stage)))
    ranks.from_first(lambda: _move_folders(steps))
    named = stage_branch(plan.expanded(), choice.first) if choice.first else frozenset()
    again = named | ranks.from_first(lambda: _given_up(steps))
    left = frozenset[str]() if choice.smoke else ranks.from_first(lambda: _steps_left(training, steps, choice, again))
    replaces = ranks.from_first(lambda: {name: steps[name].digest for name in named if choice.only in (None, name) and steps[name].digest})
    wanted = {name: step for name, step in steps.items() if choice.wants(step.stage) and name not in left}
    try:
        _do_steps(training, wanted, choice, dict.fromkeys(again, replaces))
    except KeyboardInterrupt as end:
        if not choice.first:
            raise
        begun = not replaces or any(steps[name].replaces == replaces for name in named)
        raise Interrupted(
            "what was trained is kept: run the same command without --from to go on"
            if begun
            else f"nothing was begun anew yet: run the same command again, with --from {choice.first}"
        ) from end
    if not all(_is_done(step) for step in steps.values()):
        return None
    weights = [training.begin, *(step.weights for step in steps.values() if step.stage.leaves_weights)][-1]
    student = ranks.from_first(lambda: _publish_student(training, training.out / ("smoke" if choice.smoke else ""), weights))
    if ranks.is_first() and not choice.smoke and (line := outdone_line(plan, past_chapters(plan, training.out.parent))):
        training.tell(line)
    return student


def _do_steps(training: TrainingRun, steps: Mapping[str, Step], choice: Choice, again: Mapping[str, Mapping[str, str]]) -> None:
    """Those steps, one after another, anew where `again` names them; each student is tried when it is there."""
    names = [stage.name for stage in training.plan.expanded()]
    shortened = SMOKE_STEPS if choice.smoke else None
    told = dict(zip(names, plan_lines(training.plan, steps=shortened), strict=True))
    begin = training.begin
    _tell_estimates(training, [step.stage for step in steps.values() if not step.progress()])
    known = "" if choice.smoke else _try_student(training, BASE, begin, weights_fingerprint(begin), when="base")
    tried = {"": known}
    inner = _inner_stages(training.plan.expanded())
    for step in steps.values():
        training.tell(_stage_line(training, step.stage, told[step.stage.name], shortened))
        shown = tried.get(step.parent.stage.name if step.parent else "", "")
        step.do(anew=step.stage.name in again, known=shown, replaces=again.get(step.stage.name))
        if not choice.smoke and step.stage.leaves_weights:
            when = "stages" if step.stage.name in inner else "end"
            tried[step.stage.name] = _try_student(training, step.folder.name, step.weights, step.key, when=when)
        training.page()


def _make_steps(training: TrainingRun, choice: Choice) -> dict[str, Step]:
    """Every stage in its folder, by name. A smoke of one alone begins with the nearest weights above it that are there."""
    real = _step_tree(training, training.out)
    if not choice.smoke:
        return real
    steps = _step_tree(training, training.out / "smoke", smoke=True)
    if choice.only is not None:
        asked = real[choice.only]
        reads = {key: _nearest_done(step) for key, step in asked.reads.items()}
        steps[choice.only] = replace(steps[choice.only], parent=_nearest_done(asked.parent), reads=reads)
    return steps


def _nearest_done(step: Step | None) -> Step | None:
    """It, or the nearest above it that is done; None is the student before any stage."""
    while step is not None and not _is_done(step):
        step = step.parent
    return step


def _step_tree(training: TrainingRun, out: Path, *, smoke: bool = False) -> dict[str, Step]:
    stages = training.plan.expanded()
    begins, found = stage_parents(stages), dict[str, Step]()
    for place, stage in enumerate(stages, 1):
        parent = begins[stage.name]
        reads = {key: found[each.name] if each else None for key, each in read_by(stages, stage).items()}
        folder = out / f"{place:02}-{stage.name}"
        found[stage.name] = Step(training, stage, folder, found[parent.name] if parent else None, smoke, reads)
    return found


def _move_folders(steps: Mapping[str, Step]) -> None:
    """Have folders of stages that got another place in the list be at their present places."""
    for step in steps.values():
        if not step.folder.exists():
            step.move()


def _is_done(step: Step) -> bool:
    """For every process at the same time; the data of a stage that was never begun are not looked for."""
    if step.folder.exists():
        _ = step.key
    return ranks.from_first(step.is_done)


def _steps_left(training: TrainingRun, steps: Mapping[str, Step], choice: Choice, again: frozenset[str]) -> frozenset[str]:
    """Changed stages, with all below them, that stay as they are because `--from` names others.

    Raises PipelineError where one stage alone is asked for too early, or a changed one that is asked for, or is above it, would throw away
    what it has done.
    """
    if choice.only is not None:
        missing = [step for step in _steps_above(steps[choice.only]) if not step.is_done()]
        if {*missing} & {*steps[choice.only].above}:
            raise PipelineError(
                f"--stage {choice.only}: the stage {missing[0].stage.name!r} before it is not done; leave --stage out, or do it first"
            )
    changed = [step for step in steps.values() if choice.wants(step.stage) and step.stage.name not in again and step.lost()]
    roots = [step for step in changed if not any(above in changed for above in _steps_above(step))]
    below = {step: stage_branch(training.plan.expanded(), step.stage.name) for step in roots}
    if wrong := [_lost_line(step, steps) for step in roots if choice.first is None or choice.first in below[step]]:
        raise PipelineError(*wrong)
    for step in roots:
        training.tell(f"{_lost_line(step, steps)}; until then it is left as it is")
    return frozenset[str]().union(*below.values())


def _given_up(steps: Mapping[str, Step]) -> frozenset[str]:
    """Stages that an earlier `--from` was to do anew and that are as they were then, because it was interrupted."""
    begun = [step for step in steps.values() if step.digest]
    old = {(name, digest) for step in begun for name, digest in step.replaces.items()}
    return frozenset(step.stage.name for step in begun if (step.stage.name, step.digest) in old)


def _lost_line(step: Step, steps: Mapping[str, Step]) -> str:
    """What a changed stage, and all that descend from it, would throw away."""
    name, stages = step.stage.name, [each.stage for each in steps.values()]
    below = [each for each in steps.values() if each.stage.name in stage_branch(stages, name) - {name} and each.progress()]
    lost = sum((each.progress() for each in below), start=step.progress())
    others = f", and so would {', '.join(repr(each.stage.name) for each in below)}" if below else ""
    return (
        f"stage {name!r}: {step.changes()}; it would start again{others}: {lost} would be thrown away; "
        f"undo the change, or start again with --from {name}"
    )


def _steps_above(step: Step) -> list[Step]:
    """Those whose weights it descends from, the first of all first."""
    return list(dict.fromkeys(each for parent in step.above for each in (*_steps_above(parent), parent)))


def _stage_line(training: TrainingRun, stage: Stage, line: str, steps: int | None) -> str:
    """The plan's line of a stage, with how much of its data it sees."""
    data = training.learned_by(stage)
    return line if data is None else f"{line}, {stage.amount(len(data), processes=ranks.process_count(), steps=steps)}"


def _check_machine(training: TrainingRun, choice: Choice) -> None:
    """Raises PipelineError where a stage names vLLM, an attention or a model that its student or this machine does not have."""
    wanted = [stage for stage in training.plan.expanded() if choice.wants(stage)]
    if faults := precheck.without_vllm(wanted, lambda: lacking_vllm(torch.cuda.is_available())):
        raise PipelineError(*faults)
    for stage in wanted:
        if isinstance(stage, Dpo) and stage.makes_rollouts:
            engines.check_engine(stage.rollouts.engine, "rollouts.engine")
        asked = getattr(stage, "attention", None)
        if asked and (fault := attention_fault(training.begin, asked, gpu=torch.cuda.is_available())):
            raise PipelineError(f"train.stages: {stage.name!r}: attention: {fault}")
        if check := getattr(import_module(f"cotforge.train.kinds.{stage.kind}"), "check", None):
            check(stage, training)


def _check_held_out(training: TrainingRun, stages: Sequence[Stage]) -> None:
    """Raises PipelineError where nothing is held out that is to be, or what is held out is learned from."""
    if training.trials is None:
        if looked := next((stage.name for stage in stages if stage.kind == "eval"), None):
            raise PipelineError(f"stage {looked!r}: eval: is missing from the pipeline file; it says what the student is tried on")
        return
    training.trials.held()
    for stage in {stage.learns_from: stage for stage in stages if stage.learns_from in ("lessons", "pairs")}.values():
        if (data := training.learned_by(stage)) is not None:
            training.apart(data)


def _tell_estimates(training: TrainingRun, stages: Sequence[Stage]) -> None:
    """Tell what stages will need."""
    if ranks.is_first():
        for told in stage_estimates(training, stages, processes=ranks.process_count()):
            training.tell(told)


def _inner_stages(stages: Sequence[Stage]) -> frozenset[str]:
    """The stages whose weights another one begins with or reads, by name: their students are evaluated as those between stages."""
    known = depends_on(stages)
    return frozenset[str]().union(*(known[stage.name] for stage in stages if stage.leaves_weights))


def _try_rewards(training: TrainingRun, stage: Grpo | Dpo, *, needed: bool) -> None:
    """Have the rewards of a stage tried on its data; unless it is `needed` now, these may be absent yet. Raises PipelineError."""
    try:
        training.learned_by(stage)
    except PipelineError:
        if needed:
            raise
        return
    precheck.try_rewards(stage, training)


def _try_student(training: TrainingRun, name: str, weights: Path, key: str, *, when: str) -> str:
    """Have the student in a folder tried, and told of; what it came to, in a few words. Nothing where `eval.when` leaves it out."""
    if training.trials is None or when not in training.trials.plan.when:
        return ""
    found = training.trials.of(name, weights, key, training.tell, whole=when == "end")
    release_memory()
    metric = training.trials.plan.metrics[0]
    return f"held out: {metric} {figure_text(found, metric).partition(' ')[0]}"


def _publish_student(training: TrainingRun, out: Path, weights: Path) -> Path:
    """The weights of the last stage that leaves some as the student: links where the disk can, copies elsewhere, with a card."""
    folder = out / "student"
    with explain_full_disk(folder), replace_folder(folder) as passing:
        shutil.copytree(weights, passing, copy_function=link_or_copy, dirs_exist_ok=True)
        (passing / "README.md").unlink(missing_ok=True)
        (passing / "README.md").write_text(training.card(), encoding="utf-8")
    return folder
