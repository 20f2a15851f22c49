"""`consensus.image` of the pipeline file: what pictures are known by where they vote."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from cotforge.errors import show_value
from cotforge.spec import PathText, Spec


class ImageModel(Spec):
    """Features of an image model of transformers, one vector a picture, kept in the run folder's cache."""

    model: PathText
    """Its id on the Hub, or its folder: CLIP, SigLIP, DINOv2 and other image encoders."""


class ImageEmbeddings(Spec):
    """Features that the user has."""

    embeddings: PathText
    """A parquet file with a column `id` (of the samples) and one of lists of numbers, all of one length."""


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
