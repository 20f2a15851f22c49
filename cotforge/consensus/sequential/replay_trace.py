"""Following a policy through answers that are all there, as if they were asked one by one."""

from dataclasses import dataclass

import numpy as np

from cotforge.consensus.sequential.answer_table import ABSTAINED, NONE, Flags, Ints, regroup_codes, symbols_of
from cotforge.consensus.sequential.policy import Policy


@dataclass(frozen=True, slots=True)
class ReplayTrace:
    """What was heard of rows."""

    seen_NV: Ints
    """The answers that were read, symbols left as they are; all others are `NONE`."""
    turn_NK: Ints
    """When each voter was asked, from 1; 0: never; 1 for all where everybody was asked."""
    lacking_NK: Flags
    """Whose answers were wanted and are not there: the policy's next choice was taken, or it ended early."""

    @property
    def asked_NK(self) -> Flags:
        return np.asarray(self.turn_NK > 0)


def walk_everybody(answers_NV: Ints, voters: int) -> ReplayTrace:
    """Everybody is asked; the first columns are these voters'."""
    there_NK = answers_NV[:, :voters] != NONE
    return ReplayTrace(answers_NV, there_NK.astype(np.int64), ~there_NK)


def walk_policy(policy: Policy, answers_NV: Ints, everybody_N: Flags | None = None) -> ReplayTrace:
    """Ask as the policy says, and everybody where `everybody_N`; answers of voters that are not there (`NONE`) cannot be had."""
    terms = policy.terms
    k = len(terms.voters)
    everybody_N = np.zeros(len(answers_NV), bool) if everybody_N is None else everybody_N
    seen_NV = answers_NV.copy()
    seen_NV[~everybody_N, :k] = NONE
    there_NK = answers_NV[:, :k] != NONE
    turn_NK = (there_NK & everybody_N[:, None]).astype(np.int64)
    lacking_NK = ~there_NK & everybody_N[:, None]
    going = np.flatnonzero(~everybody_N)
    for turn in range(1, min(k, terms.max_calls or k) + 1):
        if not len(going):
            break
        view_NV, free_NK = _policy_view(policy, seen_NV[going]), policy.open(turn_NK[going] > 0)
        wanted_N, column_N = policy.choose(view_NV, free_NK), policy.choose(view_NV, free_NK & there_NK[going])
        other = wanted_N != column_N
        lacking_NK[going[other], wanted_N[other]] = True
        on = column_N >= 0
        going, column_N = going[on], column_N[on]
        seen_NV[going, column_N] = answers_NV[going, column_N]
        turn_NK[going, column_N] = turn
    if any(voter.short for voter in terms.voters):
        lacking_NK |= _wanting_trace(policy, answers_NV, seen_NV) & ~everybody_N[:, None]
    return ReplayTrace(seen_NV, turn_NK, lacking_NK)


def _wanting_trace(policy: Policy, answers_NV: Ints, seen_NV: Ints) -> Flags:
    """Of whom a full trace is still wanted, [N, K], where only short votes say what is accepted: one after another of these is asked."""
    columns = {voter.name: column for column, voter in enumerate(policy.terms.voters)}
    view_NV = _policy_view(policy, seen_NV)
    lead = policy.belief.lead(view_NV, policy.belief.posterior(view_NV))
    said_NV, shown_NV = symbols_of(view_NV, policy.terms), symbols_of(answers_NV, policy.terms)
    open_N, wanted_NK = lead.accepted_N & ~lead.traced_N, np.zeros((len(seen_NV), len(columns)), bool)
    for column, voter in enumerate(policy.terms.voters):
        if voter.short:
            full = columns[voter.teacher]
            asks_N = open_N & (said_NV[:, column] == lead.symbol_N) & (seen_NV[:, full] == NONE)
            wanted_NK[:, full] = asks_N & (answers_NV[:, full] == NONE)
            shown_N = asks_N & (shown_NV[:, full] == symbols_of(seen_NV[:, column], policy.terms))
            open_N = open_N & ~wanted_NK[:, full] & ~shown_N
    return wanted_NK


def _policy_view(policy: Policy, seen_NV: Ints) -> Ints:
    if policy.belief.twins:
        seen_NV = seen_NV.copy()
        for column in policy.belief.twins:
            seen_NV[seen_NV[:, column] >= 0, column] = ABSTAINED
    return seen_NV if policy.terms.by_class else regroup_codes(seen_NV, None, policy.terms)[0]
