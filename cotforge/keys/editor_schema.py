"""A JSON schema of the pipeline file, for editors: it completes keys, shows their meaning, and marks what has the wrong type.

It is narrower than the typed sections in one way: what pydantic converts (`"64"` for a number) is marked, for a file should not need it.
It is wider in another: rules between keys (`min` above `max`) are told by `cotforge check` alone.
"""

import re
from collections.abc import Mapping
from typing import Any

from cotforge.keys.listing import DEFAULT_KIND
from cotforge.pipeline import Pipeline

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {"type": "string", "pattern": r"\$(\$|\{)", "description": "A text with ${VARIABLE} in it, replaced from the environment."}
"""What may stand in place of any plain value: `${VAR}` is expanded before types are looked at."""
_TO_VARIABLE = {"$ref": "#/$defs/variable"}
_SCHEMAS = ("items", "additionalProperties", "contains", "not")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS_OF_SCHEMAS = ("properties", "$defs", "patternProperties")
_ABOUT = ("default", "description", "deprecated", "examples")
"""What stays beside a schema that became one of two."""


def json_schema() -> dict[str, Any]:
    """The schema of a whole pipeline file, in the dialect 2020-12."""
    found = Pipeline.model_json_schema(by_alias=True, mode="validation")
    for name in _needs_kind(found):
        found["$defs"][name]["required"] = [*dict.fromkeys(["kind", *found["$defs"][name].get("required", ())])]
    adapted: dict[str, Any] = _adapt_schema(found)
    adapted["$defs"]["variable"] = VARIABLE
    return {"$schema": DIALECT, "title": "cotforge pipeline"} | adapted


def _needs_kind(schema: Any) -> set[str]:
    """The names of sections that a union knows by their `kind`: without it none of them is meant, but for the default one."""
    found: set[str] = set()
    if isinstance(schema, Mapping):
        kinds = schema.get("discriminator", {}).get("mapping", {})
        found |= {name.rpartition("/")[2] for kind, name in kinds.items() if kind != DEFAULT_KIND}
    for below in schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ():
        found |= _needs_kind(below)
    return found


def _adapt_schema(schema: Any) -> Any:
    """A schema without titles and discriminators, where a variable may stand in place of every plain value."""
    if not isinstance(schema, dict):
        return schema
    found = {key: value for key, value in schema.items() if key not in ("title", "discriminator")}
    if isinstance(text := found.get("description"), str):
        found["description"] = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    for key in found.keys() & {*_SCHEMAS}:
        found[key] = _adapt_schema(found[key])
    for key in found.keys() & {*_LISTS_OF_SCHEMAS}:
        found[key] = (
            _flatten_alternatives([_adapt_schema(each) for each in found[key]])
            if key == "anyOf"
            else [_adapt_schema(each) for each in found[key]]
        )
    for key in found.keys() & {*_MAPS_OF_SCHEMAS}:
        found[key] = {name: _adapt_schema(each) for name, each in found[key].items()}
    return _or_variable(found) if _is_plain(found) else found


def _flatten_alternatives(schemas: list[Any]) -> list[Any]:
    """Alternatives of alternatives in one list, each once."""
    found: list[Any] = []
    for each in schemas:
        inner = each["anyOf"] if isinstance(each, dict) and each.keys() == {"anyOf"} else [each]
        found += [one for one in inner if one not in found]
    return found


def _is_plain(schema: Mapping[str, Any]) -> bool:
    """Whether it is of a value that a variable can stand for, and does not take every text anyway."""
    is_choice = "enum" in schema or ("pattern" in schema and schema.get("type") == "string")
    return is_choice or schema.get("type") in ("integer", "number", "boolean")


def _or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    about = {key: schema.pop(key) for key in _ABOUT if key in schema}
    return {"anyOf": [schema, _TO_VARIABLE]} | about
