"""What credentials look like in a text: the rules by which a scan finds them, without knowing any.

Most rules are those of gitleaks (github.com/gitleaks/gitleaks, config/gitleaks.toml at b58d3f10, MIT licence) for tokens that have a
prefix of their own, because these are sure. Its rules for source code are left out: they would find "key: value" in every reasoning text.
The rules for keys of model providers are wider here than there: those are what this program is used with.
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

ENTROPY = 3.0
"""Bits per character that a token needs at least: `hf_xxxxxxxxxxxx` in a manual has fewer."""
ENTROPY_NAMED = 3.5
"""The same for a value that only the word before it makes suspicious. Source: gitleaks, generic-api-key."""


@dataclass(frozen=True, slots=True)
class SecretRule:
    """One kind of credential."""

    kind: str
    """In words, with hyphens: part of the name of what it finds."""
    words: tuple[str, ...]
    """In small letters: one of them stands in every text with such a credential, whatever the case."""
    hint: str
    """A pattern, of RE2 too, that stands in every such text: a quick test for millions of texts."""
    pattern: re.Pattern[str]
    """Its group 1 is the credential."""
    is_likely: Callable[[str], bool]
    """Whether what the pattern found is random enough."""


def bits_per_character(text: str) -> float:
    """Shannon entropy of the characters of a text, in bits."""
    counts = Counter(text)
    return -math.fsum(count / len(text) * math.log2(count / len(text)) for count in counts.values())


def _is_random(value: str) -> bool:
    return bits_per_character(value) >= ENTROPY and not value.endswith("EXAMPLE")


def _is_random_mix(value: str) -> bool:
    return _is_mix(value) and bits_per_character(value) >= ENTROPY_NAMED


def _is_mix(value: str) -> bool:
    """Letters and digits, and neither a variable nor what is cut out already."""
    return bool(re.search("[0-9]", value) and re.search("[A-Za-z]", value)) and not value.startswith(("$", "{", "<", "***"))


def _is_password(value: str) -> bool:
    """What a URL has for one: no placeholder, and not cut out already."""
    return value.casefold() not in _PLACEHOLDERS and not value.startswith(("$", "{", "<", "***"))


_PLACEHOLDERS = {"password", "pass", "passwd", "pw", "pwd", "secret", "token", "key", "xxx", "xxxx", "..."}
_START = "(?:^|[^A-Za-z0-9])"


def _prefixed(kind: str, prefixes: str, rest: str, *, is_likely: Callable[[str], bool] = _is_random) -> SecretRule:
    """A token that begins a word with one of the prefixes; `rest` begins with a class of characters and a count from 8 on."""
    words = prefixes.split()
    start = f"(?:{'|'.join(map(re.escape, words))})"
    hint = f"{_START}{start}{rest[: rest.index('{')]}{{8}}"
    return SecretRule(kind, _small(*words), hint, re.compile(f"(?<![A-Za-z0-9])({start}{rest})"), is_likely)


def _named(kind: str, words: str, value: str, *, is_likely: Callable[[str], bool]) -> SecretRule:
    """A value behind a word that says what it is, as in `api_key = "..."`; `_` in a word may be a space, a hyphen or nothing."""
    names = [word.replace("_", "[_ -]?") for word in words.split()]
    start = rf"(?i:{'|'.join(names)})[\"'`]?[ \t]{{0,3}}(?:=>|:=|[:=])[ \t]{{0,3}}[\"'`]?"
    hint = f"{start}{value[: value.index('{')]}{{8}}"
    return SecretRule(kind, _small(*(word.partition("_")[0] for word in words.split())), hint, re.compile(f"{start}({value})"), is_likely)


def _special(kind: str, word: str, hint: str, pattern: str, *, is_likely: Callable[[str], bool] = _is_random) -> SecretRule:
    return SecretRule(kind, _small(word), hint, re.compile(pattern), is_likely)


def _small(*words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.lower() for word in words))


_WORD = "[A-Za-z0-9_-]"
_GITLAB = "glpat- gldt- glptt- glrt- glsoat- glcbt- glft- glimt- glagent- glffct-"
_KEYS = "api_key access_key secret_key private_key auth_key account_key subscription_key token secret"
_WEBHOOK = r"discord(?:app)?\.com/api/webhooks/"
RULES = (
    # Providers of models. `sk-` is OpenAI's, and of most who serve its protocol (OpenRouter, DeepSeek, Moonshot, DashScope, LiteLLM).
    _prefixed("anthropic-key", "sk-ant-", f"{_WORD}{{20,200}}", is_likely=_is_random_mix),
    _prefixed("openai-key", "sk-", f"{_WORD}{{20,200}}", is_likely=_is_random_mix),
    _prefixed("hugging-face-token", "hf_ api_org_", "[A-Za-z0-9]{30,}"),
    _prefixed("nvidia-key", "nvapi-", f"{_WORD}{{40,}}"),
    _prefixed("groq-key", "gsk_", "[A-Za-z0-9]{40,}"),
    _prefixed("perplexity-key", "pplx-", "[A-Za-z0-9]{40,}"),
    _prefixed("xai-key", "xai-", "[A-Za-z0-9]{60,}"),
    _prefixed("together-key", "tgp_v1_", f"{_WORD}{{30,}}"),
    _prefixed("replicate-token", "r8_", "[A-Za-z0-9]{37}"),
    _prefixed("weights-and-biases-key", "wandb_v1_", f"{_WORD}{{40,}}"),
    _prefixed("google-key", "AIza", f"{_WORD}{{35}}"),
    _prefixed("google-oauth-secret", "GOCSPX-", f"{_WORD}{{28}}"),
    _prefixed("google-oauth-token", "ya29.", "[A-Za-z0-9_.-]{30,}"),
    # Clouds
    _prefixed("aws-key-id", "AKIA ASIA ABIA ACCA", "[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _prefixed("aws-bedrock-key", "ABSK bedrock-api-key-", "[A-Za-z0-9+/=]{100,}"),
    _special("azure-client-secret", "q~", "[0-9]Q~[a-zA-Z0-9_~.-]{31}",
             "(?<![a-zA-Z0-9_~.-])([a-zA-Z0-9_~.]{3}[0-9]Q~[a-zA-Z0-9_~.-]{31,34})"),
    _special("azure-storage-key", "accountkey=", "AccountKey=", "AccountKey=([A-Za-z0-9+/]{86}==)"),
    _prefixed("alibaba-key-id", "LTAI", "[A-Za-z0-9]{16,24}(?![A-Za-z0-9])", is_likely=_is_random_mix),
    _prefixed("digitalocean-token", "doo_v1_ dop_v1_ dor_v1_", "[a-f0-9]{64}"),
    _prefixed("databricks-token", "dapi", "[a-f0-9]{32}"),
    _prefixed("vault-token", "hvs. hvb.", f"{_WORD}{{90,}}"),
    _special("terraform-token", ".atlasv1.", r"\.atlasv1\.", r"(?<![A-Za-z0-9])([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70})"),
    _prefixed("fly-token", "fo1_ fm1a_ fm1r_ fm2_", "[A-Za-z0-9_+/-]{43,}"),
    # Code and packages
    _prefixed("github-token", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", "[A-Za-z0-9_]{36,}"),
    _prefixed("gitlab-token", _GITLAB, f"{_WORD}{{20,}}"),
    _prefixed("npm-token", "npm_", "[A-Za-z0-9]{36}"),
    _prefixed("pypi-token", "pypi-AgE", f"{_WORD}{{50,}}"),
    _prefixed("docker-token", "dckr_pat_ dckr_oat_", f"{_WORD}{{20,}}"),
    _prefixed("age-key", "AGE-SECRET-KEY-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    # Messages, payment, monitoring
    _prefixed("slack-token", "xoxa- xoxb- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp-", "[A-Za-z0-9.-]{20,}"),
    _special("slack-webhook", "hooks.slack.com", r"hooks\.slack\.com",
             r"hooks\.slack\.com/((?:services|workflows|triggers)/[A-Za-z0-9+/]{43,56})"),
    _special("discord-webhook", "/api/webhooks/", _WEBHOOK, f"{_WEBHOOK}([0-9]{{15,}}/{_WORD}{{60,}})"),
    _special("telegram-bot-token", ":aa", f"[0-9]{{8,10}}:AA{_WORD}{{33}}", f"(?<![0-9])([0-9]{{8,10}}:AA{_WORD}{{33}})(?![A-Za-z0-9_-])"),
    _prefixed("stripe-key", "sk_test_ sk_live_ sk_prod_ rk_test_ rk_live_ rk_prod_", "[A-Za-z0-9]{10,99}"),
    _prefixed("sendgrid-key", "SG.", rf"{_WORD}{{20,24}}\.{_WORD}{{39,50}}"),
    _prefixed("twilio-key", "SK", "[0-9a-f]{32}(?![0-9a-zA-Z])"),
    _prefixed("shopify-token", "shpat_ shpca_ shppa_ shpss_", "[a-fA-F0-9]{32}"),
    _prefixed("notion-token", "ntn_", "[0-9]{11}[A-Za-z0-9]{35}"),
    _prefixed("linear-key", "lin_api_", "[A-Za-z0-9]{40}"),
    _prefixed("grafana-token", "glsa_ glc_ eyJrIjoi", "[A-Za-z0-9+/=_]{32,}"),
    _prefixed("sentry-token", "sntrys_ sntryu_", "[A-Za-z0-9+/=_]{40,}"),
    # Any
    _special("private-key", "private key", "PRIVATE KEY",
             r"(-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----[\r\nA-Za-z0-9+/=\\]{0,4000})", is_likely=bool),
    _special("json-web-token", ".ey", r"\.ey[A-Za-z0-9_-]{17}",
             rf"(?<![A-Za-z0-9])(ey{_WORD}{{17,4000}}\.ey{_WORD}{{17,}}\.{_WORD}{{10,}})"),
    _special("authorization", "bearer", "(?i:bearer)[ \t]{1,3}[A-Za-z0-9._~+/=-]{8}",
             "(?<![A-Za-z0-9])(?i:bearer)[ \t]{1,3}([A-Za-z0-9._~+/=-]{16,})", is_likely=_is_random_mix),
    _special("authorization", "basic", "(?i:basic)[ \t]{1,3}[A-Za-z0-9+/=]{16}",
             "(?<![A-Za-z0-9])(?i:basic)[ \t]{1,3}([A-Za-z0-9+/]{16,}={0,2})", is_likely=_is_random_mix),
    _special("password-in-url", "://", "://", r"://[^/\s:@\"'<>]{0,100}:([^/\s@\"'<>]{1,100})@", is_likely=_is_password),
    _named("named-secret", _KEYS, "[A-Za-z0-9_./+=~-]{16,200}", is_likely=_is_random_mix),
    _named("password", "password passwd passphrase pwd", r"[^\s\"'`<>|,;]{8,100}", is_likely=_is_mix),
)  # fmt: skip
"""All of them. Where two find the same characters, the first one names them."""

HINTS = "|".join(dict.fromkeys(rule.hint for rule in RULES))
"""A pattern that stands in every text in which a rule could find anything."""
