"""`dawid_skene`: the answer's posterior probability under how reliable every voter was found to be.

Voters are taken to err independently given the class. Models err together more than that, so the posterior is over-confident;
it is a score to rank by, not a measured precision.
"""

from collections.abc import Mapping

from cotforge.consensus.annotators import Matrices, OneCoin
from cotforge.consensus.poll import CLOSE, Poll, PollLead
from cotforge.consensus.polling import PollRule
from cotforge.consensus.votes import Votes


def fit_dawid_skene(votes: Votes, label: bool) -> Matrices | OneCoin:
    """Confusion matrices where all samples share one closed set of few classes, else one accuracy per voter."""
    # numpy is imported only by a run that learns.
    from cotforge.consensus import em

    return em.fit_annotators(votes, label=label)


def dawid_skene(poll: Poll, annotators: Matrices | OneCoin, target: float) -> PollLead:
    """Accepted where the posterior reaches the target; the confidence is the posterior."""
    ranked = sorted(((share, answer) for answer, share in annotators.posterior(poll).items()), reverse=True)
    share, answer = ranked[0]
    if len(ranked) > 1 and share - ranked[1][0] <= CLOSE:
        return PollLead(None, share, "tie")
    return PollLead(answer, share, "" if share >= target else "below_target")


def posterior_shares(poll: Poll, annotators: Matrices | OneCoin) -> Mapping[str, float]:
    """Posterior of each answer."""
    return annotators.posterior(poll)


DAWID_SKENE = PollRule("dawid_skene", dawid_skene, fit_dawid_skene, posterior=True, shares=posterior_shares)
