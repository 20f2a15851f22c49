"""A picture as an image model of transformers sees it. The work is done in a process of its own, which brings torch."""

import hashlib
import importlib.util
import io
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cotforge.consensus.image.projection import Vectors
from cotforge.errors import PipelineError, in_words
from cotforge.optional import pass_over_torchvision

NEEDS = "consensus.image.model needs torch and transformers: pip install 'cotforge[transformers]'"


def encoder_recipe(model: str, root: Path) -> str:
    """What the features follow from beside the picture: the model's id, or what lies in its folder."""
    folder = root / model
    if not folder.is_dir():
        return f"model {model}"
    parts = hashlib.sha256()
    for path in sorted(folder.glob("*.*")):
        if path.suffix in (".json", ".safetensors") and path.is_file():
            found = path.stat()
            parts.update(f"{path.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return f"folder {parts.hexdigest()}"


class Encoder:
    """Vectors of pictures from one model, in another process."""

    def __init__(self, pool: ProcessPoolExecutor, model: str, root: Path) -> None:
        self._pool, self._model, self._root = pool, model, root

    def __call__(self, pictures: Sequence[bytes]) -> list[Vectors | None]:
        """A vector of length 1 for each; None where the bytes are no picture. Raises PipelineError where the model cannot be used."""
        try:
            return self._pool.submit(_encode_pictures, find_encoder(self._model, self._root), list(pictures)).result()
        except BrokenExecutor as fault:
            raise PipelineError(f"consensus.image.model: {self._model!r}: its process ended; is there memory enough for it?") from fault


def find_encoder(model: str, root: Path) -> str:
    """The model's folder, absolute, where there is one; else its id. Raises PipelineError where transformers or the model is missing."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        raise PipelineError(NEEDS)
    folder = root / model
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise PipelineError(f"consensus.image.model: {folder} is no model folder; there is no config.json in it")
    if folder.is_dir():
        return str(folder.resolve())
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", model):
        raise PipelineError(f"consensus.image.model: no such model folder: {folder}")
    return model


@contextmanager
def open_encoder(model: str, root: Path) -> Iterator[Encoder]:
    """The encoder, as long as it is needed; its process starts with the first pictures."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield Encoder(pool, model, root)


@lru_cache(maxsize=1)
def _load_encoder(model: str) -> tuple[Any, Any]:
    """(processor, network) on the GPU where there is one."""
    pass_over_torchvision()
    import torch
    from transformers import AutoImageProcessor, AutoModel

    try:
        processor = AutoImageProcessor.from_pretrained(model, trust_remote_code=False)
        network = AutoModel.from_pretrained(model, trust_remote_code=False, dtype=torch.float32)
    except Exception as fault:  # files missing, no such name on the Hub, a kind of model that transformers does not know
        raise PipelineError(f"consensus.image.model: {model!r} cannot be loaded: {in_words(fault)}") from fault
    return processor, network.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _encode_pictures(model: str, pictures: Sequence[bytes]) -> list[Vectors | None]:
    import torch

    processor, network = _load_encoder(model)
    images = [_open_picture(data) for data in pictures]
    sound = [image for image in images if image is not None]
    if not sound:
        return [None] * len(images)
    try:
        with torch.inference_mode():
            inputs = processor(images=sound, return_tensors="pt")["pixel_values"].to(network.device)
            vectors_BD = np.asarray(_feature_vectors(network, inputs).float().cpu(), np.float32)
    except Exception as fault:  # a network of another kind, or too little memory
        raise PipelineError(f"consensus.image.model: {model!r} gives no features of a picture: {in_words(fault)}") from fault
    vectors_BD = vectors_BD / np.maximum(np.linalg.norm(vectors_BD, axis=1, keepdims=True), 1e-12)
    found = iter(vectors_BD)
    return [None if image is None else next(found) for image in images]


def _open_picture(data: bytes) -> Any:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
            return image.convert("RGB")
    except Exception:  # Pillow raises nearly anything
        return None


def _feature_vectors(network: Any, pixels: Any) -> Any:
    """One vector per picture: of CLIP and SigLIP that of their common space, else of the class token, else the mean of all places."""
    if hasattr(network, "get_image_features"):
        found = network.get_image_features(pixel_values=pixels)
        return getattr(found, "pooler_output", found)
    last = network(pixel_values=pixels).last_hidden_state
    if last.ndim == 4:  # a convolutional network: features by row and column
        return last.mean(dim=(2, 3))
    has_class_token = hasattr(getattr(network, "embeddings", None), "cls_token")
    return last[:, 0] if has_class_token else last.mean(dim=1)
