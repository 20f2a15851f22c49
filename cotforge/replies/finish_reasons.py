"""Why a server stopped writing: every name that servers use for it, mapped to six."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

LONGEST_NAME = 200
"""Characters of a name that are read."""


LONGEST = 60
"""Characters of a reason that is remembered."""


class Finish(StrEnum):
    """What a finish reason says about the text that came with it."""

    STOP = "stop"
    """The model ended by itself: the text is whole."""
    LENGTH = "length"
    """The text is cut off: it ran into a limit of tokens, or into a loop that the server ended."""
    FILTERED = "content_filter"
    """A content filter kept the text back, or part of it."""
    ERROR = "error"
    """Something broke while the model wrote: what text there is must not be used, and asking again may help."""
    TOOLS = "tool_calls"
    """The model called a tool instead of answering."""
    UNKNOWN = "unknown"
    """A name that is not in the table."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One name of the table."""

    name: str
    """As the server writes it."""
    finish: Finish
    server: str
    source: str
    """Where the name is documented or was seen: a URL, or `repository: path`."""


def read_finish(reason: object) -> Finish:
    """What a finish reason means; never raises, and a name that says nothing to us is `Finish.UNKNOWN`.

    Case, spaces, `-`, `_` and an enum's own name before the value make no difference: `FinishReason.MAX_TOKENS`, `max-tokens`
    and `maxTokens` are one. A server that gives no reason (None, "" or "null") is taken to have stopped by itself: many compatible
    servers leave the field out. SGLang's native form is a mapping with the name under `type`. A name that is not in `REASONS` is read
    by its words (`request_aborted`, `output_truncated`), as far as they say that its text is not whole; a text is never whole by them.
    """
    if isinstance(reason, Mapping):
        reason = reason.get("type")
    if reason is None:
        return Finish.STOP
    return _looked_up(reason) if isinstance(reason, str) and len(reason) < LONGEST else _find_finish(reason)


def _find_finish(reason: object) -> Finish:
    known = _FINISHES.get(_bare_name(reason)) or _FINISHES.get(_bare_name(str(reason).partition(":")[0]))  # Gemini: `content_filter: OTHER`
    return known or (_by_words(reason) if isinstance(reason, str) else Finish.UNKNOWN)


_looked_up = lru_cache(maxsize=256)(_find_finish)
"""Every reply has a reason, and nearly all the same one."""


def _bare_name(reason: object) -> str:
    """The name alone, in small letters and without anything between its words."""
    name = str(reason).casefold().rpartition(".")[2]
    name = "".join(character for character in name if not character.isspace() and character not in "-_")
    return name.removeprefix("finishreason").removeprefix("stopreason")


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LIMITS = frozenset({"limit", "max", "maximum", "exceeded", "reached", "length", "full", "overflow"})
_SIGNS: tuple[tuple[Finish, frozenset[str]], ...] = (
    (
        Finish.ERROR,
        frozenset({
            "error", "errored", "exception", "failed", "failure", "fail", "abort", "aborted", "cancel", "canceled", "cancelled", "timeout",
            "timed", "interrupted", "disconnect", "disconnected", "unavailable", "overloaded", "overload", "crashed", "killed", "preempted",
            "evicted", "rate",
        }),
    ),
    (
        Finish.FILTERED,
        frozenset({
            "filter", "filtered", "safety", "unsafe", "sensitive", "moderation", "moderated", "policy", "guardrail", "guardrails",
            "blocked", "prohibited", "violation", "harmful", "censored", "flagged", "toxic", "refused", "refusal",
        }),
    ),
    (Finish.LENGTH, frozenset({"truncated", "truncation", "incomplete", "cutoff"})),
)  # fmt: skip
"""Words in the names of servers that nobody has listed yet; the first line with one counts."""


