"""Stages of kind `sft` with a `prior:`: what the optimizer sees, under adapters too, and every way in which nothing would be bent."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, LlamaConfig, Phi3Config, Qwen2Config

from cotforge.errors import PipelineError
from cotforge.plan import Plan, Prior
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.prior import tensors
from cotforge.train.prior.gradient import GradientPrior
from cotforge.train.prior.make_prior import of_stage
from cotforge.train.students import loaded_student, tiny
from cotforge.train.weights.names import decoder_names
from tests.experts import text_model
from tests.squares import SIZE, TEXTS, write
from tests.test_train_prior_rules import closed_form
from tests.test_train_sft import learn, metrics, work

SGD = {"optim": "sgd", "max_grad_norm": 0.0, "lr_scheduler_type": "constant"}
"""Steps that are the gradient itself, times the learning rate."""
BENT = (".self_attn.", ".mlp.")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("begin") / "llava", TEXTS, SIZE)


@pytest.fixture(scope="module")
def reasoner(begin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_model(tmp_path_factory.mktemp("expert") / "text", begin)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 16), cache=folder / "cache")


def language(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the language part of a model's folder by their names below the decoder."""
    held = load_file(folder / "model.safetensors")
    return {name: held[key] for name, key in decoder_names(held).items()}


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return sum(float((one[name] - other[name]).double().square().sum()) for name in one if any(part in name for part in BENT)) ** 0.5


def learned(folder: Path, begin: Path, lessons: Lessons, **fields: Any) -> dict[str, torch.Tensor]:
    """The language part after a stage."""
    made = work(folder, begin, lessons, **({"batch": 4, "accumulate": 2, "steps": 1, "learning_rate": 1.0, "trl": SGD} | fields))
    learn(made)
    return language(made.weights)


@pytest.fixture(scope="module")
def plain(begin: Path, lessons: Lessons, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """After one step of two forward passes without a prior."""
    return learned(tmp_path_factory.mktemp("plain") / "stage", begin, lessons)


@pytest.mark.parametrize("rule", ["absolute", "gradnorm", "cosine"])
def test_the_optimizer_sees_the_whole_gradient_of_a_step_bent_once(
    rule: str, begin: Path, reasoner: Path, lessons: Lessons, plain: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    before, there = language(begin), language(reasoner)
    after = learned(tmp_path, begin, lessons, prior={"expert": str(reasoner), "rule": rule, "alpha": 0.5})
    for name, weight in before.items():
        gradient = weight - plain[name]  # of both passes
        if not any(part in name for part in BENT):
            assert torch.equal(after[name], plain[name]), name
            continue
        difference = (there[name] - weight).double().numpy()
        if rule == "absolute":
            difference *= float(weight.norm()) / np.linalg.norm(difference)
        expected = closed_form(gradient.double().numpy(), difference, rule, 0.5)
        np.testing.assert_allclose(
            (weight - after[name]).numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max() + 1e-8, err_msg=name
        )
    (row,) = metrics(tmp_path)
    assert -1 < row["prior/cosine"] < 1
    if rule == "gradnorm":
        assert row["prior/added"] == pytest.approx(0.5, abs=1e-6)
    assert row["prior/distance"] == pytest.approx(distance(before, there), rel=1e-5), "of the weights before the step"


def test_alpha_0_is_plain_sft_to_the_last_bit(begin: Path, reasoner: Path, lessons: Lessons, tmp_path: Path) -> None:
    usual = {"steps": 3, "learning_rate": 3e-3, "trl": {}, "accumulate": 1}
    both = [
        learned(tmp_path / name, begin, lessons, **usual, **more)
        for name, more in (("plain", {}), ("bent", {"prior": {"expert": str(reasoner), "alpha": 0}}))
    ]
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])
    bent = [{name: value for name, value in row.items() if not name.startswith("prior/")} for row in metrics(tmp_path / "bent")]
    assert bent == metrics(tmp_path / "plain")
    assert metrics(tmp_path / "bent")[0]["prior/added"] == 0


