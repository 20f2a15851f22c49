"""Who makes the completions of GRPO: transformers, vLLM in the same process, or vLLM's server. Decided and set up before training.

vLLM takes pictures by the runs of image tokens in a prompt: one run for each picture, of as many tokens as it has vision features. Whether
a student's processor writes them so is tried on two pictures, and not read off a list of families.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature

from cotforge.errors import PipelineError, in_words
from cotforge.plan import Grpo
from cotforge.train import versions
from cotforge.train.students import loaded_student, processors
from cotforge.train.students.loaded_student import Pupil

TRIED = ((640, 480), (320, 512))
"""Pixels of the two pictures that the pairing is tried on: large enough to be split into tiles, and unlike each other."""
BESIDE = 2 << 30
"""Bytes that vLLM needs beside weights and cache: its graphs and activations. An estimate."""
SPARE = 0.05
"""Share of the GPU that is left to nobody."""
SERVER_FIELDS = ("vllm_server_base_url", "vllm_server_host")
FLAGS = """--weight-transfer-config '{"backend": "nccl"}' --logprobs-mode processed_logprobs --max-logprobs -1"""
"""What TRL 1.16 wants of vLLM's server, beside VLLM_SERVER_DEV_MODE=1."""
SCALES_OUT = (0, 30)
"""The release of vLLM from which on its server gives features of pictures with --enable-scale-out alone."""


@dataclass(frozen=True)
class RolloutEngine:
    """Where completions come from."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of TRL's configuration."""
    line: str = ""
    """Told before training, where the choice was ours."""

    @property
    def vllm(self) -> bool:
        return bool(self.fields)


def choose_engine(stage: Grpo, pupil: Pupil, *, pictures: Callable[[], int] = lambda: 2, gpu: bool | None = None) -> RolloutEngine:
    """The engine that `rollouts` and `vllm` name; `auto` is vLLM in this process where there is a GPU, vLLM, and nothing against it.

    `pictures` tells how many a prompt has, at most; it is asked where vLLM may be chosen.
    Raises PipelineError where vLLM is asked for and cannot be had.
    """
    gpu = torch.cuda.is_available() if gpu is None else gpu
    wanted = stage.wants_vllm
    if wanted is False or (wanted is None and not gpu):
        why = "rollouts is transformers" if wanted is False else "there is no GPU here"
        return RolloutEngine(line="" if stage.vllm is None else f"rollouts by transformers, and `vllm` is not used: {why}")
    against = lacking_vllm(gpu) or pairing_fault(pupil, pictures())
    if against and wanted:
        raise PipelineError(f"rollouts: vllm: {against}; set rollouts to transformers")
    if against:
        return RolloutEngine(line=f"rollouts by transformers, which takes longer than vLLM: {against}")
    told = "" if wanted else "rollouts by vLLM on the GPU of the training; set rollouts to transformers to have none of it"
    return RolloutEngine(fields_of(stage), told)


def fields_of(stage: Grpo) -> dict[str, Any]:
    """TRL's fields for vLLM: at the server that a stage names, in its own key or in TRL's, else in this process, asleep meanwhile."""
    url = stage.vllm.url if stage.vllm is not None else None
    if url or any(name in stage.trl for name in SERVER_FIELDS) or stage.trl.get("vllm_mode") == "server":
        return {"use_vllm": True, "vllm_mode": "server"} | ({"vllm_server_base_url": url} if url else {})
    return {"use_vllm": True, "vllm_mode": "colocate", "vllm_enable_sleep_mode": True}


def lacking_vllm(gpu: bool) -> str:
    """What vLLM lacks on this machine, in the trainer's process; empty where nothing."""
    needs = "it needs a GPU, and so does the training that hands it weights; there is none here"
    return versions.vllm_lacks() or ("" if gpu else needs)


