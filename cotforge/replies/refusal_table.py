"""The refusals of known servers, one line each, with what each is about and where it is documented or was seen."""

from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a refusal is about."""

    KEY = "key"
    """A wrong, missing or expired key, or one without the right to do this."""
    QUOTA = "quota"
    """Money or an allowance has run out: for the account, the month or the day."""
    MODEL = "model"
    """No such model there, or no access to it."""
    FILTER = "content_filter"
    """A content filter about this very picture or prompt: no fault of the server."""
    BUSY = "busy"
    """No room now: a rate limit, or too much load."""
    PROMPT = "prompt"
    """This very request cannot be answered: too long, or a picture that is not read there."""
    HELP = "help"
    """The account or the place is shut out, and only a person can settle it: suspended, blocked, a country, terms not accepted."""


@dataclass(frozen=True, slots=True)
class RefusalLine:
    """One refusal: it is met where all of status, code and words are met that it names."""

    server: str
    status: int | None
    """None: whatever the status."""
    code: str
    """One word among the codes, whatever its case, `_` and `-`; one `*` stands for any characters. Empty: whatever the codes."""
    words: str
    """A part of the message, whatever its case; `*` stands for any characters, `^` in front for the beginning of the message, or of one
    of its sentences behind a `;`. Empty: whatever the message."""
    meaning: Meaning
    source: str


_RFC = "https://www.rfc-editor.org/rfc/rfc9110#section-15.5"
_RFC_429 = "https://www.rfc-editor.org/rfc/rfc6585#section-4"
_KEY_WORDS = "https://github.com/QuantumNous/new-api/issues/5496"
_TOKEN_WORDS = "https://github.com/terminusdb/terminusdb/issues/1727"
_NEW_API = "https://github.com/QuantumNous/new-api/issues/4712"
_BALANCE_WORDS = "https://github.com/continuedev/continue/issues/5827"
_CREDIT_WORDS = "https://github.com/askimo-ai/askimo/issues/277"
_QUOTA_WORDS = "https://github.com/simonw/llm/issues/494"
_PLAN_CHINESE = "https://github.com/binary-husky/gpt_academic/issues/1956"
_OPENAI = "https://developers.openai.com/api/docs/guides/error-codes"
_OPENAI_BILLING = "https://learn.microsoft.com/microsoft-cloud/dev/dev-proxy/concepts/openai-insufficient-quota"
_OPENAI_IMAGES = "https://platform.openai.com/docs/api-reference/responses/object"
_OPENAI_DAY = "https://platform.openai.com/docs/guides/rate-limits"
_NEW_API_CODES = "QuantumNous/new-api: types/error.go"
_ONE_API = "songquanpeng/one-api: monitor/manage.go"
_ONE_API_QUOTA = "songquanpeng/one-api: relay/controller/helper.go"
_AIDER_2030 = "https://github.com/Aider-AI/aider/issues/2030"
_STRANSLATE = "https://github.com/STranslate/STranslate/issues/277"
_GPTPDF = "https://github.com/CosmosShadow/gptpdf/issues/6"
_AZURE = "https://github.com/compl-ai/compl-ai/issues/20"
_AZURE_IMAGES = "https://github.com/BerriAI/litellm/pull/19372"
_AZURE_MODEL = "https://learn.microsoft.com/answers/questions/1299621/azure-openai-keep-returing-deploymentnotfound-erro"
_AZURE_WORDS = "https://github.com/microsoft/azurechat/issues/351"
_GOOGLE = "https://ai.google.dev/gemini-api/docs/troubleshooting"
_GOOGLE_REASONS = "googleapis/googleapis: google/api/error_reason.proto"
_GOOGLE_DAY = "https://github.com/google-gemini/gemini-cli/issues/8437"
_GOOGLE_DAY_WORDS = "https://github.com/google-gemini/gemini-cli/issues/5377"
_GOOGLE_PREPAID = "https://ai.google.dev/gemini-api/docs/generate-content/api-errors"
_GOOGLE_BANNED = "https://github.com/google-gemini/gemini-cli/issues/19501"
_GOOGLE_BLOCKED = "googleapis/python-genai: google/genai/types.py, BlockedReason"
_ANTHROPIC = "https://docs.claude.com/en/api/errors"
_ANTHROPIC_TYPES = "anthropics/anthropic-sdk-python: src/anthropic/types/shared/error_type.py"
_ANTHROPIC_CREDIT = "https://github.com/anthropics/claude-code/issues/4207"
_ANTHROPIC_FILTER = "https://github.com/anthropics/claude-code/issues/58367"
_DASHSCOPE = "https://help.aliyun.com/zh/model-studio/error-code"
_DASHSCOPE_RATE = "https://help.aliyun.com/en/model-studio/error-code-start"
_DASHSCOPE_FILTER = "https://github.com/camel-ai/owl/issues/432"
_DASHSCOPE_WORDS = "https://github.com/QwenLM/qwen-code/issues/3145"
_ZHIPU = "https://docs.bigmodel.cn/cn/api/api-code"
_ZHIPU_WORDS = "https://github.com/7836246/cursor2api/issues/30"
_ZHIPU_CHINESE = "https://github.com/continuedev/continue/issues/11823"
_MOONSHOT = "https://platform.kimi.ai/docs/api/errors"
_DEEPSEEK = "https://api-docs.deepseek.com/quick_start/error_codes"
_DEEPSEEK_BODY = "https://github.com/harry0703/MoneyPrinterTurbo/issues/770"
_SILICONFLOW = "https://docs.siliconflow.cn/cn/faqs/error-code"
_SILICONFLOW_PAID = "https://github.com/FoundationAgents/OpenManus/issues/438"
_ARK = "https://www.volcengine.com/docs/82379/1299023"
_ARK_ALL = "https://www.volcengine.com/docs/82379/1099476"
_BAIDU = "https://cloud.baidu.com/doc/qianfan-api/s/rmwbl43x7"
_BAIDU_V1 = "https://ai.baidu.com/ai-doc/WENXINWORKSHOP/tlmyncueh"
_BAIDU_SEARCH = "https://ai.baidu.com/ai-doc/AppBuilder/4m8sgh88y"
_TENCENT = "https://cloud.tencent.com/document/api/1729/101847"
_MINIMAX = "https://platform.minimax.io/docs/api-reference/errorcode"
_STEPFUN = "https://platform.stepfun.com/docs/zh/api-reference/error-codes"
_HUAWEI = "https://support.huaweicloud.com/Token-plan-maas/tokenplan-maas-0013.html"
_OPENROUTER = "https://openrouter.ai/docs/api/reference/errors-and-debugging"
_OPENROUTER_DAY = "https://openrouter.ai/docs/api-reference/limits"
_OPENROUTER_NONE = "https://github.com/anomalyco/opencode/issues/1558"
_OPENROUTER_PROVIDERS = "https://github.com/maximhq/bifrost/issues/4141"
_OPENROUTER_CREDIT = "https://github.com/Alishahryar1/free-claude-code/issues/772"
_TOGETHER = "https://docs.together.ai/docs/error-codes"
_FIREWORKS = "https://github.com/pollinations/pollinations/issues/12136"
_GROQ_BILL = "https://console.groq.com/docs/spend-limits"
_GROQ_GONE = "https://console.groq.com/docs/deprecations"
_GROQ_FLEX = "https://console.groq.com/docs/errors"
_MISTRAL = "https://docs.mistral.ai/resources/error-glossary"
_MISTRAL_TIER = "https://github.com/continuedev/continue/issues/6185"
_MISTRAL_RATE = "https://github.com/raycast/extensions/issues/31107"
_MISTRAL_KEY = "https://github.com/agent0ai/agent-zero/issues/539"
_XAI_KEY = "https://github.com/continuedev/continue/issues/10778"
_XAI_CREDIT = "https://github.com/griptape-ai/griptape-nodes-engine/issues/1079"
_XAI_SPENT = "https://github.com/continuedev/continue/issues/10373"
_COHERE = "https://docs.cohere.com/reference/errors"
_COHERE_TRIAL = "https://docs.cohere.com/docs/rate-limits"
_HF = "https://github.com/huggingface/agents-course/issues/386"
_HF_MODEL = "https://huggingface.co/docs/inference-providers/index"
_NVIDIA_KEY = "https://github.com/Alishahryar1/free-claude-code/issues/1242"
_NVIDIA_MODEL = "https://github.com/Alishahryar1/free-claude-code/issues/1021"
_LITELLM = "BerriAI/litellm: litellm/proxy/_types.py, ProxyErrorTypes"
_LITELLM_BUDGET = "https://github.com/BerriAI/litellm/issues/14144"
_LITELLM_FILTER = "https://github.com/BerriAI/litellm/pull/16231"
_SUB2API = "https://github.com/Wei-Shaw/sub2api/issues/890"
_VENICE = "https://docs.venice.ai/api-reference/error-codes"
_ZENMUX = "https://docs.zenmux.ai/guide/advanced/error-codes.html"
_VLLM_MODEL = "https://github.com/vllm-project/vllm/issues/3485"
_VLLM_LONG = "https://github.com/vllm-project/vllm/issues/20409"
_VLLM_PICTURE = "https://github.com/Gabesarch/grounded-rl/issues/16"
_SGLANG_LONG = "https://github.com/QwenLM/Qwen3/issues/1321"
_LLAMA_CPP = "ggml-org/llama.cpp: tools/server/server-context.cpp"
_LLAMA_CPP_LOADING = "ggml-org/llama.cpp: tools/server/README.md, GET /health"
_OLLAMA = "ollama/ollama: server/routes.go"
_OLLAMA_BUSY = "ollama/ollama: server/sched.go, ErrMaxQueue"
_TGI = "huggingface/text-generation-inference: router/src/infer/mod.rs, InferError"
_LM_STUDIO = "https://github.com/lmstudio-ai/lms/issues/107"
_CLOUDFLARE = "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/"
_BEDROCK = "https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html"

KEY, QUOTA, MODEL, FILTER = Meaning.KEY, Meaning.QUOTA, Meaning.MODEL, Meaning.FILTER
BUSY, PROMPT, HELP = Meaning.BUSY, Meaning.PROMPT, Meaning.HELP

LINES: tuple[RefusalLine, ...] = tuple(
    RefusalLine(*row)
    for row in (
        # the bare status, where nothing else speaks; a bare 400, 403, 422 or 503 says nothing
        ("any", 401, "", "", KEY, _RFC),
        ("any", 402, "", "", QUOTA, _RFC),
        ("any", 404, "", "", MODEL, _RFC),
        ("any", 413, "", "", PROMPT, _RFC),
        ("any", 429, "", "", BUSY, _RFC_429),
        # what servers of every kind begin with, under every status and in no code: in mid-sentence they may be about the prompt
        ("any", None, "", "^incorrect api key", KEY, _XAI_KEY),
        ("any", None, "", "^invalid api key", KEY, _KEY_WORDS),
        ("any", None, "", "^invalid api-key", KEY, _KEY_WORDS),
        ("any", None, "", "^invalid token", KEY, _TOKEN_WORDS),
        ("any", None, "", "^api key*invalid", KEY, _KEY_WORDS),
        ("any", None, "", "^api key*not valid", KEY, _KEY_WORDS),
        ("any", None, "", "^api key*expired", KEY, _KEY_WORDS),
        ("any", None, "", "^invalid authentication", KEY, _TOKEN_WORDS),
        ("any", None, "", "无效的令牌", KEY, _NEW_API),
        ("any", None, "", "^insufficient balance", QUOTA, _BALANCE_WORDS),
        ("any", None, "", "^insufficient account balance", QUOTA, _BALANCE_WORDS),
        ("any", None, "", "^insufficient credit", QUOTA, _BALANCE_WORDS),
        ("any", None, "", "^you have not enough credit", QUOTA, _CREDIT_WORDS),
        ("any", None, "", "^your credit balance is too low", QUOTA, _CREDIT_WORDS),
        ("any", None, "", "^you exceeded your current quota, please check your plan", QUOTA, _QUOTA_WORDS),
        ("any", None, "", "余额不足", QUOTA, _ZHIPU_CHINESE),
        ("any", None, "", "额度不足", QUOTA, _PLAN_CHINESE),
        ("any", None, "", "欠费", QUOTA, _DASHSCOPE),
        ("OpenAI", None, "insufficient_quota", "", QUOTA, _OPENAI),
        ("OpenAI", None, "billing_hard_limit_reached", "", QUOTA, _OPENAI),
        ("OpenAI", None, "billing_not_active", "", QUOTA, _OPENAI),
        ("OpenAI", None, "credit_balance_exhausted", "", QUOTA, _OPENAI_BILLING),
        ("OpenAI", None, "organization_spend_limit_exceeded", "", QUOTA, _OPENAI_BILLING),
        ("OpenAI", None, "project_spend_limit_exceeded", "", QUOTA, _OPENAI_BILLING),
        ("OpenAI", None, "organization_usage_limit_exceeded", "", QUOTA, _OPENAI_BILLING),
        ("OpenAI", None, "invalid_api_key", "", KEY, _OPENAI),
        ("OpenAI", None, "account_deactivated", "", HELP, _ONE_API),
        ("OpenAI", None, "unsupported_country_region_territory", "", HELP, _OPENAI),
        ("OpenAI", None, "model_not_found", "", MODEL, _AIDER_2030),
        ("OpenAI", None, "content_policy_violation", "", FILTER, _OPENAI_IMAGES),
        ("OpenAI", None, "image_content_policy_violation", "", FILTER, _OPENAI_IMAGES),
        ("OpenAI", None, "context_length_exceeded", "", PROMPT, _OPENAI),
        ("OpenAI", None, "rate_limit_exceeded", "", BUSY, _OPENAI),
        ("OpenAI", None, "slow_down", "", BUSY, _OPENAI),
        ("OpenAI", None, "server_is_overloaded", "", BUSY, _OPENAI),
        ("OpenAI", None, "invalid_image_format", "", PROMPT, _STRANSLATE),
        ("OpenAI", None, "invalid_image*", "", PROMPT, _OPENAI_IMAGES),
        ("OpenAI", None, "invalid_base64_image", "", PROMPT, _OPENAI_IMAGES),
        ("OpenAI", None, "image_too_large", "", PROMPT, _OPENAI_IMAGES),
        ("OpenAI", None, "image_too_small", "", PROMPT, _OPENAI_IMAGES),
        ("OpenAI", None, "image_parse_error", "", PROMPT, _OPENAI_IMAGES),
        ("OpenAI", None, "unsupported_image_media_type", "", PROMPT, _OPENAI_IMAGES),
        ("OpenAI", None, "empty_image_file", "", PROMPT, _OPENAI_IMAGES),
        ("OpenAI", 400, "", "you uploaded an unsupported image", PROMPT, _GPTPDF),
        ("OpenAI", 429, "rate_limit_exceeded", "per day (", QUOTA, _OPENAI_DAY),
        ("OpenAI", None, "moderation_blocked", "", FILTER, _OPENAI_IMAGES),
        ("Azure", None, "content_filter", "", FILTER, _AZURE),
        ("Azure", None, "ResponsibleAIPolicyViolation", "", FILTER, _AZURE),
        ("Azure", None, "content_policy_violation", "", FILTER, _AZURE_IMAGES),
        ("Azure", 400, "", "content management policy", FILTER, _AZURE_WORDS),
        ("Azure", None, "DeploymentNotFound", "", MODEL, _AZURE_MODEL),
        ("Google", None, "API_KEY_INVALID", "", KEY, _GOOGLE_REASONS),
        ("Google", None, "API_KEY_*_BLOCKED", "", KEY, _GOOGLE_REASONS),
        ("Google", None, "ACCESS_TOKEN_EXPIRED", "", KEY, _GOOGLE_REASONS),
        ("Google", None, "USER_PROJECT_DENIED", "", KEY, _GOOGLE_REASONS),
        ("Google", None, "CONSUMER_INVALID", "", KEY, _GOOGLE_REASONS),
        ("Google", None, "SERVICE_DISABLED", "", KEY, _GOOGLE_REASONS),
        ("Google", None, "SAFETY", "", FILTER, _GOOGLE_BLOCKED),
        ("Google", None, "PROHIBITED_CONTENT", "", FILTER, _GOOGLE_BLOCKED),
        ("Google", None, "UNAUTHENTICATED", "", KEY, _GOOGLE),
        ("Google", 403, "PERMISSION_DENIED", "", KEY, _GOOGLE),
        ("Google", 403, "PERMISSION_DENIED", "violation of terms of service", HELP, _GOOGLE_BANNED),
        ("Google", None, "CONSUMER_SUSPENDED", "", HELP, _GOOGLE_REASONS),
        ("Google", None, "BILLING_DISABLED", "", QUOTA, _GOOGLE_REASONS),
        ("Google", 400, "", "api key not valid", KEY, _ONE_API),
        ("Google", 400, "", "api key expired", KEY, _ONE_API),
        ("Google", 400, "FAILED_PRECONDITION", "not available in your country", HELP, _GOOGLE),
        ("Google", 400, "FAILED_PRECONDITION", "location is not supported", HELP, _GOOGLE),
        ("Google", 402, "RESOURCE_EXHAUSTED", "", QUOTA, _GOOGLE_PREPAID),
        ("Google", 429, "*PerDay*", "", QUOTA, _GOOGLE_DAY),
        ("Google", 429, "RESOURCE_EXHAUSTED", "per day", QUOTA, _GOOGLE_DAY_WORDS),
        ("Google", 429, "RESOURCE_EXHAUSTED", "", BUSY, _GOOGLE),
        ("Google", 503, "UNAVAILABLE", "", BUSY, _GOOGLE),
        ("Anthropic", None, "authentication_error", "", KEY, _ANTHROPIC),
        ("Anthropic", None, "permission_error", "", KEY, _ANTHROPIC),
        ("Anthropic", None, "billing_error", "", QUOTA, _ANTHROPIC_TYPES),
        ("Anthropic", 400, "", "credit balance is too low", QUOTA, _ANTHROPIC_CREDIT),
        ("Anthropic", None, "not_found_error", "", MODEL, _ANTHROPIC),
        ("Anthropic", None, "request_too_large", "", PROMPT, _ANTHROPIC),
        ("Anthropic", None, "rate_limit_error", "", BUSY, _ANTHROPIC),
        ("Anthropic", None, "overloaded_error", "", BUSY, _ANTHROPIC),
        ("Anthropic", 529, "", "", BUSY, _ANTHROPIC),
        ("Anthropic", 400, "", "output blocked by content filtering policy", FILTER, _ANTHROPIC_FILTER),
        ("Anthropic", 400, "", "organization has been disabled", HELP, _ONE_API),
        ("DashScope", None, "Arrearage", "", QUOTA, _DASHSCOPE),
        ("DashScope", None, "InvalidApiKey", "", KEY, _DASHSCOPE),
        ("DashScope", None, "AccessDenied.Unpurchased", "", MODEL, _DASHSCOPE),
        ("DashScope", None, "Model.AccessDenied", "", MODEL, _DASHSCOPE),
        ("DashScope", None, "ModelNotFound", "", MODEL, _DASHSCOPE),
        ("DashScope", 404, "model_not_found", "", MODEL, _DASHSCOPE),
        ("DashScope", None, "DataInspectionFailed", "", FILTER, _DASHSCOPE),
        ("DashScope", None, "data_inspection_failed", "", FILTER, _DASHSCOPE_FILTER),
        ("DashScope", 400, "", "DataInspectionFailed", FILTER, _DASHSCOPE_WORDS),
        ("DashScope", None, "AllocationQuota.FreeTierOnly", "", QUOTA, _DASHSCOPE),
        ("DashScope", None, "Throttling.AllocationQuota", "", BUSY, _DASHSCOPE),
        ("DashScope", None, "Throttling*", "", BUSY, _DASHSCOPE),
        ("DashScope", 429, "insufficient_quota", "free allocated quota exceeded", QUOTA, _DASHSCOPE),
        ("DashScope", 429, "insufficient_quota", "allocated quota exceeded", BUSY, _DASHSCOPE_RATE),  # OpenAI's word for tokens a minute
        ("DashScope", 400, "InvalidParameter", "range of input length should be", PROMPT, _DASHSCOPE),
        ("Zhipu", 401, "1000", "", KEY, _ZHIPU),
        ("Zhipu", 401, "1001", "", KEY, _ZHIPU),
        ("Zhipu", 401, "1002", "", KEY, _ZHIPU),
        ("Zhipu", 401, "1003", "", KEY, _ZHIPU),
        ("Zhipu", None, "1110", "", HELP, _ZHIPU),
        ("Zhipu", None, "1112", "", HELP, _ZHIPU),
        ("Zhipu", None, "1113", "", QUOTA, _ZHIPU),
        ("Zhipu", None, "1121", "", HELP, _ZHIPU),
        ("Zhipu", None, "1211", "", MODEL, _ZHIPU),
        ("Zhipu", None, "1220", "", MODEL, _ZHIPU),
        ("Zhipu", None, "1261", "", PROMPT, _ZHIPU),
        ("Zhipu", None, "1301", "", FILTER, _ZHIPU),
        ("Zhipu", 429, "1302", "", BUSY, _ZHIPU),
        ("Zhipu", 429, "1303", "", BUSY, _ZHIPU),
        ("Zhipu", 429, "1304", "", QUOTA, _ZHIPU),
        ("Zhipu", 429, "1305", "", BUSY, _ZHIPU),
        ("Zhipu", 429, "1308", "", QUOTA, _ZHIPU),
        ("Zhipu", 429, "1309", "", QUOTA, _ZHIPU),
        ("Zhipu", 429, "1310", "", QUOTA, _ZHIPU),
        ("Zhipu", None, "1311", "", MODEL, _ZHIPU),
        ("Zhipu", 429, "1312", "", BUSY, _ZHIPU),
        ("Zhipu", 429, "", "insufficient balance or no resource package", QUOTA, _ZHIPU_WORDS),
        ("Zhipu", 429, "", "余额不足", QUOTA, _ZHIPU_CHINESE),
        ("Moonshot", None, "exceeded_current_quota_error", "", QUOTA, _MOONSHOT),
        ("Moonshot", None, "invalid_authentication_error", "", KEY, _MOONSHOT),
        ("Moonshot", None, "incorrect_api_key_error", "", KEY, _MOONSHOT),
        ("Moonshot", None, "permission_denied_error", "", KEY, _MOONSHOT),
        ("Moonshot", None, "resource_not_found_error", "", MODEL, _MOONSHOT),
        ("Moonshot", None, "content_filter", "", FILTER, _MOONSHOT),
        ("Moonshot", 400, "", "considered high risk", FILTER, _MOONSHOT),
        ("Moonshot", 400, "", "exceeded model token limit", PROMPT, _MOONSHOT),
        ("Moonshot", 400, "", "input token length too long", PROMPT, _MOONSHOT),
        ("Moonshot", None, "engine_overloaded_error", "", BUSY, _MOONSHOT),
        ("Moonshot", None, "rate_limit_reached_error", "", BUSY, _MOONSHOT),
        ("DeepSeek", 402, "", "insufficient balance", QUOTA, _DEEPSEEK_BODY),
        ("DeepSeek", 503, "", "server overloaded", BUSY, _DEEPSEEK),
        ("SiliconFlow", None, "20012", "", MODEL, _SILICONFLOW),
        ("SiliconFlow", 403, "30011", "", QUOTA, _SILICONFLOW_PAID),
        ("SiliconFlow", 403, "", "balance is insufficient", QUOTA, _SILICONFLOW),
        ("Volcengine", None, "AccountOverdueError", "", QUOTA, _ARK),
        ("Volcengine", None, "AuthenticationError", "", KEY, _ARK),
        ("Volcengine", 403, "AccessDenied", "", KEY, _ARK),
        ("Volcengine", None, "ModelNotOpen", "", MODEL, _ARK),
        ("Volcengine", None, "InvalidEndpointOrModel.NotFound", "", MODEL, _ARK),
        ("Volcengine", None, "InvalidEndpoint.ClosedEndpoint", "", MODEL, _ARK),
        ("Volcengine", None, "*SensitiveContentDetected", "", FILTER, _ARK_ALL),
        ("Volcengine", None, "*SensitiveContentDetected.*", "", FILTER, _ARK_ALL),
        ("Volcengine", None, "InputTextRiskDetection", "", FILTER, _ARK_ALL),
        ("Volcengine", None, "InputImageRiskDetection", "", FILTER, _ARK_ALL),
        ("Volcengine", None, "OutputTextRiskDetection", "", FILTER, _ARK_ALL),
        ("Baidu", 401, "invalid_iam_token", "", KEY, _BAIDU),
        ("Baidu", 401, "invalid_model", "", MODEL, _BAIDU),
        ("Baidu", None, "tokens_too_long", "", PROMPT, _BAIDU),
        ("Baidu", None, "characters_too_long", "", PROMPT, _BAIDU),
        ("Baidu", 429, "rpm_rate_limit_exceeded", "", BUSY, _BAIDU),
        ("Baidu", 429, "tpm_rate_limit_exceeded", "", BUSY, _BAIDU),
        ("Baidu", None, "*_unsafe", "", FILTER, _BAIDU),
        ("Baidu", 429, "BILLING_INSUFFICIENT_BALANCE", "", QUOTA, _BAIDU_SEARCH),
        ("Baidu", 429, "QUOTA_USER_DAILY_REQUEST", "", QUOTA, _BAIDU_SEARCH),
        ("Baidu", 200, "17", "daily request limit reached", QUOTA, _BAIDU_V1),
        ("Baidu", 200, "18", "qps request limit reached", BUSY, _BAIDU_V1),
        ("Baidu", 200, "110", "access token invalid", KEY, _BAIDU_V1),
        ("Tencent", None, "AuthFailure.*", "", KEY, _TENCENT),
        ("Tencent", None, "RequestLimitExceeded*", "", BUSY, _TENCENT),
        ("Tencent", None, "IpInBlacklist", "", HELP, _TENCENT),
        ("MiniMax", 200, "1002", "", BUSY, _MINIMAX),
        ("MiniMax", 200, "1004", "", KEY, _MINIMAX),
        ("MiniMax", 200, "1008", "", QUOTA, _MINIMAX),
        ("MiniMax", 200, "1026", "", FILTER, _MINIMAX),
        ("MiniMax", 200, "1027", "", FILTER, _MINIMAX),
        ("MiniMax", 200, "2049", "", KEY, _MINIMAX),
        ("StepFun", 401, "invalid_api_key", "", KEY, _STEPFUN),
        ("Huawei", 403, "ModelArts.81019", "", QUOTA, _HUAWEI),
        ("Huawei", 403, "ModelArts.81021", "", HELP, _HUAWEI),
        ("Huawei", 403, "ModelArts.81022", "", QUOTA, _HUAWEI),
        ("Huawei", 403, "ModelArts.81023", "", HELP, _HUAWEI),
        ("Huawei", 429, "ModelArts.81101", "", BUSY, _HUAWEI),
        ("OpenRouter", 429, "", "per-day", QUOTA, _OPENROUTER_DAY),
        ("OpenRouter", 402, "402", "", QUOTA, _OPENROUTER_CREDIT),
        ("OpenRouter", 403, "403", "flagged", FILTER, _OPENROUTER),
        ("OpenRouter", 404, "404", "no endpoints found", MODEL, _OPENROUTER_NONE),
        ("OpenRouter", 404, "404", "no allowed providers are available", MODEL, _OPENROUTER_PROVIDERS),
        ("Together", 402, "", "", QUOTA, _TOGETHER),
        ("Fireworks", 412, "", "is suspended, possibly due to reaching the monthly spending limit", QUOTA, _FIREWORKS),
        ("Groq", 400, "blocked_api_access", "", QUOTA, _GROQ_BILL),
        ("Groq", None, "model_decommissioned", "", MODEL, _GROQ_GONE),
        ("Groq", 498, "capacity_exceeded", "", BUSY, _GROQ_FLEX),
        ("Groq", 400, "", "organization has been restricted", HELP, _ONE_API),
        ("Mistral", None, "unknown_model", "", MODEL, _MISTRAL),
        ("Mistral", None, "rate_limited", "", BUSY, _MISTRAL_RATE),
        ("Mistral", None, "", "service tier capacity exceeded", BUSY, _MISTRAL_TIER),
        ("Mistral", 401, "", "unauthorized", KEY, _MISTRAL_KEY),
        ("xAI", 400, "", "incorrect api key provided", KEY, _XAI_KEY),
        ("xAI", 403, "", "doesn't have any credits", QUOTA, _XAI_CREDIT),
        ("xAI", None, "", "used all available credits or reached its monthly spending limit", QUOTA, _XAI_SPENT),
        ("Cohere", 400, "", "too many tokens:", PROMPT, _COHERE),
        ("Cohere", 429, "", "trial key*calls / month", QUOTA, _COHERE_TRIAL),
        ("Hugging Face", 402, "", "exceeded your monthly included credits", QUOTA, _HF),
        ("Hugging Face", 400, "model_not_supported", "", MODEL, _HF_MODEL),
        ("NVIDIA", 403, "", "authorization failed", KEY, _NVIDIA_KEY),
        ("NVIDIA", 404, "", "not found for account", MODEL, _NVIDIA_MODEL),
        ("LiteLLM", None, "budget_exceeded", "", QUOTA, _LITELLM),
        ("LiteLLM", None, "expired_key", "", KEY, _LITELLM),
        ("LiteLLM", None, "token_not_found_in_db", "", KEY, _LITELLM),
        ("LiteLLM", None, "auth_error", "", KEY, _LITELLM),
        ("LiteLLM", None, "key_model_access_denied", "", MODEL, _LITELLM),
        ("LiteLLM", None, "", "budget has been exceeded", QUOTA, _LITELLM_BUDGET),
        ("LiteLLM", 400, "", "ExceededBudget:", QUOTA, _LITELLM_BUDGET),
        ("LiteLLM", 429, "", "crossed budget", QUOTA, _LITELLM_BUDGET),
        ("LiteLLM", 400, "", "litellm.ContentPolicyViolationError", FILTER, _LITELLM_FILTER),
        ("one-api", 403, "insufficient_user_quota", "", QUOTA, _ONE_API_QUOTA),
        ("new-api", None, "sensitive_words_detected", "", FILTER, _NEW_API_CODES),
        ("new-api", None, "prompt_blocked", "", FILTER, _NEW_API_CODES),
        ("sub2api", 403, "INSUFFICIENT_BALANCE", "", QUOTA, _SUB2API),
        ("Venice", 402, "INSUFFICIENT_BALANCE", "", QUOTA, _VENICE),
        ("ZenMux", 402, "reject_no_credit", "", QUOTA, _ZENMUX),
        ("ZenMux", 403, "safety_check_failed", "", FILTER, _ZENMUX),
        ("ZenMux", 404, "model_not_available", "", MODEL, _ZENMUX),
        ("one-api", 403, "pre_consume_token_quota_failed", "", QUOTA, _ONE_API_QUOTA),
        ("vLLM", 404, "NotFoundError", "the model*does not exist", MODEL, _VLLM_MODEL),
        ("vLLM", 400, "", "maximum context length is", PROMPT, _VLLM_LONG),
        ("vLLM", 400, "", "is longer than the maximum model length", PROMPT, _VLLM_PICTURE),
        ("SGLang", 400, "", "is longer than the model's context length", PROMPT, _SGLANG_LONG),
        ("llama.cpp", 400, "exceed_context_size_error", "", PROMPT, _LLAMA_CPP),
        ("llama.cpp", 503, "unavailable_error", "", BUSY, _LLAMA_CPP_LOADING),
        ("Ollama", 404, "", "model*not found", MODEL, _OLLAMA),
        ("Ollama", 503, "", "server busy, please try again", BUSY, _OLLAMA_BUSY),
        ("TGI", 429, "overloaded", "", BUSY, _TGI),
        ("TGI", 422, "validation", "", PROMPT, _TGI),
        ("LM Studio", 404, "", "no models loaded", MODEL, _LM_STUDIO),
        ("Cloudflare", 403, "", "banned your access based on your browser's signature", HELP, _CLOUDFLARE),
        ("Cloudflare", 403, "", "used cloudflare to restrict access", HELP, _CLOUDFLARE),
        ("Cloudflare", 403, "", "error 1020", HELP, _CLOUDFLARE),
        ("Cloudflare", 403, "", "error code 1020", HELP, _CLOUDFLARE),
        ("Bedrock", None, "AccessDeniedException", "", KEY, _BEDROCK),
        ("Bedrock", None, "AccessDeniedException", "access to the model", MODEL, _BEDROCK),
        ("Bedrock", None, "InvalidClientTokenId", "", KEY, _BEDROCK),
        ("Bedrock", None, "IncompleteSignature", "", KEY, _BEDROCK),
        ("Bedrock", None, "NotAuthorized", "", KEY, _BEDROCK),
        ("Bedrock", None, "RequestExpired", "", KEY, _BEDROCK),
        ("Bedrock", None, "FTUFormNotFilled", "", HELP, _BEDROCK),
        ("Bedrock", None, "ThrottlingException", "", BUSY, _BEDROCK),
        ("Bedrock", None, "ModelNotReadyException", "", BUSY, _BEDROCK),
        ("Bedrock", None, "ServiceQuotaExceededException", "", QUOTA, _BEDROCK),
        ("Bedrock", 404, "ResourceNotFoundException", "", MODEL, _BEDROCK),
    )
)
"""Every line has a source. Numbers stand with a status where two servers use the same number for different things."""
