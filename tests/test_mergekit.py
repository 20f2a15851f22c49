"""Merges equal those of mergekit itself, whole: three text models by its own command's function, and by ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cotforge.plan import Merge
from cotforge.train.students import tiny
from cotforge.train.weights.merging import Merger
from tests import experts, squares

pytestmark = pytest.mark.filterwarnings("ignore")  # what mergekit's libraries warn of is not ours

WEIGHTS = {"one": 0.6, "two": 0.9}
EVERYTHING = ["attn", "mlp", "norm", "embed", "head"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    student = tiny.make_llava(folder / "student", squares.TEXTS, squares.SIZE)
    for seed, name in enumerate(("base", *WEIGHTS)):
        experts.text_model(folder / name, student, seed=seed)
    return folder


def by_mergekit(home: Path, out: Path, config: dict[str, Any]) -> dict[str, torch.Tensor]:
    pytest.importorskip("mergekit", exc_type=ImportError)
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    found = MergeConfiguration.model_validate(config | {"dtype": "float32"})
    run_merge(found, str(out), MergeOptions(copy_tokenizer=False, quiet=True))
    return {name: weight for file in out.glob("*.safetensors") for name, weight in load_file(file).items()}


def by_us(home: Path, out: Path, stage: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = Merge.model_validate({"name": "soup", "kind": "merge", "modules": EVERYTHING, **stage})
    out.mkdir()
    Merger(found, home / "base", {key: home / name for key, name in found.reads().items()}).write(out)
    return load_file(out / "model.safetensors")


def demand_equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, found in ours.items():
        torch.testing.assert_close(found, theirs[name], rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("method", "density", "whole"),
    [
        ("linear", None, {}),
        ("linear", None, {"normalize": False}),
        ("task_arithmetic", None, {"lambda": 0.7}),
        ("ties", 0.4, {}),
        ("ties", 0.4, {"normalize": False, "lambda": 1.3}),
        ("dare_linear", 1.0, {}),
        ("dare_ties", 1.0, {"normalize": True}),
    ],
)
def test_a_merge_of_two_models_is_mergekits(tmp_path: Path, home: Path, method: str, density: float | None, whole: dict[str, Any]) -> None:
    """Dare at a density of 1: what the two draw below is not the same, and mergekit rescales by the sum of sizes, the paper by density."""
    own = {} if density is None else {"density": density}
    config = {
        "merge_method": method, "parameters": whole,
        "models": [{"model": str(home / name), "parameters": {"weight": weight, **own}} for name, weight in WEIGHTS.items()],
    } | ({} if method == "linear" else {"base_model": str(home / "base")})  # fmt: skip
    theirs = by_mergekit(home, tmp_path / "theirs", config)
    ours = {"method": method, "models": [{"model": name, "weight": weight, **own} for name, weight in WEIGHTS.items()], **whole}
    demand_equal(by_us(home, tmp_path / "ours", ours), theirs)


def test_slerp_is_mergekits(tmp_path: Path, home: Path) -> None:
    both = [{"model": str(home / name)} for name in ("base", "one")]
    config = {"merge_method": "slerp", "models": both, "base_model": str(home / "base"), "parameters": {"t": 0.3}}
    theirs = by_mergekit(home, tmp_path / "theirs", config)
    demand_equal(by_us(home, tmp_path / "ours", {"method": "slerp", "models": [{"model": "one", "weight": 0.3}]}), theirs)
