"""Boundary measures on cases worked by hand."""

import math

import numpy as np
import pytest

from ssm_sense.metrics.boundary import (
    auroc,
    average_precision,
    boundaries_per_minute,
    boundary_counts,
    boundary_row,
    boundary_samples,
    detection_delays_s,
    match_boundaries,
    pooled_auroc,
    relative_counts,
    total_counts,
)
from ssm_sense.metrics.interval import percentiles, stream_weights

TIMES = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
SURPRISE = [1.0, 0.1, 0.9, 0.2, 0.3, 0.8, 0.4]


def test_samples_without_tolerance():
    at, elsewhere = boundary_samples(TIMES, SURPRISE, [0.0, 1.6, 5.0, 99.0])
    assert at.tolist() == [0.9, 0.8]  # the first frame at or after 1.6 s is 2 s; 0 s and 99 s are no boundaries
    assert elsewhere.tolist() == [0.1, 0.2, 0.3, 0.4]


def test_the_first_frames_surprise_counts_nowhere():
    at, elsewhere = boundary_samples(TIMES, [math.nan, *SURPRISE[1:]], [2.0])
    assert np.isfinite(at).all()
    assert np.isfinite(elsewhere).all()


def test_samples_with_tolerance_take_the_same_maximum_on_both_sides():
    times = list(range(9))
    surprise = [1.0, 0.1, 0.2, 0.3, 0.9, 0.4, 0.5, 0.6, 0.7]
    at, elsewhere = boundary_samples(times, surprise, [3.0], tolerance_s=1.0)
    assert at.tolist() == [0.9]  # the best of 2, 3 and 4 s
    assert elsewhere.tolist() == [0.6, 0.7, 0.7]  # around 6, 7 and 8 s; the windows of the rest meet 2 to 4 s


def test_a_tolerance_gives_random_surprise_no_advantage():
    rng = np.random.default_rng(0)
    samples = [
        boundary_samples(range(600), rng.random(600).tolist(), range(30, 600, 40), tolerance_s=3.0) for _ in range(40)
    ]
    estimate = pooled_auroc(samples)
    assert estimate.low < 0.5 < estimate.high
    assert estimate.n == 40 * 15


def test_auroc_by_hand():
    assert auroc(np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.85])) == pytest.approx(5 / 6)
    assert auroc(np.array([0.5]), np.array([0.5, 0.1])) == 0.75
    assert math.isnan(auroc(np.array([]), np.array([0.5])))
    assert math.isnan(auroc(np.array([0.5]), np.array([])))


def test_average_precision_by_hand():
    # Ranked: .9 true, .85 false, .8 true: precision 1 at the first, 2/3 at the second.
    assert average_precision(np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.85])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([0.5]), np.array([0.5, 0.5, 0.5])) == 0.25
    assert math.isnan(average_precision(np.array([]), np.array([0.5])))


def test_pooled_auroc_is_the_auroc_of_everything_together():
    rng = np.random.default_rng(1)
    streams = [(rng.normal(1, 1, 5 + i), rng.normal(0, 1, 50)) for i in range(8)]
    estimate = pooled_auroc(streams)
    together = auroc(np.concatenate([a for a, _ in streams]), np.concatenate([e for _, e in streams]))
    assert estimate.value == pytest.approx(together)
    assert estimate.low < together < estimate.high
    assert (estimate.n, estimate.streams) == (sum(5 + i for i in range(8)), 8)


def test_pooled_auroc_resamples_streams():
    # Drawing a stream twice must weigh its frames twice, on both sides of the comparison: as by hand.
    rng = np.random.default_rng(2)
    streams = [(rng.normal(i / 4, 1, 3 + i), rng.normal(0, 1, 9 - i)) for i in range(5)]
    estimate = pooled_auroc(streams, resamples=50, seed=7)
    by_hand = []
    for weights in stream_weights(5, 50, seed=7).astype(int):
        drawn = [stream for stream, weight in zip(streams, weights, strict=True) for _ in range(weight)]
        by_hand.append(auroc(np.concatenate([a for a, _ in drawn]), np.concatenate([e for _, e in drawn])))
    assert (estimate.low, estimate.high) == pytest.approx(percentiles(np.array(by_hand), 5))


