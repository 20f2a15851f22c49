"""No spelling of a key, nor a part of it, is left in a text; all else stays as it is, JSON too, and quickly."""

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.redaction import MARK, Redactor, is_weak, redact_text, without_userinfo
from cotforge.redaction.redactor import PART, WINDOW
from cotforge.redaction.variables import remember_variables
from tests.spellings import KEY, SPELLINGS, escaped, stands_in

PROSE = "The picture is wide and bright; nothing in it threatens, and 100 % of it & more is sky (\\frac{1}{2}). "

FORMS = (
    "{}", "\\u{:04x}", "\\\\u{:04X}", "\\x{:02x}", "%{:02x}", "%25{:02X}", "&#{};", "&#x{:x};", "&amp;#{};", "\\u0025{:02x}", "%5cu{:04x}",
)  # fmt: skip
"""Of one character."""
BETWEEN = ("", "", "", " ", "\n", "\u200b", "\\", "\u00ad", " \t ", "-", "\u2028")
KEYS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+/=.", min_size=24, max_size=80).filter(
    lambda key: len(set(key)) > 12 and sum(c.isalnum() for c in key) >= 20
)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("around", ["@", f"{PROSE}@.{PROSE}", '{"error": {"message": "bad key @"}}', "x=@&y", "<p>@</p>"])
def test_a_key_is_cut_out_in_every_spelling(spelling: str, around: str) -> None:
    before, _, behind = around.partition("@")
    text = before + SPELLINGS[spelling](KEY) + behind
    assert stands_in(KEY, text), "whoever reads it knows the key"
    found = Redactor([KEY]).redact(text)
    assert MARK in found
    assert not stands_in(KEY, found)
    assert found.startswith(before)
    assert found.endswith(behind)


def spelt(key: str, chance: random.Random) -> str:
    """Each character in a form of its own, perhaps in the other case, with something or nothing between."""
    pieces = []
    for character in key:
        form = chance.choice(FORMS) if chance.random() < 0.7 else "{}"
        character = chance.choice([character, character.swapcase()])
        between = chance.choice(BETWEEN)
        if between == "\\" and character in "uUxX01234567nrtbf":  # another escape
            between = ""
        pieces += [between, character if form == "{}" else form.format(ord(character))]
    return "".join(pieces)


@settings(max_examples=300)
@given(KEYS, st.integers(0, 2**32), st.text(max_size=30), st.text(max_size=30))
def test_no_mixture_of_spellings_nor_a_cut_in_it_leaves_anything_to_be_read(key: str, seed: int, before: str, behind: str) -> None:
    chance = random.Random(seed)
    whole = f"{before} {spelt(key, chance)} {behind}"
    begin = chance.randrange(len(whole))
    end = chance.randrange(begin, len(whole) + 1)
    redactor = Redactor([key])
    for text in (whole, whole[begin:end]):
        found = redactor.redact(text)
        assert not stands_in(key, found)
        assert redactor.redact(found) == found
    assert not stands_in(key, redactor.redact(whole)[begin:end])


@given(KEYS)
def test_what_is_json_stays_json_wherever_a_key_stands_in_it(key: str) -> None:
    value = {"say": f"line one\n{key}", "n": [1, {"deep": f'"{key}\\'}], "é": f"\u00e9{key}", "path": f"C:\\n{key}"}
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps({"inner": json.dumps(value)})):
        found = json.loads(Redactor([key]).redact(text))
        assert found.keys() == json.loads(text).keys()


@given(st.text(max_size=300), st.text("abcdefghijkl", min_size=20, max_size=40))
def test_a_text_without_a_key_is_the_same_object(text: str, key: str) -> None:
    if not stands_in(key, text):
        assert Redactor([key, "awe-some"]).redact(text) is text


@pytest.mark.parametrize("offset", range(-60, 61, 12))
def test_a_key_that_lies_across_what_is_looked_at_together_is_found(offset: int) -> None:
    for spelling in ("as it is", "JSON in JSON", "base64 of Bearer"):
        said = SPELLINGS[spelling](KEY)
        text = "a " * ((WINDOW + offset) // 2) + said + " b" * WINDOW
        found = Redactor([KEY]).redact(text)
        assert not stands_in(KEY, found[WINDOW - 2000 : WINDOW + 2000])
        assert len(text) - len(found) > len(KEY) - 10


def test_words_are_not_torn_by_a_short_key_which_is_cut_out_as_a_word_of_its_own() -> None:
    assert Redactor(["awe"]).redact("awe, awesome") == "awe, awesome"
    assert Redactor(["sk-1!"]).redact("wrong key sk-1!, and task-1!x") == "wrong key ***, and task-1!x"
    assert Redactor(["fear1"]).redact("fear1 and fear12") == "*** and fear12"
    assert Redactor(["password"]).redact("the password, and a passwor") == "the ***, and a ***"


@pytest.mark.parametrize("value", ["EMPTY", "ollama", "lm-studio", "token-abc123", "", "  "])
def test_what_documentation_has_in_the_place_of_a_key_is_no_secret(value: str) -> None:
    assert Redactor([value]).redact(f"it is {value}, empty") == f"it is {value}, empty"
    assert not (value.strip() and is_weak(value))


def test_a_line_end_behind_a_key_is_not_part_of_it() -> None:
    assert Redactor([f"{KEY}\r\n"]).redact(f"<{KEY}>") == "<***>"


def test_passwords_of_urls_are_left_out() -> None:
    assert without_userinfo("at http://user:pass@host:80/v1, a@b") == "at http://host:80/v1, a@b"


@pytest.mark.parametrize(
    "text",
    ["\\" * 4_000_000, "%25" * 1_300_000, "&amp;" * 800_000, "\\u0041" * 700_000, f"{KEY} " * 90_000, "&#0" * 1_300_000, "%" * 4_000_000,
     escaped(KEY, "&amp;#{};") * 10_000, "A" * 4_000_000, "\u200b" * 4_000_000],
    ids=["backslashes", "percents", "ampersands", "escapes", "keys", "zeros", "percent signs", "spelt keys", "letters", "no width"],
)  # fmt: skip
def test_four_megabytes_made_to_cost_time_cost_seconds_at_most(text: str) -> None:
    begun = time.process_time()
    assert not stands_in(KEY, Redactor([KEY]).redact(text)[:2000])
    assert time.process_time() - begun < 20


def test_a_key_that_repeats_itself_costs_no_more() -> None:
    begun = time.process_time()
    assert "a" * PART not in Redactor(["a" * 400]).redact(f"b{'a' * 100_000}b")
    assert time.process_time() - begun < 20


def test_which_variables_hold_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "A_KEY": "key-of-the-teacher-1",
        "TENANT": "a1b2c3d4e5f6a7b8c9d0e1f2",
        "MODE": "reasoning",
        "HOST": "gpu1.cluster-of-mine.example.org1",
        "MY_TOKEN": "named-to-be-a-token",
        "DATA": "/home/somebody/some/path/0123456789",
        "HF_TOKEN": "hf_0123456789abcdefghij",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    teacher = {"key_env": "A_KEY", "url": ["http://${HOST}:8000/v1/${TENANT}"], "body": {"mode": "${MODE}", "user": ["${MY_TOKEN}"]}}
    written = remember_variables({"source": {"path": "${DATA}"}, "teachers": [teacher], "name": "key-of-the-teacher-1"})
    assert written == [("name", "A_KEY")]
    kept = {name for name, value in values.items() if redact_text(value) == value}
    assert kept == {"MODE", "HOST", "DATA"}
