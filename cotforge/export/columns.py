"""The tables of a dataset: their columns, as Arrow types and as the features `datasets` reads."""

import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

Columns = Mapping[str, "Kind"]
"""Name and kind of each column, in order."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds, said three times: to Arrow, to `datasets` in the parquet file, to `datasets` in the card."""

    arrow: pa.DataType
    feature: Any
    """Of the schema's `huggingface` metadata. Lists are JSON lists, the one form every version of `datasets` reads."""
    card: Mapping[str, Any]
    """Of the card's `dataset_info.features`, without the name."""
    build: Callable[[Sequence[Any]], pa.Array]
    """Values to an Arrow array."""


def measured(measures: Iterable[str]) -> dict[str, str]:
    """Column to measure, each measure once; a user's `path/to/file.py:function` goes by its function."""
    columns: dict[str, str] = {}
    for measure in dict.fromkeys(measures):
        name = f"measure_{measure.rpartition(':')[2]}"
        while name in columns:  # two files may each define the function
            name += "_"
        columns[name] = measure
    return columns


def schema(columns: Columns) -> pa.Schema:
    """The Arrow schema, with features for `datasets` in its metadata."""
    info = {"info": {"features": {name: kind.feature for name, kind in columns.items()}}}
    return pa.schema([(name, kind.arrow) for name, kind in columns.items()], metadata={"huggingface": json.dumps(info)})


def features(columns: Columns) -> list[dict[str, Any]]:
    """The `features` of a card's `dataset_info`; no part is shared, because `datasets` cannot read YAML with aliases here."""
    return [{"name": name, **deepcopy(dict(kind.card))} for name, kind in columns.items()]


def table(rows: Iterable[Sequence[Any]], columns: Columns, shape: pa.Schema) -> pa.Table:
    """Rows, at least one, as a table of the columns."""
    values = zip(*rows, strict=True)
    return pa.Table.from_arrays([kind.build(column) for kind, column in zip(columns.values(), values, strict=True)], schema=shape)


# Arrays are made of buffers, because `pa.array` of Python values imports pandas wherever it is installed: 50 MB and half a second.


def _array(kind: pa.DataType, values: Sequence[Any], *buffers: Any) -> pa.Array:
    """An array over `buffers`; the places of None are null."""
    known = pa.py_buffer(_bits(value is not None for value in values)) if None in values else None
    return pa.Array.from_buffers(kind, len(values), [known, *map(pa.py_buffer, buffers)])


def _bits(flags: Iterable[Any]) -> bytes:
    return np.packbits(np.fromiter(map(bool, flags), bool), bitorder="little").tobytes()


