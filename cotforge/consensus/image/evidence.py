"""Answers of Samples one by one, with their pictures, while a run asks: what a policy that hears pictures is learned from."""

from array import array
from collections.abc import Mapping

import numpy as np

from cotforge.consensus.image.samples import SamplePictures
from cotforge.consensus.sequential.answer_table import AnswerTable, Evidence
from cotforge.consensus.sequential.terms import Terms


class PicturedEvidence(Evidence):
    """As `Evidence`, but of every Sample it is known which picture it has: memory follows the Samples."""

    def __init__(self, terms: Terms, samples: SamplePictures) -> None:
        super().__init__(terms)
        self.samples = samples
        self._own = array("i")
        """Of each row, the place of its picture."""

    def add(
        self,
        wave: int,
        *,
        label: str | None,
        answers: Mapping[str, str | None],
        gold: str | None = None,
        untold: bool = False,
        everybody: bool = False,
        fold: int = -1,
        probabilities: Mapping[str, float] | None = None,
        id: str = "",
    ) -> None:
        row = self._wave_row(wave, label=label, answers=answers, gold=gold, untold=untold, everybody=everybody, fold=fold)
        self._one_by_one(row, probabilities or {})
        self._own.append(self.samples.places.get(id, -1))

    def told(self, terms: Terms) -> AnswerTable:
        """A row for each picture with what was heard, in bins of confidence by the cuts of these terms; see `SamplePictures.table`."""
        rows = self._binned_rows(terms)
        return self.samples.table(np.array(self._own, np.int64), rows, np.ones(len(rows)))[0]
