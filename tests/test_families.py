"""Families of students: each goes through every kind of stage, or is refused before anything is trained."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import Phi4MultimodalConfig

from benchmarks.families import stages
from benchmarks.families.builders import FAMILIES, SMALL
from cotforge.errors import PipelineError
from cotforge.plan import Student
from cotforge.train.data.lesson_records import ACROSS, Making
from cotforge.train.data.prepared import collate_lessons
from cotforge.train.students import fits, loaded_student, processors
from cotforge.train.students.student_folder import demand_student

THROUGH = [
    "LLaVA", "LLaVA-OneVision", "Qwen2.5-VL", "Qwen3-VL", "InternVL, tiles", "SmolVLM", "Gemma3", "PaliGemma", "Mistral3", "Pixtral",
    "Ovis2",
]  # fmt: skip
"""Those most used, and each one that transformers or TRL alone stops at; `python -m benchmarks.families` has all."""
TEXTS = ["The sea, and the sky above it. <think>Snow.</think> <answer>white</answer>"] * 3
SIZES = ([(40, 24)], [(70, 20), (24, 40)])
"""Of the pictures of a row with one, and of one with two."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loaded(folder: Path, family: str) -> loaded_student.Pupil:
    FAMILIES[family](folder, TEXTS, SMALL)
    return loaded_student.load_pupil(Student(model=str(folder)), folder)


def asked(pupil: loaded_student.Pupil, shapes: list[list[tuple[int, int]]]) -> Any:
    """A batch of prompts about pictures of these sizes."""
    texts = [
        pupil.processor.apply_chat_template(
            [{"role": "user", "content": [*[{"type": "image"}] * len(row), {"type": "text", "text": "Which?"}]}], add_generation_prompt=True
        )
        for row in shapes
    ]
    images = [[Image.new("RGB", shape, "red") for shape in row] for row in shapes]
    return pupil.processor(images=images, text=texts, return_tensors="pt", padding=True, add_special_tokens=False)


@pytest.mark.parametrize("family", THROUGH)
def test_a_family_goes_through_every_kind_of_stage_on_rows_of_one_and_two_pictures_of_any_size(family: str, tmp_path: Path) -> None:
    found = stages.go(FAMILIES[family], tmp_path, "one or two")
    assert found.refusal == ""
    assert found.stages == ("learn", "reward", "clip", "prefer")
    told = json.loads((tmp_path / "run" / "eval" / "04-prefer.json").read_text())
    assert told["n"] == stages.HELD


@pytest.mark.filterwarnings(r"ignore::DeprecationWarning:transformers\.models\.glm4v\.processing_glm4v")  # a sum of numpy's, once
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_student_of_any_family_sees_and_is_the_same_once_saved(family: str, tmp_path: Path) -> None:
    if family == "LFM2-VL":
        pytest.importorskip("torchvision", reason="transformers has its part for pictures by torchvision alone")
    pupil = loaded(tmp_path / "base", family)
    made = asked(pupil, [*SIZES])
    pupil.save(tmp_path / "saved")
    again = loaded_student.load_pupil(Student(model="saved"), tmp_path / "saved")
    with torch.no_grad():
        said = pupil.model.eval()(**made).logits
        assert torch.equal(said, again.model.eval()(**asked(again, [*SIZES])).logits)
    assert type(again.processor).__name__ == json.loads((tmp_path / "saved" / "processor_config.json").read_text())["processor_class"]
    there = pickle.loads(pickle.dumps(pupil.processor))
    assert type(there) is type(pupil.processor)
    assert torch.equal(asked(replace(pupil, processor=there), [*SIZES])["input_ids"], made["input_ids"])


def test_rows_without_a_picture_are_learned_among_others(tmp_path: Path) -> None:
    for family in ("LLaVA", "Qwen2.5-VL", "SmolVLM", "Gemma3"):
        found = stages.go(FAMILIES[family], tmp_path / family, "none, one or two", stages=stages.STAGES[:1])
        assert (found.refusal, found.stages) == ("", ("learn",)), family
        assert not (tmp_path / family / "run" / "train" / "01-learn" / "left-out.csv").exists()


