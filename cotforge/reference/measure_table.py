"""The measures as a table: name, value as the function's docstring tells it, options with their defaults."""

import inspect

from cotforge.measures import MEASURES
from cotforge.reference.markdown import markdown_table


def measures_table() -> str:
    """A row for every measure."""
    return markdown_table(
        ("measure", "value", "options"), ([f"`{each.__name__}`", _value_cell(each), _options_cell(each)] for each in MEASURES)
    )


def _value_cell(measure: object) -> str:
    """The first paragraph of its docstring."""
    return (inspect.getdoc(measure) or "").partition("\n\n")[0]


def _options_cell(measure: object) -> str:
    options: dict[str, object] = getattr(measure, "__kwdefaults__", None) or {}
    return f"`{', '.join(f'{name}: {value}' for name, value in options.items())}`" if options else ""
