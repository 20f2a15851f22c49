"""A row's own options, in every form in which data files write a list of texts.

Three benchmarks, as they are published, with the `source.columns` that read them:

    MMMU (huggingface.co/datasets/MMMU/MMMU): `options` is the text of a Python list, `answer` a letter, the question names `<image 1>`
        task: {kind: classify} (open questions have no options: `source:options_missing`)
        columns: {images: [image_1, image_2, image_3, image_4, image_5, image_6, image_7], label: answer}
    ScienceQA (huggingface.co/datasets/derek-thomas/ScienceQA): `choices` is a list, `answer` a place in it from 0, `image` may be null
        task: {kind: classify}
        columns: {question: [hint, question], options: choices, label_index: answer, meta: [lecture]}
    A-OKVQA (huggingface.co/datasets/HuggingFaceM4/A-OKVQA): `choices` is a list, `correct_choice_idx` a place in it
        task: {kind: classify}
        columns: {id: question_id, options: choices, label_index: correct_choice_idx, meta: [direct_answers]}

And the TSV files of VLMEvalKit (github.com/open-compass/VLMEvalKit), with a column for each option and the letter of the right one:

    columns: {id: index, options: [A, B, C, D], label: answer}
"""

import json
import re
from collections.abc import Callable, Sequence

from cotforge.records import Fault
from cotforge.sources.values import value_text

LONGEST = 1_000_000
"""Characters of a text that is read as a list; a longer one is a Fault."""

_WANTED = """options are a list of texts, as JSON ["a", "b"], as Python ['a', 'b'], or as a text without brackets, a | b"""
_PYTHON_ITEM = re.compile(
    r"""(?P<numpy>np\.\w+\()?"""
    r"""(?:[uU]?(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<plain>[-+]?[0-9][0-9.eE+-]*|True|False|None|nan))"""
    r"""(?(numpy)\))""",
    re.DOTALL,
)
_NO_LIST = ("", "none", "null", "nan", "<na>")
"""What libraries write for a missing value."""
_OTHER_LIST = re.compile(r"""\{\s*['"]|(?:np\.|numpy\.)?(?:array|list|tuple|set|dict)\(\s*[\[{(]|["']\s*[\[{]""")
"""A list or a dict in a form that is not read; it must not be cut at a bar."""
_UNSEEN = "\ufeff\u200b\u2060"
_SPACED_BAR = re.compile(r"\s\|(?:\s|\Z)|\A\|\s")
_BETWEEN = re.compile(r"\s*,\s*|\s+|")
_NUMPY = re.compile(r"(?:np\.|numpy\.)?array\((\[.*\])\s*(?:,\s*dtype=[^()]{0,99})?\)", re.DOTALL)
_LATEX_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\[bf]")
_LATEX = re.compile(r"""(?<!\\)(?:\\\\)*\\(?!['"\\nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})""")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_QUOTE = re.compile(r"""\\(['"\\])""")
_MEANT = {"n": "\n", "r": "\r", "t": "\t"}


def read_options(value: object) -> list[str] | None:
    """A row's options from a list, a numpy array or a text; None where there are none (null, blank, an empty list).

    A text is a JSON list, the text of a Python list or of a numpy array, or names parted by `|`. One that begins with `[` is never cut
    at a bar. Raises Fault `options_broken` for everything else, so that no half of an option is paid for. The place of an option is its
    place in the list: blank ones may only end it. A text such as `None` or `nan` is what a library wrote for a missing value.
    """
    if isinstance(value, str):
        value = _from_text(value.strip().strip(_UNSEEN).strip())
    elif callable(as_list := getattr(value, "tolist", None)):  # numpy, and what imitates it, without importing it
        value = as_list()
    if value is None or (isinstance(value, float) and value != value):
        return None
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
        raise _broken_options(value)
    return _option_texts(value) or None


