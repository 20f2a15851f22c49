"""How many calls in flight are worth it, from latency alone: for servers that neither refuse nor say how many wait.

Answers per second are `level / seconds` (Little's law), so two levels tell by their latencies what more calls in flight bring.
Latency follows the length of a reply: within each level it is regressed on the tokens, and the levels are compared at equal length.
"""

from math import ceil, exp, inf, log, sqrt

WORTH = 0.25
"""Least elasticity of answers per second (ours): a tenth more in flight must bring 2.5 % more, or the smaller level is better."""
SURE = 2.0
"""Standard errors from `WORTH` at which a comparison is decided early (ours); half as many let the level double at the start."""
FEWEST, ROUNDS = 16, 8
"""Answers a level is judged by at least, and rounds of `level` answers after which it is judged in any case (ours)."""
CLIMB, REFINE = 1.5, 1.25
"""Steps up while each is worth it, and steps of a probe afterwards (ours). At first a step doubles."""
HOLD_S, HOLD_ROUNDS, HOLD_MOST_S = 30.0, 20, 600.0
"""Seconds and round trips before the next probe, doubled each time a probe changes nothing, up to ten minutes (ours)."""
SLOWED = log(1.5)
"""Growth of log seconds at an unchanged level, after which it is probed at once whether fewer would do (ours)."""
EASED, CERTAIN = log(1.05), 3.0
"""Fall of log seconds since the level was settled on, and standard errors it must be of, after which it is probed at once whether more
would do (ours): others may have left the server."""
FAR = log(20.0)
"""How far, in log seconds, one answer may lie from the level before (ours): one that hung must not decide."""


