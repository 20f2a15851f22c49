"""An example of each refusal in the table: a body in its server's own shape. The sentences are made up where a code decides."""

import json
from typing import Any, NamedTuple


class Example(NamedTuple):
    server: str
    pattern: str
    """The line's code, its words, both with a space between them, or the status alone."""
    status: int
    body: str


def openai(code: Any, message: str, kind: str = "invalid_request_error") -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def azure(code: str, message: str, inner: str | None = None) -> str:
    error = {"message": message, "type": None, "param": "prompt", "code": code, "status": 400}
    return json.dumps({"error": error | ({"innererror": {"code": inner, "content_filter_result": {}}} if inner else {})})


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> str:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json.dumps([{"error": error}])  # the OpenAI-compatible address sends a list


def reason(word: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word, "domain": "googleapis.com"}


def quota(*limits: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": limit} for limit in limits]}


def anthropic(kind: str, message: str) -> str:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def dashscope(code: str, message: str) -> str:
    return json.dumps({"error": {"code": code, "param": None, "message": message, "type": code}, "request_id": "1-2"})


def flat(code: Any, message: str) -> str:
    return json.dumps({"code": code, "message": message, "data": None})


def nested(code: Any, message: str) -> str:
    return json.dumps({"error": {"code": code, "message": message}, "request_id": "1"})


def typed(kind: str, message: str) -> str:
    return json.dumps({"error": {"type": kind, "message": message}})


def baidu_v1(code: int, message: str) -> str:
    return json.dumps({"error_code": code, "error_msg": message})


def tencent(code: str, message: str) -> str:
    return json.dumps({"Response": {"Error": {"Code": code, "Message": message}, "RequestId": "1"}})


def minimax(code: int, message: str) -> str:
    return json.dumps({"choices": None, "base_resp": {"status_code": code, "status_msg": message}})


def huawei(code: str, message: str) -> str:
    return json.dumps({"error_code": code, "error_msg": message})


def problem(status: int, title: str, detail: str) -> str:
    return json.dumps({"status": status, "title": title, "detail": detail})


def plain(kind: str, message: str, code: int) -> str:
    return json.dumps({"object": "error", "message": message, "type": kind, "param": None, "code": code})


def bedrock(kind: str, message: str) -> str:
    return json.dumps({"__type": f"com.amazon.coral.service#{kind}", "Error": {"Code": kind, "Message": message}, "message": message})


def page(title: str, text: str) -> str:
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title><style>body{{margin:0}}</style><script>var a = '<p>no</p>';</script></head>"
        f"<body><h1>{title}</h1><!-- a > b --><p>{text}</p></body></html>"
    )


def _same(server: str, status: int, shape: Any, *codes: str) -> tuple[Example, ...]:
    """Lines that differ in nothing but the code."""
    return tuple(Example(server, code, status, shape(code, "refused; see the documentation")) for code in codes)


