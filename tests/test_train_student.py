"""Students: loaded, frozen, adapted, bounded and saved; and what is no student is one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2Config, Qwen2ForCausalLM

from cotforge.errors import PipelineError
from cotforge.plan import Lora, Student
from cotforge.train.students import loaded_student, processors, tiny
from tests.squares import SIZE, TEXTS, said

FAMILIES = {"llava": tiny.make_llava, "idefics3": tiny.make_idefics3, "qwen": tiny.make_qwen}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name, TEXTS, SIZE) for name, make in FAMILIES.items()}


def spec(model: Path, **keys: object) -> Student:
    return Student.model_validate({"model": str(model), **keys})


def sees(pupil: loaded_student.Pupil, colour: str) -> torch.Tensor:
    said = pupil.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which?"}]}], add_generation_prompt=True
    )
    inputs = pupil.processor(images=[[Image.new("RGB", (20, 20), colour)]], text=[said], return_tensors="pt")
    with torch.no_grad():
        return pupil.model.eval()(**inputs).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tiny_student_sees_and_is_saved_whole(models: dict[str, Path], family: str, tmp_path: Path) -> None:
    pupil = loaded_student.load_pupil(spec(models[family]), models[family])
    assert not torch.equal(sees(pupil, "red"), sees(pupil, "blue"))
    pupil.save(tmp_path / "again")
    again = loaded_student.load_pupil(spec(models[family]), tmp_path / "again")
    assert torch.equal(sees(pupil, "red"), sees(again, "red"))
    again.save(tmp_path / "third")
    assert (
        loaded_student.weights_fingerprint(tmp_path / "again")
        == loaded_student.weights_fingerprint(tmp_path / "third")
        != loaded_student.weights_fingerprint(models[family])
    )
    assert "ImagesOnly" not in "".join(file.read_text() for file in (tmp_path / "again").glob("*.json"))


def test_what_a_base_says_of_videos_is_kept_for_those_who_load_the_whole_processor(models: dict[str, Path], tmp_path: Path) -> None:
    loaded_student.load_pupil(spec(models["qwen"]), models["qwen"]).save(tmp_path)
    before, now = (json.loads((folder / "processor_config.json").read_text()) for folder in (models["qwen"], tmp_path))
    assert now["video_processor"] == before["video_processor"]
    assert now["video_processor"]["video_processor_type"] == "Qwen2VLVideoProcessor"
    assert now.keys() == before.keys() == {"image_processor", "processor_class", "video_processor"}


def test_the_same_texts_make_the_same_student(models: dict[str, Path], tmp_path: Path) -> None:
    assert loaded_student.weights_fingerprint(tiny.make_llava(tmp_path / "a", TEXTS, SIZE)) == loaded_student.weights_fingerprint(
        models["llava"]
    )
    other = tiny.TinySize(width=32, side=16, patch=8, vocabulary=400, context=512, seed=1)
    assert loaded_student.weights_fingerprint(tiny.make_llava(tmp_path / "b", TEXTS, other)) != loaded_student.weights_fingerprint(
        models["llava"]
    )


def test_tokens_of_phrases_end_with_clauses_and_scaled_weights_tell_pictures_further_apart(models: dict[str, Path], tmp_path: Path) -> None:
    size = replace(SIZE, phrases=True, scaled=True)
    pupil = loaded_student.load_pupil(spec(tmp_path / "a"), tiny.make_llava(tmp_path / "a", TEXTS, size))
    plain = loaded_student.load_pupil(spec(models["llava"]), models["llava"])
    words = pupil.processor.tokenizer
    told = words(said("blue"))["input_ids"]
    assert [words.decode([token]) for token in told][:4] == ["<think>", "The sea", ",", " and the sky above it"]
    assert words.decode(told) == said("blue")
    assert [words.decode([token]) for token in words("12 of 3")["input_ids"]][:2] == ["1", "2"]

    def apart(pupil: loaded_student.Pupil) -> float:
        return float((sees(pupil, "red") - sees(pupil, "blue"))[:, -1].abs().max())

    assert apart(pupil) > 5 * apart(plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_part_can_be_frozen(models: dict[str, Path], family: str) -> None:
    for wanted in ("vision", "projector", "language"):
        pupil = loaded_student.load_pupil(spec(models[family], freeze=[wanted]), models[family])
        frozen = {name for name, weight in pupil.model.named_parameters() if not weight.requires_grad}
        assert frozen
        assert frozen == {name for name, _ in pupil.model.named_parameters() if loaded_student.part_of_name(name) == wanted}


def test_adapters_are_merged_when_it_is_saved(models: dict[str, Path], tmp_path: Path) -> None:
    given = spec(models["llava"], freeze=["vision"], lora=Lora(rank=4, targets=("q_proj", "v_proj")).model_dump())
    pupil = loaded_student.load_pupil(given, models["llava"])
    trained = {name for name, weight in pupil.model.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name and "language_model" in name for name in trained)
    with torch.no_grad():
        for name, weight in pupil.model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.1)
    adapted = sees(pupil, "red")
    pupil.save(tmp_path / "merged")
    merged = loaded_student.load_pupil(spec(models["llava"]), tmp_path / "merged")
    assert torch.allclose(adapted, sees(merged, "red"), atol=1e-5)
    assert not torch.allclose(adapted, sees(loaded_student.load_pupil(spec(models["llava"]), models["llava"]), "red"), atol=1e-3)


def test_a_budget_of_pixels_stays_in_the_processor(models: dict[str, Path], tmp_path: Path) -> None:
    pupil = loaded_student.load_pupil(spec(models["qwen"], max_pixels=256), models["qwen"])
    pupil.save(tmp_path / "bounded")
    assert processors.load_processor(tmp_path / "bounded").image_processor.size["longest_edge"] == 256
    pupil = loaded_student.load_pupil(spec(models["idefics3"], max_pixels=100), models["idefics3"])
    assert pupil.processor.image_processor.size["longest_edge"] == 10
    loaded_student.load_pupil(spec(models["llava"], max_pixels=256), models["llava"])
    with pytest.raises(PipelineError, match=r"max_pixels: 255 cannot be had: this student always sees 16 x 16 pixels; leave it out"):
        loaded_student.load_pupil(spec(models["llava"], max_pixels=255), models["llava"])


def test_a_student_that_is_none_is_one_line(models: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "text"
    words = AutoProcessor.from_pretrained(models["llava"]).tokenizer
    small = Qwen2Config(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1, vocab_size=400
    )
    Qwen2ForCausalLM(small).save_pretrained(text)
    words.save_pretrained(text)
    named = json.loads((text / "tokenizer_config.json").read_text())
    (text / "tokenizer_config.json").write_text(json.dumps({name: value for name, value in named.items() if name != "processor_class"}))
    with pytest.raises(PipelineError, match="came back as a bare "):
        loaded_student.load_pupil(spec(text), text)
    seeing = tmp_path / "seeing"
    Qwen2ForCausalLM(small).save_pretrained(seeing)
    processors.load_processor(models["llava"]).save_pretrained(seeing)
    with pytest.raises(PipelineError, match="is no vision-language model; AutoModelForImageTextToText has to load it"):
        loaded_student.load_pupil(spec(seeing), seeing)
    broken = tmp_path / "broken"
    AutoModelForImageTextToText.from_pretrained(models["llava"]).save_pretrained(broken)
    processors.load_processor(models["llava"]).save_pretrained(broken)
    with (broken / "model.safetensors").open("r+b") as file:
        file.truncate(5_000)
    with pytest.raises(PipelineError, match=r"weights in .* are broken"):
        loaded_student.load_pupil(spec(broken), broken)
    with pytest.raises(PipelineError, match=r"lora.targets: 'q_prj' matches no linear layer; did you mean 'q_proj'\?"):
        loaded_student.load_pupil(spec(models["llava"], lora={"targets": ["q_prj"]}), models["llava"])
    with pytest.raises(PipelineError, match=r"qlora: needs a GPU, and PyTorch finds none here"):
        loaded_student.load_pupil(spec(models["llava"], lora={}, qlora=True), models["llava"])


def test_a_place_is_a_models_folder_or_one_line(models: dict[str, Path], tmp_path: Path) -> None:
    assert loaded_student.model_folder(models["llava"].name, models["llava"].parent) == models["llava"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match=r"has no config\.json"):
        loaded_student.model_folder("empty", tmp_path)
    with pytest.raises(PipelineError, match="'nobody/nothing' is no folder, and no model that the Hub gives"):
        loaded_student.model_folder("nobody/nothing", tmp_path)


def test_a_saved_tiny_llava_is_an_ordinary_checkpoint(models: dict[str, Path]) -> None:
    assert type(AutoModelForImageTextToText.from_pretrained(models["llava"])).__name__ == "LlavaForConditionalGeneration"
    assert json.loads((models["llava"] / "config.json").read_text())["model_type"] == "llava"
