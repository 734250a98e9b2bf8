"""Two policies on the same questions: their difference, whether it is more than chance, whether they are as good.

Questions of one stream are not independent, so everything is resampled, or swapped, a stream at a time.
"""

import math
from collections.abc import Hashable, Sequence
from itertools import product
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ssm_sense.metrics.interval import CONFIDENCE, FEWEST_STREAMS, RESAMPLES, percentiles, stream_weights, student

EXACT_STREAMS = 13
"""Up to so many streams, all 2^n ways to swap them are gone through."""


class Difference(NamedTuple):
    """Ours minus theirs, of `n` questions from `streams` streams.

    low, high: the 95% interval, nan below five streams. p: of no difference, two-sided.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    streams: int


class Equivalence(NamedTuple):
    """Whether two policies differ by less than a margin.

    low, high: the 90% interval of the difference, within ± margin where the test is passed at .05; nan below five
    streams. p: of a difference of the margin or more.
    """

    low: float
    high: float
    p: float


def paired_difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    streams: Sequence[Hashable],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """The mean difference of paired scores, with a bootstrap interval and a randomisation test over streams.

    ours, theirs, streams: of each question both scores and the stream it is about. p is the share of all ways to swap
    the two policies within streams, everything of a stream at once, that differ at least as much (Fisher's
    randomisation test); beyond `EXACT_STREAMS` streams it is estimated from `resamples` random ones, that which was
    seen among them.

    Raises ValueError for no questions, or lengths that differ.
    """
    sums, counts = _by_stream(ours, theirs, streams)
    value, n_streams = float(sums.sum() / counts.sum()), len(sums)
    low = high = math.nan
    if n_streams >= FEWEST_STREAMS:
        low, high = percentiles(_resampled(sums, counts, resamples, seed), n_streams, confidence)
    return Difference(value, low, high, swap_test(sums, resamples, seed), int(counts.sum()), n_streams)


def equivalence(
    ours: Sequence[float],
    theirs: Sequence[float],
    streams: Sequence[Hashable],
    margin: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Equivalence:
    """Two one-sided tests (Schuirmann 1987) by a bootstrap over streams: is the difference within ± margin?

    p is the larger of the two; at .05 or below, both policies are as good up to the margin. It is widened for few
    streams as the intervals are. Below five streams nothing is claimed: p is 1.

    Raises ValueError for no questions, lengths that differ, or a margin of 0 or less.
    """
    if not margin > 0:
        raise ValueError(f"margin: expected more than 0, got {margin}")
    sums, counts = _by_stream(ours, theirs, streams)
    if len(sums) < FEWEST_STREAMS:
        return two_one_sided(np.empty(0), len(sums), margin)
    return two_one_sided(_resampled(sums, counts, resamples, seed), len(sums), margin)


def two_one_sided(samples: np.ndarray, n_streams: int, margin: float) -> Equivalence:
    """The tests of `equivalence`, of bootstrap samples (resamples,) of a difference over `n_streams` streams."""
    if n_streams < FEWEST_STREAMS:
        return Equivalence(math.nan, math.nan, 1.0)
    low, high = percentiles(samples, n_streams, 0.9)
    beyond = max(int((samples >= margin).sum()), int((samples <= -margin).sum()))
    return Equivalence(low, high, _widened((1 + beyond) / (1 + len(samples)), n_streams))


def swap_test(sums: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """The p of the randomisation test of `paired_difference`, of each stream's summed differences (n,).

    Ties count as at least as much, rounding apart.
    """
    if len(sums) <= EXACT_STREAMS:
        signs = np.array(list(product((1.0, -1.0), repeat=len(sums))))
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, (resamples, len(sums))) * 2.0 - 1.0
        signs = np.concatenate([np.ones((1, len(sums))), drawn])
    totals = np.abs(signs @ sums)
    return float((totals >= totals[0] * (1 - 1e-9)).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given: at most α of them wrong in any, whatever depends on what."""
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for done, place in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - done) * ps[place]))
        adjusted[place] = highest
    return adjusted


def _by_stream(
    ours: Sequence[float], theirs: Sequence[float], streams: Sequence[Hashable]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each stream the sum of differences, and how many there are."""
    if not len(ours) == len(theirs) == len(streams) or not len(ours):
        raise ValueError(f"expected as many scores as streams, got {len(ours)}, {len(theirs)} and {len(streams)}")
    place = {stream: i for i, stream in enumerate(dict.fromkeys(streams))}
    index = np.array([place[stream] for stream in streams])
    differences = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    return np.bincount(index, differences), np.bincount(index).astype(float)


def _resampled(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    weights = stream_weights(len(sums), resamples, seed)
    return (weights @ sums) / (weights @ counts)


def _widened(share: float, n_streams: int) -> float:
    """The α whose widened percentile (see `interval.percentiles`) leaves `share` of the samples beyond it."""
    scale = math.sqrt(n_streams / (n_streams - 1))
    low, high = 0.0, 0.5
    if share >= 0.5:
        return share
    for _ in range(50):
        middle = (low + high) / 2
        if NormalDist().cdf(-student(1 - middle, n_streams - 1) * scale) < share:
            low = middle
        else:
            high = middle
    return high
