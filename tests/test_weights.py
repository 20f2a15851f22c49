"""A model's files in pieces: what safetensors wrote is read, it reads what was written, and a broken file is one line."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from cotforge.errors import PipelineError
from cotforge.train.weights.checkpoint import Checkpoint, Writer
from cotforge.train.weights.names import decoder_names

SHAPE = st.lists(st.integers(0, 5), max_size=3).map(tuple)
KIND = st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64])


def tensor(shape: tuple[int, ...], place: int) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape) / 7 + place


@given(st.lists(st.tuples(SHAPE, KIND), min_size=1, max_size=5), st.integers(1, 7))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_safetensors_wrote_is_read_in_pieces(tmp_path: Path, given: list[tuple[tuple[int, ...], torch.dtype]], piece: int) -> None:
    held = {f"w{place}": tensor(shape, place).to(kind) for place, (shape, kind) in enumerate(given)}
    save_file(held, tmp_path / "model.safetensors")
    found = Checkpoint(tmp_path, key="test")
    for name, weight in held.items():
        assert found.entries[name].shape == tuple(weight.shape)
        pieces = [*found.pieces(name, piece)]
        assert all(len(each) <= piece for each in pieces)
        assert torch.equal(torch.cat([torch.empty(0), *pieces]), weight.float().flatten())
        assert torch.equal(found.tensor(name), weight.float())


@given(st.lists(st.tuples(SHAPE, st.booleans()), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_without_what_was_dropped_safetensors_reads(tmp_path: Path, given: list[tuple[tuple[int, ...], bool]]) -> None:
    file = tmp_path / "delta.safetensors"
    shapes = {f"w{place}": shape for place, (shape, _) in enumerate(given)}
    with Writer(file, shapes) as writer:
        for place, (shape, kept) in enumerate(given):
            writer.add(f"w{place}", shape, tensor(shape, place).flatten().split(3))
            if not kept:
                writer.drop(f"w{place}")
    found = load_file(file)
    assert found.keys() == {f"w{place}" for place, (_, kept) in enumerate(given) if kept}
    assert all(torch.equal(weight, tensor(shapes[name], int(name[1:]))) for name, weight in found.items())


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "it is cut short"),
        (b"\xff" * 16, "it is cut short"),
        ((3).to_bytes(8, "little") + b"[1]", "weights in"),
        ((2).to_bytes(8, "little") + b"\xff\xfe", "weights in"),
        ((9_000).to_bytes(8, "little") + b"[" * 9_000, "weights in"),
        (
            (64).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(64) + bytes(4),
            "a tensor lies outside of it",
        ),
        (
            (64).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}'.ljust(64) + bytes(8),
            "a tensor lies outside of it",
        ),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(raw)
    with pytest.raises(PipelineError, match=said) as told:
        Checkpoint(tmp_path, key="train.student.model")
    assert str(told.value).startswith("train.student.model: ")
    assert "\n" not in str(told.value)


def test_an_index_may_name_files_of_its_folder_alone(tmp_path: Path) -> None:
    for index, said in (
        ({"weight_map": {"w": "../other.safetensors"}}, "lacks the file 'other.safetensors' that its index names"),
        ({"weight_map": {"w": "gone.safetensors"}}, "lacks the file 'gone.safetensors' that its index names"),
        ({"weight_map": ["w"]}, "is no index of weights"),
    ):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(PipelineError, match=said):
            Checkpoint(tmp_path, key="test")


def test_a_decoders_names_are_the_same_whatever_stands_before_them() -> None:
    layer, head = "layers.0.self_attn.q_proj.weight", "lm_head.weight"
    tower = "layers.0.self_attn.q_proj.weight"
    for prefix, above, seen in (
        ("model.", "", "visual.blocks."),
        ("model.language_model.", "", "model.visual."),
        ("language_model.model.", "language_model.", "vision_tower.vision_model.encoder."),
        ("model.text_model.", "", "model.vision_model.encoder."),
        ("", "", "vision_tower."),
    ):
        keys = [f"{seen}{tower}", f"{seen}{tower.replace('.0.', '.1.')}", f"{prefix}{layer}", f"{prefix}norm.weight", above + head]
        assert decoder_names(keys) == {layer: f"{prefix}{layer}", "norm.weight": f"{prefix}norm.weight", head: above + head}
    assert decoder_names(["visual.blocks.0.mlp.weight", "lm_head.weight"]) == {}
