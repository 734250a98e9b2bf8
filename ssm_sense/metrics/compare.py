"""Two policies on the same questions: their difference, whether it is more than chance, whether they are as good.

Questions of one stream are not independent, so everything is resampled, or swapped, a stream at a time. Intervals, and
with them equivalence, draw training seeds as well where there are several (see `interval`); the test that swaps does
not, and speaks of the seeds that were trained.
"""

import math
from collections.abc import Hashable, Sequence
from itertools import product
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ssm_sense.metrics.interval import (
    CONFIDENCE,
    FEWEST_STREAMS,
    NO_SPREAD,
    RESAMPLES,
    by_stream_and_seed,
    percentiles,
    resampled_mean,
    stream_weights,
    student,
)

OF_DIFFERENCES = (-1.0, 1.0)
"""Within which the difference of two scores is."""
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
    seeds: Sequence[Hashable] | None = None,
) -> Difference:
    """The mean difference of paired scores, with a bootstrap interval and a randomisation test over streams.

    ours, theirs, streams: of each question both scores, in [0, 1], and the stream it is about. seeds: the training seed
    behind each pair, one for all by default; the interval draws both, streams and seeds, with replacement. p is the
    share of all ways to swap the two policies within streams, everything of a stream at once, that differ at least as
    much (Fisher's randomisation test); beyond `EXACT_STREAMS` streams it is estimated from `resamples` random ones,
    that which was seen among them.

    Raises ValueError for no questions, or lengths that differ.
    """
    sums, counts = _differences(ours, theirs, streams, seeds)
    value, n_streams = float(sums.sum() / counts.sum()), len(sums)
    low = high = math.nan
    if n_streams >= FEWEST_STREAMS:
        weights = stream_weights(n_streams, resamples, seed)
        low, high = percentiles(resampled_mean(sums, counts, weights), n_streams, confidence, OF_DIFFERENCES)
    p = swap_test(sums.sum(axis=1), resamples, seed)
    return Difference(value, low, high, p, int(counts.sum()), n_streams)


def equivalence(
    ours: Sequence[float],
    theirs: Sequence[float],
    streams: Sequence[Hashable],
    margin: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
    seeds: Sequence[Hashable] | None = None,
) -> Equivalence:
    """Two one-sided tests (Schuirmann 1987) by the bootstrap of `paired_difference`: is the difference within ± margin?

    Several seeds are drawn along, since what is claimed is of the policies, whatever seed they are trained with. p is
    the larger of the two; at .05 or below, both policies are as good up to the margin. It is widened for few
    streams as the intervals are. Where no two streams differ it is the chance that so many streams show nothing of a
    difference of the margin that is all in a few: two policies alike in 12 streams are not yet as good up to .05 (p is
    .54), in 59 they are. Below five streams nothing is claimed: p is 1.

    Raises ValueError for no questions, lengths that differ, or a margin of 0 or less.
    """
    if not margin > 0:
        raise ValueError(f"margin: expected more than 0, got {margin}")
    sums, counts = _differences(ours, theirs, streams, seeds)
    if len(sums) < FEWEST_STREAMS:
        return two_one_sided(np.empty(0), len(sums), margin)
    samples = resampled_mean(sums, counts, stream_weights(len(sums), resamples, seed))
    return two_one_sided(samples, len(sums), margin)


def two_one_sided(samples: np.ndarray, n_streams: int, margin: float) -> Equivalence:
    """The tests of `equivalence`, of bootstrap samples (resamples,) of a difference over `n_streams` streams.

    Samples that are nan are left out.
    """
    if n_streams < FEWEST_STREAMS:
        return Equivalence(math.nan, math.nan, 1.0)
    samples = samples[~np.isnan(samples)]
    low, high = percentiles(samples, n_streams, 0.9, OF_DIFFERENCES)
    if np.ptp(samples) <= NO_SPREAD:
        return Equivalence(low, high, _unseen(abs(float(samples[0])), n_streams, margin))
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


def _differences(
    ours: Sequence[float], theirs: Sequence[float], streams: Sequence[Hashable], seeds: Sequence[Hashable] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Of each stream and seed the sum of differences, and how many there are."""
    if not len(ours) == len(theirs) == len(streams) or not len(ours):
        raise ValueError(f"expected as many scores as streams, got {len(ours)}, {len(theirs)} and {len(streams)}")
    return by_stream_and_seed(np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float), streams, seeds)


def _unseen(everywhere: float, n_streams: int, margin: float) -> float:
    """How likely n streams all differ by `everywhere`, if others differ by 1 and the mean difference is the margin."""
    if everywhere >= margin:
        return 1.0
    return max(0.0, 1 - (margin - everywhere) / (1 - everywhere)) ** n_streams


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