def _bytes(values: Sequence[bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    joined = b"".join(value or b"" for value in values)
    return _array(kind or pa.binary(), values, _offsets(len(value or b"") for value in values), joined)


def _texts(values: Sequence[str | None]) -> pa.Array:
    """Half a surrogate pair, which a teacher's JSON may hold, is no text and becomes a question mark."""
    return _bytes([None if value is None else value.encode("utf-8", "replace") for value in values], pa.string())


def _flags(values: Sequence[bool | None]) -> pa.Array:
    return _array(pa.bool_(), values, _bits(values))


def _wholes(values: Sequence[int | None]) -> pa.Array:
    return _array(pa.int64(), values, array("q", [value or 0 for value in values]))


def _numbers(values: Sequence[float | None]) -> pa.Array:
    return _array(pa.float64(), values, array("d", [value or 0.0 for value in values]))


def _offsets(lengths: Iterable[int]) -> "array[int]":
    return array("i", accumulate(lengths, initial=0))


def _plain(name: str, arrow: pa.DataType, build: Callable[[Sequence[Any]], pa.Array]) -> Kind:
    return Kind(arrow, _value(name), {"dtype": name}, build)


def _value(name: str) -> dict[str, str]:
    return {"dtype": name, "_type": "Value"}


def _texts_of(*fields: str, build: Callable[[Sequence[Any]], pa.Array]) -> Kind:
    """A list of records of texts."""
    arrow = pa.list_(pa.struct([(name, pa.string()) for name in fields]))
    card = {"list": [{"name": name, "dtype": "string"} for name in fields]}
    return Kind(arrow, [{name: _value("string") for name in fields}], card, build)


def _lists(lengths: Iterable[int], values: Sequence[pa.Array], names: Sequence[str]) -> pa.Array:
    """Lists of records, flattened: `lengths` of each, and the fields of all one after the other."""
    offsets = _offsets(lengths)
    return pa.ListArray.from_arrays(_array(pa.int32(), offsets, offsets), pa.StructArray.from_arrays(values, names))


def _message(role: str) -> Kind:
    """One message of `role`, from its text."""

    def build(values: Sequence[str]) -> pa.Array:
        return _lists([1] * len(values), [_texts([role] * len(values)), _texts(values)], ["role", "content"])

    return _texts_of("role", "content", build=build)


def _pairs(kinds: Sequence[Callable[[Sequence[Any]], pa.Array]], names: Sequence[str]) -> Callable[[Sequence[Any]], pa.Array]:
    """Lists of pairs to lists of records of two fields."""

    def build(values: Sequence[Sequence[tuple[Any, Any]]]) -> pa.Array:
        flat = [[pair[place] for pairs in values for pair in pairs] for place in (0, 1)]
        return _lists(map(len, values), [make(column) for make, column in zip(kinds, flat, strict=True)], names)

    return build


def _text_lists(values: Sequence[Sequence[str] | None]) -> pa.Array:
    """Lists of texts; None stays null."""
    texts = _texts([text for each in values for text in each or ()])
    return pa.Array.from_buffers(
        pa.list_(pa.string()),
        len(values),
        [pa.py_buffer(_bits(each is not None for each in values)), pa.py_buffer(_offsets(len(each or ()) for each in values))],
        children=[texts],
    )


TEXT = _plain("string", pa.string(), _texts)
FLAG = _plain("bool", pa.bool_(), _flags)
WHOLE = _plain("int64", pa.int64(), _wholes)
NUMBER = _plain("float64", pa.float64(), _numbers)
TEXTS = Kind(pa.list_(pa.string()), [_value("string")], {"list": "string"}, _text_lists)
"""Lists of texts, or null."""
USER = _message("user")
ASSISTANT = _message("assistant")
MESSAGES = _texts_of("role", "content", build=_pairs((_texts, _texts), ("role", "content")))
"""From (role, content) pairs."""
VOTES = _texts_of("teacher", "answer", build=_pairs((_texts, _texts), ("teacher", "answer")))
"""From (teacher, answer) pairs."""
IMAGES = Kind(
    pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    [{"_type": "Image"}],
    {"list": "image"},
    _pairs((_bytes, _texts), ("bytes", "path")),
)
"""From (bytes, path) pairs."""


def lessons(measures: Iterable[str]) -> Columns:
    """The columns of `data/`, with those of the measures."""
    asked = {"id": TEXT, "images": IMAGES, "prompt": USER, "completion": ASSISTANT, "question": TEXT, "options": TEXTS}
    decided = {"answer": TEXT, "label": TEXT, "label_conflict": FLAG}
    voted = {"confidence": NUMBER, "votes": VOTES, "teacher": TEXT, "model": TEXT, "origin": TEXT, "reasoning_tokens": WHOLE}
    return asked | decided | voted | dict.fromkeys(measures, NUMBER) | {"call": TEXT, "mended": TEXT}


def traces(measures: Iterable[str]) -> Columns:
    """The columns of `traces/`, with those of the measures."""
    asked = {"id": TEXT, "call": TEXT, "teacher": TEXT, "model": TEXT, "origin": TEXT, "index": WHOLE}
    said = {"reasoning": TEXT, "answer": TEXT, "ballot": TEXT, "finish_reason": TEXT, "read_as": TEXT}
    counted = {"input_tokens": WHOLE, "output_tokens": WHOLE, "cost_usd": NUMBER}
    return asked | said | counted | {"fate": TEXT, "fate_value": NUMBER} | dict.fromkeys(measures, NUMBER)


PREFERENCE: Columns = {"id": TEXT, "prompt": USER, "chosen": ASSISTANT, "rejected": ASSISTANT, "images": IMAGES}
LOSSES: Columns = dict.fromkeys(("id", "teacher", "call", "stage", "reason", "detail"), TEXT)
