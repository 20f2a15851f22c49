"""The small vision-language model that is trained: loaded, seen to be one, partly frozen, adapted, and saved whole."""

import difflib
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText

from cotforge.errors import PipelineError
from cotforge.plan import Lora, Student
from cotforge.train.students import processors
from cotforge.train.students.folder import SAFE_WEIGHTS, UNWANTED, demand_safe

VISION = ("vision_tower", "vision_model", "visual", "vision_encoder", "image_encoder")
PROJECTOR = ("multi_modal_projector", "connector", "merger", "aligner", "mm_projector", "embed_vision")
"""How families call their parts; what is neither is language."""
BESIDE = {".json", ".jinja", ".txt", ".model"}
"""Suffixes of files that belong to a model beside its weights."""
SAMPLED = 1 << 20
"""Bytes from either end of a file by which it is known."""


@dataclass
class Pupil:
    """A student in memory, as one stage trains it."""

    model: Any
    processor: Any
    begin: Path
    """The folder it was loaded from."""
    spec: Student

    @property
    def positions(self) -> int | None:
        """Tokens that it can hold, picture included; None where its configuration does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end what it says."""
        given = self.model.generation_config.eos_token_id
        ends = {self.processor.tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])}
        return frozenset(token for token in ends if token is not None)

    def save(self, folder: Path, state: dict[str, Any] | None = None) -> None:
        """Weights, adapters merged into them, processor, and whatever else lay beside the weights it began with.

        `state` holds the weights by name where the model itself has a part of them only.
        """
        whole = self._merged(state)
        whole.save_pretrained(folder, state_dict=None if whole is not self.model else state)
        processors.save(self.processor, folder)
        for file in self.begin.iterdir():
            wanted = file.suffix in BESIDE and not file.name.endswith(".index.json") and not file.name.startswith("adapter_")
            if wanted and not (folder / file.name).exists():
                shutil.copyfile(file, folder / file.name)

    def _merged(self, state: dict[str, Any] | None) -> Any:
        if not isinstance(self.model, PeftModel):
            return self.model
        if not self.spec.qlora and state is None:
            return self.model.merge_and_unload()
        named = self.model.state_dict() if state is None else state
        adapters = {name: weight.detach().cpu() for name, weight in named.items() if "lora_" in name}
        again = _with(_weights(self.begin, self.spec, quantised=False), self.model.peft_config["default"])
        again.load_state_dict(adapters, strict=False)
        return again.merge_and_unload()


def load(spec: Student, begin: Path, *, seed: int = 0) -> Pupil:
    """The student in a folder, ready to be trained; `seed` is that of new adapters.

    Raises PipelineError where it is none, or nothing of it would be trained.
    """
    demand_safe(begin)
    processor = processors.load(begin)
    if spec.max_pixels is not None:
        processors.bound(processor, spec.max_pixels)
    model = _weights(begin, spec, quantised=spec.qlora)
    freeze(model, spec.freeze)
    if spec.lora is not None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = _adapted(model, spec.lora)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise PipelineError("train.student: nothing of it would be trained; freeze less")
    return Pupil(model, processor, begin, spec)


def place(model: str, root: Path) -> Path:
    """The folder of a model: as named, relative to the pipeline's folder, or fetched from the Hub. Raises PipelineError without one."""
    if (root / model).is_dir():
        if not (root / model / "config.json").is_file():
            raise PipelineError(f"train.student.model: {model!r} has no config.json; it is no model's folder")
        demand_safe((root / model).resolve())
        return (root / model).resolve()
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(model, ignore_patterns=[*UNWANTED]))
    except Exception as fault:  # of a dozen kinds, depending on what is wrong with name, net or rights
        said = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
        raise PipelineError(f"train.student.model: {model!r} is no folder, and no model that the Hub gives: {said[:200]}") from fault
    demand_safe(found)
    return found


def fingerprint(folder: Path) -> str:
    """Changes with the weights, and with everything beside them; large files are known by size, beginning and end."""
    found = sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in {*BESIDE, ".safetensors"}):
        size = file.stat().st_size
        found.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as opened:
            found.update(opened.read(SAMPLED))
            opened.seek(max(0, size - SAMPLED))
            found.update(opened.read(SAMPLED))
    return found.hexdigest()


def part(name: str) -> str:
    """Which part of a student a weight or module of that name belongs to: vision, projector or language."""
    steps = set(name.split("."))
    return "projector" if steps & {*PROJECTOR} else "vision" if steps & {*VISION} else "language"


def freeze(model: Any, parts: Iterable[str]) -> None:
    """Have these parts stay as they are. Raises PipelineError where the model has no such part."""
    for wanted in parts:
        weights = [weight for name, weight in model.named_parameters() if part(name) == wanted]
        if not weights:
            raise PipelineError(f"train.student.freeze: no weight of this student is of its {wanted!r}; leave it out")
        for weight in weights:
            weight.requires_grad_(False)


def _weights(begin: Path, spec: Student, *, quantised: bool) -> Any:
    gpu = torch.cuda.is_available()
    kind = getattr(torch, spec.dtype or ("bfloat16" if gpu else "float32"))
    try:
        extra = {"quantization_config": _four_bits(gpu)} if quantised else {}
        return AutoModelForImageTextToText.from_pretrained(begin, dtype=kind, **SAFE_WEIGHTS, **extra)
    except (PipelineError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as fault:  # of many kinds, depending on what is wrong with a configuration or a file
        if type(fault).__name__ == "SafetensorError":
            raise PipelineError(f"train.student.model: weights in {str(begin)!r} are broken: {fault}") from fault
        said = " ".join(str(fault).split())[:200] or type(fault).__name__
        wrong = "is no vision-language model" if "nrecognized configuration" in said else f"cannot be loaded: {said}"
        raise PipelineError(f"train.student.model: {str(begin)!r} {wrong}; AutoModelForImageTextToText has to load it") from fault


def _four_bits(gpu: bool) -> Any:
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if not gpu or find_spec("bitsandbytes") is None:
        raise PipelineError("train.student.qlora: needs a GPU and bitsandbytes; set it to false, or pip install bitsandbytes")
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)


def _adapted(model: Any, lora: Lora) -> Any:
    """The model with adapters on the linear layers of its trained parts."""
    head = model.get_output_embeddings()
    linear = {
        name: next(layer.parameters()).requires_grad
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer is not head
    }
    free = [name for name, trained in linear.items() if trained]
    targets = free if lora.targets is None else [name for name in free if _named(name, lora.targets)]
    unmet = [wanted for wanted in lora.targets or () if not any(_named(name, [wanted]) for name in targets)]
    if unmet or not targets:
        names = sorted({name.rpartition(".")[2] for name in free})
        near = difflib.get_close_matches(unmet[0] if unmet else "", names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise PipelineError(f"train.student.lora.targets: {unmet[0] if unmet else 'null'!r} matches no linear layer; {hint}")
    asked = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets)
    return _with(model, asked)


def _with(model: Any, adapters: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers by a name that 5.23 calls old
        return get_peft_model(model, adapters)


def _named(module: str, targets: Iterable[str]) -> bool:
    return any(module == target or module.endswith(f".{target}") for target in targets)
