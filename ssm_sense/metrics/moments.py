"""Surprise at moments of several kinds: true events, decoys that are none, needles, and elsewhere.

Every quantity comes as its value and as what it is in each of many resamples of the streams. The resamples are the same
for whatever is measured on the same streams, so that the difference of two quantities is resampled in pairs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ssm_sense.metrics.boundary import BoundaryCounts, Numbers, total_counts
from ssm_sense.metrics.interval import RESAMPLES, Estimate, percentiles, stream_weights

ELSEWHERE = "elsewhere"

_EPSILON_S = 1e-6


class Drawn(NamedTuple):
    """A quantity over all streams, and over each resample of them."""

    value: float
    draws: np.ndarray
    """(resamples,); nan where a resample had nothing to measure."""
    n: int
    """Moments it was measured at."""
    streams: int

    @property
    def estimate(self) -> Estimate:
        """The value with its 95% interval; none (nan) for a single stream, or where nothing was measured."""
        known = self.streams > 1 and np.isfinite(self.draws).any()
        low, high = percentiles(self.draws, self.streams) if known else (np.nan, np.nan)
        return Estimate(self.value, low, high, self.n, self.streams)

    def __sub__(self, other: "Drawn") -> "Drawn":
        """The paired difference of two quantities of the same streams. Raises ValueError for other streams."""
        if self.streams != other.streams:
            raise ValueError(f"expected quantities of the same streams, got {self.streams} and {other.streams}")
        return Drawn(self.value - other.value, self.draws - other.draws, min(self.n, other.n), self.streams)


def moment_samples(
    times_s: Numbers, surprise: Numbers, moments: Mapping[str, Iterable[float]], tolerance_s: float = 1.0
) -> dict[str, np.ndarray]:
    """One stream's surprise at the moments of each kind, and under `ELSEWHERE` that of frames far from all of them.

    A moment is at the first frame at or after it; one at the first frame, or after the last, cannot be seen. Its value
    is the largest within ± tolerance_s. A moment whose window shares a frame with that of another kind is left out, for
    nobody could say which of the two was met; elsewhere is measured by windows of the same width that share no frame
    with any moment's.

    times_s, surprise: (T,), in order of time; the first frame, which nothing predicted, is left out everywhere.

    Raises ValueError for lengths that differ, or surprise that is not finite.
    """
    times, values = np.asarray(times_s, dtype=float), np.asarray(surprise, dtype=float)
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"expected one surprise a frame, got {values.shape} for {times.shape} times")
    begin, times, values = times[0], times[1:], values[1:]
    if not np.isfinite(values).all():
        raise ValueError("expected finite surprise after the first frame")
    window = tolerance_s + _EPSILON_S
    start, stop = np.searchsorted(times, times - window), np.searchsorted(times, times + window)
    peaks = np.array([values[a:b].max() for a, b in zip(start, stop, strict=True)])
    at: dict[str, np.ndarray] = {}
    for kind, seconds in moments.items():
        frames = np.searchsorted(times, [t - _EPSILON_S for t in seconds if t > begin + _EPSILON_S])
        at[kind] = np.unique(frames[frames < len(times)]).astype(int)

    def near(frames: Iterable[int]) -> np.ndarray:
        touched = np.zeros(len(times), dtype=bool)
        for frame in frames:
            touched |= (stop > start[frame]) & (start < stop[frame])
        return touched

    touched = {kind: near(frames) for kind, frames in at.items()}
    samples = {}
    for kind, frames in at.items():
        others = np.any([touched[other] for other in at if other != kind], axis=0) if len(at) > 1 else False
        samples[kind] = peaks[frames[~np.broadcast_to(others, len(times))[frames]]]
    return {**samples, ELSEWHERE: peaks[~np.any(list(touched.values()), axis=0)] if touched else peaks}


def drawn_auroc(
    streams: Sequence[Mapping[str, np.ndarray]], above: str, below: str, resamples: int = RESAMPLES
) -> Drawn:
    """The chance that a moment of kind `above` is more surprising than one of kind `below`, of all streams together."""
    ups, downs = [s[above] for s in streams], [np.sort(s[below]) for s in streams]
    wins = np.array([[_wins(up, down) for down in downs] for up in ups], dtype=float)
    n_up, n_down = np.array([len(up) for up in ups]), np.array([len(down) for down in downs])
    weights = stream_weights(len(streams), resamples)
    won = ((weights @ wins) * weights).sum(axis=1)
    pairs = (weights @ n_up) * (weights @ n_down)
    total = n_up.sum() * n_down.sum()
    value = float(wins.sum() / total) if total else np.nan
    return Drawn(value, _over(won, pairs), int(n_up.sum()), len(streams))


def drawn_mean(streams: Sequence[np.ndarray], resamples: int = RESAMPLES) -> Drawn:
    """The mean of a value a moment, of all streams' moments together."""
    sums, counts = np.array([s.sum() for s in streams], dtype=float), np.array([len(s) for s in streams])
    weights = stream_weights(len(streams), resamples)
    value = float(sums.sum() / counts.sum()) if counts.sum() else np.nan
    return Drawn(value, _over(weights @ sums, weights @ counts), int(counts.sum()), len(streams))


def drawn_f1(streams: Sequence[BoundaryCounts], resamples: int = RESAMPLES) -> Drawn:
    """F1 of the counts of all streams together."""
    hits, false_alarms, misses = np.array(streams, dtype=float).T
    weights = stream_weights(len(streams), resamples)
    draws = _over(weights @ (2 * hits), weights @ (2 * hits + false_alarms + misses))
    return Drawn(total_counts(streams).f1, draws, int((hits + misses).sum()), len(streams))


def over_seeds(seeds: Sequence[Drawn], seed: int = 0) -> Drawn:
    """The mean over training seeds, which are drawn with replacement as the streams are.

    Raises ValueError for none, or for seeds on other streams.
    """
    if len({(s.streams, len(s.draws)) for s in seeds}) != 1:
        raise ValueError(f"expected seeds measured on the same streams, got {[s.streams for s in seeds]}")
    k, resamples = len(seeds), len(seeds[0].draws)
    weights = np.random.default_rng((seed, k)).multinomial(k, [1 / k] * k, size=resamples) / k
    draws = (weights * np.stack([s.draws for s in seeds], axis=1)).sum(axis=1)
    return Drawn(float(np.mean([s.value for s in seeds])), draws, seeds[0].n, seeds[0].streams)


def fired_at(found_s: Numbers, moments_s: Numbers, within_s: float) -> np.ndarray:
    """Whether a boundary was found from each moment until within_s later, (n,) of 0 and 1.

    Not earlier: what is found before a moment is no answer to it.
    """
    found, moments = np.sort(np.asarray(found_s, dtype=float)), np.asarray(moments_s, dtype=float)
    first = np.searchsorted(found, moments - _EPSILON_S)
    last = np.searchsorted(found, moments + within_s + _EPSILON_S)
    return (last > first).astype(float)


def _wins(up: np.ndarray, sorted_down: np.ndarray) -> float:
    """Pairs in which `up` is above `sorted_down`, equal ones counting half."""
    below = np.searchsorted(sorted_down, up, side="left")
    not_above = np.searchsorted(sorted_down, up, side="right")
    return float((below + not_above).sum() / 2)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