def test_what_trl_does_not_hand_on_for_a_family_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    found = stages.go(FAMILIES["Mllama"], tmp_path, "one", stages=(stages.STAGES[0], stages.STAGES[1]))
    assert found.stages == ()
    assert "stage 'reward': grpo by TRL" in found.refusal
    assert "does not hand on cross_attention_mask, aspect_ratio_ids, aspect_ratio_mask; leave the stage out" in found.refusal
    assert not (tmp_path / "run" / "eval").exists()
    with pytest.raises(PipelineError, match="TRL makes cross_attention_mask for the prompt alone"):
        fits.demand_fit(tmp_path / "student", [("prefer", "dpo")])


def test_attention_across_goes_over_the_whole_lesson(tmp_path: Path) -> None:
    found = stages.go(FAMILIES["Mllama"], tmp_path, "one or two", stages=stages.STAGES[:1])
    assert (found.refusal, found.stages) == ("", ("learn",))
    processor = processors.load_processor(tmp_path / "student")
    rows = [
        {
            "images": [Image.new("RGB", shape) for shape in shapes],
            "prompt": [{"role": "user", "content": "Which?"}],
            "completion": [{"role": "assistant", "content": "white " * words}],
        }
        for shapes, words in zip(SIZES, (9, 2), strict=True)
    ]
    made = [Making(rows, processor)[place] for place in range(2)]
    batch = collate_lessons(made, 0)
    assert batch[ACROSS].shape[:3] == (*batch["input_ids"].shape, 2)
    lengths = batch["attention_mask"].sum(1).tolist()
    for row, length in enumerate(lengths):
        assert batch[ACROSS][row, length - 1].any()
        assert not batch[ACROSS][row, length:].any()


def test_what_is_said_is_read_forwards_by_a_model_that_reads_prompts_both_ways(tmp_path: Path) -> None:
    pupil = loaded(tmp_path, "PaliGemma")
    rows = [
        {
            "images": [Image.new("RGB", (30, 30))],
            "prompt": [{"role": "user", "content": "Which?"}],
            "completion": [{"role": "assistant", "content": text}],
        }
        for text in ("white as snow", "white as salt")
    ]
    first, second = (Making(rows, pupil.processor)[place] for place in range(2))
    same = next(
        place for place, (one, other) in enumerate(zip(first[0]["completion"], second[0]["completion"], strict=False)) if one != other
    )
    at = len(first[0]["prompt"]) + same
    with torch.no_grad():
        said = [pupil.model.train()(**collate_lessons([made], 0)).logits[0, :at] for made in (first, second)]
    assert torch.allclose(*said, atol=1e-6)


def test_a_family_that_transformers_loads_for_other_uses_alone_is_told(tmp_path: Path) -> None:
    Phi4MultimodalConfig(num_hidden_layers=1).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(PipelineError, match=r"is no vision-language model; .* has 'phi4_multimodal' for other uses alone"):
        demand_student(tmp_path)


def test_a_budget_of_pixels_bounds_the_tiles_where_the_model_leaves_that_open(tmp_path: Path) -> None:
    tile = SMALL.side**2
    for family in ("InternVL, tiles", "Aya-Vision", "Ovis2"):
        FAMILIES[family](tmp_path / family, TEXTS, SMALL)
        for pixels, most in ((tile, 1), (2 * tile, 1), (3 * tile, 3), (100 * tile, 5)):
            pupil = loaded_student.load_pupil(Student(model="tiled", max_pixels=pixels), tmp_path / family)
            seen = asked(pupil, [[(400, 100)]])["pixel_values"]
            assert seen.shape[0] == most, (family, pixels)
            pupil.save(tmp_path / "saved")
            again = processors.load_processor(tmp_path / "saved")
            assert again.image_processor.max_patches == pupil.processor.image_processor.max_patches
    for family in ("LLaVA-OneVision", "Mllama"):
        FAMILIES[family](tmp_path / family, TEXTS, SMALL)
        with pytest.raises(PipelineError, match="always sees 32 x 32 pixels a tile, and the tiles that it was made for; leave it out"):
            loaded_student.load_pupil(Student(model="tiled", max_pixels=4 * tile), tmp_path / family)