def _by_words(reason: str) -> Finish:
    """What the words of an unlisted name say, each on its own: `lengthy` is not `length`."""
    words = {word.casefold() for word in _WORD.findall(reason[:LONGEST_NAME])}
    for known, signs in _SIGNS:
        if words & signs:
            return known
    counted = words & {"token", "tokens", "context", "length", "output"}
    return Finish.LENGTH if counted and words & _LIMITS and len(words) > 1 else Finish.UNKNOWN


_OPENAI = "https://platform.openai.com/docs/api-reference/chat/object"
_OPENAI_RESPONSES = "https://platform.openai.com/docs/api-reference/responses/object"
_INCOMPLETE = "https://github.com/theopenco/llmgateway/pull/1682"
_AZURE = "https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter"
_ANTHROPIC = "https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons"
_ANTHROPIC_BETA = "anthropics/anthropic-sdk-python: src/anthropic/types/beta/beta_stop_reason.py"
_GEMINI = "googleapis/python-genai: google/genai/types.py, FinishReason"
_GEMINI_BLOCKED = "googleapis/python-genai: google/genai/types.py, BlockedReason"
_LITELLM = "BerriAI/litellm: litellm/litellm_core_utils/core_helpers.py, _FINISH_REASON_MAP"
_MISTRAL = "mistralai/client-python: src/mistralai/client/models/chatcompletionchoice.py"
_COHERE = "cohere-ai/cohere-python: src/cohere/types/chat_finish_reason.py"
_COHERE_V1 = "cohere-ai/cohere-python: src/cohere/types/finish_reason.py"
_BEDROCK = "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html"
_BEDROCK_CONVERSE = "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html"
_DASHSCOPE = "https://help.aliyun.com/zh/model-studio/qwen-api-reference"
_ZHIPU = "https://docs.z.ai/api-reference/llm/chat-completion"
_MOONSHOT = "https://platform.kimi.ai/docs/guide/faq"
_DEEPSEEK = "https://api-docs.deepseek.com/api/create-chat-completion"
_BAIDU = "https://ai.baidu.com/ai-doc/WENXINWORKSHOP/Mm1ewmscv"
_TOGETHER = "togethercomputer/together-python: src/together/types/common.py, FinishReason"
_OPENROUTER = "https://openrouter.ai/docs/api-reference/overview#finish-reason"
_VLLM = "vllm-project/vllm: vllm/v1/request.py, _FINISHED_REASON_MAP"
_SGLANG = "sgl-project/sglang: python/sglang/srt/managers/schedule_batch.py"
_TGI = "huggingface/text-generation-inference: router/src/lib.rs, FinishReason"
_TENSORRT = "NVIDIA/TensorRT-LLM: tensorrt_llm/executor/result.py, CompletionOutput"
_LLAMA_CPP = "ggml-org/llama.cpp: tools/server/server-task.cpp, stop_type_to_str"
_OLLAMA = "ollama/ollama: llm/server.go, DoneReason"
_OLLAMA_LOAD = "ollama/ollama: server/routes.go"
_WATSONX = "https://ibm.github.io/watsonx-ai-node-sdk/enums/1_7_x.WatsonXAI.TextChatResultChoice.Constants.FinishReason.html"
_XAI = "https://github.com/genkit-ai/genkit/pull/6259"

