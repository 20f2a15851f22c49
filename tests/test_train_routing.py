"""Short answer or long one: Bayes' rule on two normal distributions decides, and is measured on samples that it was not fitted on."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.images import Images, PictureStore
from cotforge.images.refs import FileRef
from cotforge.prompts import Prompts
from cotforge.records import Reply, Sample
from cotforge.train.data.lesson_records import Making
from cotforge.train.data.prepared import collate_lessons
from cotforge.train.evaluation import routing
from cotforge.train.evaluation.askers import CheckpointAsker, Question
from cotforge.train.evaluation.engines import Shared
from cotforge.train.evaluation.evaluate import evaluate_asker
from cotforge.train.evaluation.held_out import HeldOutSamples
from cotforge.train.evaluation.routing import Both, Normal, Router, fit_router, routing_figures
from tests import tiny_vlm

LABELS = tuple(tiny_vlm.SAYINGS)
POSITIVE = st.floats(0.1, 10)


@given(st.floats(1, 20), st.floats(0.1, 20), POSITIVE, st.floats(0.05, 0.95), st.floats(1, 60))
def test_of_equal_widths_the_bound_is_where_the_closed_form_has_it(
    mean: float, apart: float, std: float, prior: float, value: float
) -> None:
    right, wrong = Normal(mean, std, prior), Normal(mean + apart, std, 1 - prior)
    bound = mean + apart / 2 + std**2 / apart * math.log(prior / (1 - prior))
    assume(abs(value - bound) > 1e-6 * (1 + abs(bound)))
    assert Router(right, wrong).keeps(value) == (value < bound)


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.floats(0.05, 0.95), st.floats(0, 20))
def test_what_is_kept_is_at_least_as_likely_right_as_wrong(
    mean: float, other: float, std: float, width: float, prior: float, value: float
) -> None:
    def joint(normal: Normal) -> float:
        return normal.prior / (normal.std * math.sqrt(2 * math.pi)) * math.exp(-((value - normal.mean) ** 2) / (2 * normal.std**2))

    right, wrong = Normal(mean, std, prior), Normal(other, width, 1 - prior)
    assume(min(joint(right), joint(wrong)) > 1e-200)
    assume(not math.isclose(joint(right), joint(wrong), rel_tol=1e-9))
    assert Router(right, wrong).keeps(value) == (joint(right) >= joint(wrong))


def test_the_distributions_are_the_means_and_standard_deviations_of_each_kind() -> None:
    found = fit_router([1.0, 1.2, 1.4, 3.0, 5.0], [True, True, True, False, False])
    assert found.right is not None
    assert found.wrong is not None
    assert (found.right.mean, found.right.std, found.right.prior) == pytest.approx((1.2, math.sqrt(0.08 / 3), 0.6))
    assert (found.wrong.mean, found.wrong.std, found.wrong.prior) == pytest.approx((4.0, 1.0, 0.4))
    assert found.keeps(1.3)
    assert not found.keeps(3.5)


def test_where_hardly_any_answer_was_of_a_kind_the_other_one_decides() -> None:
    assert fit_router([1.0, 2.0, 9.0], [True, True, False]).keeps(9.0)
    assert not fit_router([1.0, 2.0, 9.0], [False, False, True]).keeps(9.0)
    assert not fit_router([], []).keeps(1.0)
    assert fit_router([1.0, 1.0, 3.0, 3.0], [True, True, False, False]).keeps(1.0), "equal perplexities have a width"


def rows(count: int, short: Callable[[int], tuple[float, bool]], long: Callable[[int], bool]) -> list[Both]:
    return [Both(f"s{number}", *short(number), long(number), 2, 20) for number in range(count)]


def test_tokens_are_saved_where_perplexity_tells_right_from_wrong() -> None:
    found = routing_figures(rows(40, lambda number: (1.0 + number % 2 * 4 + number % 3 / 10, number % 2 == 0), lambda number: True))
    assert (found["n"], found["calibrated_on"]) == (20, 20)
    assert (found["accuracy"], found["long_accuracy"]) == (1.0, 1.0)
    assert found["short_accuracy"] == found["kept_short"] < 1
    assert found["tokens"] == pytest.approx(2 + 20 * (1 - found["kept_short"]))
    assert found["tokens_saved"] == pytest.approx(1 - found["tokens"] / 20)
    told = routing.routing_text({routing.NAME: found})
    assert told.startswith("short or long (20, fitted on 20 others): accuracy 1.000")
    assert told.endswith("fewer than always long")


def test_always_asking_twice_costs_more_than_always_reasoning() -> None:
    found = routing_figures(rows(40, lambda number: (2.0, False), lambda number: number % 2 == 0))
    assert (found["kept_short"], found["tokens_saved"]) == (0, pytest.approx(-0.1))
    assert found["accuracy"] == found["long_accuracy"]
    assert routing.routing_text({routing.NAME: found}).endswith("10% more than always long")
    assert "too few" in routing.routing_text({routing.NAME: routing_figures(rows(1, lambda number: (2.0, False), lambda number: True))})


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Sample]:
    folder = tmp_path_factory.mktemp("pictures")
    store, found = PictureStore(folder / "run", Images()), []
    for number in range(8):
        path = folder / f"{number}.png"
        Image.new("RGB", (30 + number, 40), LABELS[number % 4]).save(path)
        found.append(
            Sample(f"s{number}", (store.picture(FileRef(str(path), path.name)),), "Which colour is it?", LABELS, LABELS[number % 4])
        )
    store.close()
    return found


def held(samples: Sequence[Sample]) -> HeldOutSamples:
    return HeldOutSamples(
        Task(kind="classify", question="Which colour is it?", labels=LABELS), Prompts().load(Path()).student, tuple(samples)
    )


def test_perplexity_is_that_of_the_loss_on_the_same_tokens(vlm: Path, samples: Sequence[Sample]) -> None:
    asker, asked = CheckpointAsker.load(str(vlm)), held(samples)
    model, processor = asker._model, asker._engine.processor
    told = (tiny_vlm.SAYINGS["red"], "<answer>x</answer>")
    texts = [(Question(sample, asked.messages(sample)), said) for sample in samples[:2] for said in told]
    found = Shared(asker).perplexities(texts)
    for (question, said), value in zip(texts, found, strict=True):
        lesson = {
            "images": [Image.open(picture.file) for picture in question.sample.pictures],
            "prompt": [{"role": "user", "content": asked.prompt.render(question.sample)}],
            "completion": [{"role": "assistant", "content": said}],
        }
        batch = collate_lessons([Making((), processor).make(lesson)[:2]], processor.tokenizer.pad_token_id)
        with torch.no_grad():
            loss = model(**batch).loss
        assert value == pytest.approx(math.exp(loss.item()), rel=1e-4)
    assert found[0] < found[1], "it has learned to say so, and not so"


def test_a_real_student_is_asked_for_the_answer_alone_too(vlm: Path, samples: Sequence[Sample]) -> None:
    found = evaluate_asker(Shared(CheckpointAsker.load(str(vlm))), held(samples), max_tokens=64, probe=routing.measure_routing)
    own = found[routing.NAME]
    assert (own["n"], own["calibrated_on"]) == (4, 4)
    assert own["long_accuracy"] == found["accuracy"] == 1.0
    assert own["long_tokens"] > 1
    assert own["tokens"] == pytest.approx(own["short_tokens"] + (1 - own["kept_short"]) * own["long_tokens"], rel=0.5)


def test_an_engine_without_perplexities_is_refused(samples: Sequence[Sample]) -> None:
    class Server:
        name, dtype, engine = "server", None, "server"

        def answers(
            self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
        ) -> list[Reply]:
            return [Reply("", "<answer>red</answer>", finish_reason="stop") for _ in questions]

    with pytest.raises(PipelineError, match="transformers alone tells"):
        evaluate_asker(Server(), held(samples), probe=routing.measure_routing)
