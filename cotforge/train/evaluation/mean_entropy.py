"""How sure a student is of its own words: the entropy of its next-token distributions over completions that it draws itself.

Source: Ring-lite (arXiv 2506.14731), lessons learned: reinforcement goes furthest from SFT checkpoints with an entropy of 0.3 to 0.5 nats,
not from those that score best; below that it explores too little and collapses. The entropy is the one that a stage of kind `grpo` logs at
its first step: of all tokens of completions at temperature 1. That of greedy answers, or of the words of lessons, is another figure.
"""

from collections.abc import Callable, Sequence

from cotforge.errors import PipelineError
from cotforge.train import ranks
from cotforge.train.evaluation.askers import CheckpointAsker, Question, by_size

MOST = 256
"""Questions of which completions are drawn, at most (default chosen by us): some ten thousand tokens, for a second decimal."""


def mean_entropy(
    checkpoint: CheckpointAsker, questions: Sequence[Question], *, max_tokens: int, seed: int = 0, done: Callable[[int], object] = bool
) -> float:
    """Nats of a token, the mean over all tokens of one completion each; the same for the same student, seed and number of processes.

    Called in all processes, each of which draws a part. Raises PipelineError where nothing is said.
    """
    own = ranks.share_of([questions[place] for place in by_size(questions)])

    def told() -> tuple[float, int, str]:
        said = checkpoint.drawn(own, max_tokens=max_tokens, seed=seed, done=done)
        nats = sum((one.entropy or 0.0) * one.output_tokens for one in said)
        return nats, sum(one.output_tokens for one in said), next((f": {one.error}: {one.detail}" for one in said if one.error), "")

    parts = ranks.gather_processes(told)
    nats, tokens = sum(part[0] for part in parts), sum(part[1] for part in parts)
    if not tokens:
        why = next((part[2] for part in parts if part[2]), "")
        raise PipelineError(f"eval.best: entropy: {checkpoint.name}: nothing was said to {len(questions):,} held-out questions{why}")
    return nats / tokens
