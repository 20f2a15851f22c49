"""The card of a student: README.md with the YAML header the Hub reads. What it says of its quality is what was measured, good or bad."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cotforge.card import card_template, one_line
from cotforge.card_keys import HUB_ID
from cotforge.errors import show_value
from cotforge.hub.machine import mask_places
from cotforge.pipeline import Loaded
from cotforge.plan import Eval, Plan
from cotforge.plan.branches import models_of
from cotforge.train.data.lessons import Lessons
from cotforge.train.evaluation import routing, swapped
from cotforge.train.evaluation.evaluate import figure_text, most_tokens
from cotforge.train.evaluation.one_sided import Commonest, commonest_label, one_answer, one_sided
from cotforge.train.report.model_header import student_header, student_licence
from cotforge.train.report.past import BASE, Chapter, base_figures, past_chapters, read_object, trained_chapters
from cotforge.version import __version__

METRICS = ("loss", "mean_token_accuracy", "reward", "accuracy", "format_rate")
"""Of a stage's last step, where it has them."""
CLASSES = 100
"""Most labels whose recall is listed (ours)."""


@dataclass(frozen=True)
class TrainingData:
    """A part of what a student learned from."""

    what: str
    rows: int
    digest: str
    license: str | None
    """None where it is not stated."""
    teachers: Sequence[dict[str, Any]] = ()
    """`name`, `model`, `license` of each, by the card of the lessons."""


@dataclass(frozen=True)
class TriedModel:
    """A model tried on what is held out."""

    name: str
    found: dict[str, Any]
    """As `eval/*.json` has it."""

    def figure(self, name: str) -> str:
        """One of them, with its interval in brackets."""
        value, _, interval = figure_text(self.found, name).partition("  ")
        return f"{value} ({interval})" if interval else value


def student_card(loaded: Loaded, run: Path, data: Sequence[TrainingData], *, begin: Path, smoke: bool = False) -> str:
    """The text of `train/student/README.md`. What data, models and files say stands in it as text, never as markup.

    `begin` is the folder of the student's first weights.
    """
    pipeline, plan = loaded.pipeline, loaded.pipeline.train
    assert plan is not None
    chapters = past_chapters(plan, run, smoke=smoke)
    first = None if smoke else base_figures(run, chapters)
    line = trained_chapters(plan, chapters)
    last = _student_figures(chapters, line)
    own = [TriedModel(chapter.title, chapter.tried) for chapter in chapters if chapter.tried]
    beside = [TriedModel(chapter.title, chapter.tried) for chapter in chapters if chapter.tried and _is_beside(chapter, line)]
    others = list(_other_students(run, chapters, last))
    begun = card_header(begin / "README.md").get("license")
    models = _named_models(plan, line, loaded.root)
    licence = student_licence(_known_license(begun), _licensed_parts(data, models))
    text = card_template("student.md").render(
        name=pipeline.name,
        version=__version__,
        task=pipeline.task,
        stages=len(line),
        branches=any(chapter.origin for chapter in chapters),
        merges=any(chapter.stage.kind == "merge" for chapter in chapters),
        reasons=_learns_reasoning(loaded, plan),
        smoke=smoke,
        base={
            "model": _student_name(plan, loaded.root),
            "license": begun,
            "tiny": plan.student.tiny,
        },
        models=models,
        prompt=loaded.prompts.student.text,
        max_tokens=most_tokens(plan),
        dtype=(last or {}).get("dtype") or "float32",
        chapters=[_stage_told(chapter) for chapter in chapters],
        stage_remarks=[f"{chapter.stage.remark}." for chapter in chapters if chapter.stage.remark],
        held={"what": _held_text(pipeline.eval)},
        tried=[*([TriedModel("nothing: the student it began with", first)] if first else []), *own, *others, *_commonest_row(last)]
        if last
        else [],
        remarks=list(figure_remarks(first, last, [*beside, *others], chosen=sum("best" in chapter.manifest for chapter in chapters)))
        if last
        else [],
        classes=_class_recalls(first, last),
        data=data,
        teachers=[teacher for part in data for teacher in part.teachers],
        versions=[f"cotforge {__version__}", *(f"{name} {number}" for name, number in _library_versions(chapters).items())],
        command="cotforge train pipeline.yaml",
        pipeline=mask_places(loaded.written),
        licence=licence,
    )
    head = yaml.safe_dump(student_header(loaded, line, last, licence), sort_keys=False, allow_unicode=True, width=1_000)
    return f"---\n{head}---\n\n{text}"


