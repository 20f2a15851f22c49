"""The YAML header of a student's card: what it is made of, its licence, and what was measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cotforge.card import one_line
from cotforge.card_extras import hub_lineage
from cotforge.card_keys import HUB_ID
from cotforge.hub.licence import Licence, choose_licence
from cotforge.pipeline import Loaded
from cotforge.plan import Plan
from cotforge.train.report.past import Chapter

MEASURED = {"accuracy": "accuracy", "macro_recall": "recall"}
"""Figures of `eval/*.json` to the Hub's word for the metric."""


def student_header(loaded: Loaded, line: Sequence[Chapter], last: Mapping[str, Any] | None, licence: Licence | None) -> dict[str, Any]:
    """What the Hub reads. `line`: the stages that led to the student; `last`: its figures, None where nothing was held out.

    A merge names all models of the Hub that it is made of (https://huggingface.co/docs/hub/model-cards).
    """
    plan = loaded.pipeline.train
    assert plan is not None
    head: dict[str, Any] = {}
    if licence is not None and licence.identifier != "unknown":
        head["license"] = licence.identifier
        head |= {"license_name": licence.name, "license_link": "LICENSE"} if licence.name else {}
    head |= {"library_name": "transformers", "pipeline_tag": "image-text-to-text"}
    if models := _base_models(plan, line, loaded.root):
        head["base_model"] = models[0] if len(models) == 1 else models
    if line and line[-1].stage.kind == "merge":
        head["base_model_relation"] = "merge"
    if plan.data and HUB_ID.fullmatch(plan.data) and not (loaded.root / plan.data).exists():
        head["datasets"] = [one_line(plan.data)]
    head["tags"] = ["chain-of-thought", "reasoning", "vision", "cotforge"]
    if last is not None and (metrics := _metrics(last)):
        head["metrics"] = sorted({str(metric["type"]) for metric in metrics})
        head["model-index"] = [{"name": one_line(loaded.pipeline.name), "results": [_result(loaded, metrics)]}]
    return head


def student_licence(base: str | None, parts: Mapping[str, str | None]) -> Licence | None:
    """Of a student, by its base model and what wrote or holds its lessons; None where the base is not known to have one."""
    return choose_licence(base, parts, what="the base model") if base else None


def _base_models(plan: Plan, line: Sequence[Chapter], root: Path) -> list[str]:
    """Ids on the Hub of the student's base, and of what it was merged with."""
    stages = {stage.name for stage in plan.expanded()}
    merged = [model for chapter in line if chapter.stage.kind == "merge" for model in chapter.stage.reads().values() if model not in stages]
    named = [model for model in (plan.student.model, *merged) if model and HUB_ID.fullmatch(model) and not (root / model).is_dir()]
    return [one_line(model) for model in dict.fromkeys(named)]


def _metrics(last: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, word in MEASURED.items():
        if isinstance(value := last.get(name), int | float):
            interval = last.get(f"{name}_interval")
            said = f", 95 % interval {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
            title = f"{name.replace('_', ' ')} of {last.get('n', 0):,} held-out samples{said}"
            found.append({"type": word, "value": round(value, 4), "name": title})
    return found


def _result(loaded: Loaded, metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    held, lineage = loaded.pipeline.eval, hub_lineage(loaded)
    kind = "image-classification" if loaded.pipeline.task.kind == "classify" else "visual-question-answering"
    dataset: dict[str, Any] = {"type": (lineage or [one_line(loaded.pipeline.name)])[0], "name": one_line(loaded.pipeline.name)}
    if held is not None and held.split:
        dataset["split"] = held.split
    return {"task": {"type": kind}, "dataset": dataset, "metrics": list(metrics)}
