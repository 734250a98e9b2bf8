"""Timestamps of few bits, which begin anew when they are full: those of a transport stream every 26.5 hours."""

from fractions import Fraction

ROUNDS = {"mpegts": 1 << 33, "mpeg": 1 << 33, "hls": 1 << 33, "flv": 1 << 32}
"""By FFmpeg's name of a format, the ticks after which its timestamps begin anew."""
NEAR_S = 3600
"""Timestamps that are further from the one before, once their rounds are counted, have another reason to leap."""


class Unwrapped:
    """Counts a track's timestamps on from one round to the next, those that come out of order at its end among them.

    FFmpeg itself does so once at most, and only for tracks that begin late in a round.

    kind: FFmpeg's name of the format; what others tell is left as it is.
    tick_s: the unit of the timestamps, in seconds.
    """

    def __init__(self, kind: str, tick_s: Fraction) -> None:
        self._round = ROUNDS.get(kind)
        self._near = int(NEAR_S / tick_s)
        self._offset = 0
        self._before: int | None = None

    def __call__(self, tick: int) -> int:
        """The next timestamp in ticks, without the leap."""
        if self._round is None:
            return tick
        here = tick + self._offset
        if self._before is not None:
            turn = self._round * ((2 * (self._before - here) + self._round) // (2 * self._round))
            if turn and abs(here + turn - self._before) <= self._near:
                self._offset += turn
                here += turn
        self._before = here
        return here
