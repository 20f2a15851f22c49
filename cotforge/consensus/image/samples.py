"""Pictures by the ids of their Samples, with the labels: what a classifier of pictures learns from beside the teachers' answers.

Shapes: N Samples with pictures, M others, K voters, V columns: the voters, the picture, the label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cotforge.consensus.image.gathered import Batches, gather_pictures
from cotforge.consensus.image.voter import Pictures
from cotforge.consensus.sequential.answer_table import NONE, UNKNOWN, AnswerTable, Floats, Ints

NEVER = np.iinfo(np.int32).max
"""The wave of a Sample of which nothing was heard."""


@dataclass(frozen=True, slots=True)
class SamplePictures:
    """The Pictures of all Samples of a run or a table."""

    pictures: Pictures
    places: Mapping[str, int]
    """Of each Sample's id among the pictures."""
    label_N: Ints
    """The raw label's place among the sorted options; `NONE` without one, or where it does not vote."""

    def table(self, place_M: Ints, rows: Ints, times_M: Floats) -> tuple[AnswerTable, Ints]:
        """A row for each picture, in their order, then those without a place; and where each of these rows [wave, everybody, fold, gold,
        answers..., label] stands: the picture's column is put in, and empty.

        Pictures of which no row tells have their label and nothing else.
        """
        n, odd = len(self.pictures), np.flatnonzero(place_M < 0)
        at_M = place_M.copy()
        at_M[odd] = n + np.arange(len(odd))
        whole = np.full((n + len(odd), rows.shape[1] + 1), NONE, np.int64)
        whole[:, 0], whole[:, 1], whole[:, 3] = NEVER, 0, UNKNOWN
        whole[:n, -1] = self.label_N
        whole[at_M] = np.insert(rows, -1, NONE, axis=1)
        times_N = np.ones(len(whole))
        times_N[at_M] = times_M
        return AnswerTable(whole[:, 4:], whole[:, 3], whole[:, 0], whole[:, 1].astype(bool), whole[:, 2], times_N), at_M

    def padded(self, length: int) -> Pictures:
        """The Pictures, followed by so many without features that they are of that length."""
        found, more = self.pictures, length - len(self.pictures)
        if not more:
            return found
        none = np.zeros(more, np.int64)
        features_NP = np.concatenate([found.features_NP, np.zeros((more, found.features_NP.shape[1]), np.float32)])
        return Pictures(
            features_NP,
            np.concatenate([found.there_N, none.astype(bool)]),
            np.concatenate([found.rank_N, none]),
            np.concatenate([found.fold_N, none]),
        )


def with_codes(told: AnswerTable, code_N: Ints) -> AnswerTable:
    """The rows with what pictures say."""
    answers_NV = told.answers_NV.copy()
    answers_NV[:, -2] = code_N
    return told.with_answers(answers_NV)


def gather_samples(
    ids: Sequence[str], labels: Sequence[str | None], options: Sequence[str], batches: Batches, *, fold: Callable[[str], int]
) -> SamplePictures:
    """Features and labels of Samples; `fold` parts them as it parts people's answers."""
    return with_labels(gather_pictures(ids, batches, fold=fold), ids, labels, options)


def with_labels(found: Pictures, ids: Sequence[str], labels: Sequence[str | None], options: Sequence[str]) -> SamplePictures:
    """Pictures in the order of the ids with the Samples' labels."""
    codes = {option: place for place, option in enumerate(sorted(options))}
    label_N = np.array([NONE if label is None else codes.get(label, NONE) for label in labels], np.int64)
    return SamplePictures(found, {id: place for place, id in enumerate(ids)}, label_N)
