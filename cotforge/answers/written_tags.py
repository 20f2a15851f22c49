"""Tags of thought and answer that a server, a gateway or the model itself wrote in another form, brought to their plain one.

Seen: escaped for HTML (`&lt;think&gt;`) or Markdown (`\\<think\\>`), in full-width signs (`＜think＞`), with blanks (`< think >`), with an
invisible character in them, in Chinese or Japanese (`<思考>`, `<答案>`), and with the first token cut away (`analysis<|message|>`).
"""

import re

from cotforge.answers.text import visible_text
from cotforge.answers.thoughts import ANSWER_TAG, find_marks, split_thoughts

_SIGNS = ("&lt;", "\\<", "< ", "</ ")
_WIDE_SIGNS = ("\uff1c", "<思考", "<答案", "<回答")
_NAMES = {"思考": "think", "答案": "answer", "回答": "answer"}
_TAG = re.compile(
    r"(?:&lt;|\\?<|\uff1c)\s{0,4}(?P<slash>\\?/|\uff0f)?\s{0,4}"
    r"(?P<name>think(?:ing)?|thoughts?|reasoning|answer|思考|答案|回答)\s{0,4}(?:&gt;|\\?>|\uff1e)",
    re.IGNORECASE,
)
_HARMONY = re.compile(r"\s*(?=(?:analysis|commentary|final)<\|message\|>)")


def with_plain_tags(text: str) -> str:
    """The text with plain tags, where it has none of that kind: beside plain ones another form is what a thought speaks of."""
    if not text.isascii():
        text = visible_text(text)
    if cut := _HARMONY.match(text):
        text = f"<|channel|>{text[cut.end() :]}"
    if not any(sign in text for sign in _SIGNS) and (text.isascii() or not any(sign in text for sign in _WIDE_SIGNS)):
        return text
    plain = _rewrite_tags(text, answers=False) if next(find_marks(text), None) is None else text
    begin = split_thoughts(plain).start
    if not begin or any(tag["closes"] for tag in ANSWER_TAG.finditer(plain, begin)):
        return plain
    return plain[:begin] + _rewrite_tags(plain[begin:], answers=True)


def _rewrite_tags(text: str, *, answers: bool) -> str:
    """The text with the tags of one kind written plainly."""

    def tag(found: re.Match[str]) -> str:
        name = _NAMES.get(found["name"], found["name"])
        return f"<{'/' * bool(found['slash'])}{name}>" if (name.lower() == "answer") == answers else found.group()

    return _TAG.sub(tag, text)
