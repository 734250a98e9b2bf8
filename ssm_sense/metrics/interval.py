"""Means with their uncertainty: Wilson for independent yes/no items, a bootstrap over streams for the rest.

Where a policy was trained with several seeds, seeds are drawn too, streams and seeds each by themselves: the pigeonhole
bootstrap (Owen 2007, Annals of Applied Statistics 1(2), 386–411). It is wide rather than narrow where seeds are alike;
where two or three differ by more than streams do, it is still too narrow, for so few say little of their spread.
"""

import math
from collections.abc import Hashable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 10_000
FEWEST_STREAMS = 5
"""Below, no bootstrap over streams: it would be far too narrow whatever is done about it."""
NO_SPREAD = 1e-9
"""Bootstrap samples that differ by no more than that are of streams that do not differ, rounding apart."""
_SEED_DRAWS = 2007
"""Seeds of the bootstrap are drawn from a generator of their own, the same for all that is compared."""


class Estimate(NamedTuple):
    """A mean with the ends of its interval (nan where there is none), of `n` items from `streams` streams."""

    value: float
    low: float
    high: float
    n: int
    streams: int


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927), which holds for small n and for 0 and n successes.

    Raises ValueError unless 0 ≤ successes ≤ n and n > 0.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n and n > 0, got {successes} of {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def proportion(correct: Sequence[bool]) -> Estimate:
    """The share of independent items that are right, one item a stream, with its Wilson interval."""
    n, right = len(correct), sum(map(bool, correct))
    low, high = wilson(right, n)
    return Estimate(right / n, low, high, n, n)


def stream_mean(
    values: Sequence[float],
    streams: Sequence[Hashable],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    seeds: Sequence[Hashable] | None = None,
) -> Estimate:
    """The mean of scores in [0, 1] whose items come in streams, with a percentile bootstrap over the streams.

    values: one score an item. streams: which stream each item belongs to; the items of one stream are not
    independent, so whole streams are drawn, with replacement. seeds: the training seed behind each item, one for all
    by default; several are drawn as well. Below five streams there is no interval (nan), for their spread says too
    little. Where every item scored 0, or every item 1, a bootstrap sees no spread, and the
    Wilson bound for as many items as there are streams is given: it holds for any score in [0, 1], whose mean is at
    most the chance that it is not 0. The percentiles are widened for few streams, see `percentiles`.

    Raises ValueError for no items, lengths that differ, or a score outside [0, 1].
    """
    scores = np.asarray(values, dtype=float)
    if scores.size == 0 or scores.size != len(streams):
        raise ValueError(f"expected one stream for each of some values, got {scores.size} and {len(streams)}")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"expected scores in [0, 1], got {scores.min()} to {scores.max()}")
    sums, counts = by_stream_and_seed(scores, streams, seeds)
    mean, n_streams = float(scores.mean()), len(sums)
    if mean in (0.0, 1.0):
        low, high = wilson(mean * n_streams, n_streams, confidence)
    elif n_streams < FEWEST_STREAMS:
        low = high = math.nan
    else:
        weights = stream_weights(n_streams, resamples, seed)
        low, high = percentiles(resampled_mean(sums, counts, weights), n_streams, confidence)
    return Estimate(mean, low, high, scores.size, n_streams)


def by_stream_and_seed(
    values: Sequence[float] | np.ndarray, streams: Sequence[Hashable], seeds: Sequence[Hashable] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the values, and how many there are, of each stream and seed: (streams, seeds, …) and (streams, seeds).

    values: (items, …).
    """
    places = []
    for names in (streams, [0] * len(streams) if seeds is None else seeds):
        place = {name: i for i, name in enumerate(dict.fromkeys(names))}
        places.append([place[name] for name in names])
    values, shape = np.asarray(values, dtype=float), tuple(1 + max(of) for of in places)
    sums, counts = np.zeros((*shape, *values.shape[1:])), np.zeros(shape)
    np.add.at(sums, tuple(places), values)
    np.add.at(counts, tuple(places), 1.0)
    return sums, counts


def resampled_mean(sums: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bootstrap samples (resamples, …) of Σ sums / Σ counts, of (streams, seeds, …); nan where nothing was drawn.

    weights: how often each stream stands in each sample, (resamples, streams). Seeds are drawn here.
    """
    with np.errstate(invalid="ignore"):
        return _totals(sums, weights) / _totals(counts, weights)


def _totals(table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    drawn = np.tensordot(weights, table, 1)
    seeds = stream_weights(table.shape[1], len(weights), _SEED_DRAWS)
    return np.asarray((drawn * seeds.reshape(*seeds.shape, *[1] * (drawn.ndim - 2))).sum(axis=1))


@lru_cache(maxsize=4)
def stream_weights(n_streams: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each stream stands in each bootstrap sample: (resamples, n_streams), rows summing to n_streams.

    The same array for the same arguments, which cannot be written to.
    """
    draws = np.random.default_rng(seed).multinomial(n_streams, [1 / n_streams] * n_streams, size=resamples)
    weights = draws.astype(float)
    weights.flags.writeable = False
    return weights


def percentiles(
    samples: np.ndarray, n_streams: int, confidence: float = CONFIDENCE, within: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The central interval of bootstrap samples, those that are nan (nothing to measure) left out.

    Expanded for few streams (Hesterberg 2015): plain percentiles are too narrow by what Student's t is wider than
    the normal and by √(n / (n − 1)), so those further out are taken.

    within: the least and the most that a stream can have. Where no two streams differ, a bootstrap sees no spread, and
    the interval is as far as that many streams leave open (Clopper & Pearson 1934): a share 1 − (α/2)^(1/n) of all
    streams may be at either end, and all n that were drawn are of the others.
    """
    t = student((1 + confidence) / 2, n_streams - 1)
    tail = 100 * NormalDist().cdf(-t * math.sqrt(n_streams / (n_streams - 1)))
    low, high = np.nanpercentile(samples, [tail, 100 - tail])
    if within is not None and high - low <= NO_SPREAD:
        unseen = 1 - ((1 - confidence) / 2) ** (1 / n_streams)
        low, high = low + unseen * (within[0] - low), high + unseen * (within[1] - high)
    return float(low), float(high)


def interval(
    samples: np.ndarray, n_streams: int, confidence: float = CONFIDENCE, within: tuple[float, float] | None = None
) -> tuple[float, float]:
    """`percentiles`, or none (nan) below `FEWEST_STREAMS`."""
    return (math.nan, math.nan) if n_streams < FEWEST_STREAMS else percentiles(samples, n_streams, confidence, within)


def student(p: float, freedom: int) -> float:
    """The p-quantile of Student's t: exact for 1 and 2 degrees of freedom, else Fisher's series, good to 1%."""
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    z = NormalDist().inv_cdf(p)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / freedom**i for i, term in enumerate(terms))
