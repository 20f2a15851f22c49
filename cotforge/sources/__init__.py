"""Sources: raw data of several layouts, streamed as Samples; what is broken in it is counted, not raised."""

from typing import Annotated

from pydantic import Field

from cotforge.sources.emoset import EmoSet
from cotforge.sources.hf import HuggingFace
from cotforge.sources.imagefolder import ImageFolder
from cotforge.sources.index import Index
from cotforge.sources.rows import Columns, Row
from cotforge.sources.stream import Counts, not_only_faults, samples
from cotforge.sources.table import Table
from cotforge.sources.webdataset import WebDataset

Source = Annotated[Table | ImageFolder | HuggingFace | EmoSet | WebDataset, Field(discriminator="kind")]
"""The `source:` section, by its `kind`."""

__all__ = [
    "Columns",
    "Counts",
    "EmoSet",
    "HuggingFace",
    "ImageFolder",
    "Index",
    "Row",
    "Source",
    "Table",
    "WebDataset",
    "not_only_faults",
    "samples",
]