def pairing_fault(pupil: Pupil, pictures: int = 2) -> str:
    """Why vLLM would not find a student's pictures in a prompt, tried on its processor and vision tower; empty where it would.

    A prompt of each of two sizes is tried, and one of both where prompts have several `pictures`.
    """
    processor, model = pupil.processor, getattr(pupil.model, "get_base_model", lambda: pupil.model)()
    token = getattr(processor, "image_token_id", None)
    if token is None:
        return f"the processor of a {model.config.model_type} names no image token"
    for sizes in ([TRIED[0]], [TRIED[1]], TRIED)[: 3 if pictures > 1 else 2]:
        content: list[dict[str, Any]] = [{"type": "image", "image": Image.new("RGB", size)} for size in sizes]
        asked = [{"role": "user", "content": [*content, {"type": "text", "text": "Which?"}]}]
        try:
            made = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt")
            runs = [len([*run]) for found, run in groupby(made["input_ids"][0].tolist()) if found == token]
            counts = feature_counts(model, made)
        except Exception as fault:  # of any kind: a model's own, or a processor's
            tried = " and ".join(f"{width} x {height}" for width, height in sizes)
            return f"pictures of {tried} pixels cannot be tried: {in_words(fault)[:200]}"
        if len(runs) != len(sizes):
            what = "two pictures" if len(sizes) > 1 else "a picture"
            return f"its processor makes {len(runs)} runs of image tokens of {what}, and vLLM wants one for each"
        if sum(runs) != sum(counts) or (len(counts) == len(runs) and runs != counts):
            return f"its processor makes {sum(runs):,} image tokens of a picture that has {sum(counts):,} vision features"
    return ""


