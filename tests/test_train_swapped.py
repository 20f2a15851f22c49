"""Another sample's reasoning to go on from: what the student answers then tells whether it looks at the picture or at the reasoning."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cotforge.answers import Task
from cotforge.images import Images, PictureStore
from cotforge.images.refs import FileRef
from cotforge.prompts import Prompts
from cotforge.records import Reply, Sample, Trace
from cotforge.train.evaluation import swapped
from cotforge.train.evaluation.askers import CheckpointAsker, Question
from cotforge.train.evaluation.evaluate import Exchange, evaluate_asker
from cotforge.train.evaluation.held_out import HeldOutSamples
from tests import tiny_vlm

LABELS = tuple(tiny_vlm.SAYINGS)


def held(samples: Sequence[Sample]) -> HeldOutSamples:
    return HeldOutSamples(
        Task(kind="classify", question="Which colour is it?", labels=LABELS), Prompts().load(Path()).student, tuple(samples)
    )


def sample(number: int, label: str) -> Sample:
    return Sample(f"s{number}", (), "Which colour is it?", LABELS, label)


class Scripted:
    """An asker that reasons its way to each sample's label, and goes on from a reasoning as it is told."""

    name, dtype, engine = "scripted", None, "none"

    def __init__(self, goes_on: Callable[[str, str], str]) -> None:
        self.goes_on = goes_on

    def answers(
        self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
    ) -> list[Reply]:
        return [Reply("", self._said(question), finish_reason="stop") for question in questions]

    def _said(self, question: Question) -> str:
        label, last = str(question.sample.label), question.messages[-1]
        if last["role"] != "assistant":
            return f"<think>It looks {label}.</think>\n<answer>{label}</answer>"
        return self.goes_on(label, last["content"][0]["text"])


def follows_the_picture(label: str, begun: str) -> str:
    return f"{label}</answer>"


def follows_the_reasoning(label: str, begun: str) -> str:
    assert begun.startswith("<think>It looks ")
    assert begun.endswith(".</think>\n<answer>")
    return begun.removeprefix("<think>It looks ").partition(".")[0]


@pytest.mark.parametrize(
    ("goes_on", "figure"),
    [
        (follows_the_picture, "follows_picture"),
        (follows_the_reasoning, "follows_reasoning"),
        (lambda label, begun: next(each for each in LABELS if each not in begun and each != label), "follows_neither"),
        (lambda label, begun: "mauve, perhaps, or something else that nobody asked for", "unread"),
    ],
)
def test_the_answer_is_that_of_the_picture_or_of_the_reasoning_or_of_neither(goes_on: Callable[[str, str], str], figure: str) -> None:
    samples = [sample(number, LABELS[number % 4]) for number in range(12)]
    found = evaluate_asker(Scripted(goes_on), held(samples), probe=swapped.measure_swaps)
    shares = {name: found[swapped.NAME][name] for name in swapped.FIGURES}
    assert shares == dict.fromkeys(swapped.FIGURES, 0.0) | {figure: 1.0}
    assert (found["n"], found["accuracy"], found[swapped.NAME]["n"]) == (12, 1.0, 12)
    low, high = found[swapped.NAME][f"{figure}_interval"]
    assert 0.7 < low < high == 1.0
    assert swapped.swaps_text(found) == f"swapped reasoning (12): the answer {figure.replace('_', ' ')} 1.000  {low:.3f} to 1.000"


def test_where_one_answer_is_given_to_everything_there_is_nothing_to_swap() -> None:
    found = evaluate_asker(Scripted(follows_the_picture), held([sample(number, "red") for number in range(3)]), probe=swapped.measure_swaps)
    assert (found[swapped.NAME]["n"], found[swapped.NAME]["follows_picture"]) == (0, None)
    assert "nothing to swap" in swapped.swaps_text(found)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.booleans(), st.booleans()), max_size=30))
def test_a_reasoning_comes_from_a_sample_with_the_same_options_that_was_answered_otherwise(
    rows: list[tuple[str | None, bool, bool]],
) -> None:
    def exchange(place: int, answer: str | None, reasons: bool, other: bool) -> Exchange:
        asked = Sample(str(place), (), "?", ("a", "b", "c", "d") if other else ("a", "b", "c"), "a")
        trace = Trace(
            call="", teacher="", model="", index=0, reasoning="Hm." if reasons else "", answer=answer, read_as="tags",
            fault=None, well_formed=True, finish_reason="stop",
        )  # fmt: skip
        return Exchange(Question(asked, ()), Reply(""), trace)

    said = [exchange(place, *row) for place, row in enumerate(rows)]
    found = swapped.draw_donors(said)
    assert len({place for place, _ in found}) == len(found)
    for place, donor in found:
        own, other = said[place], said[donor]
        assert own.question.sample.options == other.question.sample.options
        assert None not in (own.trace.answer, other.trace.answer)
        assert own.trace.answer != other.trace.answer
        assert other.trace.reasoning
    able = [
        place
        for place, own in enumerate(said)
        if own.trace.answer is not None
        and any(
            other.trace.reasoning
            and other.trace.answer not in (None, own.trace.answer)
            and other.question.sample.options == own.question.sample.options
            for other in said
        )
    ]
    assert [place for place, _ in found] == able, "every one that can has part in it"


def test_a_real_student_goes_on_from_anothers_reasoning(vlm: Path, tmp_path: Path) -> None:
    store, samples = PictureStore(tmp_path / "run", Images()), []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (30 + number, 40), LABELS[number % 4]).save(path)
        picture = store.picture(FileRef(str(path), path.name))
        samples.append(Sample(f"s{number}", (picture,), "Which colour is it?", LABELS, LABELS[number % 4]))
    store.close()
    found = evaluate_asker(CheckpointAsker.load(str(vlm)), held(samples), max_tokens=64, probe=swapped.measure_swaps)
    own = found[swapped.NAME]
    assert (found["accuracy"], own["n"]) == (1.0, 8)
    assert sum(own[name] for name in swapped.FIGURES) == pytest.approx(1)
    assert own["unread"] == 0, "it goes on from the beginning that it is given, in its own form"
