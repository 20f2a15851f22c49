"""Whom to ask next: dynamic programming over what may have been said so far.

A state is the label and the answers so far; V(s) is the best expected value of going on from it:

    V(s) = max{ w [accepted(s)] ; 0 (drop) ; max over voters k that may be asked of  -c_k + sum over answers r of P(r | s, k) V(s + r) }

w is what a lesson is worth: `WORTH` times the least cost at which lessons can be had at all (Dinkelbach's iteration), or as much as
brings the lessons wanted. States are found from the labels on, in levels of as many answers; what is accepted has no successors. Where
all of them are few the solution is exact; else only the likeliest of each level have successors, and only the likeliest of these are
looked at: what is lost by that is bounded by w times the probability of the others.

Shapes: N states, V columns, S symbols, K voters.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, prod
from types import MappingProxyType
from typing import Self

import numpy as np

from cotforge.consensus.sequential.answer_table import ABSTAINED, NONE, Flags, Floats, Ints, code_sample, regroup_codes, symbols_of
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.states import likeliest_states, names_behind, note_value, number_states
from cotforge.consensus.sequential.terms import PICTURED, Wanted

EXACT = 1_000_000
"""(C + 1)^K C up to which every state is looked at."""
WORK = 6_000_000
"""States of a level times hidden states that are looked at beyond (ours)."""
WORTH = {"balanced": 4.0, "cheapest": 3.0}
"""What a lesson is worth, in costs of the cheapest lessons: less leaves many Samples out, more pays for hopeless ones (ours)."""
RARE = 1e-3
"""Least share of Samples without label, and of those with one, that a policy is made for (ours)."""
Probabilities = Mapping[str, float]
"""By voter."""
NOTHING: Probabilities = MappingProxyType({})
STOP = -1


@dataclass(slots=True)
class Level:
    """All states with as many answers."""

    code_N: Ints
    mass_N: Floats
    accepted_N: Flags
    extra_N: Floats
    """What a trace still costs where none says the accepted answer."""
    steps: "list[tuple[int, Ints, Floats, Ints]]" = field(default_factory=list)
    """Per voter: (its column, states from which it may be asked, P(answer) [n, S], the states that follow, in the next level [n, S]).
    One past the last is a state that is not looked at: it is dropped."""


class Policy:
    """A solved policy; pure."""

    def __init__(self, belief: Belief, *, most: int | None = None) -> None:
        """`most`: states of a level that have successors; None: all where they are few enough, else as many as are affordable."""
        self._prepare_belief(belief)
        self._most = most if most is not None else self._affordable_calls()
        self.levels = self._explore_states()
        self.worth, self.accepts, self.costs = 0.0, 0.0, 0.0
        self._code_N, self._choice_NK = self._solve_states()

    @classmethod
    def restored(cls, belief: Belief, code_N: Ints, choice_NK: Ints, figures: Sequence[float]) -> Self:
        """The policy that had this `solution`."""
        policy = cls.__new__(cls)
        policy._prepare_belief(belief)
        policy._most, policy.levels = None, []
        policy.worth, policy.value, policy.accepts, policy.costs = figures
        policy._code_N, policy._choice_NK = code_N, choice_NK
        return policy

    @property
    def solution(self) -> tuple[Ints, Ints, tuple[float, ...]]:
        """(codes of the states, the voters worth asking in each, what it is worth and expected to bring): see `restored`."""
        return self._code_N, self._choice_NK, (self.worth, self.value, self.accepts, self.costs)

    def settle(self) -> None:
        """Forget how the choices came about: the levels, and where no state is guessed at, those in which nobody is asked."""
        asks_N = (self._choice_NK[:, 0] != STOP) | self._guesses
        asks_N[0] = True  # never empty
        self.levels, self._code_N, self._choice_NK = [], self._code_N[asks_N], self._choice_NK[asks_N]

    def _prepare_belief(self, belief: Belief) -> None:
        """What follows from the belief at once."""
        self.belief, self.terms = belief, belief.terms
        self._asked: dict[tuple[tuple[int, ...], frozenset[str]], int] = {}
        self._taken: dict[tuple[int, ...], int] = {}
        self._columns = {voter.name: column for column, voter in enumerate(self.terms.voters)}
        self._places = {option: place for place, option in enumerate(sorted(self.terms.options))}
        self._codes_V = np.array(self.terms.codes, np.int64)
        self._base_V = np.cumprod([1, *(self._codes_V[:-1] + 1)], dtype=np.int64)
        self._rivals = [
            [other for other, one in enumerate(self.terms.voters) if one.teacher == voter.teacher] for voter in self.terms.voters
        ]
        self._later = [[self._columns[name] for name in names_behind(voter.name, self.terms.order)] for voter in self.terms.voters]
        self._short = any(voter.short for voter in self.terms.voters)
        self._unlabelled = min(max(belief.unlabelled, RARE), 1 - RARE) if self.terms.label else 1.0
        self._unseen = min(max(belief.unseen, RARE), 1 - RARE) if self.terms.image and belief.unseen < 1 else 1.0
        self._guesses = self._unseen < 1 or any(voter.cuts for voter in self.terms.voters)
        price_K = np.array([voter.price for voter in self.terms.voters], float)
        self.price_K = price_K
        by_price = self.terms.objective != "balanced"
        top = price_K.max(initial=0.0)
        # A Call that costs nothing would make a lesson worth nothing, and then nobody is asked.
        self.cost_K = np.maximum(price_K, 1e-6 * top) if by_price and top > 0 else 1 + 1e-6 * price_K / max(top, 1e-12)
        # What tells nothing has to be made up for by another Call.
        self.cost_K = self.cost_K / np.array(belief.telling or np.ones(len(price_K)))

    def _affordable_calls(self) -> int | None:
        own = [self.terms.voters[column] for column in self.belief.own_columns]
        s = self.belief.model.symbols if self.terms.by_class else len(own) + 1
        pictures = 1 + (PICTURED - 1) * s if self._unseen < 1 else 1
        if prod(voter.bins * s + 1.0 for voter in own) * s * pictures <= EXACT:
            return None
        return max(2_000, min(100_000, WORK // self.belief.model.H))

    # finding the states

    def _explore_states(self) -> list[Level]:
        depth = min(len(self.terms.voters), self.terms.max_calls or len(self.terms.voters))
        code_N, levels = self._root_states(), list[Level]()
        for number in range(depth + 1):
            level, expandable = self._looked_at(code_N, last=number == depth)
            levels.append(level)
            if not len(expandable):
                break
            code_N = self._expand_states(level, expandable)
        return levels

    def _root_states(self) -> Ints:
        """Nothing asked yet: a state without label, and one for each label (of groups: just one); each with all a picture may say."""
        symbols = self.belief.model.symbols
        labels = (symbols if self.terms.by_class else 1) if self.terms.label else 0
        root_N = np.asarray(np.arange(labels + 1) * self._base_V[-1])
        said_X = np.array([NONE, *range(symbols, PICTURED * symbols)] if self._unseen < 1 else [NONE])  # none of unknown confidence
        return np.asarray(np.sort((root_N[:, None] + (said_X + 1) * self._base_V[-2]).ravel()))

    def _looked_at(self, code_N: Ints, *, last: bool) -> tuple[Level, Ints]:
        """The level, and the places of those states that have successors."""
        masses, accepts, extras = [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0)]
        for codes in self.belief.parts(code_N):
            answers_NV = self.decode(codes)
            mass_N, lead = self.belief.look(answers_NV)
            seen_N = np.where(answers_NV[:, -2] == NONE, self._unseen, 1 - self._unseen) if self._unseen < 1 else 1.0
            masses.append(mass_N * seen_N * np.where(answers_NV[:, -1] == NONE, self._unlabelled, 1 - self._unlabelled))
            accepts.append(lead.accepted_N)
            extras.append(self._missing_trace(answers_NV, lead.symbol_N, lead.traced_N))
        level = Level(code_N, np.concatenate(masses), np.concatenate(accepts), np.concatenate(extras))
        if last:
            return level, np.zeros(0, np.int64)
        expandable = np.flatnonzero(~level.accepted_N)
        if self._most is not None and len(expandable) > self._most:
            likeliest = np.argsort(-level.mass_N[expandable], kind="stable")[: self._most]
            expandable = np.sort(expandable[likeliest])
        return level, expandable

    def _missing_trace(self, answers_NV: Ints, symbol_N: Ints, traced_N: Flags) -> Floats:
        """What the cheapest full trace of those who said the answer in short costs, where there is none yet."""
        extra_N = np.zeros(len(symbol_N))
        if not self._short:
            return extra_N
        dearest, said_NV = float(self.cost_K.max()), symbols_of(answers_NV, self.terms)
        extra_N[~traced_N] = dearest
        for column, voter in enumerate(self.terms.voters):
            if voter.short:
                full = self.cost_K[self._columns[voter.teacher]]
                says_N = ~traced_N & (said_NV[:, column] == symbol_N)
                extra_N[says_N] = np.minimum(extra_N[says_N], full)
        return extra_N

    def _expand_states(self, level: Level, expandable: Ints) -> Ints:
        """Notes what each voter may say in these states, and gives the states that follow."""
        found: list[tuple[int, list[Ints], list[Floats], list[Ints]]] = [(k, [], [], []) for k in range(len(self.terms.voters))]
        for some in self.belief.parts(expandable):
            answers_NV = self.decode(level.code_N[some])
            hidden_NH = self.belief.hidden(answers_NV)
            for k, places, chances, codes in found:
                may = self._may_ask(answers_NV, k)
                if may.any():
                    places.append(some[may])
                    chances.append(self.belief.model.outcomes(hidden_NH[may], k, answers_NV[may]).astype(np.float32))
                    codes.append(self._states_after(answers_NV[may], k))
        joined = [(k, np.concatenate(p), np.concatenate(c), np.concatenate(f)) for k, p, c, f in found if p]
        space = int(self._base_V[-1]) * int(self._codes_V[-1] + 1)
        if self._most is None:
            following, places = number_states([codes for _, _, _, codes in joined], space)
        else:
            masses = [level.mass_N[some][:, None] * chance for _, some, chance, _ in joined]
            following, places = likeliest_states([codes for _, _, _, codes in joined], masses, 2 * self._most)
        level.steps = [(k, some, chance, place) for (k, some, chance, _), place in zip(joined, places, strict=True)]
        return following

    def _may_ask(self, answers_NV: Ints, k: int) -> Flags:
        """Whether a voter may be asked: once, in its turn, and of short votes only the first Call is a full trace."""
        voter = self.terms.voters[k]
        asked_NV = answers_NV[:, : len(self.terms.voters)] != NONE
        may_N = ~asked_NV[:, [*self._rivals[k], *self._later[k]]].any(axis=1)
        if k in self.belief.twins:
            return np.zeros(len(answers_NV), bool)
        if self._short:
            full = [column for column, other in enumerate(self.terms.voters) if not other.short]
            heard_N = (answers_NV[:, full] >= 0).any(axis=1)
            may_N &= heard_N if voter.short else ~heard_N
        return np.asarray(may_N)

    def _states_after(self, answers_NV: Ints, k: int) -> Ints:
        """Codes of the states after each answer of a voter, [N, X], where X are the codes that it may have."""
        n, said_X = len(answers_NV), np.arange(self._codes_V[k])
        if self.terms.by_class:
            return np.asarray(self.encode(answers_NV)[:, None] + (said_X + 1) * self._base_V[k])
        groups_N = symbols_of(answers_NV, self.terms).max(axis=1, initial=-1) + 1
        bins_X, symbols_X = np.divmod(said_X, self.belief.model.symbols)
        all_NXV = np.repeat(answers_NV[:, None, :], len(said_X), axis=1)
        all_NXV[:, :, k] = self.belief.model.symbols * bins_X + np.minimum(symbols_X, groups_N[:, None])
        return self.encode(regroup_codes(all_NXV.reshape(n * len(said_X), -1), None, self.terms)[0]).reshape(n, -1)

    def encode(self, answers_NV: Ints) -> Ints:
        """The states of rows; one who abstained is as if never asked."""
        return np.asarray((np.maximum(answers_NV, -1) + 1) @ self._base_V)

    def decode(self, code_N: Ints) -> Ints:
        return np.asarray(code_N[:, None] // self._base_V % (self._codes_V + 1) - 1)

    # solving

    def _solve_states(self) -> tuple[Ints, Ints]:
        """(codes, sorted; the voters worth asking in each, the best first, then STOP)."""
        self.worth = self._lesson_worth()
        choices = self._evaluate_levels(self.worth, ranked=True)
        code_N = np.concatenate([level.code_N for level in self.levels])
        order = np.argsort(code_N)
        return code_N[order], np.concatenate(choices)[order]

    def _lesson_worth(self) -> float:
        """What a lesson is worth, in units of cost."""
        dear = 64 * float(self.cost_K.sum()) + 1e-12
        self._evaluate_levels(dear)
        if self.accepts <= 0:
            return dear
        if isinstance(self.terms.objective, Wanted):
            return self._worth_for_wish(self.terms.objective, dear)
        least = dear
        for _ in range(30):
            self._evaluate_levels(least)
            if self.accepts <= 0:
                break
            now = self.costs / self.accepts
            if abs(now - least) <= 1e-6 * least:
                break
            least = now
        return WORTH[self.terms.objective] * least

    def _worth_for_wish(self, wanted: Wanted, dear: float) -> float:
        """The least worth that brings the lessons wanted, or the largest that the budget pays, beside what asking everybody does."""
        total = max(self.terms.total, 1)
        whole = min(self.terms.whole, total)
        enough = inf if wanted.lessons is None else wanted.lessons - whole * self.accepts
        most = inf if wanted.budget is None else wanted.budget - whole * float(self.cost_K.sum())
        least = self._bracket_worth(dear, lambda: self.accepts * (total - whole) >= enough)[1]
        return min(least, self._bracket_worth(dear, lambda: self.costs * (total - whole) > most)[0])

    def _bracket_worth(self, dear: float, beyond: Callable[[], bool]) -> tuple[float, float]:
        """The worths between which something comes true: it grows with the worth of a lesson."""
        self._evaluate_levels(dear)
        if not beyond():
            return dear, dear
        low, high = 0.0, dear
        for _ in range(40):
            middle = (low + high) / 2
            self._evaluate_levels(middle)
            low, high = (low, middle) if beyond() else (middle, high)
        return low, high

    def _evaluate_levels(self, worth: float, *, ranked: bool = False) -> list[Ints]:
        """Backward through the levels; sets the expected `accepts` and `costs` of a Sample. Per level the choices, where `ranked`."""
        value_N, accept_N, cost_N = np.zeros(1), np.zeros(1), np.zeros(1)
        choices: list[Ints] = []
        k = len(self.terms.voters)
        for level in reversed(self.levels):
            n = len(level.code_N)
            kept_N = level.accepted_N & (worth > level.extra_N)
            value, accept, cost = np.where(kept_N, worth - level.extra_N, 0.0), kept_N.astype(float), np.where(kept_N, level.extra_N, 0.0)
            worth_NK = np.zeros((n, k)) if ranked else None
            for column, some, chance, place in level.steps:
                gain = np.einsum("ns,ns->n", chance, value_N[place]) - self.cost_K[column]
                if worth_NK is not None:
                    worth_NK[some, column] = np.maximum(gain, 0)
                better = gain > value[some] + 1e-12
                up, to, weigh = some[better], place[better], chance[better]
                value[up] = gain[better]
                accept[up] = np.einsum("ns,ns->n", weigh, accept_N[to])
                cost[up] = np.einsum("ns,ns->n", weigh, cost_N[to]) + self.cost_K[column]
            if worth_NK is not None:
                order = np.argsort(-worth_NK, axis=1, kind="stable")
                worth_some = np.take_along_axis(worth_NK, order, axis=1) > 0
                choices.append(np.where(worth_some, order, STOP).astype(np.int8))
            # behind the last state: the one for all that was left out, where nothing is gained
            value_N, accept_N, cost_N = np.append(value, 0.0), np.append(accept, 0.0), np.append(cost, 0.0)
        share_N = self.levels[0].mass_N / self.levels[0].mass_N.sum()
        self.value = float(share_N @ value_N[:-1])
        self.accepts, self.costs = float(share_N @ accept_N[:-1]), float(share_N @ cost_N[:-1])
        return choices[::-1]

    # asking

    def open(self, asked_NK: Flags) -> Flags:
        """Who may still be asked, given who was: every teacher once, in one way or the other."""
        rivals_KK = np.zeros((len(self._rivals), len(self._rivals)), bool)
        for column, rivals in enumerate(self._rivals):
            rivals_KK[rivals, column] = True
        return np.asarray(~(asked_NK @ rivals_KK))

    def choose(self, answers_NV: Ints, may_NK: Flags) -> Ints:
        """The column of the voter to ask next of each row, of those that may be asked; `STOP` where it is over."""
        known_N, choice_NK = self._rank_voters(answers_NV)
        if self._guesses and not known_N.all():
            choice_NK[~known_N] = self._ask_in_unseen(answers_NV[~known_N])
        if self.terms.order:  # one who abstained left no trace in the state, and still had its turn
            may_NK = may_NK & ~np.stack([(answers_NV[:, later] != NONE).any(axis=1) for later in self._later], axis=1)
        open_NK = (choice_NK != STOP) & np.take_along_axis(may_NK, np.maximum(choice_NK, 0), axis=1)
        first_N = open_NK.argmax(axis=1)
        rows = np.arange(len(answers_NV))
        return np.where(open_NK[rows, first_N], choice_NK[rows, first_N], STOP)

    def _rank_voters(self, answers_NV: Ints) -> tuple[Flags, Ints]:
        """(whether the state was looked at, the voters worth asking in it, the best first, then `STOP`) of each row."""
        code_N = self.encode(answers_NV)
        at_N = np.minimum(np.searchsorted(self._code_N, code_N), len(self._code_N) - 1)
        known_N = self._code_N[at_N] == code_N
        return known_N, np.where(known_N[:, None], self._choice_NK[at_N], STOP)

    def _ask_in_unseen(self, answers_NV: Ints) -> Ints:
        """Whom to ask in states too unlikely to be looked at, as bins make many: nobody where an answer is accepted, else those who were
        worth asking one answer earlier.
        """
        open_N = ~self.belief.lead(answers_NV, self.belief.posterior(answers_NV)).accepted_N
        choice_NK = np.full((len(answers_NV), len(self.terms.voters)), STOP, np.int64)
        for column in range(len(self.terms.voters)):
            before_NV = answers_NV.copy()
            before_NV[:, column] = NONE
            known_N, earlier_NK = self._rank_voters(before_NV if self.terms.by_class else regroup_codes(before_NV, None, self.terms)[0])
            taken_N = open_N & known_N & (answers_NV[:, column] >= 0)
            choice_NK[taken_N] = earlier_NK[taken_N]
            open_N &= ~taken_N
        return choice_NK

    def next(
        self,
        label: str | None,
        answers: Mapping[str, str | None],
        probabilities: Probabilities = NOTHING,
        *,
        without: Collection[str] = (),
        picture: int = NONE,
    ) -> str | None:
        """The voter to ask next about a Sample, given the label and what those asked said (None: unreadable); None where it is over.

        `probabilities`: in [0, 1], that voters gave their answers, as far as they did. Never one in `answers`, nor in `without`, whom
        nobody can ask now. `picture`: the code of what the Sample's picture says, where `terms.image`.
        """
        if self.terms.max_calls is not None and len(answers) >= self.terms.max_calls:
            return None
        codes, shut = self._codes(label, answers, probabilities, picture), frozenset(without)
        if (column := self._asked.get((codes, shut))) is None:
            answers_1V = self._code_row(codes)
            asked_1K = answers_1V[:, : len(self.terms.voters)] != NONE
            may_1K = self.open(asked_1K) & ~np.array([voter.name in shut for voter in self.terms.voters])
            column = note_value(self._asked, (codes, shut), int(self.choose(answers_1V, may_1K)[0]))
        return None if column == STOP else self.terms.voters[column].name

    def accepted(
        self, label: str | None, answers: Mapping[str, str | None], probabilities: Probabilities = NOTHING, *, picture: int = NONE
    ) -> str | None:
        """The answer that would be accepted now; None where none would."""
        codes = self._codes(label, answers, probabilities, picture)
        if (taken := self._taken.get(codes)) is None:
            answers_1V = self._code_row(codes)
            lead = self.belief.lead(answers_1V, self.belief.posterior(answers_1V))
            says_K = symbols_of(answers_1V, self.terms)[0, : len(self.terms.voters)] == lead.symbol_N[0]
            taken = note_value(self._taken, codes, int(says_K.argmax()) if lead.accepted_N[0] else STOP)
        return None if taken == STOP else answers[self.terms.voters[taken].name]

    def _codes(self, label: str | None, answers: Mapping[str, str | None], probabilities: Probabilities, picture: int) -> tuple[int, ...]:
        """By column; one who repeats another voter abstains."""
        codes, _ = code_sample(self.terms, label, answers, None, self._columns, self._places)
        codes = [ABSTAINED if column in self.belief.twins and code >= 0 else code for column, code in enumerate(codes)]
        if probabilities and self.terms.binned:
            for column, voter in enumerate(self.terms.voters):
                if codes[column] >= 0:
                    codes[column] += self.terms.symbols * voter.bin(probabilities.get(voter.name))
        return (*codes[:-1], *((picture,) if self.terms.image else ()), codes[-1])

    def _code_row(self, codes: tuple[int, ...]) -> Ints:
        answers_1V = np.array([codes], np.int64)
        return answers_1V if self.terms.by_class else regroup_codes(answers_1V, None, self.terms)[0]
