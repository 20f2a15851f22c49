"""`consensus.image` of the pipeline file: what the picture is known by where it is a voter."""

from typing import Literal

from cotforge.spec import PathText, Spec


class ImageModel(Spec):
    """Features of an image model of transformers, one vector a picture, kept in the run folder's cache."""

    model: PathText
    """Its id on the Hub, or its folder: CLIP, SigLIP, DINOv2 and other image encoders."""


class ImageEmbeddings(Spec):
    """Features that the user has."""

    embeddings: PathText
    """A parquet file with a column `id` (of the samples) and one of lists of numbers, all of one length."""


Image = Literal["pixels"] | ImageModel | ImageEmbeddings
"""`pixels`: the picture itself, made small; needs nothing further, and is right for digits, marks and simple drawings."""
