"""Surprise at moments of several kinds, on cases worked by hand."""

import math

import numpy as np
import pytest

from ssm_sense.metrics.boundary import BoundaryCounts, boundary_samples, pooled_auroc
from ssm_sense.metrics.moments import (
    ELSEWHERE,
    Drawn,
    drawn_auroc,
    drawn_f1,
    drawn_mean,
    fired_at,
    moment_samples,
    over_seeds,
)

TIMES = [float(t) for t in range(12)]
#          0    1    2    3    4    5    6    7    8    9   10   11
VALUES = [1.0, 0.1, 0.2, 0.9, 0.3, 0.1, 0.2, 0.1, 0.5, 0.6, 0.0, 0.1]


def test_moments_by_hand():
    samples = moment_samples(TIMES, VALUES, {"event": [0.0, 3.0, 99.0], "decoy": [7.6]}, tolerance_s=1.0)
    assert samples["event"].tolist() == [0.9]
    assert samples["decoy"].tolist() == [0.6]  # at the frame of 8 s, whose neighbour is larger
    # Windows of frames 2..4 and 7..9 are taken; those of 6 and 10 reach 7 and 9, and that of 1 (frames 1, 2) reaches 2.
    assert samples[ELSEWHERE].tolist() == [0.1]


def test_moments_that_cannot_be_told_apart_are_left_out():
    samples = moment_samples(TIMES, VALUES, {"event": [3.0, 9.0], "decoy": [5.0, 11.0]}, tolerance_s=1.0)
    assert samples["event"].tolist() == []
    assert samples["decoy"].tolist() == []
    alone = moment_samples(TIMES, VALUES, {"event": [3.0, 9.0], "decoy": []}, tolerance_s=1.0)
    assert alone["event"].tolist() == [0.9, 0.6]
    assert alone["decoy"].tolist() == []


def test_one_kind_is_measured_as_boundaries_are():
    rng = np.random.default_rng(0)
    values = rng.random(60)
    times = np.arange(60) / 2
    at, elsewhere = boundary_samples(times, values, [3.2, 9.0, 20.0], 1.0)
    samples = moment_samples(times, values, {"event": [3.2, 9.0, 20.0]}, 1.0)
    assert samples["event"].tolist() == at.tolist()
    assert samples[ELSEWHERE].tolist() == elsewhere.tolist()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="one surprise a frame"):
        moment_samples(TIMES, VALUES[1:], {})
    with pytest.raises(ValueError, match="finite"):
        moment_samples(TIMES, [*VALUES[:-1], math.nan], {})
    assert np.isfinite(moment_samples(TIMES, [math.nan, *VALUES[1:]], {"event": [1.0]})[ELSEWHERE]).all()


def streams(seed: int, n: int = 8) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"event": rng.normal(1, 1, rng.integers(2, 6)), ELSEWHERE: rng.normal(0, 1, 30)} for _ in range(n)]


def test_auroc_and_its_interval_are_the_pooled_ones():
    some = streams(1)
    ours = drawn_auroc(some, "event", ELSEWHERE, resamples=2000).estimate
    assert ours == pytest.approx(pooled_auroc([(s["event"], s[ELSEWHERE]) for s in some], resamples=2000))
    backwards = drawn_auroc(some, ELSEWHERE, "event", resamples=10)
    assert backwards.value == pytest.approx(1 - ours.value)


def test_a_stream_without_moments_weighs_nothing():
    some = [*streams(2, 5), {"event": np.array([]), ELSEWHERE: np.array([])}]
    assert drawn_auroc(some, "event", ELSEWHERE, 500).value == drawn_auroc(some[:5], "event", ELSEWHERE, 500).value
    nothing = drawn_auroc([some[-1]] * 3, "event", ELSEWHERE, 500).estimate
    assert all(map(math.isnan, (nothing.value, nothing.low, nothing.high)))


def test_a_difference_is_paired():
    some = streams(3)
    shifted = [{k: v + (0.5 if k == "event" else 0.0) for k, v in s.items()} for s in some]
    a, b = (drawn_auroc(x, "event", ELSEWHERE, 2000) for x in (shifted, some))
    difference = (a - b).estimate
    assert difference.value == pytest.approx(a.value - b.value)
    assert difference.low > 0
    assert difference.high - difference.low < a.estimate.high - a.estimate.low
    same = (a - a).estimate
    assert (same.value, same.low, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="same streams"):
        a - drawn_auroc(some[:4], "event", ELSEWHERE, 2000)


def test_f1_means_and_seeds():
    counts = [BoundaryCounts(3, 1, 2), BoundaryCounts(1, 0, 0), BoundaryCounts(0, 2, 1)]
    f1 = drawn_f1(counts, 1000)
    assert (f1.value, f1.n, f1.streams) == (8 / 14, 7, 3)
    assert f1.estimate.low <= f1.value <= f1.estimate.high
    mean = drawn_mean([np.array([1.0, 0.0]), np.array([]), np.array([1.0])], 1000)
    assert (mean.value, mean.n) == (2 / 3, 3)
    one, other = Drawn(0.4, np.full(1000, 0.4), 5, 3), Drawn(0.8, np.full(1000, 0.8), 5, 3)
    both = over_seeds([one, other])
    assert both.value == pytest.approx(0.6)
    assert sorted({round(float(x), 6) for x in both.draws}) == [0.4, 0.6, 0.8]
    assert over_seeds([one]).draws.tolist() == one.draws.tolist()
    with pytest.raises(ValueError, match="same streams"):
        over_seeds([one, f1 - Drawn(0.0, np.zeros(1000), 1, 3), drawn_mean([np.ones(2)] * 4, 1000)])


def test_a_boundary_answers_what_comes_before_it():
    assert fired_at([5.0, 11.5], [3.0, 4.9, 5.1, 10.0, 12.0], 2.0).tolist() == [1, 1, 0, 1, 0]
    assert fired_at([], [3.0], 2.0).tolist() == [0]
    assert fired_at([3.0], [], 2.0).tolist() == []
