"""Families of models: which teachers are related, so that one does not judge its own kind."""

import re

from cotforge.teachers.teacher import Teacher

_HF = "https://huggingface.co/"
FAMILIES: tuple[tuple[str, str, str], ...] = (
    ("qwen", r"qwen\w*|qwq|qvq", f"{_HF}Qwen"),
    ("intern", r"intern(?:vl|lm|-?s1|omni|video)\w*", f"{_HF}OpenGVLab, {_HF}internlm"),
    ("glm", r"(?:chat)?glm\w*|cog(?:vlm|agent)\w*", f"{_HF}zai-org"),
    ("llama", r"(?:meta-?)?llama\w*|vicuna", f"{_HF}meta-llama; Vicuna: https://lmsys.org/blog/2023-03-30-vicuna"),
    ("gemma", r"(?:pali|med|shield|code)?gemma\w*|gemini", f"{_HF}google (Gemma is made from the research behind Gemini)"),
    ("phi", r"phi(?=[-_.]?\d)\w*", f"{_HF}microsoft"),
    ("mistral", r"(?:mis|mix|pix|minis|magis|vox|devs|codes)tral\w*", f"{_HF}mistralai"),
    ("deepseek", r"deepseek\w*", f"{_HF}deepseek-ai"),
    ("gpt", r"(?:chat)?gpt\w*|\Ao[134]", "https://platform.openai.com/docs/models"),
    ("claude", r"claude\w*", "https://docs.anthropic.com/en/docs/about-claude/models"),
    ("grok", r"grok\w*", "https://docs.x.ai/docs/models"),
    ("kimi", r"kimi\w*|moonlight|moonshot\w*", f"{_HF}moonshotai"),
    ("minimax", r"minimax\w*", f"{_HF}MiniMaxAI"),
    ("minicpm", r"minicpm\w*", f"{_HF}openbmb"),
    ("cohere", r"command|c4ai|aya", f"{_HF}CohereLabs"),
    ("yi", r"yi", f"{_HF}01-ai"),
    ("olmo", r"olmo\w*|molmo\w*", f"{_HF}allenai"),
    ("smol", r"smol(?:vlm|lm)\w*", f"{_HF}HuggingFaceTB"),
    ("nova", r"nova", "https://docs.aws.amazon.com/nova"),
    ("granite", r"granite\w*", f"{_HF}ibm-granite"),
    ("step", r"step(?=[-_.]?\d)\w*", f"{_HF}stepfun-ai"),
    ("hunyuan", r"hunyuan\w*", f"{_HF}tencent"),
    ("ernie", r"ernie\w*", f"{_HF}baidu"),
    ("mimo", r"mimo\w*", f"{_HF}XiaomiMiMo"),
    ("seed", r"seed|doubao", f"{_HF}ByteDance-Seed"),
    ("exaone", r"exaone\w*", f"{_HF}LGAI-EXAONE"),
    ("falcon", r"falcon\w*", f"{_HF}tiiuae"),
    ("ovis", r"ovis\w*", f"{_HF}AIDC-AI"),
    ("llava", r"(?:\w*-)?llava", f"{_HF}llava-hf (only where the name does not tell the language model)"),
)
"""(family, how its models are named, source). A model made from another one often names both: the later name is its language model."""

_LAST = ("llava", "ovis")
"""Families whose models are made from the language models of others."""
_NAMES = [(name, re.compile(rf"(?<![a-z])(?:{pattern})(?![a-z])")) for name, pattern, _ in FAMILIES]


def family_of(teacher: Teacher) -> str:
    """A teacher's family: what its key `family` says, else what follows from its model's name."""
    return teacher.family.casefold() if teacher.family else model_family(teacher.model)


def model_family(model: str) -> str:
    """The family of a model, by its name or the last part of its path; a name that tells none is a family of its own.

    Of `DeepSeek-R1-Distill-Qwen-7B` and `llava-onevision-qwen2-7b` it is `qwen`: judges favour texts of the model that wrote them
    (arXiv 2404.13076), and what writes is the language model.
    """
    named = re.split(r"[/\\]", model.rstrip("/\\"))[-1].casefold()
    found = [(name not in _LAST, match.start(), name) for name, pattern in _NAMES for match in pattern.finditer(named)]
    return max(found)[2] if found else named
