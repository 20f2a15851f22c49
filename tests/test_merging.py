"""Merges of models in files: each method against a second implementation, written plainly from its paper on whole tensors."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from cotforge.errors import PipelineError
from cotforge.plan import Merge
from cotforge.train.weights import methods
from cotforge.train.weights.checkpoint import PIECE, Checkpoint
from cotforge.train.weights.merging import Merger
from cotforge.train.weights.names import decoder_names

Q, UP, NORM = "layers.0.self_attn.q_proj.weight", "layers.1.mlp.up_proj.weight", "norm.weight"
EMBED, HEAD, TOWER = "embed_tokens.weight", "lm_head.weight", "vision_tower.encoder.layers.0.mlp.fc1.weight"
SHAPES = {
    Q: (48, 32), "layers.0.self_attn.q_proj.bias": (48,), "layers.0.input_layernorm.weight": (32,),
    "layers.1.self_attn.q_proj.weight": (48, 32),
    UP: (540, 500), NORM: (32,), EMBED: (50, 32), HEAD: (50, 32),
}  # fmt: skip
BODY = [name for name in SHAPES if name not in (EMBED, HEAD)]
ONE, TWO = {"model": "one", "weight": 0.6}, {"model": "two", "weight": 0.9}
assert math.prod(SHAPES[UP]) > PIECE, "it comes in two pieces"

Weights = Mapping[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(seed: int) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=draws) for name, shape in SHAPES.items()}


def text_model(folder: Path, weights: Weights, *, kind: torch.dtype = torch.float32, prefix: str = "model.") -> Path:
    folder.mkdir(exist_ok=True)
    held = {name if name == HEAD else f"{prefix}{name}": weight.to(kind) for name, weight in weights.items()}
    save_file(held, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder


def vlm(folder: Path, weights: Weights, *, kind: torch.dtype = torch.float32) -> Path:
    """A student of two shards with a tower, and the names that a LLaVA's files have."""
    folder.mkdir()
    held = {
        f"language_model.{name}" if name == HEAD else f"language_model.model.{name}": weight.to(kind) for name, weight in weights.items()
    }
    shards = {
        "model-1.safetensors": {},
        "model-2.safetensors": {TOWER: torch.full((8, 4), 3.0), "multi_modal_projector.bias": torch.ones(4)},
    }
    for place, (name, weight) in enumerate(held.items()):
        shards[f"model-{1 + place % 2}.safetensors"][name] = weight
    for file, part in shards.items():
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"weight_map": {name: file for file, part in shards.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("as it was")
    (folder / "README.md").write_text("of the student alone")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Weights]]:
    """A student, and three text models of its shape."""
    home = tmp_path_factory.mktemp("models")
    held = {name: drawn(seed) for seed, name in enumerate(("student", "one", "two", "base"))}
    found = {name: (text_model(home / name, weights), weights) for name, weights in held.items() if name != "student"}
    return found | {"student": (vlm(home / "student", held["student"]), held["student"])}


def stage(method: str, *merged: dict[str, Any], **more: Any) -> Merge:
    return Merge.model_validate({"name": "soup", "kind": "merge", "method": method, "models": merged, **more})


def merger(found: Merge, models: Mapping[str, tuple[Path, Weights]]) -> Merger:
    return Merger(found, models["student"][0], {key: models[name][0] for key, name in found.reads().items()})


