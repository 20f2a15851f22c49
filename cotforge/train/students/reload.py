"""After a stage: what was saved is loaded again, and must say what the student says."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import islice

from cotforge.errors import PipelineError
from cotforge.records import Picture, Sample
from cotforge.train import guards
from cotforge.train.data.lessons import Lessons
from cotforge.train.evaluation.askers import Checkpoint, Question
from cotforge.train.students import student
from cotforge.train.work import Work

TOKENS = 32
"""Of the one answer that is compared (ours)."""


def check_saved(pupil: student.Pupil, work: Work, lessons: Lessons) -> None:
    """One greedy answer before and after. Raises PipelineError where they differ; with adapters, which merging rounds, tells so."""
    questions = list(map(_question, islice(lessons.rows(["id", "images", "prompt"]), 1)))
    again = student.load(work.plan.student.model_copy(update={"lora": None, "qlora": False, "freeze": ()}), work.weights)
    again.model.to(pupil.model.device)
    try:
        guards.check_reload(_says(pupil, questions), _says(again, questions), work.weights)
    except PipelineError as fault:
        if work.plan.student.lora is None:
            raise
        work.record.say(f"guard: {fault}")


def _says(pupil: student.Pupil, questions: Sequence[Question]) -> list[str]:
    asker = Checkpoint(pupil.model, pupil.processor, name=str(pupil.begin))
    return [reply.content for reply in asker.answers(questions, max_tokens=TOKENS, done=bool)]


def _question(row: dict[str, object]) -> Question:
    """From a row of the lessons."""
    images, prompt = row["images"], row["prompt"]
    assert isinstance(images, list)
    assert isinstance(prompt, list)
    pictures = tuple(map(_picture, images))
    content: list[dict[str, str]] = [{"type": "image", "digest": picture.digest} for picture in pictures]
    content.append({"type": "text", "text": prompt[-1]["content"]})
    return Question(Sample(str(row["id"]), pictures, ""), ({"role": "user", "content": content},))


def _picture(cell: dict[str, object]) -> Picture:
    if cell["bytes"] is None:
        with open(str(cell["path"]), "rb") as file:
            data = file.read()
    else:
        data = bytes(cell["bytes"])  # type: ignore[call-overload]
    return Picture(sha256(data).hexdigest(), "", 0, 0, len(data), lambda: data)
