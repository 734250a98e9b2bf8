"""Surprise and found boundaries against true event boundaries.

The first frame of a stream is left out everywhere: nothing predicted it, so its surprise is 1 by definition.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ssm_sense.metrics.interval import CONFIDENCE, RESAMPLES, Estimate, percentiles, stream_weights

Numbers = Sequence[float] | np.ndarray
"""A value a frame, (T,)."""

Samples = tuple[np.ndarray, np.ndarray]
"""Surprise at true boundaries, (n,), and elsewhere, (m,)."""

_EPSILON_S = 1e-6

RELATIVE_DISTANCES = tuple(d / 100 for d in range(5, 55, 5))
"""GEBD's relative distances, .05 to .5; .05 is its headline."""


def boundary_samples(
    times_s: Numbers, surprise: Numbers, events_s: Iterable[float], tolerance_s: float = 0.0
) -> Samples:
    """One stream's surprise at its true boundaries and elsewhere.

    times_s, surprise: (T,), in order of time. An event belongs to the first frame at or after it; an event at the
    first frame, or after the last, is no boundary that could be seen. With a tolerance, a boundary's value is the
    largest within ± tolerance_s of it, and so that this is no advantage in itself, elsewhere is measured by the
    same sliding maximum, wherever its window shares no frame with a boundary's.

    Raises ValueError for lengths that differ, times out of order, or surprise that is not finite.
    """
    times, values = np.asarray(times_s, dtype=float), np.asarray(surprise, dtype=float)
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"expected one surprise a frame, got {values.shape} for {times.shape} times")
    if (np.diff(times) <= 0).any():
        raise ValueError("expected the times of frames to increase")
    times, values = times[1:], values[1:]
    if not np.isfinite(values).all():
        raise ValueError("expected finite surprise after the first frame")
    window = tolerance_s + _EPSILON_S
    start, stop = np.searchsorted(times, times - window), np.searchsorted(times, times + window)
    peaks = np.array([values[a:b].max() for a, b in zip(start, stop, strict=True)])
    begin = times_s[0] + _EPSILON_S if len(times_s) else 0.0
    frames = np.searchsorted(times, [t - _EPSILON_S for t in events_s if t > begin])
    at = np.unique(frames[frames < len(times)])
    elsewhere = np.ones(len(times), dtype=bool)
    for frame in at:
        elsewhere[(stop > start[frame]) & (start < stop[frame])] = False
    return peaks[at], peaks[elsewhere]


def auroc(at: np.ndarray, elsewhere: np.ndarray) -> float:
    """The chance that a boundary is more surprising than a frame elsewhere, ties counting half; nan without both."""
    if not (len(at) and len(elsewhere)):
        return math.nan
    return float(_wins(at, np.sort(elsewhere)).sum() / (len(at) * len(elsewhere)))


def average_precision(at: np.ndarray, elsewhere: np.ndarray) -> float:
    """The mean, over boundaries, of the precision at that boundary's own surprise as threshold; nan without any.

    Precision and recall stepped down the ranking, ties taken together; the share of boundaries is what chance gets.
    """
    if not len(at):
        return math.nan
    ranked, others = np.sort(at), np.sort(elsewhere)
    true = len(at) - np.searchsorted(ranked, at)
    false = len(others) - np.searchsorted(others, at)
    return float((true / (true + false)).mean())


