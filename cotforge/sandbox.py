"""Prompt templates: found, compiled in a sandbox, rendered."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, UndefinedError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cotforge.errors import PipelineError
from cotforge.records import Fault, Sample

ASKING = frozenset({"question", "options", "images", "meta"})
"""What a template that asks may use; `images` is (1, ..., n), one number per picture."""
LEARNING = frozenset({"reasoning", "answer"})
"""What the template of a completion may use."""

MOST_CHARACTERS = 200_000
"""A prompt longer than this is a mistake, or an attack on memory."""

REMEMBERED = 4096
"""Texts kept: above the 2C orders of the largest closed set we know (1,000 classes), times a few models."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja that reaches no unsafe attribute, changes nothing, opens no other file and says the same every time."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, finalize=_printable)
        del self.globals["lipsum"], self.filters["random"]  # another text at each run would be another Call
        del self.filters["center"], self.filters["format"]  # their width argument fills memory, as `*` on text would

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers, without powers. Raises SecurityError for anything else."""
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"{operator!r} is for numbers only" if operator != "**" else "'**' is not available")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`meta.items` is the row's value of that name where it has one, not the method of a mapping."""
        return obj[attribute] if isinstance(obj, Mapping) and attribute in obj else super().getattr(obj, attribute)


def _printable(value: Any) -> Any:
    if value is None:
        raise UndefinedError("a value is null; give it a default or leave it out with 'if'")
    if callable(value) and not isinstance(value, Undefined):
        raise SecurityError("a function is not text; call it")  # its text would hold an address of this process
    return value


_SANDBOX = Sandbox()


def shipped(kind: Literal["pipelines", "prompts"]) -> Path:
    """The folder of shipped pipelines or prompts, of a wheel, an editable install or a checkout."""
    package = Path(__file__).parent
    packed = package / "shipped" / kind
    return packed if packed.is_dir() else package.parent / kind


@dataclass(frozen=True, eq=False)
class Prompt:
    """A compiled template."""

    path: str
    """Where it was read, for messages."""
    text: str
    """Its source."""
    inputs: frozenset[str]
    """What it uses of `ASKING` or `LEARNING`."""
    template: Template = field(repr=False)

    @classmethod
    def load(cls, name: str, root: Path, inputs: frozenset[str] = ASKING) -> Self:
        """The template at `root / name`, else the shipped one of that name (`long_cot/solve`).

        Raises PipelineError where there is none, or it is not a template, or uses anything but `inputs`.
        """
        path = _find(name, root)
        text = _read(path)
        return cls(str(path), text, *_compile(path, text, inputs))

    def render(self, sample: Sample, options: tuple[str, ...] | None = None) -> str:
        """What is asked about `sample`, its options in the given order (the file's order where left out).

        Raises Fault `prompt_input` where this row is not what the template needs, PipelineError where no row could be.
        """
        asked = sample.question, sample.options if options is None else options, tuple(range(1, len(sample.pictures) + 1))
        try:
            return _fill(self, *asked, sample.meta) if "meta" in self.inputs else _remembered(self, *asked)
        except (SecurityError, RecursionError) as error:
            raise PipelineError(f"{self.path}: {error}") from error
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise Fault("prompt_input", f"{self.path}: {error}", where=sample.where, id=sample.id) from error

    def complete(self, reasoning: str, answer: str) -> str:
        """What the student learns to say; half a surrogate pair, which no file can hold, becomes a question mark."""
        limit = MOST_CHARACTERS + len(reasoning) + len(answer)
        try:
            text = _write(self.template, {"reasoning": reasoning, "answer": answer}, limit)
        except (TemplateError, RecursionError, TypeError, ValueError, ArithmeticError) as error:
            raise PipelineError(f"{self.path}: {error}") from error
        return text.encode(errors="replace").decode()


def _fill(prompt: Prompt, question: str, options: tuple[str, ...], images: tuple[int, ...], meta: Mapping[str, Any]) -> str:
    values = {"question": question, "options": options, "images": images, "meta": meta}
    text = _write(prompt.template, values, MOST_CHARACTERS)
    text.encode()  # raises ValueError on half a surrogate pair, as broken JSON may hold: it could not be sent
    return text


@lru_cache(maxsize=REMEMBERED)
def _remembered(prompt: Prompt, question: str, options: tuple[str, ...], images: tuple[int, ...]) -> str:
    return _fill(prompt, question, options, images, {})


def _write(template: Template, values: Mapping[str, Any], limit: int) -> str:
    parts, length = [], 0
    for part in template.generate(values):
        length += len(part)
        if length > limit:
            raise ValueError(f"writes more than {limit:,} characters")
        parts.append(part)
    return "".join(parts).rstrip()


def _find(name: str, root: Path) -> Path:
    path = Path(os.path.normpath(root / name))
    if path.is_file():
        return path
    folder = shipped("prompts")
    names = sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.jinja"))
    if name in names:
        return folder / f"{name}.jinja"
    near = difflib.get_close_matches(name.removesuffix(".jinja"), names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"shipped are {', '.join(names)}"
    raise PipelineError(f"{name!r}: no such file, and no shipped prompt of that name; {hint}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: is not UTF-8 text at byte {error.start:,}") from error


def _compile(path: Path, text: str, inputs: frozenset[str]) -> tuple[frozenset[str], Template]:
    try:
        tree = _SANDBOX.parse(text, filename=str(path))
        used = frozenset(meta.find_undeclared_variables(tree))
        template = _SANDBOX.from_string(text)
    except TemplateSyntaxError as error:
        raise PipelineError(f"{path}:{error.lineno}: {error.message}") from error
    except RecursionError as error:
        raise PipelineError(f"{path}: is nested too deep to be a template") from error
    faults = list(_faults(path, tree, used - inputs, inputs))
    if faults:
        raise PipelineError(*faults)
    return used, template


def _faults(path: Path, tree: nodes.Template, unknown: frozenset[str], inputs: frozenset[str]) -> Iterator[str]:
    for other in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        yield f"{path}:{other.lineno}: a prompt is one file; write out here what it takes from others"
    for name in sorted(unknown):
        line = next(node.lineno for node in tree.find_all(nodes.Name) if node.name == name)
        why = "; the label is never shown to a teacher that votes" if name == "label" else ""
        yield f"{path}:{line}: no input named {name!r}{why}; there are {', '.join(sorted(inputs))}"