def feature_counts(model: Any, made: BatchFeature) -> list[int]:
    """How many vision features a model makes of prepared pictures, for each part that it gives them in."""
    beside = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}
    pictures = {name: _place_value(value, model) for name, value in made.items() if name not in beside}
    with torch.no_grad():
        found = model.get_image_features(**pictures)
    found = getattr(found, "pooler_output", found)
    return [part.numel() // part.shape[-1] for part in ([found] if isinstance(found, torch.Tensor) else found)]


def _place_value(value: Any, model: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)


@dataclass(frozen=True)
class Needs:
    """Bytes on a GPU while completions are made."""

    weights: int
    """The student's, as vLLM holds them."""
    token: int
    """The cache of a token."""
    trainer: int
    """Weights, gradients, optimizer and reference of the training, which stay where they are."""

    @classmethod
    def of(cls, pupil: Pupil, *, reference: bool) -> "Needs":
        """From the student as it is loaded; vLLM holds it in two bytes a weight."""
        sizes = [(weight.numel(), weight.element_size(), weight.requires_grad) for weight in pupil.model.parameters()]
        count = sum(size for size, _, _ in sizes)
        held = sum(size * bytes_ for size, bytes_, _ in sizes)
        learned = sum(size * 3 * bytes_ for size, bytes_, trained in sizes if trained)
        text = pupil.model.config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        wide = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        return cls(2 * count, 4 * text.num_hidden_layers * heads * wide, held * (1 + reference) + learned)

    def share(self, *, length: int, sequences: int, total: int) -> float:
        """Of a GPU of `total` bytes, what vLLM is given for so many sequences of `length` tokens at once: at most what the training leaves.

        Raises PipelineError where not even one sequence fits.
        """
        least = self.weights + self.token * length + BESIDE
        room = total * (1 - SPARE) - self.trainer
        if room < least:
            raise PipelineError(
                f"rollouts: vllm: beside the training, which takes about {self.trainer / 1e9:,.0f} of the GPU's {total / 1e9:,.0f} GB, "
                f"vLLM has no room for the {least / 1e9:,.1f} GB it needs; name a server (vllm.url), or set rollouts to transformers"
            )
        wanted = self.weights + self.token * length * sequences + BESIDE
        return round(min(max(wanted, least), room) / total - 0.0005, 3)


def fit_vllm(config: Any, stage: Grpo, pupil: Pupil, *, longest: int, total: int | None = None) -> None:
    """Give vLLM in this process its length, and its share of the GPU, where the file does not: neither may be its own default.

    `longest` is a bound of a prompt's tokens, `total` the bytes of the GPU.
    """
    if not config.use_vllm or config.vllm_mode != "colocate":
        return
    if "vllm_max_model_length" not in stage.trl:
        length = longest + config.max_completion_length
        config.vllm_max_model_length = length if pupil.positions is None else min(length, pupil.positions)
    if "vllm_gpu_memory_utilization" in stage.trl:
        return
    if stage.vllm is not None and stage.vllm.memory is not None:
        config.vllm_gpu_memory_utilization = stage.vllm.memory
        return
    total = torch.cuda.mem_get_info()[1] if total is None else total
    needs = Needs.of(pupil, reference=bool(config.beta) and pupil.spec.lora is None)
    sequences = config.per_device_train_batch_size * config.steps_per_generation
    config.vllm_gpu_memory_utilization = needs.share(length=config.vllm_max_model_length, sequences=sequences, total=total)


def bound_copy(pupil: Pupil, folder: Path) -> None:
    """Write a folder for vLLM in this process, whose processor has the bound on pixels that the training has; its weights are links."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in pupil.begin.iterdir():
        if file.suffix == ".safetensors" and not (folder / file.name).is_symlink():
            (folder / file.name).symlink_to(file.resolve())
        elif file.suffix in loaded_student.BESIDE:
            shutil.copyfile(file, folder / file.name)  # no link: what is saved next would be written through it
    processors.save_processor(pupil.processor, folder)


def read_from(pupil: Pupil, folder: Path) -> None:
    """Have vLLM in this process read the student from a folder; trained weights are handed to it before the first completion."""
    getattr(pupil.model, "get_base_model", lambda: pupil.model)().name_or_path = str(folder)


@contextmanager
def explain_starting(name: str, config: Any, pupil: Pupil) -> Iterator[None]:
    """Has what TRL says of fields that do not go together, or of vLLM's server, be one line. Raises PipelineError."""
    server = config.vllm_server_base_url or f"http://{config.vllm_server_host}:{config.vllm_server_port}"
    try:
        yield
    except ConnectionError as fault:
        raise PipelineError(f"stage {name!r}: vllm.url: nobody answers at {server}; there: {server_line(pupil)}") from fault
    except Exception as fault:
        theirs = config.use_vllm and (type(fault) in (RuntimeError, Exception))  # TRL's client raises these; so do bugs, but not those two
        if not theirs and not isinstance(fault, ValueError | NotImplementedError | ImportError):
            raise
        where = "vllm" if config.use_vllm and "vllm" in f"{fault}".lower() else "trl"
        raise PipelineError(f"stage {name!r}: {where}: {in_words(fault)}") from fault


def server_line(pupil: Pupil) -> str:
    """The command that starts the server which a stage wants, of the release of vLLM that is installed here."""
    from packaging.version import Version

    scales = " --enable-scale-out" if Version(versions.vllm_release() or "0").release[:2] >= SCALES_OUT else ""
    bound = f" --mm-processor-kwargs '{json.dumps({'size': dict(pupil.processor.image_processor.size)})}'" if pupil.spec.max_pixels else ""
    return f"VLLM_SERVER_DEV_MODE=1 vllm serve {pupil.begin} {FLAGS}{scales}{bound}"


def masked_share(ratio: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """Share of completions, or of their tokens, whose importance ratio was set to 0 because vLLM and the training differ; in [0, 1].

    `ratio` is (B, 1) or (B, T), as TRL gives it.
    """
    counted = torch.ones_like(ratio, dtype=torch.bool) if ratio.shape[1] == 1 else mask_BT.bool()
    return ((ratio == 0) & counted).sum() / counted.sum().clamp(min=1)
