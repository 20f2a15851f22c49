"""How many connections this process may hold: what its limit on open files leaves, shared out among the servers."""

import contextlib
import resource

SPARE = 64
"""Open files (ours) that are left to pictures, the source, the journal and whatever else this process has open."""


def allowed_sockets(wanted: int) -> int:
    """How many of so many connections may be open at a time; at least 1. Where it is too low, the limit is raised as far as it can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE
    if 0 <= soft < needed:  # RLIM_INFINITY is -1 on some systems
        highest = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):  # some systems have a lower bound of their own: then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, highest), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE))
