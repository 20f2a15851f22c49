"""The vision towers that several families share, as small as the rest."""

from typing import Any

from transformers import CLIPVisionConfig, SiglipVisionConfig

from cotforge.train.students.tiny import Size


def clip(size: Size) -> Any:
    """CLIP's."""
    return CLIPVisionConfig(**size.shape, image_size=size.side, patch_size=size.patch, projection_dim=size.width)


def siglip(size: Size) -> Any:
    """SigLIP's, without its head."""
    return SiglipVisionConfig(**size.shape, image_size=size.side, patch_size=size.patch, vision_use_head=False)