REASONS: tuple[Reason, ...] = tuple(
    Reason(*row)
    for row in (
        ("stop", Finish.STOP, "OpenAI", _OPENAI),
        ("length", Finish.LENGTH, "OpenAI", _OPENAI),
        ("content_filter", Finish.FILTERED, "OpenAI", _OPENAI),
        ("tool_calls", Finish.TOOLS, "OpenAI", _OPENAI),
        ("function_call", Finish.TOOLS, "OpenAI", _OPENAI),
        ("completed", Finish.STOP, "OpenAI Responses", _OPENAI_RESPONSES),
        ("max_output_tokens", Finish.LENGTH, "OpenAI Responses", _OPENAI_RESPONSES),
        ("incomplete", Finish.LENGTH, "OpenAI Responses", _INCOMPLETE),
        ("failed", Finish.ERROR, "OpenAI Responses", _OPENAI_RESPONSES),
        ("cancelled", Finish.ERROR, "OpenAI Responses", _OPENAI_RESPONSES),
        ("content_filter", Finish.FILTERED, "Azure OpenAI", _AZURE),
        ("end_turn", Finish.STOP, "Anthropic", _ANTHROPIC),
        ("stop_sequence", Finish.STOP, "Anthropic", _ANTHROPIC),
        ("max_tokens", Finish.LENGTH, "Anthropic", _ANTHROPIC),
        ("model_context_window_exceeded", Finish.LENGTH, "Anthropic", _ANTHROPIC),
        ("refusal", Finish.FILTERED, "Anthropic", _ANTHROPIC),
        ("tool_use", Finish.TOOLS, "Anthropic", _ANTHROPIC),
        ("pause_turn", Finish.TOOLS, "Anthropic", _ANTHROPIC),
        ("compaction", Finish.LENGTH, "Anthropic", _ANTHROPIC_BETA),
        ("FINISH_REASON_UNSPECIFIED", Finish.STOP, "Google", _GEMINI),  # the value of a field that was not set
        ("STOP", Finish.STOP, "Google", _GEMINI),
        ("MAX_TOKENS", Finish.LENGTH, "Google", _GEMINI),
        ("SAFETY", Finish.FILTERED, "Google", _GEMINI),
        ("RECITATION", Finish.FILTERED, "Google", _GEMINI),
        ("LANGUAGE", Finish.FILTERED, "Google", _GEMINI),
        ("OTHER", Finish.FILTERED, "Google", _GEMINI),
        ("BLOCKLIST", Finish.FILTERED, "Google", _GEMINI),
        ("PROHIBITED_CONTENT", Finish.FILTERED, "Google", _GEMINI),
        ("SPII", Finish.FILTERED, "Google", _GEMINI),
        ("MALFORMED_FUNCTION_CALL", Finish.ERROR, "Google", _GEMINI),
        ("UNEXPECTED_TOOL_CALL", Finish.ERROR, "Google", _GEMINI),
        ("TOO_MANY_TOOL_CALLS", Finish.ERROR, "Google", _GEMINI),
        ("NO_IMAGE", Finish.ERROR, "Google", _GEMINI),
        ("IMAGE_SAFETY", Finish.FILTERED, "Google", _GEMINI),
        ("IMAGE_PROHIBITED_CONTENT", Finish.FILTERED, "Google", _GEMINI),
        ("IMAGE_RECITATION", Finish.FILTERED, "Google", _GEMINI),
        ("IMAGE_OTHER", Finish.ERROR, "Google", _GEMINI),
        ("MALFORMED_RESPONSE", Finish.ERROR, "Google", _LITELLM),
        ("MISSING_THOUGHT_SIGNATURE", Finish.ERROR, "Google", _LITELLM),
        ("ESCALATION", Finish.FILTERED, "Google", _LITELLM),
        ("MODEL_ARMOR", Finish.FILTERED, "Google Vertex", _GEMINI_BLOCKED),
        ("JAILBREAK", Finish.FILTERED, "Google Vertex", _GEMINI_BLOCKED),
        ("model_length", Finish.LENGTH, "Mistral", _MISTRAL),
        ("error", Finish.ERROR, "Mistral", _MISTRAL),
        ("COMPLETE", Finish.STOP, "Cohere", _COHERE),
        ("STOP_SEQUENCE", Finish.STOP, "Cohere", _COHERE),
        ("MAX_TOKENS", Finish.LENGTH, "Cohere", _COHERE),
        ("TOOL_CALL", Finish.TOOLS, "Cohere", _COHERE),
        ("ERROR", Finish.ERROR, "Cohere", _COHERE),
        ("TIMEOUT", Finish.ERROR, "Cohere", _COHERE),
        ("ERROR_LIMIT", Finish.LENGTH, "Cohere", _COHERE_V1),  # the model's context is full
        ("ERROR_TOXIC", Finish.FILTERED, "Cohere", _COHERE_V1),
        ("USER_CANCEL", Finish.ERROR, "Cohere", _COHERE_V1),
        ("end_turn", Finish.STOP, "Bedrock", _BEDROCK),
        ("max_tokens", Finish.LENGTH, "Bedrock", _BEDROCK),
        ("stop_sequence", Finish.STOP, "Bedrock", _BEDROCK),
        ("tool_use", Finish.TOOLS, "Bedrock", _BEDROCK),
        ("guardrail_intervened", Finish.FILTERED, "Bedrock", _BEDROCK),
        ("content_filtered", Finish.FILTERED, "Bedrock", _BEDROCK),
        ("malformed_model_output", Finish.ERROR, "Bedrock", _BEDROCK_CONVERSE),
        ("malformed_tool_use", Finish.ERROR, "Bedrock", _BEDROCK_CONVERSE),
        ("model_context_window_exceeded", Finish.LENGTH, "Bedrock", _BEDROCK_CONVERSE),
        ("null", Finish.STOP, "DashScope", _DASHSCOPE),  # a word in its own protocol, where others leave the field out
        ("sensitive", Finish.FILTERED, "Zhipu", _ZHIPU),
        ("network_error", Finish.ERROR, "Zhipu", _ZHIPU),
        ("model_context_window_exceeded", Finish.LENGTH, "Zhipu", _ZHIPU),
        ("length", Finish.LENGTH, "Moonshot", _MOONSHOT),
        ("insufficient_system_resource", Finish.ERROR, "DeepSeek", _DEEPSEEK),
        ("normal", Finish.STOP, "Baidu", _BAIDU),
        ("eos", Finish.STOP, "Together", _TOGETHER),
        ("error", Finish.ERROR, "Together", _TOGETHER),
        ("", Finish.STOP, "Together", _TOGETHER),
        ("error", Finish.ERROR, "OpenRouter", _OPENROUTER),
        ("end_turn", Finish.STOP, "xAI", _XAI),
        ("stop", Finish.STOP, "vLLM", _VLLM),
        ("length", Finish.LENGTH, "vLLM", _VLLM),
        ("abort", Finish.ERROR, "vLLM", _VLLM),
        ("error", Finish.ERROR, "vLLM", _VLLM),
        ("repetition", Finish.LENGTH, "vLLM", _VLLM),  # it wrote the same over and over, and was cut off
        ("abort", Finish.ERROR, "SGLang", _SGLANG),
        ("eos_token", Finish.STOP, "TGI", _TGI),
        ("stop_sequence", Finish.STOP, "TGI", _TGI),
        ("timeout", Finish.ERROR, "TensorRT-LLM", _TENSORRT),
        ("cancelled", Finish.ERROR, "TensorRT-LLM", _TENSORRT),
        ("eos", Finish.STOP, "llama.cpp", _LLAMA_CPP),
        ("word", Finish.STOP, "llama.cpp", _LLAMA_CPP),
        ("limit", Finish.LENGTH, "llama.cpp", _LLAMA_CPP),
        ("stop", Finish.STOP, "Ollama", _OLLAMA),
        ("length", Finish.LENGTH, "Ollama", _OLLAMA),
        ("load", Finish.ERROR, "Ollama", _OLLAMA_LOAD),  # the model was loaded, and nothing was written
        ("unload", Finish.ERROR, "Ollama", _OLLAMA_LOAD),
        ("time_limit", Finish.ERROR, "watsonx", _WATSONX),
        ("cancelled", Finish.ERROR, "watsonx", _WATSONX),
    )
)
"""The names of every server, with their source. A name that two servers share means the same at both."""

_FINISHES = {_bare_name(reason.name): reason.finish for reason in REASONS}
