"""What builders of several families share: a chat template, vision towers, and how a picture is cut."""

from typing import Any

from transformers import CLIPVisionConfig, SiglipVisionConfig

from cotforge.train.students.tiny import TEMPLATE, TinySize


def template(image: str) -> str:
    """A chat template that writes `image` where a picture stands."""
    return TEMPLATE.replace("IMAGE", image)


def clip(size: TinySize) -> Any:
    """CLIP's tower."""
    return CLIPVisionConfig(**size.shape, image_size=size.side, patch_size=size.patch, projection_dim=size.width)


def siglip(size: TinySize) -> Any:
    """SigLIP's tower, without its head."""
    return SiglipVisionConfig(**size.shape, image_size=size.side, patch_size=size.patch, vision_use_head=False)


def patches(size: TinySize) -> dict[str, int]:
    """What towers of other names need to know."""
    return size.shape | {"image_size": size.side, "patch_size": size.patch}


def square(size: TinySize) -> dict[str, int]:
    """The square that a picture, or a tile of it, is brought to."""
    return {"height": size.side, "width": size.side}


def head(size: TinySize) -> int:
    """Width of an attention head."""
    return size.width // size.heads


def seen(size: TinySize, merged: int = 1) -> int:
    """Tokens of a square, of which so many are merged into one."""
    return (size.side // size.patch) ** 2 // merged
