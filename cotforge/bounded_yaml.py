"""YAML as plain values, bounded in size, depth and growth; the only reader of YAML that somebody else may have written."""

import math
import re
from pathlib import Path, PurePath
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cotforge.errors import in_words, show_value

MOST_BYTES = 2**20
"""Of a file: about 20,000 labels; PyYAML takes 4 s for so much."""
MOST_VALUES = 100_000
"""Values once every alias is written out; 32 characters of a text count as one more."""
DEEPEST = 64
"""Lists and mappings within one another."""
LONGEST_NUMBER = 100
"""Characters of a number; `int` takes quadratic time, and a number of this length is none that anybody wrote."""

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
HALF = re.compile("[\ud800-\udfff]")
"""Half of a pair of surrogates: of no text in UTF-8."""
_AT_TAB = r"character '\t' that cannot start"
"""PyYAML's words about a line that begins with a tab."""
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class YamlError(ValueError):
    """What is wrong, and in which line, counted from 1."""

    def __init__(self, problem: str, line: int, text: str = "") -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line
        self.text = text
        """The offending line itself."""

    def __str__(self) -> str:
        return self.problem + (f"; the line is {show_value(self.text)}" if self.text else "")


def read_text(path: Path) -> str:
    """The text of a YAML file: UTF-8, or UTF-16 with a byte order mark.

    Raises OSError, and YamlError above `MOST_BYTES` or where it is no text.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise YamlError(f"is longer than {MOST_BYTES:,} bytes", 0)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as fault:
        raise YamlError(f"is not text in {encoding.removesuffix('-sig').upper()}", data.count(b"\n", 0, fault.start) + 1) from fault


def load_yaml(text: str) -> Any:
    """The value of one YAML document; None of an empty one. Raises YamlError, whatever the text is."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else loader.value_of(node)
    except yaml.reader.ReaderError as fault:
        raise _yaml_error(text, f"the character {chr(int(fault.character))!r} is not allowed", _line_at(text, fault.position)) from fault
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        problem = "a tab; indent with spaces" if _AT_TAB in (fault.problem or "") else fault.problem or fault.context or "cannot be read"
        raise _yaml_error(text, problem, mark.line + 1 if mark else 0) from fault
    except (
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as fault:  # PyYAML's, of odd escapes and directives
        raise _yaml_error(text, in_words(fault), loader.line + 1 if loader else 0) from fault
    finally:
        if loader is not None:
            loader.dispose()


def _yaml_error(text: str, problem: str, line: int) -> YamlError:
    lines = _LINE_BREAK.split(text, maxsplit=line) if line else []
    return YamlError(problem, line, lines[line - 1].strip() if line and line <= len(lines) else "")


def _line_at(text: str, position: int) -> int:
    return len(_LINE_BREAK.findall(text, 0, position)) + 1


class _Loader(yaml.SafeLoader):
    """Safe YAML without tags of its own, in which a key given twice is a fault and an alias counts as what it stands for."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._depth = 0
        self._sizes: dict[str, int] = {}
        """By anchor, once its node is whole."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.anchors and event.anchor not in self._sizes:
                raise _marked_error(f"the alias {show_value(event.anchor)} stands within what it names", event.start_mark)
            self._count_growth(self._sizes.get(event.anchor or "", 0), event.start_mark)
            return super().compose_node(parent, index)
        before = self._count
        self._enter_node(event.start_mark)
        self._count_growth(1 + len(getattr(event, "value", "")) // 32, event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if event.anchor is not None:
            self._sizes[event.anchor] = self._count - before
        return node

    def _enter_node(self, mark: Any) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _marked_error(f"is nested deeper than {DEEPEST} levels", mark)

    def _count_growth(self, by: int, mark: Any) -> None:
        self._count += by
        if self._count > MOST_VALUES:
            raise _marked_error(f"holds more than {MOST_VALUES:,} values; an alias counts as all that it stands for", mark)

    def value_of(self, node: Node) -> Any:
        """The plain value of a node; what aliases name is built anew for each."""
        if node.tag not in _TAGS:
            raise _marked_error(f"the tag {show_value(node.tag.replace('tag:yaml.org,2002:', '!!'))} has no place here", node.start_mark)
        if isinstance(node, ScalarNode):
            return self._build_scalar(node)
        self._enter_node(node.start_mark)
        value = self._build_mapping(node) if isinstance(node, MappingNode) else [self.value_of(item) for item in node.value]
        self._depth -= 1
        return value

    def _build_scalar(self, node: Node) -> Any:
        if len(node.value) > LONGEST_NUMBER and node.tag.endswith((":int", ":float")):
            raise _marked_error(f"{show_value(node.value)} is too long for a number; put a text in quotes", node.start_mark)
        try:
            value = self.construct_object(node)
            # An emoji as JSON writes it, "\ud83d\ude00", is one character; half of one can neither be sent nor kept.
            whole = (
                value.encode("utf-16-le", "surrogatepass").decode("utf-16-le") if isinstance(value, str) and HALF.search(value) else value
            )
        except UnicodeDecodeError as fault:
            raise _marked_error(f"{show_value(node.value)} holds half of a character", node.start_mark) from fault
        except (ValueError, LookupError, ArithmeticError) as fault:  # `!!int x`, `!!bool maybe`, `!!float ""`
            raise _marked_error(f"{show_value(node.value)} is no {node.tag.rpartition(':')[2]}", node.start_mark) from fault
        return whole

    def _build_mapping(self, node: MappingNode) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged = self._merged_keys(value) | merged
                continue
            if not isinstance(key, ScalarNode):
                raise _marked_error("a key must be a word", key.start_mark)
            name = self.value_of(key)
            if name in values:
                raise _marked_error(f"{show_value(name)} is given twice", key.start_mark)
            values[name] = self.value_of(value)
        return merged | values if merged else values

    def _merged_keys(self, node: Node) -> dict[Any, Any]:
        """What `<<` brings: of several mappings the first that has a key wins."""
        if isinstance(node, MappingNode):
            return dict(self._build_mapping(node))
        if not isinstance(node, SequenceNode) or not all(isinstance(item, MappingNode) for item in node.value):
            raise _marked_error("'<<' takes a mapping or a list of mappings", node.start_mark)
        values: dict[Any, Any] = {}
        for item in node.value:
            values = self._build_mapping(item) | values
        return values


def _marked_error(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in pairs if tag in _TAGS] for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """What `_Loader` reads back as it was."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> ScalarNode:
    # PyYAML reads its own plain and single-quoted form of these line breaks as spaces.
    style = '"' if any(c in text for c in "\r\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for each in (_Loader, _Dumper):  # 2.0e8 and 1e-3 are numbers to everybody but YAML 1.1
    each.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


def dump_yaml(value: Any) -> str:
    """As YAML that a person can read, and `load_yaml` reads back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)


class _InlineDumper(_Dumper):
    """The same on one line."""


_InlineDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _LINE_BREAK.search(text) else None)
)
_InlineDumper.add_multi_representer(PurePath, lambda dumper, path: dumper.represent_data(str(path)))


def dump_inline(value: Any) -> str:
    """As YAML on one line, which `load` reads back. Raises ValueError where it is no plain value: text, number, list, mapping, ..."""
    try:
        text = yaml.dump(value, Dumper=_InlineDumper, sort_keys=False, allow_unicode=True, width=math.inf, default_flow_style=True)
    except yaml.YAMLError as fault:
        raise ValueError(f"{value!r} cannot be written as YAML; a text, number, list or mapping can") from fault
    return text.removesuffix("...\n").strip()
