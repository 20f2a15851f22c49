"""The marks that models in use put around a thought or an answer; each line has its source. Control tokens stand in `controls`.

A pattern is a regular expression without case, unless it says `(?-i:...)`, that begins with one of `<`, `[` and `◁`, so that a text is
searched for these three characters alone. An example is a reply whose thought is "I see." and whose answer is "awe".
"""

import re
from typing import NamedTuple

_VLLM = "https://github.com/vllm-project/vllm/blob/main/vllm/reasoning/"
_SGLANG = "https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/parser/reasoning_parser.py"
_OPEN_WEBUI = "https://docs.openwebui.com/features/chat-features/reasoning-models"
_CARD, _GITHUB = "https://huggingface.co/", "https://github.com/"


class Thought(NamedTuple):
    """How one family of models marks a thought."""

    name: str
    """Stands in `read_as`, but for `think`, which is the form asked for."""
    opens: str
    closes: str
    source: str
    example: str
    alone: str = ".*"
    """The closing marks that end a thought also without an opening one, which the prompt had written."""
    spoken: bool = False
    """It opens with plain words, which count only where they begin a reply; closing words count only after them."""


_ATTRIBUTES = r"(?:\s[^<>\n]{1,60}=[^<>\n]{0,60})?"


def _tag_marks(name: str, tag: str, source: str, shown: str = "") -> Thought:
    shown = shown or tag
    example = f"<{shown}>I see.</{shown}><answer>awe</answer>"
    return Thought(name, rf"<{tag}(?:\s{{0,8}}{_ATTRIBUTES}>|\s{{0,8}}\n)", rf"<\\?/\s?{tag}\s{{0,8}}>", source, example)


def _token_marks(name: str, opens: str, closes: str, source: str) -> Thought:
    """Marks without variants, written as they are."""
    return Thought(name, re.escape(opens), re.escape(closes), source, f"{opens}I see.{closes}<answer>awe</answer>")


