"""Intervals: against published values, and against what they must do at the edges."""

import math

import numpy as np
import pytest

from ssm_sense.metrics.interval import proportion, stream_mean, student, wilson


def test_wilson_against_published_values():
    # Newcombe (1998), table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)


def test_a_proportion_counts_what_is_right():
    estimate = proportion([True] * 27 + [False] * 33)
    assert (estimate.value, estimate.n, estimate.streams) == (0.45, 60, 60)
    assert (estimate.low, estimate.high) == wilson(27, 60)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_what_is_no_proportion(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


def test_repeating_a_streams_questions_does_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    values = rng.random(40).round(1).tolist()
    streams = list(range(40))
    once = stream_mean(values, streams)
    tenfold = stream_mean(values * 10, streams * 10)
    assert tenfold.value == pytest.approx(once.value)
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))
    assert (tenfold.n, tenfold.streams) == (400, 40)


def test_the_bootstrap_agrees_with_the_normal_interval_where_that_is_good():
    values = np.random.default_rng(4).random(400)
    estimate = stream_mean(values.tolist(), list(range(400)))
    half = 1.96 * values.std() / math.sqrt(400)
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.004)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.004)


def test_streams_weigh_by_their_questions():
    assert stream_mean([1, 0, 0, 0], ["a", "b", "b", "b"]).value == 0.25


def test_intervals_of_few_streams_cover_the_truth():
    """Of 400 sets of eight streams, about 95% of the intervals hold the true mean; plain percentiles, 86%."""
    rng = np.random.default_rng(5)
    sets = rng.beta(2, 3, size=(400, 8))
    estimates = [stream_mean(values.tolist(), range(8), resamples=1000) for values in sets]
    assert 0.92 <= np.mean([e.low <= 0.4 <= e.high for e in estimates]) <= 0.98


def test_seeds_are_drawn_beside_streams():
    """Where streams are alike, all of the interval is of the seeds: three of .2, .5 and .8 give .2 in 1 of 27 draws."""
    values, streams, seeds = [0.2, 0.5, 0.8] * 10, [i // 3 for i in range(30)], [0, 1, 2] * 10
    assert stream_mean(values, streams)[1:3] == pytest.approx((0.5, 0.5))
    assert stream_mean(values, streams, seeds=seeds)[:3] == pytest.approx((0.5, 0.2, 0.8))
    assert stream_mean(values, streams, seeds=[7] * 30) == stream_mean(values, streams)


def test_a_seed_that_answered_less_weighs_less_and_a_draw_of_nothing_counts_nowhere():
    """Seed 1 has stream 0 alone, where it is right."""
    values, streams, seeds = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [0, 1, 2, 3, 4, 0], [0, 0, 0, 0, 0, 1]
    estimate = stream_mean(values, streams, seeds=seeds)
    assert estimate.value == 0.5
    assert 0 <= estimate.low < 0.5 < estimate.high <= 1


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (7, 2.365), (29, 2.045), (59, 2.001)]
)
def teststudent_against_the_printed_table(freedom, quantile):
    assert student(0.975, freedom) == pytest.approx(quantile, rel=0.01)


@pytest.mark.parametrize("n_streams", [1, 2, 4])
def test_few_streams_have_no_interval(n_streams):
    estimate = stream_mean([0.2, 0.4] * n_streams, [i // 2 for i in range(2 * n_streams)])
    assert estimate.value == pytest.approx(0.3)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_all_zero_still_has_an_upper_bound():
    estimate = stream_mean([0.0] * 60, [i // 6 for i in range(60)])
    assert (estimate.low, estimate.high) == wilson(0, 10)


def test_same_seed_same_interval():
    values, streams = [0.1, 0.7, 0.4, 0.2, 0.3], ["a", "b", "c", "d", "e"]
    assert stream_mean(values, streams) == stream_mean(values, streams)
    assert stream_mean(values, streams, seed=1)[0] == stream_mean(values, streams)[0]


def test_it_fails_at_the_door():
    with pytest.raises(ValueError, match="one stream for each"):
        stream_mean([], [])
    with pytest.raises(ValueError, match="one stream for each"):
        stream_mean([0.1], ["a", "b"])
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        stream_mean([1.2], ["a"])
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        stream_mean([float("nan")], ["a"])
