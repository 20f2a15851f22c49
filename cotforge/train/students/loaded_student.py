"""The small vision-language model that is trained: loaded, seen to be one, partly frozen, adapted, and saved whole."""

import difflib
import gc
import shutil
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText

from cotforge.errors import PipelineError, in_words
from cotforge.plan import Lora, Student
from cotforge.train.students import processors
from cotforge.train.students.precision import Precision, choose_precision
from cotforge.train.students.student_folder import SAFE_WEIGHTS, STUDENT, UNWANTED, demand_safe

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
    precision: Precision
    saved: dict[str, str] = field(default_factory=dict)
    """Digests of the weights that were saved, by name; empty before, and in processes that saved nothing."""
    is_sharded: bool = False
    """Whether each process holds a part of it alone."""

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
        whole = self.merged(state)
        held = state if whole is self.model else None
        whole.save_pretrained(folder, state_dict=held)
        self.saved = weight_digests(whole.state_dict() if held is None else held)
        processors.save_processor(self.processor, folder)
        for file in self.begin.iterdir():
            wanted = file.suffix in BESIDE and not file.name.endswith(".index.json") and not file.name.startswith("adapter_")
            if wanted and not (folder / file.name).exists():
                shutil.copyfile(file, folder / file.name)

    def save_adapters(self, folder: Path, state: dict[str, Any] | None = None) -> None:
        """The adapters alone, as peft saves and loads them; the weights below them are those of `begin`."""
        self.model.save_pretrained(folder, state_dict=state, selected_adapters=["default"], save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card

    def merged(self, state: dict[str, Any] | None = None) -> Any:
        """The model without adapters; they are merged in float32, into the weights that it began with as those lie on the disk.

        So nothing is rounded on the way: neither the base, which bfloat16 or four bits would, nor the sum. The model in memory stays.
        """
        if not isinstance(self.model, PeftModel):
            return self.model
        named = self.model.state_dict() if state is None else state
        adapters = {name: weight.detach().float().cpu() for name, weight in named.items() if ".default." in name}
        again = _with_adapters(_load_weights(self.begin, torch.float32), self.model.peft_config["default"])
        again.load_state_dict(adapters, strict=False)
        return again.merge_and_unload().to(self.precision.trained)


def load_pupil(
    spec: Student, begin: Path, *, seed: int = 0, numbers: Precision | None = None, gpu: bool | None = None, attention: str | None = None
) -> Pupil:
    """The student in a folder, ready to be trained; `seed` is that of new adapters, `attention` one of transformers' implementations.

    `gpu` says whether it will be on a GPU (None looks for one), `numbers` which types it has where that is not what follows from `gpu`.
    Raises PipelineError where it is none, or nothing of it would be trained.
    """
    gpu = torch.cuda.is_available() if gpu is None else gpu
    numbers = numbers or choose_precision(spec, gpu=gpu)
    processor = _load_processor(spec, begin)
    below = numbers.below(adapted=spec.lora is not None)
    model = _load_weights(begin, below, four_bits=_four_bits(gpu, below) if spec.qlora else None, attention=attention)
    freeze_parts(model, spec.freeze)
    if spec.lora is not None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = _add_adapters(model, spec.lora, spec.freeze)
    elif numbers.frozen != numbers.trained:
        _cast_frozen(model, numbers.frozen)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise PipelineError("train.student: nothing of it would be trained; freeze less")
    return Pupil(model, processor, begin, spec, numbers)


def for_inference(spec: Student, begin: Path, *, dtype: torch.dtype | None = None) -> Pupil:
    """The student in a folder as it is asked: without new adapters, and all weights of one type.

    `dtype` is that type; None takes the student's, or else bfloat16 on a GPU and float32 on a CPU. Raises PipelineError where it is none.
    """
    named = getattr(torch, spec.dtype or ("bfloat16" if torch.cuda.is_available() else "float32"))
    kind = dtype or named
    processor = _load_processor(spec, begin)
    return Pupil(_load_weights(begin, kind), processor, begin, spec, Precision(kind, kind))


def _load_processor(spec: Student, begin: Path) -> Any:
    demand_safe(begin)
    processor = processors.load_processor(begin)
    if spec.max_pixels is not None:
        processors.bound_pixels(processor, spec.max_pixels)
    return processor


def model_folder(model: str, root: Path, *, key: str = STUDENT) -> Path:
    """The folder of a model: as named, relative to the pipeline's folder, or fetched from the Hub.

    Raises PipelineError, with the key of the pipeline file that names it, where there is none.
    """
    if (root / model).is_dir():
        if not (root / model / "config.json").is_file():
            raise PipelineError(f"{key}: {model!r} has no config.json; it is no model's folder")
        demand_safe((root / model).resolve(), key=key)
        return (root / model).resolve()
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(model, ignore_patterns=[*UNWANTED]))
    except Exception as fault:  # of a dozen kinds, depending on what is wrong with name, net or rights
        said = (str(fault).strip().splitlines() or [type(fault).__name__])[0].removeprefix("Got: ")
        said = "the Hub cannot be reached" if said.startswith(("ConnectError", "ConnectTimeout")) else said
        raise PipelineError(f"{key}: {model!r} is no folder, and no model that the Hub gives: {said[:200]}") from fault
    demand_safe(found, key=key)
    return found