EXAMPLES = (
    Example("any", "401", 401, "Unauthorized"),
    Example("any", "402", 402, ""),
    Example("any", "404", 404, page("404 Not Found", "nginx")),
    Example("any", "413", 413, page("413 Request Entity Too Large", "nginx")),
    Example("any", "429", 429, '{"detail": "slow"}'),
    Example("any", "^incorrect api key", 500, '"Incorrect API key provided: na***ys."'),
    Example("any", "^invalid api key", 400, openai(None, "Invalid API key")),
    Example("any", "^invalid api-key", 400, flat(None, "Invalid API-key provided.")),
    Example("any", "^invalid token", 500, json.dumps({"message": "Invalid token"})),
    Example("any", "^api key*invalid", 403, json.dumps({"error": "API key is invalid here"})),
    Example("any", "^api key*not valid", 500, json.dumps({"detail": "API key is not valid here"})),
    Example("any", "^api key*expired", 429, openai(None, "API key has expired")),
    Example("any", "^invalid authentication", 400, openai(None, "Invalid Authentication")),
    Example("any", "无效的令牌", 403, openai("", "无效的令牌 (request id: 1)", "new_api_error")),
    Example("any", "^insufficient balance", 400, openai("invalid_request_error", "Insufficient Balance", "unknown_error")),
    Example("any", "^insufficient account balance", 403, flat(30001, "Insufficient account balance")),
    Example("any", "^insufficient credit", 500, openai(None, "Insufficient credits. Add more")),
    Example("any", "^you have not enough credit", 400, typed("invalid_request_error", "You have not enough credits")),
    Example("any", "^your credit balance is too low", 500, anthropic("invalid_request_error", "Your credit balance is too low for this.")),
    Example(
        "any",
        "^you exceeded your current quota, please check your plan",
        400,
        openai(None, "You exceeded your current quota, please check your plan"),
    ),
    Example("any", "余额不足", 400, flat(1, "账户余额不足")),
    Example("any", "额度不足", 403, openai(None, "用户额度不足, 剩余额度: 0", "new_api_error")),
    Example("any", "欠费", 400, flat("x1", "账户已欠费")),
    Example("OpenAI", "rate_limit_exceeded per day (", 429, openai("rate_limit_exceeded", "Rate limit reached on tokens per day (TPD)")),
    *_same("OpenAI", 400, openai, "moderation_blocked"),
    Example("OpenRouter", "per-day", 429, nested(429, "Rate limit exceeded: free-models-per-day")),
    *_same("Google", 400, typed, "SAFETY", "PROHIBITED_CONTENT"),
    *_same("new-api", 500, typed, "sensitive_words_detected", "prompt_blocked"),
    Example("OpenAI", "insufficient_quota", 429, openai("insufficient_quota", "See your plan and billing details.", "insufficient_quota")),
    *_same("OpenAI", 400, openai, "billing_hard_limit_reached"),
    *_same("OpenAI", 429, openai, "billing_not_active", "credit_balance_exhausted", "organization_spend_limit_exceeded"),
    *_same("OpenAI", 429, openai, "project_spend_limit_exceeded", "organization_usage_limit_exceeded"),
    *_same("OpenAI", 401, openai, "invalid_api_key", "account_deactivated"),
    *_same("OpenAI", 403, openai, "unsupported_country_region_territory"),
    *_same("OpenAI", 404, openai, "model_not_found"),
    *_same("OpenAI", 400, openai, "content_policy_violation", "image_content_policy_violation", "context_length_exceeded"),
    *_same("OpenAI", 429, openai, "rate_limit_exceeded"),
    *_same("OpenAI", 503, openai, "slow_down", "server_is_overloaded"),
    *_same("OpenAI", 400, openai, "invalid_image_format", "invalid_base64_image", "image_too_large", "image_too_small"),
    *_same("OpenAI", 400, openai, "image_parse_error", "unsupported_image_media_type", "empty_image_file"),
    Example("OpenAI", "invalid_image*", 400, openai("invalid_image_url", "The URL does not lead to a picture.")),
    Example("OpenAI", "you uploaded an unsupported image", 400, openai(None, "You uploaded an unsupported image. Send a PNG.")),
    Example("Azure", "content_filter", 400, azure("content_filter", "The prompt was filtered.", "ResponsibleAIPolicyViolation")),
    Example("Azure", "ResponsibleAIPolicyViolation", 400, azure("400", "The prompt was refused.", "ResponsibleAIPolicyViolation")),
    Example("Azure", "content_policy_violation", 400, azure("content_policy_violation", "Refused by the safety system.")),
    Example("Azure", "content management policy", 400, azure("400", "Filtered by Azure OpenAI's content management policy.")),
    Example("Azure", "DeploymentNotFound", 404, nested("DeploymentNotFound", "There is no such deployment.")),
    Example("Google", "API_KEY_INVALID", 400, google(400, "INVALID_ARGUMENT", "That key is wrong.", reason("API_KEY_INVALID"))),
    Example("Google", "API_KEY_*_BLOCKED", 403, google(403, "PERMISSION_DENIED", "Blocked.", reason("API_KEY_SERVICE_BLOCKED"))),
    Example("Google", "ACCESS_TOKEN_EXPIRED", 401, google(401, "UNAUTHENTICATED", "Too old.", reason("ACCESS_TOKEN_EXPIRED"))),
    Example("Google", "USER_PROJECT_DENIED", 403, google(403, "PERMISSION_DENIED", "No.", reason("USER_PROJECT_DENIED"))),
    Example("Google", "CONSUMER_INVALID", 403, google(403, "PERMISSION_DENIED", "No such project.", reason("CONSUMER_INVALID"))),
    Example("Google", "SERVICE_DISABLED", 403, google(403, "PERMISSION_DENIED", "Enable the API.", reason("SERVICE_DISABLED"))),
    Example("Google", "UNAUTHENTICATED", 400, google(401, "UNAUTHENTICATED", "Who are you?")),
    Example("Google", "PERMISSION_DENIED", 403, google(403, "PERMISSION_DENIED", "The caller may not do this.")),
    Example(
        "Google",
        "PERMISSION_DENIED violation of terms of service",
        403,
        google(403, "PERMISSION_DENIED", "Disabled in this account for violation of Terms of\n\t\tService."),
    ),
    Example("Google", "CONSUMER_SUSPENDED", 403, google(403, "FORBIDDEN", "Suspended.", reason("CONSUMER_SUSPENDED"))),
    Example("Google", "BILLING_DISABLED", 403, google(403, "FORBIDDEN", "No billing.", reason("BILLING_DISABLED"))),
    Example("Google", "api key not valid", 400, google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid one.")),
    Example("Google", "api key expired", 400, google(400, "INVALID_ARGUMENT", "API key expired. Please renew it.")),
    Example(
        "Google",
        "FAILED_PRECONDITION not available in your country",
        400,
        google(400, "FAILED_PRECONDITION", "The free tier is not available in your country."),
    ),
    Example(
        "Google",
        "FAILED_PRECONDITION location is not supported",
        400,
        google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    ),
    Example("Google", "RESOURCE_EXHAUSTED", 402, google(402, "RESOURCE_EXHAUSTED", "The prepaid credit is used up.")),
    Example(
        "Google",
        "*PerDay*",
        429,
        google(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota.",
            quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
        ),
    ),
    Example("Google", "RESOURCE_EXHAUSTED per day", 429, google(429, "RESOURCE_EXHAUSTED", "Limit 'Requests per day per user' is met.")),
    Example(
        "Google",
        "RESOURCE_EXHAUSTED",
        429,
        google(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", quota("GenerateRequestsPerMinutePerProjectPerModel")),
    ),
    Example("Google", "UNAVAILABLE", 503, google(503, "UNAVAILABLE", "The model is overloaded.")),
    Example("Anthropic", "authentication_error", 401, anthropic("authentication_error", "invalid x-api-key")),
    Example("Anthropic", "permission_error", 403, anthropic("permission_error", "Your key may not use this.")),
    Example("Anthropic", "billing_error", 402, anthropic("billing_error", "See your billing.")),
    Example("Anthropic", "credit balance is too low", 400, anthropic("invalid_request_error", "Your credit balance is too low. Pay.")),
    Example("Anthropic", "not_found_error", 404, anthropic("not_found_error", "model: claude-0")),
    Example("Anthropic", "request_too_large", 413, anthropic("request_too_large", "Request exceeds the maximum size")),
    Example("Anthropic", "rate_limit_error", 429, anthropic("rate_limit_error", "Slower, please.")),
    Example("Anthropic", "overloaded_error", 529, anthropic("overloaded_error", "Overloaded")),
    Example("Anthropic", "529", 529, ""),
    Example(
        "Anthropic",
        "output blocked by content filtering policy",
        400,
        anthropic("invalid_request_error", "Output blocked by content filtering policy"),
    ),
    Example("Anthropic", "organization has been disabled", 400, anthropic("invalid_request_error", "This organization has been disabled.")),
    *_same("DashScope", 400, dashscope, "Arrearage", "DataInspectionFailed", "data_inspection_failed"),
    *_same("DashScope", 401, dashscope, "InvalidApiKey"),
    *_same("DashScope", 403, dashscope, "AccessDenied.Unpurchased", "Model.AccessDenied", "AllocationQuota.FreeTierOnly"),
    *_same("DashScope", 404, dashscope, "ModelNotFound", "model_not_found"),
    *_same("DashScope", 429, dashscope, "Throttling.AllocationQuota"),
    Example("DashScope", "Throttling*", 429, dashscope("Throttling.RateQuota", "Too many requests a minute.")),
    Example(
        "DashScope",
        "DataInspectionFailed",
        400,
        openai("400", "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain inappropriate content."),
    ),
    Example(
        "DashScope",
        "insufficient_quota free allocated quota exceeded",
        429,
        dashscope("insufficient_quota", "Free allocated quota exceeded."),
    ),
    Example(
        "DashScope",
        "insufficient_quota allocated quota exceeded",
        429,
        dashscope("insufficient_quota", "Allocated quota exceeded, please increase your quota limit."),
    ),
    Example(
        "DashScope",
        "InvalidParameter range of input length should be",
        400,
        dashscope("InvalidParameter", "Range of input length should be [1, 129024]"),
    ),
    *_same("Zhipu", 401, nested, "1000", "1001", "1002", "1003", "1110", "1112", "1121"),
    *_same("Zhipu", 429, nested, "1113", "1302", "1303", "1304", "1305", "1308", "1309", "1310", "1311", "1312"),
    *_same("Zhipu", 400, nested, "1211", "1220", "1261", "1301"),
    Example("Zhipu", "insufficient balance or no resource package", 429, nested("", "Insufficient balance or no resource package.")),
    Example("Zhipu", "余额不足", 429, nested("", "余额不足或无可用资源包,请充值。")),
    *_same("Moonshot", 429, typed, "exceeded_current_quota_error", "engine_overloaded_error", "rate_limit_reached_error"),
    *_same("Moonshot", 401, typed, "invalid_authentication_error", "incorrect_api_key_error"),
    *_same("Moonshot", 403, typed, "permission_denied_error"),
    *_same("Moonshot", 404, typed, "resource_not_found_error"),
    *_same("Moonshot", 400, typed, "content_filter"),
    Example("Moonshot", "considered high risk", 400, typed("invalid_request_error", "It was considered high risk")),
    Example("Moonshot", "exceeded model token limit", 400, typed("invalid_request_error", "It exceeded model token limit : 8192")),
    Example("Moonshot", "input token length too long", 400, typed("invalid_request_error", "Input token length too long")),
    Example("DeepSeek", "insufficient balance", 402, openai("invalid_request_error", "Insufficient Balance", "unknown_error")),
    Example("DeepSeek", "server overloaded", 503, openai(None, "Server Overloaded", "server_error")),
    Example("SiliconFlow", "20012", 400, flat(20012, "Look at the model's name.")),
    Example("SiliconFlow", "30011", 403, flat(30011, "The selected model requires paid credit.")),
    Example("SiliconFlow", "balance is insufficient", 403, flat(30001, "Sorry, your account balance is insufficient")),
    *_same("Volcengine", 403, nested, "AccountOverdueError", "AccessDenied"),
    *_same("Volcengine", 401, nested, "AuthenticationError"),
    *_same("Volcengine", 404, nested, "ModelNotOpen", "InvalidEndpointOrModel.NotFound"),
    *_same("Volcengine", 400, nested, "InvalidEndpoint.ClosedEndpoint", "InputTextRiskDetection", "InputImageRiskDetection"),
    *_same("Volcengine", 400, nested, "OutputTextRiskDetection"),
    Example("Volcengine", "*SensitiveContentDetected", 400, nested("InputImageSensitiveContentDetected", "It may be sensitive.")),
    Example("Volcengine", "*SensitiveContentDetected.*", 400, nested("InputImageSensitiveContentDetected.PrivacyInformation", "A person?")),
    *_same("Baidu", 401, openai, "invalid_iam_token", "invalid_model"),
    *_same("Baidu", 400, openai, "tokens_too_long", "characters_too_long"),
    *_same("Baidu", 429, openai, "rpm_rate_limit_exceeded", "tpm_rate_limit_exceeded"),
    *_same("Baidu", 429, flat, "BILLING_INSUFFICIENT_BALANCE", "QUOTA_USER_DAILY_REQUEST"),
    Example("Baidu", "*_unsafe", 403, openai("system_unsafe", "refused", "access_denied")),
    Example("Baidu", "17 daily request limit reached", 200, baidu_v1(17, "Open api daily request limit reached")),
    Example("Baidu", "18 qps request limit reached", 200, baidu_v1(18, "Open api qps request limit reached")),
    Example("Baidu", "110 access token invalid", 200, baidu_v1(110, "Access token invalid or no longer valid")),
    Example("Tencent", "AuthFailure.*", 200, tencent("AuthFailure.SecretIdNotFound", "No such key.")),
    Example("Tencent", "RequestLimitExceeded*", 200, tencent("RequestLimitExceeded.IPLimitExceeded", "Too often.")),
    Example("Tencent", "IpInBlacklist", 200, tencent("IpInBlacklist", "Not from there.")),
    Example("MiniMax", "1002", 200, minimax(1002, "rate limit")),
    Example("MiniMax", "1004", 200, minimax(1004, "not authorized")),
    Example("MiniMax", "1008", 200, minimax(1008, "insufficient balance")),
    Example("MiniMax", "1026", 200, minimax(1026, "input new_sensitive")),
    Example("MiniMax", "1027", 200, minimax(1027, "output new_sensitive")),
    Example("MiniMax", "2049", 200, minimax(2049, "invalid api key")),
    Example("StepFun", "invalid_api_key", 401, typed("invalid_api_key", "Incorrect key")),
    *_same("Huawei", 403, huawei, "ModelArts.81019", "ModelArts.81021", "ModelArts.81022", "ModelArts.81023"),
    *_same("Huawei", 429, huawei, "ModelArts.81101"),
    Example("OpenRouter", "402", 200, json.dumps({"error": {"message": "Insufficient credits. Buy more.", "code": 402}})),
    Example(
        "OpenRouter",
        "403 flagged",
        403,
        json.dumps({"error": {"message": "The input was flagged", "code": 403, "metadata": {"reasons": ["violence"]}}}),
    ),
    Example("OpenRouter", "404 no endpoints found", 404, nested(404, "No endpoints found for a/b.")),
    Example("OpenRouter", "404 no allowed providers are available", 404, nested(404, "No allowed providers are available for this model.")),
    Example("Together", "402", 402, openai(None, "Pay first.", "credit_limit")),
    Example(
        "Fireworks",
        "is suspended, possibly due to reaching the monthly spending limit",
        412,
        openai("PRECONDITION_FAILED", "Account a is suspended, possibly due to reaching the monthly spending limit", "error"),
    ),
    *_same("Groq", 400, openai, "blocked_api_access", "model_decommissioned"),
    *_same("Groq", 498, openai, "capacity_exceeded"),
    Example("Groq", "organization has been restricted", 400, openai(None, "Organization has been restricted. Write to us.")),
    Example("Mistral", "unknown_model", 400, json.dumps({"object": "error", "message": "Which?", "type": "a", "code": "unknown_model"})),
    Example("Mistral", "rate_limited", 429, json.dumps({"object": "error", "message": "Wait", "type": "rate_limited", "code": "1300"})),
    Example("Mistral", "service tier capacity exceeded", 429, plain("invalid_request_error", "Service tier capacity exceeded.", 3505)),
    Example("Mistral", "unauthorized", 401, '{"detail":"Unauthorized"}'),
    Example(
        "xAI",
        "incorrect api key provided",
        400,
        json.dumps({"code": "Client specified an invalid argument", "error": "Incorrect API key provided: ab***yz."}),
    ),
    Example(
        "xAI",
        "doesn't have any credits",
        403,
        json.dumps({"code": "The caller does not have permission", "error": "Your new team doesn't have any credits yet."}),
    ),
    Example(
        "xAI",
        "used all available credits or reached its monthly spending limit",
        429,
        json.dumps({"code": "exhausted", "error": "It used all available credits or reached its monthly spending limit."}),
    ),
    Example("Cohere", "too many tokens:", 400, '{"id":"1","message":"too many tokens: size limit exceeded by 11326 tokens."}'),
    Example("Cohere", "trial key*calls / month", 429, '{"message":"This is a Trial key, limited to 1000 API calls / month."}'),
    Example("Hugging Face", "exceeded your monthly included credits", 402, '{"error":"You have exceeded your monthly included credits."}'),
    *_same("Hugging Face", 400, openai, "model_not_supported"),
    Example("NVIDIA", "authorization failed", 403, problem(403, "Forbidden", "Authorization failed")),
    Example("NVIDIA", "not found for account", 404, problem(404, "Not Found", "Function '1-2': Not found for account 'a'")),
    Example("LiteLLM", "budget_exceeded", 400, openai("400", "too much spent", "budget_exceeded")),
    Example("LiteLLM", "expired_key", 400, openai("400", "too old", "expired_key")),
    Example("LiteLLM", "token_not_found_in_db", 401, openai("401", "no such key", "token_not_found_in_db")),
    Example("LiteLLM", "auth_error", 401, openai("401", "Key is blocked", "auth_error")),
    Example("LiteLLM", "key_model_access_denied", 403, openai("403", "not with this key", "key_model_access_denied")),
    Example("LiteLLM", "budget has been exceeded", 400, openai("400", "Budget has been exceeded! Current cost: 14, Max budget: 10", "")),
    Example("LiteLLM", "ExceededBudget:", 400, openai("400", "ExceededBudget: End User=a over budget.", "auth")),
    Example("LiteLLM", "crossed budget", 429, openai("429", "No deployments available - crossed budget: 0.3 >= 0.2", "None")),
    Example("LiteLLM", "litellm.ContentPolicyViolationError", 400, openai("400", "litellm.ContentPolicyViolationError: refused", "None")),
    *_same("sub2api", 403, flat, "INSUFFICIENT_BALANCE"),
    Example("Venice", "INSUFFICIENT_BALANCE", 402, '{"error":"Not enough left.","code":"INSUFFICIENT_BALANCE"}'),
    *_same("ZenMux", 402, typed, "reject_no_credit"),
    *_same("ZenMux", 403, typed, "safety_check_failed"),
    *_same("ZenMux", 404, typed, "model_not_available"),
    *_same("one-api", 403, openai, "insufficient_user_quota", "pre_consume_token_quota_failed"),
    Example("vLLM", "NotFoundError the model*does not exist", 404, plain("NotFoundError", "The model `a/b` does not exist.", 404)),
    Example("vLLM", "maximum context length is", 400, plain("BadRequestError", "This model's maximum context length is 2048 tokens.", 400)),
    Example(
        "vLLM",
        "is longer than the maximum model length",
        400,
        plain("BadRequestError", "The decoder prompt (length 10127) is longer than the maximum model length of 8192.", 400),
    ),
    Example(
        "SGLang",
        "is longer than the model's context length",
        400,
        plain("BadRequestError", "The input (61709 tokens) is longer than the model's context length (40960 tokens).", 400),
    ),
    Example("llama.cpp", "exceed_context_size_error", 400, '{"error":{"code":400,"message":"no","type":"exceed_context_size_error"}}'),
    Example("llama.cpp", "unavailable_error", 503, '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'),
    Example("Ollama", "model*not found", 404, '{"error":"model \'a:7b\' not found"}'),
    Example("Ollama", "server busy, please try again", 503, '{"error":"server busy, please try again.  maximum pending requests"}'),
    Example("TGI", "overloaded", 429, '{"error":"Model is full","error_type":"overloaded"}'),
    Example("TGI", "validation", 422, '{"error":"Input validation error: too many tokens","error_type":"validation"}'),
    Example("LM Studio", "no models loaded", 404, '{"error":{"message":"No models loaded. Please load one."}}'),
    Example(
        "Cloudflare",
        "banned your access based on your browser's signature",
        403,
        page(
            "Access denied",
            "Error&nbsp;1010: Its owner has banned your access based on your browser&#39;s signature (4e-ua).",
        ),
    ),
    Example("Cloudflare", "used cloudflare to restrict access", 403, page("No | a.org used Cloudflare to restrict access", "Ray")),
    Example("Cloudflare", "error 1020", 403, page("Access denied", "Error 1020 Ray ID: 6")),
    Example("Cloudflare", "error code 1020", 403, page("Access denied", "Error code 1020")),
    *_same("Bedrock", 403, bedrock, "AccessDeniedException", "InvalidClientTokenId"),
    Example(
        "Bedrock",
        "AccessDeniedException access to the model",
        403,
        bedrock("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    ),
    *_same("Bedrock", 400, bedrock, "IncompleteSignature", "NotAuthorized", "RequestExpired", "ServiceQuotaExceededException"),
    *_same("Bedrock", 404, bedrock, "FTUFormNotFilled", "ResourceNotFoundException"),
    *_same("Bedrock", 429, bedrock, "ThrottlingException", "ModelNotReadyException"),
)
