"""`cotforge curate RUN --what-if`: what a run would have given and cost under every other rule, target and order of asking.

`table`: a run's journal as a table of answers. `cotforge.consensus.what_if` decides it. `choice`: the present setting and the best one.
`words` tells it on a terminal, `plot` and `page` on a page.
"""

from cotforge.whatif.command import what_if

__all__ = ["what_if"]
