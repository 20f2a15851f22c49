"""Sources: raw data of several layouts, streamed as Samples; what is broken in it is counted, not raised."""

from typing import Annotated

from pydantic import Field

from cotforge.sources.emoset import EmoSet
from cotforge.sources.hf import HuggingFace
from cotforge.sources.imagefolder import ImageFolder
from cotforge.sources.index import Index
from cotforge.sources.raw_rows import Columns, RawRow
from cotforge.sources.sample_stream import Counts, not_only_faults, read_samples
from cotforge.sources.table import TableSource
from cotforge.sources.webdataset import WebDatasetSource

Source = Annotated[TableSource | ImageFolder | HuggingFace | EmoSet | WebDatasetSource, Field(discriminator="kind")]
"""The `source:` section, by its `kind`."""

__all__ = [
    "Columns",
    "Counts",
    "EmoSet",
    "HuggingFace",
    "ImageFolder",
    "Index",
    "RawRow",
    "Source",
    "TableSource",
    "WebDatasetSource",
    "not_only_faults",
    "read_samples",
]