def lessons_of(lessons: Lessons, place: str | None, *, license: str | None) -> TrainingData:
    """What there is to say of a dataset, by its own card where it has one; `license` is what the pipeline file says, `place` its `data`."""
    about = card_header(next((found for file in lessons.files[:1] for found in _dataset_cards(file)), Path()))
    told = about.get("license") if isinstance(about.get("license"), str) else None
    listed = about.get("teachers")
    named = [teacher for teacher in listed if isinstance(teacher, dict) and "model" in teacher] if isinstance(listed, list) else []
    teachers = tuple(teacher | {"license": _known_license(teacher.get("license"))} for teacher in named)
    what = f"lessons of {place}" if place and HUB_ID.fullmatch(place) else "lessons"
    return TrainingData(what, len(lessons), lessons.digest, license or _known_license(told), teachers)


def figure_remarks(first: dict[str, Any] | None, last: dict[str, Any], others: Sequence[TriedModel], *, chosen: int = 0) -> Iterator[str]:
    """What the figures do and do not show, in sentences; of so many stages a checkpoint was `chosen` by them."""
    always = commonest_label(last)
    yield from (f"Mind: {line}." for line in one_sided(last))
    if always is not None and last.get("accuracy") is not None:
        yield f"Compared with {always.name}, the commonest label: {_compared_with_commonest(always, last)}"
    if chosen:
        yield "Checkpoints were chosen on the held-out samples themselves, so that these figures flatter the student."
    for name, found in [("the student it began with", first), *((row.name, row.found) for row in others)]:
        if found is not None and found.get("accuracy") is not None:
            yield f"Compared with {name}: {_compare_figures(found, last)}"
    if swapped.NAME in last:
        yield f"Given the reasoning of another sample to go on from: {swapped.swaps_text(last)}."
    if routing.NAME in last:
        yield f"Asked for the answer alone first: {routing.routing_text(last)}."
    if last["n"] < 200:
        yield f"{last['n']:,} samples are few: the intervals are wide, and of no width where a figure is 0 or 1, which proves little."
    if last.get("failed"):
        yield f"{last['failed']:,} questions were not answered, and count in no figure."


def _compare_figures(before: dict[str, Any], now: dict[str, Any]) -> str:
    (low, high), (least, most) = before["accuracy_interval"], now["accuracy_interval"]
    figures = f"accuracy {now['accuracy']:.3f} against {before['accuracy']:.3f}"
    if before["n"] != now["n"]:
        figures += f" (of {before['n']:,} of the {now['n']:,} samples)"
    if least > high and (label := one_answer(now)) is not None:
        return f"more often right, {figures}, but by always answering {show_value(label)}."
    if least > high:
        return f"better, {figures}; the intervals do not meet."
    if most < low:
        return f"worse, {figures}; the intervals do not meet."
    return f"not told apart, {figures}; the intervals meet."


def _compared_with_commonest(always: Commonest, now: dict[str, Any]) -> str:
    _, high = now["accuracy_interval"]
    word = "better" if always.is_beaten_by(now) else "worse" if high < always.share else "not told apart"
    figures = f"{word}, accuracy {now['accuracy']:.3f} against {always.share:.3f}"
    recall = now.get("macro_recall")
    return figures + ("." if recall is None else f", macro recall {recall:.3f} against {always.macro_recall:.3f}.")


def card_header(file: Path) -> dict[str, Any]:
    """The YAML header of a card; empty where there is none that can be read."""
    try:
        parts = file.read_text(encoding="utf-8").split("---\n", 2)
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _named_models(plan: Plan, line: Sequence[Chapter], root: Path) -> list[dict[str, str | None]]:
    """The models that the student was merged with or pulled towards, each with its licence as far as its folder tells it."""
    read = models_of(plan.expanded(), line[-1].stage.name) if line else []
    return [
        {"model": _model_place(model, root), "license": _known_license(card_header(root / model / "README.md").get("license"))}
        for model in read
    ]


