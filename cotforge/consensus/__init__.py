"""Agreeing: from what teachers said to a verdict. `decider` is what every rule gives, `rules` names them all; `deciding` votes over a table
of answers, `whatif` in all ways at once."""

from cotforge.consensus.decider import Decider, Heard, Rule, Setting
from cotforge.consensus.deciding import decide
from cotforge.consensus.decisions import AnswersError, Decisions
from cotforge.consensus.rules import RULES, Consensus, rule_named
from cotforge.consensus.whatif import what_if

__all__ = ["RULES", "AnswersError", "Consensus", "Decider", "Decisions", "Heard", "Rule", "Setting", "decide", "rule_named", "what_if"]
