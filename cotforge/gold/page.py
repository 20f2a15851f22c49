"""The page on which a person answers: one file that holds all of it, and asks nothing of anybody else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from cotforge.gold.sheet import share_cell
from cotforge.images.small import data_uri
from cotforge.pages import page_environment
from cotforge.pages.scripts import page_file, safe_json, script_hash
from cotforge.records import Sample

SIDE = 768
"""Pixels of the longer side of a picture on the page."""


def gold_page(
    name: str, samples: Sequence[Sample], *, then: str, drawn: Mapping[str, float] | None = None, known: Sequence[tuple[str, str]] = ()
) -> str:
    """The text of `gold.html`. All that comes from data stands in it as text; no label and no teacher's answer does.

    `then` is the command that reads the answers. `drawn`, by id, has each sample's probability of being drawn. `known` are (id, answer) of
    samples that people checked before: they are not shown, and go into the saved file with a probability that has changed.
    """
    script, style = page_file("gold.js"), page_file("gold.css")
    shown = {"name": name, "key": storage_key(name, samples), "then": then, **_asked_questions(samples, drawn or {})}
    if drawn:
        shown["known"] = [(id, answer, share_cell(drawn.get(id))) for id, answer in known]
    return (
        page_environment(autoescape=True)
        .get_template("gold.html")
        .render(name=name, count=len(samples), data=safe_json(shown), script=script, style=style, trusted=script_hash(script))
    )


def storage_key(name: str, samples: Iterable[Sample]) -> str:
    """Under what a browser keeps the answers: another set of samples is another page."""
    ids = json.dumps([sample.id for sample in samples])
    return f"cotforge-gold:{name}:{sha256(ids.encode()).hexdigest()[:16]}"


def _asked_questions(samples: Sequence[Sample], drawn: Mapping[str, float]) -> Mapping[str, Any]:
    """Each question and set of options once: thousands of labels are shared by all samples."""
    questions = {question: place for place, question in enumerate(dict.fromkeys(sample.question for sample in samples))}
    sets = {options: place for place, options in enumerate(dict.fromkeys(sample.options for sample in samples))}
    return {
        "questions": list(questions),
        "sets": list(sets),
        "samples": [
            {
                "id": sample.id,
                "question": questions[sample.question],
                "options": sets[sample.options],
                "pictures": [data_uri(picture, SIDE) for picture in sample.pictures],
                **({"drawn": share_cell(drawn.get(sample.id))} if drawn else {}),
            }
            for sample in samples
        ],
    }
