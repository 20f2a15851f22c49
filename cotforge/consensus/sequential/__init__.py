"""`sequential`: one teacher at a time, as long as an answer is worth the next Call.

terms, waves: who may be asked, and which Samples when. table -> belief (difficulty or agreement, with its calibration) -> policy.
walk: following a policy. replay: a whole vote from answers that are there. held: checked rows judged as if nobody had checked them.
numpy is imported by whoever learns: this module stays light.
"""

from cotforge.consensus.sequential.terms import Objective, Terms, Voter, Wanted
from cotforge.consensus.sequential.waves import Waves

__all__ = ["Objective", "Terms", "Voter", "Wanted", "Waves"]
