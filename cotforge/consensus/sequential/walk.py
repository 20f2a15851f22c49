"""Following a policy through answers that are all there, as if they were asked one by one."""

from dataclasses import dataclass

import numpy as np

from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.table import ABSTAINED, NONE, Flags, Ints, regrouped


@dataclass(frozen=True, slots=True)
class Walk:
    """What was heard of rows."""

    seen_NV: Ints
    """The answers that were read, symbols left as they are; all others are `NONE`."""
    turn_NK: Ints
    """When each voter was asked, from 1; 0: never; 1 for all where everybody was asked."""
    lacking_N: Flags
    """Whether an answer was wanted that is not there: the policy's next choice was taken, or it ended early."""

    @property
    def asked_NK(self) -> Flags:
        return np.asarray(self.turn_NK > 0)


def everybody(answers_NV: Ints) -> Walk:
    """Everybody is asked."""
    return Walk(answers_NV, (answers_NV[:, :-1] != NONE).astype(np.int64), np.zeros(len(answers_NV), bool))


def walk(policy: Policy, answers_NV: Ints, everybody_N: Flags | None = None) -> Walk:
    """Ask as the policy says, and everybody where `everybody_N`; answers of voters that are not there (`NONE`) cannot be had."""
    terms = policy.terms
    k = len(terms.voters)
    everybody_N = np.zeros(len(answers_NV), bool) if everybody_N is None else everybody_N
    seen_NV = answers_NV.copy()
    seen_NV[~everybody_N, :k] = NONE
    there_NK = answers_NV[:, :k] != NONE
    turn_NK = (there_NK & everybody_N[:, None]).astype(np.int64)
    lacking_N = np.zeros(len(answers_NV), bool)
    going = np.flatnonzero(~everybody_N)
    for turn in range(1, min(k, terms.max_calls or k) + 1):
        if not len(going):
            break
        view_NV, free_NK = _view(policy, seen_NV[going]), policy.open(turn_NK[going] > 0)
        wanted_N, column_N = policy.choose(view_NV, free_NK), policy.choose(view_NV, free_NK & there_NK[going])
        lacking_N[going] |= wanted_N != column_N
        on = column_N >= 0
        going, column_N = going[on], column_N[on]
        seen_NV[going, column_N] = answers_NV[going, column_N]
        turn_NK[going, column_N] = turn
    return Walk(seen_NV, turn_NK, lacking_N)


def _view(policy: Policy, seen_NV: Ints) -> Ints:
    if policy.belief.twins:
        seen_NV = seen_NV.copy()
        for column in policy.belief.twins:
            seen_NV[seen_NV[:, column] >= 0, column] = ABSTAINED
    return seen_NV if policy.terms.by_class else regrouped(seen_NV)[0]
