"""Prompt templates: found, compiled in a sandbox, rendered."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

from jinja2 import Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError

from cotforge.bounded_jinja import MOST_WORK, Exhausted, Sandbox, bounded_size, render_bounded
from cotforge.errors import MOST_FAULTS, PipelineError, in_words, show_value
from cotforge.records import Fault, Sample

ASKING = frozenset({"question", "options", "images", "meta", "reasoning_language"})
"""What a template that asks may use; `images` is (1, ..., n), one number per picture; `reasoning_language` is there where one is wanted."""
LEARNING = frozenset({"reasoning", "answer"})
"""What the template of a completion may use."""
FOLLOWING: Mapping[str, frozenset[str]] = {
    "explain": ASKING | {"label"},
    "verify": ASKING | {"reasoning"},
    "weave": ASKING | {"answer", "traces"},
    "judge": ASKING | {"reasoning", "answer", "rubric"},
    "seen": ASKING | {"things"},
}
"""What the templates of follow-ups may use: `traces` are records of `answer` and `reasoning`, `things` are texts, and
`rubric` are records of `name`, `low`, `high` and `anchors` (texts by mark).
"""

MOST_CHARACTERS = 200_000
"""A prompt longer than this is a mistake, or an attack on memory."""

LARGE = 100_000
"""Characters of a row's values from which on the row, and not the template, is why too much is written."""

MOST_BYTES = 2**18
"""Of a template's file."""

_WORK_PER_CHARACTER = 20
"""Of a completion: a long reasoning is no fault of its template."""

REMEMBERED = 4096
"""Texts kept: above the 2C orders of the largest closed set we know (1,000 classes), times a few models."""


_SANDBOX = Sandbox()
_EXAMPLE = {
    **{"question": "Which?", "options": ("one", "two"), "images": (1,), "meta": {}, "reasoning": "It is wide.", "answer": "one"},
    **{"label": "one", "traces": ({"answer": "one", "reasoning": "It is wide."},), "things": ("a hat",)},
    "rubric": ({"name": "clear", "low": 1, "high": 5, "anchors": {1: "not at all"}},),
}


