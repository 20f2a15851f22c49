"""A ceiling per minute, as providers count requests (rpm) and tokens (tpm)."""

EXACT = 1e-9
"""Share of what is asked that rounding may leave missing: who waited as told is not told to wait again."""


class Rate:
    """A bucket that fills evenly and holds one second's worth, at least 1: no rush at the start, nor after a pause.

    Over any window of T seconds at most `per_minute` x T / 60 is taken, plus one second's worth (or the largest single amount,
    where that is more: it is taken from a full bucket and paid off afterwards).
    """

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second)
        self._level = 1.0  # nearly empty, but a ceiling of one a minute need not wait a minute to begin
        self._at: float | None = None

    def take(self, amount: float, now: float) -> float:
        """Seconds to wait before trying again; 0 where the amount has been taken."""
        if self._at is not None and now > self._at:
            self._level = min(self._most, self._level + (now - self._at) * self._per_second)
        self._at = now
        missing = min(amount, self._most) - self._level
        if missing > EXACT * self._most:
            return missing / self._per_second
        self._level -= amount
        return 0.0

    def give_back(self, amount: float) -> None:
        """Of what was taken, so much was not used."""
        self._level = min(self._most, self._level + amount)