def _option_texts(items: Sequence[object]) -> list[str]:
    """Every option as a text. Raises Fault for one that is blank with another after it, or neither text nor number."""
    if strange := [item for item in items if item is not None and not isinstance(item, str | int | float)]:
        raise _broken_options(strange[0])
    texts = [value_text(item) for item in items]
    while texts and texts[-1] is None:
        texts.pop()
    if None in texts:
        raise Fault("options_broken", f"options: number {texts.index(None) + 1} of {len(items)} is blank; leave it out, or write it")
    return [text for text in texts if text is not None]


def _from_text(text: str) -> object:
    if text.lower() in _NO_LIST:
        return None
    if len(text) > LONGEST:
        raise Fault("options_broken", f"options: a text of {len(text):,} characters; at most {LONGEST:,} are read")
    if text[0] == '"' and isinstance(inner := _parse_json(text), str) and inner[:1] in ("[", "{"):  # a list that was written as JSON twice
        text = inner.strip()
    array = _NUMPY.fullmatch(text)
    listed = array[1] if array else text
    if _OTHER_LIST.match(listed) or (listed[0] == "{" and _parse_json(listed) is not None):
        raise _broken_options(text)
    if listed[0] not in "[(":
        return _between_bars(text)
    found = None if _LATEX_IN_JSON.search(listed) else _parse_json(listed)
    if found is None:
        found = _parse_python_list(listed)
    if found is None and listed[0] == "[":
        raise _broken_options(text)
    return _between_bars(text) if found is None else found


def _between_bars(text: str) -> list[str]:
    """The names of `a | b`. Raises Fault where a bar may stand within a name, as in P(A|B)."""
    names = _SPACED_BAR.split(text)
    if len(names) == 1:
        names = text.split("|")
    elif any("|" in name for name in names):
        raise _broken_options(text)
    if len(names) > 1 and any(name.count(left) > name.count(right) for name in names for left, right in ("()", "[]", "{}")):
        raise _broken_options(text)
    return names


def _broken_options(value: object) -> Fault:
    return Fault("options_broken", f"options: {str(value)[:80]!r} cannot be read; {_WANTED}")


def _parse_json(text: str) -> object:
    """The JSON value; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parse_python_list(text: str) -> list[str | None] | None:
    """The items of a list or tuple as Python and numpy print them; None where it is none.

    `ast.literal_eval` would join `['a' 'b']`, which is how numpy prints two texts, into one, warn of every `\\alpha`, and make a form feed
    of the `\\f` in `\\frac`. Here items are parted by commas alone or by spaces alone, and a text with a backslash that Python never
    prints is LaTeX throughout.
    """
    if {"[": "]", "(": ")"}[text[0]] != text[-1] or len(text) < 2:
        return None
    decode = _strip_quotes if _LATEX.search(text) else _decode_escapes
    place, end, parted, items = 1 + _skip_spaces(text, 1), len(text) - 1, set[bool](), list[str | None]()
    while place < end:
        if (item := _PYTHON_ITEM.match(text, place, end)) is None:
            return None
        items.append(_list_item(item, decode))
        between = _BETWEEN.match(text, item.end(), end)
        assert between is not None, "it matches nothing at all too"
        if between.end() < end:
            parted.add("," in between.group())
            if not between.group():
                return None
        place = between.end()
    return items if len(parted) < 2 else None


def _skip_spaces(text: str, start: int) -> int:
    return len(text) - start - len(text[start:].lstrip())


def _list_item(found: re.Match[str], decode: Callable[[str], str]) -> str | None:
    if found["text"] is not None:
        return decode(found["text"][1:-1])
    return None if found["plain"] in ("None", "nan") else found["plain"]


def _decode_escapes(text: str) -> str:
    def character(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2] or escape[3]
        return chr(int(code, 16)) if code else _MEANT.get(escape[4], escape[4])

    return _ESCAPE.sub(character, text) if "\\" in text else text


def _strip_quotes(text: str) -> str:
    return _QUOTE.sub(r"\1", text)
