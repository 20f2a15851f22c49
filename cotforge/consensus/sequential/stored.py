"""Policies and beliefs as bytes that anybody may have written: a header in JSON and plain arrays, with a version and a checksum.

Nothing of it is run or unpickled. A model is built from the terms of the vote as always, and only then filled with the numbers in the file,
of which each has to have the shape that the model has for it. Whatever is not so raises Damaged, and is learned anew.
"""

import json
import math
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from cotforge.consensus.sequential.answer_table import NONE
from cotforge.consensus.sequential.belief import Belief, new_model
from cotforge.consensus.sequential.calibration import Calibration
from cotforge.consensus.sequential.policy import STOP, Policy
from cotforge.consensus.sequential.terms import Terms

MAGIC = b"cotforge learned 1\n"
"""Begins every file; the number is the version of the format."""
_KINDS = {"<f8", "<i8", "|i1", "|b1"}
_LENGTH = 4
"""Bytes that tell how long the header is."""

Arrays = dict[str, "np.ndarray[Any, Any]"]


class Damaged(ValueError):
    """Bytes that are no policy or belief of these terms, as far as can be seen."""


def policy_bytes(policy: Policy) -> bytes:
    """The policy as bytes; without the levels by which it was found."""
    code_N, choice_NK, figures = policy.solution
    meta, arrays = _belief_parts(policy.belief)
    return _write_arrays(meta | {"kind": "policy", "figures": list(figures)}, arrays | {"codes": code_N, "choices": choice_NK})


def policy_of(data: bytes, terms: Terms) -> Policy:
    """The policy of these terms that became these bytes. Raises Damaged."""
    try:
        meta, arrays = _read_arrays(data, "policy")
        code_N, choice_NK, voters = arrays["codes"], arrays["choices"], len(terms.voters)
        figures = [float(figure) for figure in meta["figures"]]
        sound = code_N.dtype == np.int64 and choice_NK.dtype == np.int8 and choice_NK.shape == (len(code_N), voters) and len(code_N) > 0
        if not sound or len(figures) != 4 or (np.diff(code_N) <= 0).any() or choice_NK.min() < STOP or choice_NK.max() >= voters:
            raise Damaged("no policy")
        policy = Policy.restored(_restore_belief(meta, arrays, terms), code_N, choice_NK, figures)
        policy.next(None, {})
    except Damaged:
        raise
    except Exception as fault:  # whatever a stranger may have put there
        raise Damaged(str(fault)) from fault
    return policy


def belief_bytes(belief: Belief) -> bytes:
    """The belief as bytes."""
    meta, arrays = _belief_parts(belief)
    return _write_arrays(meta | {"kind": "belief"}, arrays)


def belief_of(data: bytes, terms: Terms) -> Belief:
    """The belief about these terms that became these bytes. Raises Damaged."""
    try:
        meta, arrays = _read_arrays(data, "belief")
        return _restore_belief(meta, arrays, terms)
    except Damaged:
        raise
    except Exception as fault:  # as above
        raise Damaged(str(fault)) from fault


def number_bytes(number: float) -> bytes:
    """A number as bytes."""
    return _write_arrays({"kind": "number", "value": number}, {})


def number_of(data: bytes) -> float:
    """The number in (0, 1) that became these bytes. Raises Damaged."""
    try:
        number = float(_read_arrays(data, "number")[0]["value"])
    except Damaged:
        raise
    except Exception as fault:  # as above
        raise Damaged(str(fault)) from fault
    if not 0 < number < 1:
        raise Damaged("no probability")
    return number


def _belief_parts(belief: Belief) -> tuple[dict[str, Any], Arrays]:
    """(what fits into JSON, the arrays)."""
    arrays: Arrays = {f"model{path}": owner[key] for path, owner, key in _array_places(belief.model)}
    if (near_CC := getattr(belief.model, "near_CC", None)) is not None:
        arrays["near"] = near_CC
    for name, weights_F in (("weights_F", belief.calibration.weights_F), ("none_F", belief.calibration.none_F)):
        if weights_F is not None:
            arrays[name] = weights_F
    return {
        "twins": sorted(belief.twins.items()),
        "unlabelled": belief.unlabelled,
        "unseen": belief.unseen,
        "telling": list(belief.telling),
        "repairs": belief.repairs,
        "some_at_all": belief.calibration.some_at_all,
    }, arrays