class Epoch:
    """Answers to calls that were sent while `level` were in flight: sums over log tokens (x) and log seconds (y)."""

    __slots__ = ("least", "level", "look", "mark", "n", "skip", "sx", "sxx", "sxy", "sy", "syy")

    def __init__(self, level: int, *, hasty: bool = False) -> None:
        """`hasty`: at the start, where half a round is enough, and what doubled the level counts at once."""
        self.level = level
        self.least = level // 2 + 1 if hasty else ceil(0.9 * level)
        """Calls sent as which in flight count."""
        self.skip = 0 if hasty else level
        """Answers not looked at: the first that come back are the quick ones."""
        self.mark: float = inf
        """The first ticket that counts; infinite until the level is filled."""
        self.look = max(level // 2 if hasty else level, FEWEST)
        """Answers at which it is judged next."""
        self.n = 0
        self.sx = self.sy = self.sxx = self.sxy = self.syy = 0.0

    def add(self, seconds: float, tokens: int, centre: float | None) -> None:
        x = log(tokens) if tokens > 1 else 0.0
        y = log(seconds) if seconds > 1e-6 else log(1e-6)
        if centre is not None:
            y = min(max(y, centre - FAR), centre + FAR)
        self.n += 1
        self.sx += x
        self.sy += y
        self.sxx += x * x
        self.sxy += x * y
        self.syy += y * y

    @property
    def centre(self) -> float:
        """Mean log seconds."""
        return self.sy / self.n


def slowdown(one: Epoch, other: Epoch) -> tuple[float, float]:
    """(by how much log seconds are greater in `other` for replies of equal length, its standard error).

    Analysis of covariance: one slope of log seconds on log tokens for both, from the variation within each.
    """
    cxx = sum(e.sxx - e.sx * e.sx / e.n for e in (one, other))
    cxy = sum(e.sxy - e.sx * e.sy / e.n for e in (one, other))
    cyy = sum(e.syy - e.sy * e.sy / e.n for e in (one, other))
    beta = cxy / cxx if cxx > 1e-6 else 0.0
    by = other.centre - one.centre - beta * (other.sx / other.n - one.sx / one.n)
    variance = max(0.0, cyy - beta * cxy) / max(1, one.n + other.n - 3)
    return by, sqrt(variance * (1 / one.n + 1 / other.n))


def _throughput_elasticity(low: Epoch, high: Epoch) -> tuple[float, float]:
    """(relative growth of answers per second over that of calls in flight, its standard error)."""
    by, error = slowdown(low, high)
    step = log(high.level / low.level)
    return 1 - by / step, error / step


class Slope:
    """Climbs while more in flight brings more answers per second, then holds, and probes both sides now and then.

    `goal` is the level to fill. The owner tells every call sent, and the answers to those that were sent near the limit.
    """

    def __init__(self, start: int, most: int) -> None:
        self.goal = start
        self.most = most
        """No level above this is tried; the owner lowers it where a server refuses more."""
        self._base: Epoch | None = None
        """The level that was worth it, as last measured."""
        self._settled: Epoch | None = None
        """The same as it was first measured after the last probe."""
        self._epoch = Epoch(start, hasty=True)
        """What is being measured: the same level anew, or another one on trial."""
        self._slow_start = True
        self._great = False
        """Whether the slow start is just over, and smaller steps are to be tried at once."""
        self._confirmed = False
        """Whether a lower level has already stood one comparison."""
        self._downwards = False
        """Which side is probed next."""
        self._hold = HOLD_S / 2
        self._until = -inf

    def sent(self, ticket: int, position: int) -> None:
        """A call was sent as the `position`-th in flight: from the first that fills the level on, answers count."""
        epoch = self._epoch
        if epoch.mark == inf and epoch.least <= position <= epoch.level:
            epoch.mark = ticket

    def answered(self, ticket: int, position: int, seconds: float, tokens: int, now: float) -> None:
        """The answer to a call; may change `goal`."""
        epoch, base = self._epoch, self._base
        if ticket < epoch.mark or position < epoch.least:
            return
        if epoch.skip:
            epoch.skip -= 1
            return
        epoch.add(seconds, tokens, None if base is None else base.centre)
        if epoch.n < epoch.look:
            return
        epoch.look = epoch.n + max(4, epoch.n // 4)
        if self._slow_start:
            self._double_level(epoch, base, now)
        elif base is None:
            self._base = epoch
            self._settle_level(epoch, now)
        elif epoch.level == base.level:
            self._renew_base(epoch, base, now)
        else:
            self._judge_probe(epoch, base, now)

    def refused(self, level: int, now: float) -> None:
        """The server took no more than `level`: whatever was on trial is off; that level is tried where it is more than the base."""
        self._slow_start = False
        if self._base is None:
            self.forget()
        elif level > self._base.level:
            self._try_level(level)
        else:
            self._settle_level(self._base, now)

    def forget(self) -> None:
        """Measure anew: the calls in flight tell nothing about their level."""
        self._epoch = Epoch(self.goal, hasty=self._slow_start)

    def _double_level(self, epoch: Epoch, base: Epoch | None, now: float) -> None:
        """Slow start: twice as many each time, until that is no clear gain; then everything is looked at more closely."""
        gain, error = (1.0, 0.0) if base is None else _throughput_elasticity(base, epoch)
        if gain - error * SURE / 2 >= WORTH:
            self._base = epoch
            self._raise_goal(epoch, 2.0, now)
        else:
            assert base is not None
            self._slow_start, self._great = False, True
            self.goal, self._epoch = base.level, Epoch(base.level)

    def _renew_base(self, epoch: Epoch, base: Epoch, now: float) -> None:
        """The base has been measured again, so that the next probe has something fresh to be compared with."""
        if epoch.n < 4 * max(epoch.level, FEWEST):
            return
        slowed = slowdown(base, epoch)[0] > SLOWED
        self._base = epoch
        if self._settled is None:
            self._settled = epoch
        by, error = slowdown(self._settled, epoch)
        eased = by < -max(EASED, CERTAIN * error)
        if self._great or (eased and epoch.level < self.most):
            self._raise_goal(epoch, CLIMB, now)
        elif slowed or (now >= self._until and (self._downwards or epoch.level >= self.most)):
            self._lower_goal(epoch, now)
        elif now >= self._until:
            self._raise_goal(epoch, REFINE, now)
        else:
            self._epoch = Epoch(epoch.level)

    def _judge_probe(self, epoch: Epoch, base: Epoch, now: float) -> None:
        """Compare the level on trial with the base, as soon as the answers suffice."""
        up = epoch.level > base.level
        gain, error = _throughput_elasticity(base, epoch) if up else _throughput_elasticity(epoch, base)
        if abs(gain - WORTH) < SURE * error and epoch.n < ROUNDS * max(epoch.level, FEWEST):
            return
        if up:
            self._judged_up(epoch, base, now, worth=gain >= WORTH)
        else:
            self._judged_down(epoch, base, now, worth=gain >= WORTH)

    def _judged_up(self, epoch: Epoch, base: Epoch, now: float, *, worth: bool) -> None:
        if worth:
            self._base, self._hold = epoch, HOLD_S / 2
            self._raise_goal(epoch, CLIMB, now)
        elif self._great:  # the best may as well lie below the base, which was reached in great steps too
            self._great = False
            self._lower_goal(base, now)
        else:
            self._settle_level(base, now, failed=True)

    def _judged_down(self, epoch: Epoch, base: Epoch, now: float, *, worth: bool) -> None:
        """`worth`: whether the calls in flight that were left out had been. To go on without them takes two times no."""
        if worth:
            self._settle_level(base, now, failed=True)
        elif not self._confirmed:
            self._try_level(epoch.level)
            self._confirmed = True
        else:
            self._base, self._hold = epoch, HOLD_S / 2
            self._lower_goal(epoch, now)

    def _raise_goal(self, base: Epoch, factor: float, now: float) -> None:
        level = min(ceil(base.level * factor), self.most)
        if level > base.level:
            self._try_level(level)
        else:
            self._settle_level(base, now)

    def _lower_goal(self, base: Epoch, now: float) -> None:
        level = min(base.level - 1, ceil(base.level / REFINE))
        if level >= 1:
            self._try_level(level)
        else:
            self._settle_level(base, now)

    def _try_level(self, level: int) -> None:
        """Fill another level and measure there."""
        assert self._base is not None
        self.goal, self._confirmed, self._settled = level, False, None
        self._downwards = level > self._base.level
        self._epoch = Epoch(level, hasty=self._slow_start)

    def _settle_level(self, base: Epoch, now: float, *, failed: bool = False) -> None:
        """Hold the level that was worth it, longer each time a probe `failed`."""
        self.goal, self._epoch, self._slow_start, self._great = base.level, Epoch(base.level), False, False
        self._hold = min(HOLD_MOST_S, 2 * self._hold) if failed else HOLD_S
        self._until = now + min(HOLD_MOST_S, max(self._hold, HOLD_ROUNDS * exp(min(base.centre, 6.0))))
