"""A model's folder as a stranger hands it over: nothing in it is run or unpickled, and what cannot be a student is a line.

Source: https://huggingface.co/docs/transformers/custom_models (Python of a model's own), https://huggingface.co/docs/hub/security-pickle.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from cotforge.errors import PipelineError, show_value

CONFIG, ADAPTERS = "config.json", "adapter_config.json"
WEIGHTS = ".safetensors"
PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
"""Suffixes of files whose reading can run what is in them."""
SAFE = {"trust_remote_code": False}
"""Arguments of every `from_pretrained` of a student."""
SAFE_WEIGHTS = SAFE | {"use_safetensors": True}
"""The same where it reads weights."""
STUDENT = "train.student.model"
"""The key that names the student."""
UNWANTED = ("*.py", "*.gguf", "*.onnx", "*.msgpack", "*.h5", *(f"*{suffix}" for suffix in sorted(PICKLED)))
"""What is not fetched of a repository on the Hub."""


def demand_student(folder: Path) -> None:
    """Raises PipelineError where a folder holds no vision-language model that can be trained here."""
    demand_safe(folder)
    where = _folder_text(folder)
    kind = _read_config(folder, where)["model_type"]
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise PipelineError(
            f"{where} is no vision-language model; AutoModelForImageTextToText has to load it, "
            f"and transformers {version('transformers')} has {kind!r} for other uses alone"
        )


def passed_over(folder: Path) -> str:
    """A line about Python of a model's own, where there is some that transformers does not need; else empty."""
    config = _read_config(folder, _folder_text(folder))
    code = sorted(file.name for file in folder.glob("*.py"))
    if not code and "auto_map" not in config:
        return ""
    named = ", ".join(code[:3]) or "auto_map"
    return f"the student has Python of its own ({named}), which is not run: transformers' own {config['model_type']} is trained"


def demand_safe(folder: Path, *, key: str = STUDENT) -> None:
    """Raises PipelineError where a model, named by that key, needs Python that comes with it to be run, or a pickle to be read."""
    where = _folder_text(folder, key)
    config = _read_config(folder, where)
    kind = config.get("model_type")
    known = isinstance(kind, str) and kind in CONFIG_MAPPING_NAMES
    if not known or any(_asks_for_code(part) for part in config.values()):
        code = sorted(file.name for file in folder.glob("*.py"))
        unknown = "" if known else f", which has no model_type {show_value(kind)}"
        if code or _asks_for_code(config):
            raise PipelineError(
                f"{where} is a model with Python of its own ({', '.join(code[:3]) or 'auto_map'}), which is never run here; "
                f"take one that transformers {version('transformers')} has itself{unknown}"
            )
        raise PipelineError(f"{where} is of model_type {show_value(kind)}, which transformers {version('transformers')} does not know")
    _demand_weights(folder, where)


def _folder_text(folder: Path, key: str = STUDENT) -> str:
    return f"{key}: {str(folder)!r}"


def _read_config(folder: Path, where: str) -> dict[str, Any]:
    try:
        held = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise PipelineError(f"{where} has no config.json that can be read; it is no model's folder") from fault
    if not isinstance(held, dict):
        raise PipelineError(f"{where}: config.json holds no names and values")
    return held


def _asks_for_code(part: Any) -> bool:
    """Whether a part of a configuration, or one within it, names Python of its own: transformers would ask whether to run it."""
    if isinstance(part, list):
        return any(map(_asks_for_code, part))
    return isinstance(part, dict) and ("auto_map" in part or any(map(_asks_for_code, part.values())))


def _demand_weights(folder: Path, where: str) -> None:
    names = {file.name for file in folder.iterdir()}
    if ADAPTERS in names:
        raise PipelineError(
            f"{where} has adapters beside its weights ({ADAPTERS}); merge them in (peft: merge_and_unload) and save it whole"
        )
    if any(name.endswith(WEIGHTS) for name in names):
        return
    pickled = sorted(name for name in names if Path(name).suffix in PICKLED)
    if not pickled:
        raise PipelineError(f"{where} has no weights ({WEIGHTS})")
    raise PipelineError(
        f"{where} has its weights pickled alone ({pickled[0]}), which can run code as they are read, and are not read here; where you "
        "trust them, load it once by AutoModelForImageTextToText.from_pretrained(..., use_safetensors=False) and save_pretrained it"
    )
