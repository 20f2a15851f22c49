"""The control tokens of chat templates, and what else may stand around a reply; each line has its source."""

from typing import NamedTuple

_CARD = "https://huggingface.co/"
ROLES = "(?:system|user|assistant|model|tool|developer|ipython|environment)"


class Control(NamedTuple):
    """The control tokens of one family of chat templates."""

    name: str
    pattern: str
    """With case."""
    source: str
    examples: tuple[str, ...]
    images: bool = False
    """Stand for a picture."""


CONTROLS = (
    Control(
        "turns",
        rf"<\|(?:im_start|start|turn|start_of_role)\|?>(?:{ROLES}\b)?|<\|start_header_id\|>(?:{ROLES}\b)?(?:<\|end_header_id\|>)?"
        rf"|<start_of_turn>(?:{ROLES}\b)?",
        f"{_CARD}Qwen/Qwen2.5-VL-7B-Instruct, {_CARD}meta-llama/Llama-3.2-11B-Vision-Instruct, {_CARD}google/gemma-3-4b-it",
        ("<|im_start|>assistant", "<|start_header_id|>user<|end_header_id|>", "<start_of_turn>model", "<|turn>model"),
    ),
    Control(
        "bars",
        r"<\|[^\s<>|]{1,64}\|>|<\uff5c[^\s<>\uff5c|]{1,64}\uff5c>|<\|(?:turn|channel|think|tool|tool_call|tool_response|image|video|audio)>"
        r"|<(?:turn|channel|tool|tool_call|tool_response|image|video|audio)\|>",
        f"{_CARD}deepseek-ai/DeepSeek-R1, {_CARD}google/gemma-4-E4B-it; every token that any family writes between bars",
        (
            "<|im_end|>",
            "<|endoftext|>",
            "<|eot_id|>",
            "<|user|>",
            "<|assistant|>",
            "<|end|>",
            "<|return|>",
            "<\uff5cend▁of▁sentence\uff5c>",
            "<turn|>",
        ),
    ),
    Control(
        "sentences",
        r"</?s>|<(?:bos|eos|pad|unk|mask|sop|eop|eod|start_of_turn|end_of_turn|end_of_utterance)>|<unused\d{1,4}>|<ctrl\d{1,4}>"
        r"|<seed:[a-z_]{1,32}>|</seed:[a-z_]{1,32}>|<SPECIAL_\d{1,4}>|<extra_id_\d{1,4}>|\[(?:EOS|BOS|PAD|UNK|EOT|gMASK|sMASK)\]"
        r"|<(?:BOS|EOS|EOD|PAD|UNK)_TOKEN>",
        f"{_CARD}llava-hf/llava-1.5-7b-hf, {_CARD}google/gemma-3-4b-it, {_CARD}ByteDance-Seed/Seed-OSS-36B-Instruct, "
        f"{_CARD}CohereLabs/aya-vision-8b",
        ("</s>", "<s>", "<bos>", "<eos>", "<end_of_turn>", "<end_of_utterance>", "<unused7>", "<seed:eos>", "[gMASK]", "<EOS_TOKEN>"),
    ),
    Control(
        "instructions",
        r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|CALL_ID|ARGS|MODEL_SETTINGS)\]|<</?SYS>>"
        r"|\[(?:BEGIN|END) FINAL RESPONSE\]"
        r"|</?(?:minimax:)?tool_(?:call|calls|response)>",
        "https://github.com/mistralai/mistral-common (SpecialTokens), Llama 2's and Qwen's chat templates",
        ("[INST]", "[/INST]", "<<SYS>>", "[TOOL_CALLS]", "[ARGS]", "<tool_call>", "[END FINAL RESPONSE]"),
    ),
    Control(
        "images",
        r"<(?:image|video|audio|IMG_CONTEXT|ImageHere|image_placeholder|image_soft_token|start_of_image|end_of_image|fake_token_around_image"
        r"|global-img|row_\d{1,2}_col_\d{1,2}|boi|eoi|im_start|im_end|im_patch|im_col|img_context|multimodal"
        r"|image_(?:pad|start|end|newline|atom|col|row|prefix|suffix)|vision_(?:start|end|pad))>|\[multimodal\]"
        r"|</?(?:slice|image_id)>|</?img>|</?(?:ref|box|quad)>"
        r"|\[IMG(?:_BREAK|_END)?\]|<\|(?:image(?:_pad|_start|_end)?|video_pad|vision_(?:start|end|pad)|img)\|>",
        f"{_CARD}OpenGVLab/InternVL3-8B, {_CARD}llava-hf/llava-1.5-7b-hf, {_CARD}HuggingFaceTB/SmolVLM-Instruct, "
        f"{_CARD}openbmb/MiniCPM-V-2_6, {_CARD}AIDC-AI/Ovis2-1B, {_CARD}google/gemma-3-4b-it",
        (
            "<image>",
            "<IMG_CONTEXT>",
            "<img>",
            "[IMG]",
            "<|image_pad|>",
            "<|vision_start|>",
            "<|image|>",
            "<start_of_image>",
            "<im_patch>",
            "</slice>",
        ),
        images=True,
    ),
)
"""Every family; a token of two families counts as the later one's."""

NEXT_TURN = (
    r"<\|im_start\|>\s{0,8}user|<\|start_header_id\|>\s{0,8}user|<start_of_turn>\s{0,8}user|<\|turn>\s{0,8}user|<\|start\|>\s{0,8}user"
    r"|<\|user\|>|<\uff5cUser\uff5c>|\[INST\]|<\|message_user\|>|<\|USER_TOKEN\|>"
)
"""Here a user's next turn begins, which a model that misses its end of turn makes up itself."""
WRAPPER = (
    r"</?(?:response|output)>|<\|(?:begin|end)_of_solution\|>|<\|(?:open|close)\|>(?:response|message)<\|sep\|>"
    r"|<\|(?:START|END)_(?:RESPONSE|TEXT)\|>|\[(?:BEGIN|END) FINAL RESPONSE\]"
)
"""Around what is said after a thought. Source: ERNIE 4.5's and Granite 3.3's `<response>`, Sky-T1, Kimi K3, Cohere, Apriel (as above)."""
