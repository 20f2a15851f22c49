"""Agreeing: from ballots to a verdict. `rules` for a pipeline's Samples one by one, `deciding` for a table of answers,
`whatif` for all ways of deciding one."""

from cotforge.consensus.deciding import decide
from cotforge.consensus.decisions import AnswersError, Decisions
from cotforge.consensus.rules import RULES, Consensus, Rule
from cotforge.consensus.sequential import Waves
from cotforge.consensus.votes import Votes
from cotforge.consensus.whatif import what_if

__all__ = ["RULES", "AnswersError", "Consensus", "Decisions", "Rule", "Votes", "Waves", "decide", "what_if"]