def _model_place(model: str, root: Path) -> str:
    """An id on the Hub, or the name of a folder."""
    return Path(model).name if (root / model).is_dir() else model


def _student_name(plan: Plan, root: Path) -> str:
    """A student's id on the Hub, the name of its folder, or what kind of tiny one it is."""
    model = plan.student.model
    return plan.student.named if model is None else _model_place(model, root)


def _other_students(run: Path, chapters: Sequence[Chapter], last: dict[str, Any] | None) -> Iterator[TriedModel]:
    """Whatever else was tried on the same samples, here or in a run folder within this one: a baseline, a teacher, a larger model."""
    own = {BASE, "student", "base", *(chapter.folder.name for chapter in chapters)}
    for file in sorted([*run.glob("eval/*.json"), *run.glob("*/eval/*.json")]) if last else ():
        there = file.parents[1]
        if file.stem == BASE or (there == run and file.stem in own):
            continue
        found = read_object(file)
        if last and found.get("held_out") == last.get("held_out") is not None:
            yield TriedModel(file.stem if there == run else f"{there.name}: {file.stem}", found)


def _commonest_row(last: dict[str, Any]) -> list[TriedModel]:
    """The commonest label, given to everything, as if it were a student."""
    always = commonest_label(last)
    return [TriedModel(always.row, always.figures(last["n"]))] if always else []


def _student_figures(chapters: Sequence[Chapter], line: Sequence[Chapter]) -> dict[str, Any] | None:
    """Of the student: of the last stage that it went through, else of a stage that only tries that one's weights."""
    if not line:
        return None
    last = line[-1]
    tries = [chapter.tried for chapter in chapters if not chapter.stage.leaves_weights and chapter.parent == last.stage.name]
    return next(filter(None, [*reversed(tries), last.tried]), None)


def _is_beside(chapter: Chapter, line: Sequence[Chapter]) -> bool:
    """Whether it is of another branch than the student's."""
    above = {each.stage.name for each in line}
    return chapter.stage.name not in above if chapter.stage.leaves_weights else chapter.parent not in {None, *above}


def _stage_told(chapter: Chapter) -> dict[str, Any]:
    last = chapter.last
    named = [f"{name} {last[name]:.4g}" for name in METRICS if isinstance(last.get(name), int | float)]
    return {"line": chapter.line, "last": last, "metrics": ", ".join(named) or "-"}


def _held_text(held: Eval | None) -> str:
    if held is None:
        return ""
    return f"Split {held.split} of the source" if held.split else f"{held.share:.1%} of the source's samples, chosen by their pictures"


def _class_recalls(first: dict[str, Any] | None, last: dict[str, Any] | None) -> list[tuple[str, int, float | None, float | None]]:
    recall: dict[str, float | None] = last["recall"] if last else {}
    if last is None or len(recall) > CLASSES:
        return []
    before = first["recall"] if first else {}
    return [(label, last["support"][label], before.get(label), share) for label, share in recall.items()]


def _learns_reasoning(loaded: Loaded, plan: Plan) -> bool:
    """Whether it learned texts that reason."""
    texts = any(stage.learns_texts and stage.learns_from != "source" for stage in plan.expanded())
    return texts and "reasoning" in loaded.prompts.completion.inputs


def _library_versions(chapters: Sequence[Chapter]) -> dict[str, str]:
    """Of the libraries that the last stage was done with."""
    return dict(chapters[-1].manifest.get("versions", {})) if chapters else {}


def _dataset_cards(file: Path) -> Iterator[Path]:
    """Of the dataset that a parquet file lies in."""
    return (folder / "README.md" for folder in file.parents[:2] if (folder / "README.md").is_file())


def _licensed_parts(data: Sequence[TrainingData], models: Sequence[dict[str, str | None]]) -> dict[str, str | None]:
    """What a student learned from, who wrote it, and the models that it was merged with, each with its licence."""
    parts = {part.what: part.license for part in data} | {str(model["model"]): model["license"] for model in models}
    return parts | {
        one_line(str(teacher.get("model"))): _known_license(teacher.get("license")) for part in data for teacher in part.teachers
    }


def _known_license(license: object) -> str | None:
    return license if isinstance(license, str) and license not in ("", "unknown") else None