def merged(found: Merge, models: Mapping[str, tuple[Path, Weights]], folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir(parents=True)
    merger(found, models).write(folder)
    return read(folder)


def read(folder: Path) -> dict[str, torch.Tensor]:
    held = {name: weight for file in folder.glob("*.safetensors") for name, weight in load_file(file).items()}
    return {name: held[called] for name, called in decoder_names(held).items()}


def plainly_trimmed(delta: torch.Tensor, density: float) -> torch.Tensor:
    kept = delta.abs().flatten().topk(int(density * delta.numel())).indices
    return torch.zeros_like(delta).flatten().index_copy(0, kept, delta.flatten()[kept]).view(delta.shape)


def plainly_dropped(delta: torch.Tensor, density: float, rescale: bool, seed: int, place: int, name: str) -> torch.Tensor:
    draws = torch.Generator().manual_seed(int.from_bytes(sha256(f"{seed} {place} {name}".encode()).digest()[:7], "big"))
    kept = (torch.rand(delta.numel(), generator=draws) < density).view(delta.shape)
    return delta * kept / (density if rescale else 1)


def plainly_elected(deltas: list[torch.Tensor], weights: list[float], normalize: bool) -> torch.Tensor:
    """TIES, number by number: the sign of the whole, and the weighted mean of those that have it."""
    tau = torch.stack([weight * delta for weight, delta in zip(weights, deltas, strict=True)])
    gamma = torch.where(tau.sum(0) < 0, -1.0, 1.0)
    agree = (tau.sign() == gamma).float()
    shares = (agree * torch.tensor(weights).view(-1, *[1] * (tau.ndim - 1))).sum(0)
    return (tau * agree).sum(0) / (torch.where(shares == 0, 1.0, shares) if normalize else 1)


def plainly(found: Merge, name: str, models: Mapping[str, tuple[Path, Weights]]) -> torch.Tensor:
    """The merged weight, from the papers."""
    student = models["student"][1][name]
    base = models[found.base][1][name] if found.base else student
    theirs, weights = [models[each.model][1][name] for each in found.models], [each.weight for each in found.models]
    if found.method == "linear":
        whole = torch.stack([weight * their for weight, their in zip(weights, theirs, strict=True)]).sum(0)
        return whole / sum(weights) if found.normalizes else whole
    if found.method == "layer_swap":
        inside = name.startswith("layers.1.")
        return (1 - weights[0]) * student + weights[0] * theirs[0] if inside else student
    if found.method == "slerp":
        a, b = base.double().flatten(), theirs[0].double().flatten()
        omega = torch.arccos(a @ b / a.norm() / b.norm())
        t = weights[0]
        return ((torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)).view(base.shape).float()
    deltas = [their - base for their in theirs]
    if found.method == "ties":
        deltas = [plainly_trimmed(delta, each.density) for delta, each in zip(deltas, found.models, strict=True)]
    if found.method.startswith("dare"):
        deltas = [
            plainly_dropped(delta, each.density, found.rescale, found.seed, place, name)
            for place, (delta, each) in enumerate(zip(deltas, found.models, strict=True))
        ]
    if found.method in ("ties", "dare_ties"):
        mixed = plainly_elected(deltas, weights, found.normalizes)
    else:
        mixed = torch.stack([weight * delta for weight, delta in zip(weights, deltas, strict=True)]).sum(0)
        mixed = mixed / sum(weights) if found.normalizes else mixed
    return base + found.lambda_ * mixed


SOME = {"density": 0.4}
CASES = [
    stage("linear", ONE, TWO, {"model": "student", "weight": 0.5}),
    stage("linear", ONE, TWO, normalize=False),
    stage("task_arithmetic", ONE, TWO),
    stage("task_arithmetic", ONE, TWO, base="base", normalize=True, **{"lambda": 0.7}),
    stage("ties", ONE | SOME, TWO | {"density": 0.25}, base="base"),
    stage("ties", ONE | SOME, TWO | {"weight": -0.3}, normalize=False, **{"lambda": 1.5}),
    stage("dare_linear", ONE | SOME, TWO | SOME, seed=3),
    stage("dare_linear", ONE | SOME, TWO, base="base", rescale=False),
    stage("dare_ties", ONE | SOME, TWO | SOME, base="base"),
    stage("layer_swap", {"model": "one", "layers": [1]}),
    stage("layer_swap", {"model": "one", "weight": 0.1, "layers": "1-1"}),
    stage("slerp", {"model": "one", "weight": 0.3}),
    stage("slerp", {"model": "two", "weight": 0.8}, base="one"),
]  # fmt: skip


@pytest.mark.parametrize("found", CASES, ids=lambda found: f"{found.method}-{CASES.index(found)}")
def test_a_method_equals_a_second_implementation_on_whole_tensors(
    tmp_path: Path, models: Mapping[str, tuple[Path, Weights]], found: Merge
) -> None:
    made = merged(found, models, tmp_path / "m")
    for name in BODY:
        torch.testing.assert_close(made[name], plainly(found, name, models), rtol=1e-6, atol=1e-6, msg=name)
    for name in (EMBED, HEAD):
        assert torch.equal(made[name], models["student"][1][name])


def test_what_is_not_merged_and_names_types_and_shards_are_the_students(tmp_path: Path, models: Mapping[str, tuple[Path, Weights]]) -> None:
    half = vlm(tmp_path / "half", models["student"][1], kind=torch.bfloat16)
    found = stage("linear", {"model": "student"}, ONE)
    made = merged(found, {**models, "student": (half, {})}, tmp_path / "m")
    before, after = Checkpoint(half, key="a"), Checkpoint(tmp_path / "m", key="b")
    assert [header.raw for header in before.headers.values()] == [header.raw for header in after.headers.values()]
    whole = (models["student"][1][Q].bfloat16().float() + 0.6 * models["one"][1][Q]) / 1.6
    assert torch.equal(made[Q], whole.bfloat16())
    assert torch.equal(after.tensor(TOWER), torch.full((8, 4), 3.0))
    files = {file.name for file in (tmp_path / "m").iterdir()}
    assert files == {file.name for file in half.iterdir()} - {"README.md"}
    assert (tmp_path / "m" / "chat_template.jinja").read_text() == "as it was"


def test_the_tower_and_the_projector_of_students_are_merged_where_modules_name_them(
    tmp_path: Path, models: Mapping[str, tuple[Path, Weights]]
) -> None:
    other = vlm(tmp_path / "other", models["one"][1])
    held = load_file(other / "model-2.safetensors")
    held |= {TOWER: torch.full((8, 4), 5.0), "multi_modal_projector.bias": torch.full((4,), 9.0)}
    save_file(held, other / "model-2.safetensors")
    among = {**models, "other": (other, {})}
    swap = {"model": "other", "weight": 1.0}
    merged(stage("linear", swap, modules=["vision"]), among, tmp_path / "m")
    after = Checkpoint(tmp_path / "m", key="m")
    assert float(after.tensor(TOWER).mean()) == 5
    assert float(after.tensor("multi_modal_projector.bias").mean()) == 1
    made = merged(stage("linear", swap, modules=["re:fc1|norm", "projector"]), among, tmp_path / "n")
    after = Checkpoint(tmp_path / "n", key="n")
    assert (float(after.tensor(TOWER).mean()), float(after.tensor("multi_modal_projector.bias").mean())) == (5, 9)
    assert torch.equal(made[NORM], models["one"][1][NORM])
    assert torch.equal(made[Q], models["student"][1][Q])


def test_embeddings_of_another_number_of_words_stay_the_students(tmp_path: Path, models: Mapping[str, tuple[Path, Weights]]) -> None:
    longer = text_model(tmp_path / "longer", models["one"][1] | {EMBED: torch.ones(60, 32)})
    found = stage("linear", {"model": "longer"}, modules=["attn", "embed", "head"])
    among = {**models, "longer": (longer, {})}
    assert "stage 'soup': models[0].model has of other sizes 1 of them (such as embed_tokens.weight)" in merger(found, among).line()
    made = merged(found, among, tmp_path / "m")
    assert torch.equal(made[EMBED], models["student"][1][EMBED])
    assert torch.equal(made[HEAD], models["one"][1][HEAD])


def test_a_weight_counts_only_of_the_models_that_have_it(tmp_path: Path, models: Mapping[str, tuple[Path, Weights]]) -> None:
    bias = "layers.0.self_attn.q_proj.bias"
    bare = text_model(tmp_path / "bare", {name: weight for name, weight in models["one"][1].items() if name != bias})
    made = merged(stage("linear", {"model": "student"}, {"model": "bare"}), {**models, "bare": (bare, {})}, tmp_path / "m")
    assert torch.equal(made[bias], models["student"][1][bias])
    assert torch.equal(made[Q], (models["student"][1][Q] + models["one"][1][Q]) / 2)


def test_models_that_do_not_fit_are_refused_with_a_line(tmp_path: Path, models: Mapping[str, tuple[Path, Weights]]) -> None:
    wide = text_model(tmp_path / "wide", models["one"][1] | {Q: torch.ones(64, 32)})
    strange = text_model(tmp_path / "strange", {"layers.0.attention.query_key_value.weight": torch.ones(3, 3)}, prefix="gpt_neox.")
    other = text_model(tmp_path / "other", {"layers.0.mixer.weight": torch.ones(3, 3)})
    for folder, said in (
        (wide, f"its weight {Q!r} is of shape [64, 32], and the student's of [48, 32]; take one of its family"),
        (strange, "it keeps q, k and v in one matrix ('layers.0.attention.query_key_value.weight'), and the student apart"),
        (other, "none of its weights, such as 'layers.0.mixer.weight', is merged"),
    ):
        with pytest.raises(PipelineError) as told:
            merger(stage("linear", ONE, {"model": "x"}), {**models, "x": (folder, {})})
        assert str(told.value).startswith("stage 'soup': models[1].model: ")
        assert said in str(told.value)
    huge = text_model(tmp_path / "huge", models["one"][1] | {NORM: torch.full((32,), 1e38)})
    with pytest.raises(PipelineError, match=r"the merged weight 'norm.weight' is not finite in F32; lower weight or lambda"):
        merged(stage("task_arithmetic", {"model": "x", "weight": 9}), {**models, "x": (huge, {})}, tmp_path / "m")


def test_dare_draws_by_its_seed_alone(tmp_path: Path, models: Mapping[str, tuple[Path, Weights]]) -> None:
    half = {"model": "one", "density": 0.5}
    first, again, other = (
        merged(stage("dare_linear", half, seed=seed), models, tmp_path / f"{place}")[UP] for place, seed in enumerate((1, 1, 2))
    )
    assert torch.equal(first, again)
    kept, others = (found != models["student"][1][UP] for found in (first, other))
    assert 0.495 < float(kept.float().mean()) < 0.505
    assert 0.495 < float((kept == others).float().mean()) < 0.505


@given(st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=60), st.integers(1, 60), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_the_largest_are_so_many_and_none_that_is_left_out_is_larger(numbers: list[float], count: int, piece: int) -> None:
    count = min(count, len(numbers))
    whole = torch.tensor(numbers)
    pieces: Callable[[], Iterator[torch.Tensor]] = lambda: iter(whole.split(piece))  # noqa: E731
    keeps = methods.find_largest(pieces, count)
    found = torch.cat([keeps.keep(each) for each in pieces()])
    assert sorted(found.abs().tolist()) == sorted([0.0] * (len(numbers) - count) + whole.abs().topk(count).values.tolist())
    assert all(kept in (0.0, number) for kept, number in zip(found.tolist(), numbers, strict=True))


@given(st.floats(0, 1), st.floats(-1, 1), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_slerp_goes_from_one_to_the_other_and_stays_on_the_sphere(t: float, cosine: float, first: float, second: float) -> None:
    assert methods.slerp_factors(0, cosine * first * second, first, second) == pytest.approx((1, 0), abs=1e-9)
    assert methods.slerp_factors(1, cosine * first * second, first, second) == pytest.approx((0, 1), abs=1e-9)
    a, b = methods.slerp_factors(t, cosine, 1, 1)
    if abs(cosine) < 0.999:
        assert a * a + b * b + 2 * a * b * cosine == pytest.approx(1, abs=1e-6)