def shipped_folder(kind: Literal["pipelines", "prompts"]) -> Path:
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
    language: str | None = None
    """The language that is wanted of a reasoning, by its English name; None where any will do."""

    @property
    def asks_answer_alone(self) -> bool:
        """Whether it is the shipped template that asks for no reasoning, or a copy."""
        return self.text == _read_template(shipped_folder("prompts") / "label_only" / "solve.jinja")

    @classmethod
    def load(cls, name: str, root: Path, inputs: frozenset[str] = ASKING) -> Self:
        """The template at `root / name`, else the shipped one of that name (`long_cot/solve`).

        Raises PipelineError where there is none, or it is not a template, or uses anything but `inputs`.
        """
        path = _find_template(name, root)
        text = _read_template(path)
        return cls(str(path), text, *_compile_template(path, text, inputs))

    def render(self, sample: Sample, options: tuple[str, ...] | None = None, given: Mapping[str, Any] | None = None) -> str:
        """What is asked about `sample`, its options in the given order (the file's order where left out); `given` are further inputs.

        Raises Fault `prompt_input` where this row is not what the template needs, PipelineError where no row could be.
        """
        asked = sample.question, sample.options if options is None else options, tuple(range(1, len(sample.pictures) + 1))
        try:
            if "meta" in self.inputs or given:
                return _fill_prompt(self, *asked, sample.meta, given)
            return _fill_remembered(self, *asked)
        except (SecurityError, RecursionError) as error:
            if isinstance(error, Exhausted) and bounded_size((asked, sample.meta if "meta" in self.inputs else None, given)) > LARGE:
                raise self._prompt_fault(sample, error) from error
            raise PipelineError(f"{self.path}: {_template_error(error)}") from error
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise self._prompt_fault(sample, error) from error

    def _prompt_fault(self, sample: Sample, error: Exception) -> Fault:
        return Fault("prompt_input", f"{self.path}: {in_words(error)}", where=sample.where, id=sample.id)

    def try_once(self) -> None:
        """Raises PipelineError where the template has no end or does what it may not; a row may be needed to find what else is wrong."""
        try:
            render_bounded(self.template, _EXAMPLE, longest=MOST_CHARACTERS)
        except (SecurityError, RecursionError) as error:
            raise PipelineError(f"{self.path}: {_template_error(error)}") from error
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
            return

    def complete(self, reasoning: str, answer: str) -> str:
        """What the student learns to say; half a surrogate pair, which no file can hold, becomes a question mark."""
        given = len(reasoning) + len(answer)
        longest, work = MOST_CHARACTERS + given, MOST_WORK + _WORK_PER_CHARACTER * given
        try:
            text = render_bounded(self.template, {"reasoning": reasoning, "answer": answer}, longest=longest, work=work).rstrip()
        except (TemplateError, RecursionError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise PipelineError(f"{self.path}: {_template_error(error)}") from error
        return text.encode(errors="replace").decode()


def _template_error(error: Exception) -> str:
    return "calls itself without end" if isinstance(error, RecursionError) else in_words(error)


def _fill_prompt(
    prompt: Prompt,
    question: str,
    options: tuple[str, ...],
    images: tuple[int, ...],
    meta: Mapping[str, Any],
    given: Mapping[str, Any] | None = None,
) -> str:
    values = {"question": question, "options": options, "images": images, "meta": meta, **(given or {})}
    if prompt.language is not None:
        values["reasoning_language"] = prompt.language
    text = render_bounded(prompt.template, values, longest=MOST_CHARACTERS).rstrip()
    text.encode()  # raises ValueError on half a surrogate pair, as broken JSON may hold: it could not be sent
    return text


@lru_cache(maxsize=REMEMBERED)
def _fill_remembered(prompt: Prompt, question: str, options: tuple[str, ...], images: tuple[int, ...]) -> str:
    return _fill_prompt(prompt, question, options, images, {})


def _find_template(name: str, root: Path) -> Path:
    path = Path(os.path.normpath(root / name))
    if path.is_file():
        return path
    folder = shipped_folder("prompts")
    names = sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.jinja"))
    if name in names:
        return folder / f"{name}.jinja"
    near = difflib.get_close_matches(name.removesuffix(".jinja"), names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"shipped are {', '.join(names)}"
    raise PipelineError(f"{show_value(name)}: no such file, and no shipped prompt of that name; {hint}")


def _read_template(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise PipelineError(f"{path}: is longer than {MOST_BYTES:,} bytes; a prompt is a few thousand")
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: is not UTF-8 text at byte {error.start:,}") from error


@lru_cache(maxsize=64)
def _compile_template(path: Path, text: str, inputs: frozenset[str]) -> tuple[frozenset[str], Template]:
    try:
        tree = _SANDBOX.parse(text, filename=str(path))
        used = frozenset(meta.find_undeclared_variables(tree))
        if faults := list(islice(_template_faults(path, tree, used - inputs, inputs), MOST_FAULTS)):
            raise PipelineError(*faults)
        return used, _SANDBOX.metered(tree)
    except TemplateSyntaxError as error:
        raise PipelineError(f"{path}:{error.lineno}: {error.message}") from error
    except PipelineError:
        raise
    except (RecursionError, MemoryError, IndentationError) as error:
        raise PipelineError(f"{path}: is nested too deep to be a template") from error
    except (SyntaxError, TemplateError, ValueError, TypeError, LookupError, ArithmeticError) as error:  # of Python, which it is compiled to
        raise PipelineError(f"{path}: is no template: {in_words(error)}") from error


def _template_faults(path: Path, tree: nodes.Template, unknown: frozenset[str], inputs: frozenset[str]) -> Iterator[str]:
    for other in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        yield f"{path}:{other.lineno}: a prompt is one file; write out here what it takes from others"
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name) if unknown else ():
        lines.setdefault(node.name, node.lineno)
    for name in sorted(unknown):
        why = "; the label is never shown to a teacher that votes" if name == "label" else ""
        yield f"{path}:{lines[name]}: no input named {show_value(name)}{why}; there are {', '.join(sorted(inputs))}"
