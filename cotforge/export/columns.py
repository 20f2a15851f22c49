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


def measure_columns(measures: Iterable[str]) -> dict[str, str]:
    """Column to measure, each measure once; a user's `path/to/file.py:function` goes by its function."""
    columns: dict[str, str] = {}
    for measure in dict.fromkeys(measures):
        name = f"measure_{measure.rpartition(':')[2]}"
        while name in columns:  # two files may each define the function
            name += "_"
        columns[name] = measure
    return columns


def arrow_schema(columns: Columns) -> pa.Schema:
    """The Arrow schema, with features for `datasets` in its metadata."""
    info = {"info": {"features": {name: kind.feature for name, kind in columns.items()}}}
    return pa.schema([(name, kind.arrow) for name, kind in columns.items()], metadata={"huggingface": json.dumps(info)})


def hub_features(columns: Columns) -> list[dict[str, Any]]:
    """The `features` of a card's `dataset_info`; no part is shared, because `datasets` cannot read YAML with aliases here."""
    return [{"name": name, **deepcopy(dict(kind.card))} for name, kind in columns.items()]


def arrow_table(rows: Iterable[Sequence[Any]], columns: Columns, shape: pa.Schema) -> pa.Table:
    """Rows, at least one, as a table of the columns."""
    values = zip(*rows, strict=True)
    return pa.Table.from_arrays([kind.build(column) for kind, column in zip(columns.values(), values, strict=True)], schema=shape)


# Arrays are made of buffers, because `pa.array` of Python values imports pandas wherever it is installed: 50 MB and half a second.


def _arrow_array(kind: pa.DataType, values: Sequence[Any], *buffers: Any) -> pa.Array:
    """An array over `buffers`; the places of None are null."""
    known = pa.py_buffer(_validity_bits(value is not None for value in values)) if None in values else None
    return pa.Array.from_buffers(kind, len(values), [known, *map(pa.py_buffer, buffers)])


def _validity_bits(flags: Iterable[Any]) -> bytes:
    return np.packbits(np.fromiter(map(bool, flags), bool), bitorder="little").tobytes()


