"""What is believed of a Sample, given what was said of it: a model with its calibration."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cotforge.consensus.sequential.agreement import AgreementModel
from cotforge.consensus.sequential.answer_table import NONE, Flags, Floats, Ints, symbols_of
from cotforge.consensus.sequential.calibration import Calibration
from cotforge.consensus.sequential.difficulty import Difficulty
from cotforge.consensus.sequential.relatives import RELATED
from cotforge.consensus.sequential.terms import Terms

CACHED = 1 << 16
"""Rows times hidden states looked at in one go: what is computed of them stays in the processor's cache."""
_TINY = 1e-300


def new_model(terms: Terms, twins: Collection[int], near_CC: Flags | None) -> Difficulty | AgreementModel:
    """The model of these voters that has learned nothing yet; `near_CC`: see `Difficulty`, where answers are kept class by class."""
    columns = len(terms.bins)
    if terms.by_class:
        return Difficulty(len(terms.options), columns, near_CC=near_CC, bins=terms.bins, pictured=terms.image)
    return AgreementModel(terms.size if terms.options else terms.size - len(twins), columns, bins=terms.bins)


@dataclass(frozen=True, slots=True)
class BeliefLead:
    """The leading answer of rows, and whether it can be accepted."""

    symbol_N: Ints
    posterior_N: Floats
    accepted_N: Flags
    traced_N: Flags
    """Whether a full trace says it."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Everything that was learned; pure."""

    terms: Terms
    model: Difficulty | AgreementModel
    calibration: Calibration
    twins: Mapping[int, int] = field(default_factory=dict)
    """Columns of voters that are another one behind a second name, with that one's column."""
    unlabelled: float = 0.0
    """Share of Samples without a label, in [0, 1]."""
    telling: tuple[float, ...] = ()
    """Share of each voter's Calls that tell something, in (0, 1]; nothing stands for all of everybody's."""
    repairs: bool = False
    """Whether one teacher may overrule the label: people have checked enough answers that do. Else it takes two."""
    unseen: float = 1.0
    """Share of Samples whose picture says nothing, in [0, 1]."""

    @property
    def own_columns(self) -> list[int]:
        """Columns of the voters that are no twins."""
        return [column for column in range(len(self.terms.voters)) if column not in self.twins]

    @property
    def is_vouched(self) -> bool:
        """Whether answers of people stand behind it: then one teacher may be believed alone."""
        return self.calibration.weights_F is not None

    def supported(self, answers_NV: Ints, says_NV: Flags, everybody_N: Flags | None = None) -> Flags:
        """Whether enough voters say an answer for it to be accepted, [N]; `says_NV`: which of them do, the label last.

        A teacher has to say it. Without answers of people nobody is believed alone: the label, or a second teacher, has to say it as well.
        Where there is no label either, two teachers have to agree: see `_two_agree`; one is enough where there is no other.
        """
        one_N = np.asarray(says_NV[:, :-1].any(axis=1))
        if self.is_vouched:
            return one_N
        related_K = self.model.relatives.share_K >= RELATED
        with_label_N = says_NV[:, -1] & (says_NV[:, :-1] & ~related_K).any(axis=1)
        two_N = (says_NV[:, :-1].sum(axis=1) >= 2) | with_label_N
        ranked = self._ranked_columns
        best_N = one_N if len(ranked) == 1 else _two_agree(ranked, answers_NV, says_NV, everybody_N)
        return np.asarray(np.where(answers_NV[:, -1] == NONE, best_N, two_N))

    @property
    def remarks(self) -> list[str]:
        """What a user should know of how answers are accepted."""
        found = [
            f"the labels repeat what teacher {voter.teacher} says, errors included, in about {share:.0%} of the samples: "
            "where they agree, that tells little more than the teacher alone"
            for voter, share in zip(self.terms.voters, self.model.relatives.share_K, strict=True)
            if share >= RELATED
        ]
        if not self.is_vouched and self.unlabelled > 0 and len(self._ranked_columns) > 1:
            found.append(
                "where there is neither a label nor checked answers, two teachers have to agree, and none asked in turn may disagree"
            )
        return found

    @property
    def _ranked_columns(self) -> list[list[int]]:
        """Columns of each teacher that is no twin, the most accurate teacher first."""
        accuracy_V, columns = self.model.accuracy(), dict[str, list[int]]()
        for column in self.own_columns:
            columns.setdefault(self.terms.voters[column].teacher, []).append(column)
        return sorted(columns.values(), key=lambda some: -max(accuracy_V[some]))

    def posterior(self, answers_NV: Ints) -> Floats:
        """Probability of each symbol, [N, S], where one of them is right."""
        parts = [self.calibration(self._raw_posterior(part), part) for part in self.parts(answers_NV)]
        return np.concatenate(parts) if parts else np.zeros((0, self.model.symbols))

    def raw(self, answers_NV: Ints) -> Floats:
        """The same before calibration."""
        parts = [self._raw_posterior(part) for part in self.parts(answers_NV)]
        return np.concatenate(parts) if parts else np.zeros((0, self.model.symbols))

    def parts(self, rows: Ints) -> Iterator[Ints]:
        """The rows, a few at a time."""
        step = max(32, min(512, CACHED // self.model.H))
        return (rows[at : at + step] for at in range(0, len(rows), step))

    def _raw_posterior(self, answers_NV: Ints) -> Floats:
        shares_NS = self.model.by_answer(self.model.joint_NH(answers_NV))
        return np.asarray(shares_NS / np.maximum(shares_NS.sum(axis=1, keepdims=True), _TINY))

    def lead(self, answers_NV: Ints, posterior_NS: Floats, everybody_N: Flags | None = None) -> BeliefLead:
        """Accepted is what reaches the target and a teacher says, never the label alone; `everybody_N`: where all were asked at once.

        Where people cannot always tell, the target is of what they can: it is harder to reach where they can less often than elsewhere.
        """
        named_NS = posterior_NS[:, : self.model.symbols]
        symbol_N = named_NS.argmax(axis=1)
        best_N = named_NS[np.arange(len(symbol_N)), symbol_N]
        says_NV = symbols_of(answers_NV, self.terms) == symbol_N[:, None]
        full = [column for column, voter in enumerate(self.terms.voters) if not voter.short]
        pictures_N = says_NV[:, -2] & self.terms.image
        if self.terms.image:
            says_NV = np.delete(says_NV, -2, axis=1)  # a teacher has to say it, whatever the picture says
        # A belief in nothing named (free answers) may be the largest of all: then nothing is accepted.
        some_N = self.calibration.some(posterior_NS)
        told_N = np.minimum(some_N / self.calibration.some_at_all, 1.0)
        accepted_N = (best_N * told_N >= self.terms.target) & self.supported(answers_NV, says_NV, everybody_N)
        if not self.repairs:
            accepted_N &= (answers_NV[:, -1] == NONE) | says_NV[:, -1] | (self._count_teachers(says_NV) + pictures_N >= 2)
        return BeliefLead(symbol_N, best_N * some_N, accepted_N, says_NV[:, full].any(axis=1))

    def _count_teachers(self, says_NV: Flags) -> Ints:
        """How many different teachers are among these voters, [N]."""
        names = [voter.teacher for voter in self.terms.voters]
        teachers = [[column for column, name in enumerate(names) if name == teacher] for teacher in dict.fromkeys(names)]
        return np.asarray(sum(says_NV[:, columns].any(axis=1).astype(np.int64) for columns in teachers))

    def look(self, answers_NV: Ints) -> tuple[Floats, BeliefLead]:
        """(probability [N] of these answers before calibration, the leading answer) of few rows."""
        shares_NS = self.model.by_answer(self.model.joint_NH(answers_NV))
        mass_N = shares_NS.sum(axis=1)
        posterior_NS = self.calibration(shares_NS / np.maximum(mass_N, _TINY)[:, None], answers_NV)
        return mass_N, self.lead(answers_NV, posterior_NS)

    def hidden(self, answers_NV: Ints) -> Floats:
        """Probability of each hidden state [N, H] of few rows, the true symbol's as calibrated."""
        joint_NH = self.model.joint_NH(answers_NV)
        shares_NS = self.model.by_answer(joint_NH)
        posterior_NS = self.calibration(shares_NS / np.maximum(shares_NS.sum(axis=1), _TINY)[:, None], answers_NV)
        joint_NH *= self.model.spread(posterior_NS / np.maximum(shares_NS, _TINY))
        return joint_NH


def _two_agree(ranked: Sequence[Sequence[int]], answers_NV: Ints, says_NV: Flags, everybody_N: Flags | None) -> Flags:
    """Whether every teacher heard says it, and at least two; where all were asked at once, whether the two most accurate heard do, [N].

    `ranked`: columns of each teacher, the most accurate first. If asking on could outvote a disagreement, a policy would ask the weaker
    teachers first, and have two chances. Asking two alone was more precise, and cheaper, than any policy that goes on.
    """
    heard_N, first_N, agree_N = np.zeros(len(answers_NV), np.int64), np.ones(len(answers_NV), bool), np.ones(len(answers_NV), bool)
    for columns in ranked:
        counts_N, says_N = (answers_NV[:, columns] >= 0).any(axis=1), says_NV[:, columns].any(axis=1)
        first_N &= ~(counts_N & (heard_N < 2)) | says_N
        agree_N &= ~counts_N | says_N
        heard_N += counts_N
    return np.asarray((heard_N >= 2) & (agree_N if everybody_N is None else np.where(everybody_N, first_N, agree_N)))