def _restore_belief(meta: Mapping[str, Any], arrays: Arrays, terms: Terms) -> Belief:
    twins = {int(one): int(other) for one, other in meta["twins"]}
    unlabelled, unseen = float(meta["unlabelled"]), float(meta["unseen"])
    telling = tuple(float(share) for share in meta["telling"])
    columns = set(range(len(terms.voters)))
    if not {*twins, *twins.values()} <= columns or not math.isfinite(unlabelled + unseen) or not all(0 < share <= 1 for share in telling):
        raise Damaged("no belief of these voters")
    if len(telling) not in (0, len(columns)):
        raise Damaged("no belief of so many voters")
    near_CC = arrays.get("near")
    if terms.by_class:
        classes = len(terms.options)
        sound = near_CC is not None and near_CC.shape == (classes, classes) and near_CC.dtype == bool
        if near_CC is None or not sound or near_CC.diagonal().any() or not near_CC.any(axis=1).all():
            raise Damaged("no belief about these classes")
    model = new_model(terms, twins, near_CC)
    for path, owner, key in _array_places(model):
        found, wanted = arrays[f"model{path}"], owner[key]
        if found.shape != wanted.shape or found.dtype != wanted.dtype or not np.isfinite(found).all():
            raise Damaged(f"no model of these terms: {path}")
        owner[key] = found
    some_at_all = float(meta["some_at_all"])
    if not 0 < some_at_all <= 1:
        raise Damaged("no share of what people can tell")
    calibration = Calibration(arrays.get("weights_F"), arrays.get("none_F"), some_at_all)
    belief = Belief(terms, model, calibration, twins, unlabelled, telling, bool(meta["repairs"]), unseen)
    posterior_NS = belief.posterior(np.full((1, len(terms.bins)), NONE))  # a calibration of another shape fails here
    if not np.isfinite(posterior_NS).all() or not np.isfinite(calibration.some(posterior_NS)).all():
        raise Damaged("no belief that gives probabilities")
    return belief


def _array_places(thing: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, mapping or list, key in it) of each array of floats in a model, and in what it is made of; `_tables` follow from these."""
    owner = thing if isinstance(thing, list) else vars(thing)
    for key, value in enumerate(owner) if isinstance(owner, list) else sorted(owner.items()):
        here = f"{path}.{key}"
        if isinstance(value, np.ndarray):
            if value.dtype == np.float64:
                yield here, owner, key
        elif key != "_tables" and (isinstance(value, list) or (hasattr(value, "__dict__") and type(value).__module__.startswith(_HOME))):
            yield from _array_places(value, here)


_HOME = __name__.rpartition(".")[0]


def _write_arrays(meta: Mapping[str, Any], arrays: Arrays) -> bytes:
    named = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    about = [[name, array.dtype.newbyteorder("<").str, list(array.shape)] for name, array in named.items()]
    head = json.dumps({"meta": meta, "arrays": about}).encode()
    body = b"".join([len(head).to_bytes(_LENGTH, "little"), head, *(array.tobytes() for array in named.values())])
    return MAGIC + sha256(body).digest() + body


def _read_arrays(data: bytes, kind: str) -> tuple[Mapping[str, Any], Arrays]:
    """(what was in JSON, the arrays). Raises Damaged, KeyError, TypeError or ValueError where it is no such file."""
    start = len(MAGIC) + 32
    body = data[start:]
    if not data.startswith(MAGIC) or sha256(body).digest() != data[len(MAGIC) : start]:
        raise Damaged("of another version, or not whole")
    at = _LENGTH + int.from_bytes(body[:_LENGTH], "little")
    told = json.loads(body[_LENGTH:at])
    arrays: Arrays = {}
    for name, dtype, shape in told["arrays"]:
        if dtype not in _KINDS or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise Damaged(f"an array of {dtype}")
        count = math.prod(shape)
        arrays[name] = np.frombuffer(body, dtype, count, at).reshape(shape).copy()
        at += count * np.dtype(dtype).itemsize
    if at != len(body) or told["meta"]["kind"] != kind:
        raise Damaged("something else")
    return told["meta"], arrays