def weights_fingerprint(folder: Path) -> str:
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


def weight_digests(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """What each weight is known by, bit by bit; one that was bfloat16 and is loaded as float32 is the same."""
    found = {}
    for name, weight in state.items():
        held = weight.detach().cpu()
        held = (held.float() if held.is_floating_point() else held).contiguous()
        found[name] = blake2b(held.view(-1).view(torch.uint8).numpy(), digest_size=16).hexdigest()
    return found


def release_memory() -> None:
    """Give back the memory of students that nobody needs any more: those patched by TRL and accelerate refer to themselves."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def part_of_name(name: str) -> str:
    """Which part of a student a weight or module of that name belongs to: vision, projector or language."""
    steps = set(name.split("."))
    return "projector" if steps & {*PROJECTOR} else "vision" if steps & {*VISION} else "language"


def freeze_parts(model: Any, parts: Iterable[str]) -> None:
    """Have these parts stay as they are. Raises PipelineError where the model has no such part."""
    for wanted in parts:
        weights = [weight for name, weight in model.named_parameters() if part_of_name(name) == wanted]
        if not weights:
            raise PipelineError(
                f"freeze: no weight of this student is of its {wanted!r}; leave it out of train.student.freeze, or of the stage's freeze"
            )
        for weight in weights:
            weight.requires_grad_(False)


def _cast_frozen(model: Any, kind: torch.dtype) -> None:
    """Have weights that are not trained be of that type; those that a family keeps in float32 stay so."""
    kept = (*(getattr(model, "_keep_in_fp32_modules", None) or ()), *(getattr(model, "_keep_in_fp32_modules_strict", None) or ()))
    for name, weight in model.named_parameters():
        if not weight.requires_grad and weight.is_floating_point() and not set(name.split(".")) & {*kept}:
            weight.data = weight.data.to(kind)


def _load_weights(begin: Path, kind: torch.dtype, *, four_bits: Any = None, attention: str | None = None) -> Any:
    try:
        chosen = {"quantization_config": four_bits, "attn_implementation": attention}
        extra = {name: value for name, value in chosen.items() if value is not None}
        return AutoModelForImageTextToText.from_pretrained(begin, dtype=kind, **SAFE_WEIGHTS, **extra)
    except (PipelineError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as fault:  # of many kinds, depending on what is wrong with a configuration or a file
        if type(fault).__name__ == "SafetensorError":
            raise PipelineError(f"train.student.model: weights in {str(begin)!r} are broken: {fault}") from fault
        said = in_words(fault)
        wrong = "is no vision-language model" if "nrecognized configuration" in said else f"cannot be loaded: {said}"
        raise PipelineError(f"train.student.model: {str(begin)!r} {wrong}; AutoModelForImageTextToText has to load it") from fault


def _four_bits(gpu: bool, computed: torch.dtype) -> Any:
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if not gpu:
        raise PipelineError("train.student.qlora: needs a GPU, and PyTorch finds none here; set it to false")
    if find_spec("bitsandbytes") is None:
        raise PipelineError("train.student.qlora: needs bitsandbytes; pip install bitsandbytes")
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed)


def _add_adapters(model: Any, lora: Lora, frozen: Iterable[str]) -> Any:
    """The model with adapters on the linear layers of its parts that are not frozen.

    Not by `requires_grad`: transformers takes that from every layer that it quantises.
    """
    head = model.get_output_embeddings()
    free = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer is not head and part_of_name(name) not in {*frozen}
    ]
    targets = free if lora.targets is None else [name for name in free if matches_target(name, lora.targets)]
    unmet = [wanted for wanted in lora.targets or () if not any(matches_target(name, [wanted]) for name in targets)]
    if unmet or not targets:
        names = sorted({name.rpartition(".")[2] for name in free})
        near = difflib.get_close_matches(unmet[0] if unmet else "", names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none in parts that are not frozen'}"
        raise PipelineError(f"train.student.lora.targets: {unmet[0] if unmet else 'null'!r} matches no linear layer; {hint}")
    asked = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets)
    return _with_adapters(model, asked)


def _with_adapters(model: Any, adapters: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers by a name that 5.23 calls old
        return get_peft_model(model, adapters)


def matches_target(module: str, targets: Iterable[str]) -> bool:
    """Whether a module is meant by one of these names, as peft matches them: the whole path, or its end."""
    return any(module == target or module.endswith(f".{target}") for target in targets)