THOUGHTS = (
    # Qwen3, QwQ, DeepSeek, GLM, MiMo, InternVL, Intern-S1, Step-3, MiniMax-M2, Nemotron, OLMo 3, Ling, Holo2, Skywork-R1V, Ovis2.5, ...
    _tag_marks("think", "think", f"{_VLLM}qwen3_reasoning_parser.py"),
    _tag_marks("hunyuan", "think:[a-z]+", f"{_SGLANG} (HunyuanDetector), sgl-project/sglang#29920", "think:opensource"),
    _token_marks("kimi", "◁think▷", "◁/think▷", f"{_SGLANG} (KimiDetector), MoonshotAI/Kimi-VL#45"),
    _token_marks("kimi_k3", "<|open|>think<|sep|>", "<|close|>think<|sep|>", f"{_SGLANG} (KimiK3Detector)"),
    _token_marks("mistral", "[THINK]", "[/THINK]", f"{_VLLM}mistral_reasoning_parser.py (Magistral, Ministral)"),
    _tag_marks("seed", "seed:think", f"{_VLLM}seedoss_reasoning_parser.py"),
    _tag_marks("minimax", "(?:mm|minimax):think(?:ing)?", f"{_SGLANG} (MiniMaxM3Detector)", "mm:think"),
    _tag_marks("k2_think", r"(?:ifm\|think(?:_fast(?:er)?)?|think_fast(?:er)?)", f"{_VLLM}k2_horizon_reasoning_parser.py", "think_fast"),
    _tag_marks("longcat", "longcat_think", f"{_VLLM}longcat_reasoning_parser.py"),
    _token_marks("apertus", "<|inner_prefix|>", "<|inner_suffix|>", f"{_VLLM}apertus_reasoning_parser.py"),
    _token_marks("solar", "<|think:start|>", "<|think:end|>", f"{_VLLM}solar_open2_reasoning_parser.py"),
    _token_marks("plamo", "<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>", f"{_VLLM}plamo3_reasoning_parser.py"),
    _token_marks("cohere", "<|START_THINKING|>", "<|END_THINKING|>", f"{_VLLM}cohere_command_reasoning_parser.py"),
    _token_marks("openthoughts", "<|begin_of_thought|>", "<|end_of_thought|>", f"{_OPEN_WEBUI} (Sky-T1, Virgo, OpenThoughts)"),
    _token_marks("think_start", "<|think_start|>", "<|think_end|>", f"{_CARD}futurehouse/ether0"),
    Thought(
        "think_token",
        r"<\|think(?:ing)?\|>",
        r"</\|think(?:ing)?\|>|<\|/think(?:ing)?\|>",
        "https://ai.google.dev/gemma/docs/core/prompt-formatting-gemma4 (the switch, written as a tag)",
        "<|think|>I see.<|/think|><answer>awe</answer>",
    ),
    _token_marks("pangu", "[unused16]", "[unused17]", f"{_VLLM}pangu_reasoning_parser.py"),
    Thought(
        "gemma",
        r"<\|channel>(?:thought|analysis|commentary)?\s?",
        r"<channel\|>",
        f"{_VLLM}gemma4_reasoning_parser.py",
        "<|channel>thought\nI see.<channel|>awe",
    ),
    Thought(
        "medgemma",
        r"<unused94>(?:thought)?\s?",
        "<unused95>",
        f"{_GITHUB}ollama/ollama/issues/15754 (MedGemma 1.5)",
        "<unused94>thought\nI see.<unused95>awe",
    ),
    Thought(
        "gemini",
        r"<ctrl94>(?:thought)?\s?",
        "</?ctrl9[45]>",
        "https://rentry.org/gemini_system_tokens (leaked by Gemini)",
        "<ctrl94>thought\nI see.<ctrl95>awe",
    ),
    Thought(
        "harmony",
        r"<\|channel\|>\s{0,8}(?:analysis|commentary)[^<]{0,80}(?:<\|constrain\|>[^<]{0,20})?<\|message\|>",
        r"<\|end\|>(?=\s{0,8}<\|start\|>|\s{0,8}<\|channel\|>|\s{0,8}\Z)|(?:<\|start\|>\s{0,8}assistant\s{0,8})?<\|channel\|>\s{0,8}final[^<]{0,80}<\|message\|>",
        "https://cookbook.openai.com/articles/openai-harmony (gpt-oss)",
        "<|channel|>analysis<|message|>I see.<|end|><|start|>assistant<|channel|>final<|message|>awe<|return|>",
        alone=".*final.*",  # `<|end|>` is the end of turn of Phi
    ),
    Thought(
        "muse",
        r"<\|start\|>\s{0,8}assistant\s{0,8}to=self<\|message\|>",
        r"<\|eom\|>|<\|start\|>\s{0,8}assistant\s{0,8}to=user<\|message\|>",
        f"{_VLLM}muse_glimmer_utils.py",
        "<|start|>assistant to=self<|message|>I see.<|eom|><|start|>assistant to=user<|message|>awe<|eot|>",
        alone="",
    ),
    Thought(
        "inkling",
        r"<\|content_thinking\|>",
        r"<\|end_message\|>|<\|content_text\|>",
        f"{_SGLANG} (InklingDetector)",
        "<|message_model|><|content_thinking|>I see.<|end_message|><|message_model|><|content_text|>awe<|end_message|>",
        alone="",
    ),
    Thought(
        "llava_cot",
        "(?-i:<SUMMARY>|<CAPTION>|<REASONING>)",
        "(?-i:</SUMMARY>|</CAPTION>|</REASONING>)",
        "arXiv 2411.10440, https://github.com/PKU-YuanGroup/LLaVA-CoT",
        "<SUMMARY>I</SUMMARY>\n<CAPTION>see.</CAPTION>\n<REASONING>Wide.</REASONING>\n<CONCLUSION>awe</CONCLUSION>",
    ),
    _tag_marks("thinking", "(?:ant_?)?thinking", f"{_OPEN_WEBUI} (Claude, MiniMax, Reflection)", "thinking"),
    _tag_marks("thought", "thoughts?", f"{_OPEN_WEBUI} (EXAONE Deep, Gemini's OpenAI API)", "thought"),
    _tag_marks("reasoning", "reason(?:ing)?", f"{_OPEN_WEBUI} (Reka Flash 3)", "reasoning"),
    _tag_marks("analysis", "analysis", f"{_GITHUB}ai-bot-pro/achatbot/pull/167 (Kwai Keye-VL)"),
    _tag_marks("reflection", "reflection", f"{_CARD}mattshumer/Reflection-70B-Draft (special tokens)"),
    _tag_marks("scratchpad", "(?:scratch_?pad|inner_monologue|chain_of_thought|rationale)", "arXiv 2408.11857 (Hermes 3)", "scratchpad"),
    Thought(
        "details",
        r"<details\s[^<>]{0,40}type=\"reasoning\"[^<>]{0,80}>\s{0,8}(?:<summary>[^<]{0,80}</summary>)?",
        "</details>",
        f"{_OPEN_WEBUI} (as that server writes thoughts into a content)",
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought for 3 seconds</summary>\nI see.\n</details>\nawe',
        alone="",
    ),
    Thought(
        "apriel",
        r"here (?:are|is) my (?:reasoning|thinking) (?:steps|process):",
        r"\[BEGIN FINAL RESPONSE\]",
        f"{_CARD}ServiceNow-AI/Apriel-1.5-15b-Thinker",
        "Here are my reasoning steps:\nI see.\n[BEGIN FINAL RESPONSE]\nawe\n[END FINAL RESPONSE]",
        spoken=True,
    ),
    Thought(
        "granite",
        r"(?:#{1,6} )?(?:\*\*)?here(?:'s| is|\u2019s) my thought process:(?:\*\*)?",
        r"(?:#{1,6} )?(?:\*\*)?here(?:'s| is|\u2019s) my response:(?:\*\*)?",
        f"{_VLLM}granite_reasoning_parser.py (Granite 3.2)",
        "Here is my thought process:\nI see.\nHere is my response:\nawe",
        spoken=True,
    ),
    Thought(
        "harmony_text",
        "(?-i:analysis(?=[a-zA-Z]))",
        "(?-i:assistantfinal|assistantcommentaryassistantfinal)",
        f"{_GITHUB}Augustas11/macprovider/issues/743 (gpt-oss with its special tokens cut out)",
        "analysisI see.assistantfinalawe",
        spoken=True,
    ),
    Thought(
        "hyperclova",
        r"/think\s",
        r"<\|im_end\|>\s{0,8}<\|im_start\|>assistant",
        f"{_VLLM}hyperclovax_seed_think_14b_reasoning_parser.py",
        "/think\nI see.<|im_end|>\n<|im_start|>assistant\nawe<|im_end|>",
        alone="",
        spoken=True,
    ),
    Thought(
        "llava_cot_text",
        r"\(here begins the summary stage\)",
        r"\(here ends the reasoning stage\)",
        f"{_GITHUB}PKU-YuanGroup/LLaVA-CoT/issues/16",
        "(Here begins the SUMMARY stage) I see. (Here ends the REASONING stage)\n<answer>awe</answer>",
        spoken=True,
    ),
    Thought(
        "ollama",
        r"thinking\.\.\.\s",
        r"\.\.\.done thinking\.",
        f"{_GITHUB}ollama/ollama/issues/11545 (what the command writes)",
        "Thinking...\nI see.\n...done thinking.\n\nawe",
        spoken=True,
    ),
)
"""Every family, `think` first."""
MARKUP = ("details", "hyperclova")
"""Families whose marks are also markup or control tokens of others: only a reading knows which."""

ANSWER = rf"<(?P<closes>(?:\\?/)?)\s?(?:answer|(?-i:CONCLUSION))\s{{0,8}}{_ATTRIBUTES}>"
"""Answer tags, and those of LLaVA-CoT (arXiv 2411.10440)."""
BOX = r"<\|begin_of_box\|>(.*?)<\|end_of_box\|>"
r"""Is read as `\boxed{}`. Source: https://huggingface.co/zai-org/GLM-4.1V-9B-Thinking, zai-org/GLM-V#133."""