def pooled_auroc(
    streams: Sequence[Samples], confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The AUROC of all frames of all streams together, as one threshold for all would see them.

    The interval is a percentile bootstrap over streams: none (nan) for one, and at least that wide below five. n counts
    boundaries. Every sample weighs pairs of streams, so 10,000 of them cost no more than a matrix product.
    """
    wins = np.array([[_wins(at, others).sum() for at, _ in streams] for others in (np.sort(e) for _, e in streams)])
    n_at = np.array([len(at) for at, _ in streams])
    n_elsewhere = np.array([len(elsewhere) for _, elsewhere in streams])
    if not (n_at.sum() and n_elsewhere.sum()):
        return Estimate(math.nan, math.nan, math.nan, int(n_at.sum()), len(streams))
    low = high = math.nan
    if len(streams) > 1:
        weights = stream_weights(len(streams), resamples, seed)
        pairs = (weights @ n_at) * (weights @ n_elsewhere)
        won = ((weights @ wins) * weights).sum(axis=1)
        drawn = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
        low, high = percentiles(drawn, len(streams), confidence)
    value = float(wins.sum() / (n_at.sum() * n_elsewhere.sum()))
    return Estimate(value, low, high, int(n_at.sum()), len(streams))


class BoundaryCounts(NamedTuple):
    """How found boundaries meet true ones; counts of several streams are added before any rate is taken."""

    hits: int
    false_alarms: int
    misses: int

    @property
    def precision(self) -> float:
        """The share of found boundaries that are true; nan if none was found."""
        return _ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """The share of true boundaries that were found; nan if there are none."""
        return _ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """2·hits / (2·hits + false alarms + misses); nan where nothing was found and nothing was there."""
        return _ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


def match_boundaries(
    found_s: Iterable[float], true_s: Iterable[float], early_s: float, late_s: float
) -> list[tuple[float, float]]:
    """Pairs (found, true), one to one and as many as possible, found within [true − early_s, true + late_s].

    Taking both lists in order of time is enough for the largest matching, since every window has the same length.
    """
    found, true = sorted(found_s), sorted(true_s)
    pairs: list[tuple[float, float]] = []
    i = j = 0
    while i < len(found) and j < len(true):
        if found[i] < true[j] - early_s - _EPSILON_S:
            i += 1
        elif found[i] > true[j] + late_s + _EPSILON_S:
            j += 1
        else:
            pairs.append((found[i], true[j]))
            i, j = i + 1, j + 1
    return pairs


def boundary_counts(found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float) -> BoundaryCounts:
    """Hits within ± tolerance_s, matched one to one."""
    hits = len(match_boundaries(found_s, true_s, tolerance_s, tolerance_s))
    return BoundaryCounts(hits, len(found_s) - hits, len(true_s) - hits)


def relative_counts(found_s: Sequence[float], true_s: Sequence[float], duration_s: float) -> list[BoundaryCounts]:
    """Hits within each of `RELATIVE_DISTANCES` of a stream that is so long."""
    return [boundary_counts(found_s, true_s, distance * duration_s) for distance in RELATIVE_DISTANCES]


def total_counts(streams: Iterable[BoundaryCounts]) -> BoundaryCounts:
    """The counts of several streams together, for a micro-averaged F1 as in GEBD."""
    hits, false_alarms, misses = np.sum([(0, 0, 0), *streams], axis=0)
    return BoundaryCounts(int(hits), int(false_alarms), int(misses))


def detection_delays_s(found_s: Sequence[float], true_s: Sequence[float], window_s: float) -> list[float]:
    """Seconds from each detected boundary to its detection, found at or after it and within window_s.

    What is found earlier is no detection of it: a causal detector cannot know.
    """
    return [found - true for found, true in match_boundaries(found_s, true_s, 0.0, window_s)]


def boundaries_per_minute(found_s: Sequence[float], duration_s: float) -> float:
    """How often a boundary was found. Raises ValueError unless duration_s > 0."""
    if duration_s <= 0:
        raise ValueError(f"expected a duration above 0 s, got {duration_s}")
    return 60 * len(found_s) / duration_s


def boundary_row(
    source: str,
    clip: str,
    times_s: Numbers,
    surprise: Numbers | None,
    found_s: Sequence[float] | None,
    events_s: Sequence[float],
    tolerance_s: float = 2.0,
    prediction_error: float | None = None,
) -> dict[str, str | int | float | None]:
    """One source of surprise on one stream, as a line of boundaries.jsonl; None for what cannot be measured.

    source: what made the surprise, such as "closed loop" or "adjacent difference". surprise: None for a source that
    sets boundaries by other means. found_s: the boundaries it set, None for one that sets none. AUROC and average
    precision take each event at its own frame; F1 (precision and recall), detection delay (median) and F1 at relative
    distance .05 match found and true boundaries one to one, the first two within tolerance_s. prediction_error: the
    source's own, on whatever scale it predicts.
    """
    nothing = np.zeros(0)
    at, elsewhere = (nothing, nothing) if surprise is None else boundary_samples(times_s, surprise, events_s)
    true_s = [t for t in events_s if times_s[0] + _EPSILON_S < t <= times_s[-1] + _EPSILON_S]
    row: dict[str, str | int | float | None] = {
        "source": source,
        "clip": clip,
        "n_events": len(true_s),
        "auroc": auroc(at, elsewhere),
        "ap": average_precision(at, elsewhere),
        "prediction_error": prediction_error,
        "tolerance_s": tolerance_s,
    }
    if found_s is not None:
        duration_s = times_s[-1] - times_s[0]
        delays = detection_delays_s(found_s, true_s, tolerance_s)
        row |= {
            "f1": boundary_counts(found_s, true_s, tolerance_s).f1,
            "f1_relative": boundary_counts(found_s, true_s, RELATIVE_DISTANCES[0] * duration_s).f1,
            "delay_s": float(np.median(delays)) if delays else math.nan,
            "per_minute": boundaries_per_minute(found_s, duration_s),
        }
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def _wins(at: np.ndarray, sorted_elsewhere: np.ndarray) -> np.ndarray:
    """How many of `sorted_elsewhere` each of `at` exceeds, equal ones counting half."""
    below = np.searchsorted(sorted_elsewhere, at, side="left")
    not_above = np.searchsorted(sorted_elsewhere, at, side="right")
    return (below + not_above) / 2


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
