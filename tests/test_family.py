"""Which models are related, by their names."""

import pytest

from cotforge.teachers.family import FAMILIES, family_of, model_family
from cotforge.teachers.kinds.openai import OpenAITeacher


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen"),
        ("qwen3-vl-235b-a22b-thinking", "qwen"),
        ("OpenGVLab/InternVL3_5-8B", "intern"),
        ("internlm/Intern-S1", "intern"),
        ("zai-org/GLM-4.1V-9B-Thinking", "glm"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", "llama"),
        ("google/gemma-3-12b-it", "gemma"),
        ("gemini-2.5-flash", "gemma"),
        ("microsoft/Phi-4-multimodal-instruct", "phi"),
        ("microsoft/Phi-3.5-vision-instruct", "phi"),
        ("mistralai/Pixtral-12B-2409", "mistral"),
        ("gpt-4o-mini", "gpt"),
        ("openai/gpt-oss-120b", "gpt"),
        ("o4-mini", "gpt"),
        ("claude-sonnet-4", "claude"),
        ("moonshotai/Kimi-VL-A3B-Thinking", "kimi"),
        ("/models/snapshots/Qwen2-VL-2B/", "qwen"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen"),
        ("lmms-lab/llava-onevision-qwen2-7b-ov", "qwen"),
        ("llava-hf/llava-v1.6-mistral-7b-hf", "mistral"),
        ("llava-hf/llama3-llava-next-8b-hf", "llama"),
        ("llava-hf/llava-1.5-7b-hf", "llava"),
        ("org/dolphin-vision-7b", "dolphin-vision-7b"),
        ("org/MiniGPT-4", "minigpt-4"),
        ("org/Marco-o1", "marco-o1"),
        ("my-model", "my-model"),
    ],
)
def test_a_family_follows_from_the_models_name(model: str, family: str) -> None:
    assert model_family(model) == family


def test_the_key_of_the_file_goes_before_the_name() -> None:
    teacher = {"name": "a", "model": "Qwen/Qwen3-VL", "url": "http://localhost:1/v1"}
    assert family_of(OpenAITeacher(**teacher)) == "qwen"
    assert family_of(OpenAITeacher(**teacher, family="Own")) == "own"


def test_every_family_has_a_source() -> None:
    assert all("https://" in source for _, _, source in FAMILIES)
