"""`dedup:` of the pipeline file: which samples and texts count as duplicates, and what becomes of them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cotforge.sources import EmoSet, HuggingFace, ImageFolder, TableSource, WebDatasetSource
from cotforge.spec import PathText, Spec, WrongKey, off_word

Pictures = Literal["off", "exact", "near"]

NEAR = 0.8
"""Least similarity of near-duplicates by default, chosen on planted pairs: `benchmarks/curation`."""


class HeldOutReference(Spec):
    """The samples that `eval:` holds out of this pipeline's own source."""

    kind: Literal["eval"]
    """`eval`: the samples that `eval:` holds out of this pipeline's own source."""


class TextReference(Spec):
    """A file of texts without pictures."""

    kind: Literal["texts"]
    """`texts`: a CSV, TSV, JSON lines, JSON or parquet file of texts without pictures."""
    path: PathText = Field(min_length=1)
    """The file, relative to the pipeline file."""
    columns: tuple[str, ...] | None = None
    """Columns with the texts. Null: every column with text."""


Reference = Annotated[
    HeldOutReference | TextReference | TableSource | ImageFolder | HuggingFace | EmoSet | WebDatasetSource, Field(discriminator="kind")
]
"""What samples are compared with, by its `kind`."""


class Dedup(Spec):
    """`dedup:`: duplicates among the samples, and samples that a benchmark has too."""

    pictures: Annotated[Pictures, BeforeValidator(off_word, json_schema_input_type=Literal["off", "exact", "near", False])] = "off"
    """Samples with the same question whose pictures are duplicates. `exact`: equal bytes without
    metadata. `near`: also crops (up to 15 % of a side), resized and recompressed copies, and other
    brightness or contrast. `off`: such samples are kept."""
    near: float = Field(default=NEAR, gt=0, le=1)
    """Least similarity of near-duplicates, from 0 to 1: how well two pictures agree in the part where
    they differ most. Lower finds more copies, and more pictures that only look alike."""
    flips: bool = True
    """Whether a mirrored picture is a near-duplicate. Set false where left and right matter."""
    keep: Literal["first", "ask_once"] = "first"
    """What becomes of duplicates. `first`: only the first sample in the order of the source is kept.
    `ask_once`: all are kept, and teachers see the picture of the first for each of them, so that it
    is paid for once."""
    reasoning: float | None = Field(default=None, gt=0, le=1)
    """Least Jaccard similarity, from 0 to 1, at which a reasoning repeats an earlier lesson with the
    same answer. It is estimated by MinHash on sequences of three words. The sample's next text is
    taken, if it has one. Null: off."""
    against: tuple[Reference, ...] = ()
    """Benchmarks and held-out samples. A sample whose picture is a near-duplicate of one of theirs,
    or whose own question shares 13 words in a row with one of their texts, is left out. So is a
    reasoning that shares 13 words in a row."""

    def in_words(self) -> list[tuple[str, str]]:
        """(what a text must not be, the fate of those that are) of what is compared."""
        told = (
            []
            if self.reasoning is None
            else [(f"dedup.reasoning: less than {self.reasoning:g} alike to an earlier lesson", "filter:duplicate")]
        )
        return [*told, *([("dedup.against: never 13 words in a row of a benchmark", "filter:contaminated")] if self.against else [])]

    def demand_held_out(self, is_held_out: bool) -> None:
        """Raises WrongKey where `against` names what `eval:` holds out, and nothing is."""
        for place, reference in enumerate(self.against):
            if reference.kind == "eval" and not is_held_out:
                raise WrongKey(f"dedup.against[{place}]", "names what eval: holds out, and eval: is missing; add eval: {share: 0.1}")

    @property
    def looks_for_any(self) -> bool:
        """Whether anything is compared at all."""
        return self.pictures != "off" or bool(self.against) or self.reasoning is not None