def _byte_array(values: Sequence[bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    joined = b"".join(value or b"" for value in values)
    return _arrow_array(kind or pa.binary(), values, _list_offsets(len(value or b"") for value in values), joined)


def _text_array(values: Sequence[str | None]) -> pa.Array:
    """Half a surrogate pair, which a teacher's JSON may hold, is no text and becomes a question mark."""
    return _byte_array([None if value is None else value.encode("utf-8", "replace") for value in values], pa.string())


def _bool_array(values: Sequence[bool | None]) -> pa.Array:
    return _arrow_array(pa.bool_(), values, _validity_bits(values))


def _int_array(values: Sequence[int | None]) -> pa.Array:
    return _arrow_array(pa.int64(), values, array("q", [value or 0 for value in values]))


def _float_array(values: Sequence[float | None]) -> pa.Array:
    return _arrow_array(pa.float64(), values, array("d", [value or 0.0 for value in values]))


def _list_offsets(lengths: Iterable[int]) -> "array[int]":
    return array("i", accumulate(lengths, initial=0))


def _plain_column(name: str, arrow: pa.DataType, build: Callable[[Sequence[Any]], pa.Array]) -> Kind:
    return Kind(arrow, _value_feature(name), {"dtype": name}, build)


def _value_feature(name: str) -> dict[str, str]:
    return {"dtype": name, "_type": "Value"}


def _texts_of(*fields: str, build: Callable[[Sequence[Any]], pa.Array]) -> Kind:
    """A list of records of texts."""
    arrow = pa.list_(pa.struct([(name, pa.string()) for name in fields]))
    card = {"list": [{"name": name, "dtype": "string"} for name in fields]}
    return Kind(arrow, [{name: _value_feature("string") for name in fields}], card, build)


def _record_lists(lengths: Iterable[int], values: Sequence[pa.Array], names: Sequence[str]) -> pa.Array:
    """Lists of records, flattened: `lengths` of each, and the fields of all one after the other."""
    offsets = _list_offsets(lengths)
    return pa.ListArray.from_arrays(_arrow_array(pa.int32(), offsets, offsets), pa.StructArray.from_arrays(values, names))


def _message_column(role: str) -> Kind:
    """One message of `role`, from its text."""

    def build(values: Sequence[str]) -> pa.Array:
        return _record_lists([1] * len(values), [_text_array([role] * len(values)), _text_array(values)], ["role", "content"])

    return _texts_of("role", "content", build=build)


def _pair_lists(kinds: Sequence[Callable[[Sequence[Any]], pa.Array]], names: Sequence[str]) -> Callable[[Sequence[Any]], pa.Array]:
    """Lists of pairs to lists of records of two fields."""

    def build(values: Sequence[Sequence[tuple[Any, Any]]]) -> pa.Array:
        flat = [[pair[place] for pairs in values for pair in pairs] for place in (0, 1)]
        return _record_lists(map(len, values), [make(column) for make, column in zip(kinds, flat, strict=True)], names)

    return build


def _text_lists(values: Sequence[Sequence[str] | None]) -> pa.Array:
    """Lists of texts; None stays null."""
    texts = _text_array([text for each in values for text in each or ()])
    return pa.Array.from_buffers(
        pa.list_(pa.string()),
        len(values),
        [
            pa.py_buffer(_validity_bits(each is not None for each in values)),
            pa.py_buffer(_list_offsets(len(each or ()) for each in values)),
        ],
        children=[texts],
    )


def _share_lists(values: Sequence[Sequence[tuple[str, float]] | None]) -> pa.Array:
    """Lists of (answer, probability) to lists of records; None stays null."""
    return _nullable_pairs(values, (_text_array, _float_array), ("answer", "probability"))


def _segment_lists(values: Sequence[Sequence[tuple[str, str]] | None]) -> pa.Array:
    """Lists of (kind, text) to lists of records; None stays null."""
    return _nullable_pairs(values, (_text_array, _text_array), ("kind", "text"))


def _nullable_pairs(
    values: Sequence[Sequence[tuple[Any, Any]] | None], kinds: Sequence[Callable[[Sequence[Any]], pa.Array]], names: Sequence[str]
) -> pa.Array:
    flat = [pair for pairs in values for pair in pairs or ()]
    offsets = _list_offsets(len(pairs or ()) for pairs in values)
    fields = [make([pair[place] for pair in flat]) for place, make in enumerate(kinds)]
    mask = _bool_array([pairs is None for pairs in values])
    records = pa.StructArray.from_arrays(fields, names)
    return pa.ListArray.from_arrays(_arrow_array(pa.int32(), offsets, offsets), records, mask=mask)


TEXT = _plain_column("string", pa.string(), _text_array)
FLAG = _plain_column("bool", pa.bool_(), _bool_array)
WHOLE = _plain_column("int64", pa.int64(), _int_array)
NUMBER = _plain_column("float64", pa.float64(), _float_array)
TEXTS = Kind(pa.list_(pa.string()), [_value_feature("string")], {"list": "string"}, _text_lists)
"""Lists of texts, or null."""
USER = _message_column("user")
ASSISTANT = _message_column("assistant")
MESSAGES = _texts_of("role", "content", build=_pair_lists((_text_array, _text_array), ("role", "content")))
"""From (role, content) pairs."""
VOTES = _texts_of("teacher", "answer", build=_pair_lists((_text_array, _text_array), ("teacher", "answer")))
"""From (teacher, answer) pairs."""
SHARES = Kind(
    pa.list_(pa.struct([("answer", pa.string()), ("probability", pa.float64())])),
    [{"answer": _value_feature("string"), "probability": _value_feature("float64")}],
    {"list": [{"name": "answer", "dtype": "string"}, {"name": "probability", "dtype": "float64"}]},
    _share_lists,
)
"""From (answer, probability) pairs, or null."""
SEGMENTS = _texts_of("kind", "text", build=_segment_lists)
"""From (kind, text) pairs, or null."""
IMAGES = Kind(
    pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    [{"_type": "Image"}],
    {"list": "image"},
    _pair_lists((_byte_array, _text_array), ("bytes", "path")),
)
"""From (bytes, path) pairs."""


OPTIONAL: Columns = {"soft_label": SHARES, "segments": SEGMENTS, "language": TEXT}
"""Columns of `data/` that only a pipeline that asks for them has."""
OPTIONAL_OF_TRACES: Columns = {"language": TEXT}
"""Those of `traces/`."""


def lesson_columns(measures: Iterable[str], optional: Iterable[str] = ()) -> Columns:
    """The columns of `data/`, with those of the measures, and the `optional` ones that the pipeline asks for."""
    asked = {"id": TEXT, "images": IMAGES, "prompt": USER, "completion": ASSISTANT, "question": TEXT, "options": TEXTS}
    decided = {"answer": TEXT, "label": TEXT, "label_conflict": FLAG}
    voted = {"confidence": NUMBER, "votes": VOTES, "teacher": TEXT, "model": TEXT, "origin": TEXT, "reasoning_tokens": WHOLE}
    wanted = {name: OPTIONAL[name] for name in optional}
    return asked | decided | voted | dict.fromkeys(measures, NUMBER) | {"call": TEXT, "mended": TEXT} | wanted


def trace_columns(measures: Iterable[str], optional: Iterable[str] = ()) -> Columns:
    """The columns of `traces/`, with those of the measures, and the `optional` ones that the pipeline asks for."""
    asked = {"id": TEXT, "call": TEXT, "teacher": TEXT, "model": TEXT, "origin": TEXT, "index": WHOLE}
    said = {"reasoning": TEXT, "answer": TEXT, "ballot": TEXT, "finish_reason": TEXT, "read_as": TEXT}
    wanted = {name: OPTIONAL_OF_TRACES[name] for name in optional if name in OPTIONAL_OF_TRACES}
    counted = {"input_tokens": WHOLE, "output_tokens": WHOLE, "cost_usd": NUMBER}
    return asked | said | counted | {"fate": TEXT, "fate_value": NUMBER} | dict.fromkeys(measures, NUMBER) | wanted


PREFERENCE: Columns = {"id": TEXT, "prompt": USER, "chosen": ASSISTANT, "rejected": ASSISTANT, "images": IMAGES}
LOSSES: Columns = dict.fromkeys(("id", "teacher", "call", "stage", "reason", "detail"), TEXT)
VERDICTS: Columns = {"id": TEXT, "label": TEXT, "answer": TEXT, "accepted": FLAG, "confidence": NUMBER, "label_conflict": FLAG}