def test_pooled_auroc_of_one_stream_has_no_interval():
    estimate = pooled_auroc([(np.array([0.9]), np.array([0.1, 0.95]))])
    assert estimate.value == 0.5
    assert math.isnan(estimate.low)
    assert math.isnan(pooled_auroc([(np.array([]), np.array([0.1]))]).value)


def test_matching_is_one_to_one_and_as_large_as_possible():
    # Nearest first would give 10 to 9.5 and leave 8.5 without a partner within 1 s.
    assert match_boundaries([9.5, 10.4], [8.5, 10.0], 1.0, 1.0) == [(9.5, 8.5), (10.4, 10.0)]
    assert boundary_counts([9.9, 10.1], [10.0], 0.5) == (1, 1, 0)
    assert boundary_counts([10.0], [9.9, 10.1], 0.5) == (1, 0, 1)
    assert boundary_counts([], [1.0], 1.0) == (0, 0, 1)


def test_the_tolerance_itself_is_within():
    assert boundary_counts([0.3], [0.1 + 0.1], 0.1) == (1, 0, 0)
    assert boundary_counts([3.0], [2.0], 1.0) == (1, 0, 0)
    assert boundary_counts([3.01], [2.0], 1.0) == (0, 1, 1)


def test_rates():
    counts = boundary_counts([1.0, 5.0, 9.0], [1.2, 9.1], 0.5)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == 1.0
    assert counts.f1 == pytest.approx(0.8)
    assert math.isnan(boundary_counts([], [], 1.0).f1)


def test_f1_at_relative_distance_widens_with_the_video():
    found, true = [33.0], [30.0]
    assert boundary_counts(found, true, 0.05 * 50).f1 == 0.0
    assert boundary_counts(found, true, 0.05 * 60).f1 == 1.0


def test_streams_are_added_before_the_ratio():
    total = total_counts([boundary_counts([1.0], [1.0], 0.5), boundary_counts([5.0, 6.0], [1.0, 9.0], 0.5)])
    assert total == (1, 2, 2)
    assert total.f1 == pytest.approx(1 / 3)
    assert total_counts([]) == (0, 0, 0)


def test_delay_counts_only_what_comes_after():
    assert detection_delays_s([10.5, 22.0, 29.0], [10.0, 20.0, 30.0], 5.0) == [0.5, 2.0]


def test_boundaries_per_minute():
    assert boundaries_per_minute([1.0, 2.0, 3.0], 90.0) == 2.0
    with pytest.raises(ValueError, match="duration above 0"):
        boundaries_per_minute([1.0], 0.0)


def test_samples_fail_at_the_door():
    with pytest.raises(ValueError, match="one surprise a frame"):
        boundary_samples([0.0, 1.0], [0.1], [])
    with pytest.raises(ValueError, match="to increase"):
        boundary_samples([0.0, 1.0, 1.0], [1, 2, 3], [])
    with pytest.raises(ValueError, match="finite"):
        boundary_samples([0.0, 1.0], [1.0, math.nan], [])
    at, elsewhere = boundary_samples([], [], [1.0])
    assert (len(at), len(elsewhere)) == (0, 0)


def test_a_row_of_boundaries_jsonl():
    row = boundary_row("closed loop", "a", TIMES, SURPRISE, [3.0, 5.0], [0.0, 2.0, 5.0], 1.0, prediction_error=0.25)
    assert row == {
        "source": "closed loop",
        "clip": "a",
        "n_events": 2,
        "auroc": 1.0,
        "ap": 1.0,
        "prediction_error": 0.25,
        "tolerance_s": 1.0,
        "f1": 1.0,
        "f1_relative": 0.5,  # .05 of 6 s is .3 s: too near for 3 against 2
        "delay_s": 0.5,
        "per_minute": 20.0,
    }
    silent = boundary_row("random", "a", TIMES, SURPRISE, None, [0.0])
    assert (silent["auroc"], silent["n_events"]) == (None, 0)
    assert "f1" not in silent


def test_a_row_of_a_source_that_is_never_surprised():
    row = boundary_row("every minute", "a", TIMES, None, [3.0, 5.0], [2.0, 5.0], 1.0)
    assert (row["auroc"], row["ap"], row["n_events"], row["f1"]) == (None, None, 2, 1.0)


def test_relative_counts_widen_with_the_stream():
    counts = relative_counts([33.0], [30.0], 30.0)
    assert [one.f1 for one in counts] == [0.0, *[1.0] * 9]
    assert counts[1] == boundary_counts([33.0], [30.0], 3.0)