def test_under_adapters_the_merged_weights_end_nearer_to_the_expert(
    begin: Path, reasoner: Path, lessons: Lessons, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = {"steps": 6, "learning_rate": 3e-3, "trl": {}, "accumulate": 1, "student": {"lora": {"rank": 4}, "freeze": ["vision"]}}
    there = language(reasoner)
    plain = distance(learned(tmp_path / "plain", begin, lessons, **usual), there)
    capsys.readouterr()
    for rule in ("gradnorm", "cosine"):
        bent = learned(tmp_path / rule, begin, lessons, **usual, prior={"expert": str(reasoner), "rule": rule, "alpha": 2})
        assert distance(bent, there) < plain - 0.01
    said = capsys.readouterr().err
    assert "14 tensors are bent towards" in said
    assert "projected onto the adapters (an extension of cotforge's own)" in said
    assert "6 are not trained (such as layers.0.self_attn.q_proj.bias)" in said
    assert f"end {distance(bent, there):.4g} from the expert's" not in said, "biases count too where the expert differs"


def test_a_difference_is_projected_as_the_slope_of_its_product_with_the_merged_matrix(begin: Path) -> None:
    spec = Plan.model_validate({"student": {"model": str(begin), "lora": {"rank": 3, "alpha": 12}}, "preset": "label-only"}).student
    pupil = loaded_student.load_pupil(spec, begin)
    found = tensors.find_tensor(pupil.model, "layers.1.mlp.down_proj.weight")
    assert isinstance(found, tensors.Adapted)
    a, b = found.weights
    torch.nn.init.normal_(b, std=0.1, generator=torch.Generator().manual_seed(0))
    difference = torch.randn(b.shape[0], a.shape[1], generator=torch.Generator().manual_seed(1))
    merged = found.layer.get_base_layer().weight + 12 / 3 * b @ a
    (merged * difference).sum().backward()
    for ours, weight in zip(found.differences(difference), (a, b), strict=True):
        torch.testing.assert_close(ours, weight.grad, rtol=1e-5, atol=1e-6)
    assert float(found.distance(difference)) == pytest.approx(float((merged.detach() - difference).square().sum()), rel=1e-5)


def test_bfloat16_weights_round_away_at_1e_6_what_float32_weights_learn(
    begin: Path, reasoner: Path, lessons: Lessons, tmp_path: Path
) -> None:
    moved = {}
    for dtype in ("float32", "bfloat16"):
        usual = {"steps": 2, "learning_rate": 1e-6, "trl": {"lr_scheduler_type": "constant"}, "student": {"dtype": dtype}}
        one, other = (
            learned(tmp_path / f"{dtype}-{name}", begin, lessons, **usual, **more)
            for name, more in (("plain", {}), ("bent", {"prior": {"expert": str(reasoner)}}))
        )
        names = [name for name in one if any(part in name for part in BENT) and name.endswith("weight")]
        moved[dtype] = sum(int((one[name] != other[name]).sum()) for name in names) / sum(one[name].numel() for name in names)
    assert moved["float32"] > 0.3
    assert moved["bfloat16"] < 0.02


# what would bend nothing


def built(folder: Path, begin: Path, lessons: Lessons, prior: dict[str, Any], **fields: Any) -> GradientPrior:
    made = work(folder, begin, lessons, prior=prior, **fields)
    pupil = loaded_student.load_pupil(made.plan.student, begin)
    with made.record:
        found = of_stage(made.stage, made, pupil)
    assert found is not None
    return found


def rejected(folder: Path, begin: Path, lessons: Lessons, prior: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(PipelineError) as fault:
        built(folder, begin, lessons, prior, **fields)
    (line,) = fault.value.faults
    return line


@pytest.mark.parametrize(
    ("family", "changes", "said"),
    [
        (GPT2Config, {}, "prior.expert"),
        (Phi3Config, {"pad_token_id": 0}, "keeps q, k and v in one matrix"),
        (Qwen2Config, {"num_attention_heads": 4}, "num_attention_heads 4 where the student has 2"),
        (Qwen2Config, {"intermediate_size": 48}, "intermediate_size 48"),
    ],
)
def test_an_expert_that_does_not_fit_is_one_line(
    family: Any, changes: dict[str, Any], said: str, begin: Path, lessons: Lessons, tmp_path: Path
) -> None:
    other = text_model(tmp_path / "other", begin, family=family, **changes)
    line = rejected(tmp_path / "stage", begin, lessons, {"expert": str(other)})
    assert line.startswith("stage 'inject': prior.expert: ")
    assert said in line


@pytest.mark.parametrize(
    ("prior", "student", "said"),
    [
        (
            {"modules": ["attn", "re:atn"]},
            {},
            "prior.modules: 're:atn' bends nothing: the student's language model has no tensor of such a name",
        ),
        ({"layers": [1, 2]}, {}, "prior.layers: the student has no layer 2; they count from 0"),
        ({"modules": ["attn", "norm"]}, {"lora": {}}, "prior.modules: 'norm' bends nothing: tensors such as 'layers.0.input_layernorm"),
        ({"modules": ["mlp"]}, {"lora": {"targets": ["q_proj"]}}, "have adapters beside them (train.student.lora.targets)"),
    ],
)
def test_modules_that_bend_nothing_are_one_line(
    prior: dict[str, Any], student: dict[str, Any], said: str, begin: Path, reasoner: Path, lessons: Lessons, tmp_path: Path
) -> None:
    assert said in rejected(tmp_path, begin, lessons, {"expert": str(reasoner)} | prior, student=student)


def test_an_expert_that_is_the_student_is_no_expert(begin: Path, lessons: Lessons, tmp_path: Path) -> None:
    assert "no weight that differs" in rejected(tmp_path, begin, lessons, {"expert": str(begin)})


def with_biases(folder: Path, begin: Path, value: float) -> Path:
    """The student with every bias of its language part at a value."""
    folder.mkdir()
    for file in begin.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    held = load_file(begin / "model.safetensors")
    held |= {key: torch.full_like(held[key], value) for name, key in decoder_names(held).items() if name.endswith("bias")}
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_bias_that_the_expert_lacks_counts_as_0_there_and_is_told_of(
    begin: Path, lessons: Lessons, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    biased = with_biases(tmp_path / "biased", begin, 0.5)
    llama = text_model(tmp_path / "llama", begin, family=LlamaConfig)
    name = "layers.0.self_attn.q_proj.bias"
    found = built(tmp_path / "stage", biased, lessons, {"expert": str(llama)})
    assert torch.equal(found.differences[name], torch.full_like(found.differences[name], -0.5))
    assert "6 biases count as zero where they are lacking" in capsys.readouterr().err
    assert name not in built(tmp_path / "without", biased, lessons, {"expert": str(llama), "bias": False}).names


def test_numbers_that_are_none_are_left_out_and_counted(
    begin: Path, reasoner: Path, lessons: Lessons, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in reasoner.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    held = load_file(reasoner / "model.safetensors")
    held["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(held, broken / "model.safetensors", metadata={"format": "pt"})
    assert "layers.0.mlp.up_proj.weight" not in built(tmp_path / "stage", begin, lessons, {"expert": str(broken)}).names
    assert "1 without a difference (0, or not finite) (such as layers.0.mlp.up_proj.weight)" in capsys.readouterr().err


def test_with_a_base_the_prior_is_what_its_training_changed(begin: Path, reasoner: Path, lessons: Lessons, tmp_path: Path) -> None:
    base = text_model(tmp_path / "base", begin, seed=2)
    found = built(tmp_path / "stage", begin, lessons, {"expert": str(reasoner), "base": str(base)})
    name = "layers.1.mlp.gate_proj.weight"
    torch.testing.assert_close(found.differences[name], language(reasoner)[name] - language(base)[name])
    assert torch.equal(found.expert(name), language(reasoner)[name])


# gradients of given tensors


class Text(torch.nn.Module):
    """As much of a student as is looked at: a decoder of an embedding and a layer, and a head that is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = torch.nn.Module()
        self.decoder.embed_tokens = torch.nn.Embedding(5, 4)
        self.decoder.layers = torch.nn.ModuleList([torch.nn.Module()])
        self.decoder.layers[0].mlp = torch.nn.Linear(4, 4)
        self.lm_head = torch.nn.Linear(4, 5, bias=False)
        self.lm_head.weight = self.decoder.embed_tokens.weight

    def get_decoder(self) -> Any:
        return self.decoder

    def get_output_embeddings(self) -> Any:
        return self.lm_head


EMBEDDING, MLP = "embed_tokens.weight", "layers.0.mlp.weight"


def prior_of(model: Text, names: list[str], **keys: Any) -> GradientPrior:
    generator = torch.Generator().manual_seed(3)
    weights = tensors.language_weights(model)
    differences = {name: torch.randn(weights[name].shape, generator=generator) for name in names}
    return GradientPrior(
        Prior.model_validate({"expert": "e", **keys}), names, differences, lambda name: weights[name].detach() + differences[name]
    )


def test_tied_embeddings_are_one_tensor_that_is_bent_once() -> None:
    model = Text()
    assert [*tensors.language_weights(model)] == [EMBEDDING, MLP, "layers.0.mlp.bias"]
    prior = prior_of(model, [EMBEDDING], rule="absolute", alpha=0.5)
    model.lm_head(model.decoder.embed_tokens(torch.tensor([0, 1]))).square().sum().backward()
    gradient = model.lm_head.weight.grad.clone()
    prior.bend(model)
    torch.testing.assert_close(model.lm_head.weight.grad, gradient - 0.5 * prior.differences[EMBEDDING])
    assert prior.metrics(model, 0)["prior/distance"] == pytest.approx(float(prior.differences[EMBEDDING].norm()), rel=1e-5)
    assert prior.metrics(model, 1) == {}, "nothing was bent since"


@pytest.mark.parametrize("rule", ["absolute", "gradnorm"])
def test_where_each_pass_is_bent_by_itself_the_difference_is_still_added_once(rule: str) -> None:
    """As under DeepSpeed, which never shows the gradient of a whole step."""
    model = Text()
    prior = prior_of(model, [MLP], rule=rule, alpha=2)
    prior.attach(model, passes=2)
    weight, difference = model.decoder.layers[0].mlp.weight, prior.differences[MLP]
    passes = [torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)]
    for gradient in passes:
        (weight * gradient).sum().backward()
    prior.bend(model)  # as at the end of every step
    pull = 2.0 if rule == "absolute" else 2 * sum(gradient.norm() for gradient in passes) / difference.norm()
    torch.testing.assert_close(weight.grad, sum(passes) - pull * difference)
    assert prior.metrics(model, 1)["prior/added"] > 0


def test_a_pull_that_leads_past_the_expert_is_told_once() -> None:
    model, said = Text(), list[str]()
    prior = prior_of(model, [MLP], rule="absolute")
    expert = tensors.language_weights(model)[MLP].detach() + prior.differences[MLP]
    prior = replace(prior, expert=lambda name: expert, tell=said.append)
    for step in range(0, 60, 10):
        model.zero_grad()
        model.decoder.layers[0].mlp(torch.ones(1, 4)).sum().backward()
        prior.bend(model)
        prior.metrics(model, step)
        with torch.no_grad():
            tensors.language_weights(model)[MLP].add_(prior.differences[MLP])  # once there, then past it
        assert len(said) == (step >= 30)
    assert said[0].startswith("guard: the student is ")
    assert said[0].endswith(
        "times as far from the expert as it was: the pull leads past it; lower learning_rate or prior.alpha, or take fewer steps"
    )


def test_gradients_that_an_optimizer_has_used_up_are_one_line() -> None:
    model = Text()
    with pytest.raises(PipelineError, match="not one of the 1 tensors has a gradient when a step is to be taken"):
        prior_of(model, [MLP]).bend(model)


def test_adapters_under_deepspeed_are_one_line(begin: Path) -> None:
    spec = Plan.model_validate({"student": {"model": str(begin), "lora": {}}, "preset": "label-only"}).student
    model = loaded_student.load_pupil(spec, begin).model
    prior = GradientPrior(Prior(expert="e"), ["layers.0.mlp.up_proj.weight"], {}, SimpleNamespace())
    with pytest.raises(PipelineError, match="under DeepSpeed the gradients of adapters cannot be bent together"):
        prior.attach(model, passes=1)
