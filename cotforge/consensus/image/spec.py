"""`consensus.image` of the pipeline file: what pictures are known by where they vote."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from cotforge.errors import show_value
from cotforge.spec import PathText, Spec


class ImageModel(Spec):
    """Features by an image model of transformers: one vector per image, kept in the run folder's
    cache."""

    model: PathText
    """Image encoder of transformers: a Hub id or a folder. CLIP, SigLIP, DINOv2 and similar models
    work."""


class ImageEmbeddings(Spec):
    """Features of your own."""

    embeddings: PathText
    """Parquet file with a column `id` (the samples' ids) and one column with lists of numbers of
    equal length."""


def _one_of_them(value: Any) -> Any:
    if value is None or value == "pixels" or isinstance(value, ImageModel | ImageEmbeddings):
        return value
    if not isinstance(value, dict) or value.keys() not in ({"model"}, {"embeddings"}):
        raise ValueError(f"{show_value(value)} is none; write pixels, {{model: ID}} or {{embeddings: FILE}}")
    return ImageModel.model_validate(value) if "model" in value else ImageEmbeddings.model_validate(value)


Image = Annotated[Literal["pixels"] | ImageModel | ImageEmbeddings, BeforeValidator(_one_of_them)]
"""`pixels`: the picture itself, made small; needs nothing further, and is right for digits, marks and simple drawings."""


def describe_features(image: Image) -> str:
    """What the features are, in a few words."""
    if isinstance(image, ImageModel):
        return image.model
    return "embeddings" if isinstance(image, ImageEmbeddings) else "pixels"
