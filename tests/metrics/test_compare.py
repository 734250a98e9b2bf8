"""Differences of two policies, against numbers worked by hand."""

import math

import numpy as np
import pytest

from ssm_sense.metrics.compare import EXACT_STREAMS, equivalence, holm, paired_difference
from ssm_sense.metrics.interval import stream_mean


def test_the_exact_test_counts_the_ways_to_swap() -> None:
    """Five streams, ours ahead in each by the same: of 32 ways to swap, two differ as much."""
    found = paired_difference([1.0] * 5, [0.5] * 5, range(5))
    assert (found.value, found.low < 0, found.high) == (0.5, True, pytest.approx(1 - 0.5 * 0.025 ** (1 / 5)))
    assert found.p == pytest.approx(2 / 32)
    assert (found.n, found.streams) == (5, 5)
    # Differences 3, 2 and -1 of three streams: ±3 ±2 ±1 is 4 or more, either way, in 4 of 8.
    assert paired_difference([3.0, 2.0, 0.0], [0.0, 0.0, 1.0], "abc").p == pytest.approx(4 / 8)
    assert paired_difference([0.2, 0.7], [0.2, 0.7], "ab").p == 1.0


def test_a_stream_is_swapped_as_a_whole() -> None:
    """Twenty questions of two streams are two observations, not twenty."""
    found = paired_difference([1.0] * 20, [0.0] * 20, ["a"] * 10 + ["b"] * 10)
    assert found.p == pytest.approx(2 / 4)
    assert math.isnan(found.low)
    assert (found.n, found.streams) == (20, 2)


def test_many_streams_are_sampled_and_agree_with_the_exact_test() -> None:
    rng = np.random.default_rng(3)
    few, many = (rng.normal(0.4, 1.0, n) for n in (EXACT_STREAMS, EXACT_STREAMS + 1))
    exact = paired_difference([*few, 0.0], [0.0] * (EXACT_STREAMS + 1), [*range(EXACT_STREAMS), 0])
    sampled = paired_difference([*few, 0.0], [0.0] * (EXACT_STREAMS + 1), range(EXACT_STREAMS + 1), resamples=40_000)
    assert sampled.p == pytest.approx(exact.p, abs=0.01)  # a stream without a difference changes nothing
    assert paired_difference(list(many), [0.0] * len(many), range(len(many))).p > 0


def test_the_interval_is_that_of_the_mean_of_differences() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(60), rng.random(60) / 2
    streams = np.repeat(np.arange(12), 5)
    found = paired_difference(list(ours), list(theirs), list(streams))
    shifted = stream_mean(list((ours - theirs + 1) / 2), list(streams))
    assert (found.low, found.high) == pytest.approx((2 * shifted.low - 1, 2 * shifted.high - 1))
    assert found.value == pytest.approx((ours - theirs).mean())
    assert paired_difference(list(theirs), list(ours), list(streams)).value == pytest.approx(-found.value)


def test_the_randomisation_test_keeps_its_level() -> None:
    rng = np.random.default_rng(1)
    ps = [paired_difference(list(rng.normal(size=8)), [0.0] * 8, range(8)).p for _ in range(400)]
    assert np.mean(np.array(ps) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_equal_policies_are_equivalent_and_distant_ones_are_not() -> None:
    rng = np.random.default_rng(2)
    ours = rng.random(40)
    near, far = ours + rng.normal(0, 0.02, 40), ours - 0.2
    same = equivalence(list(ours), list(near), range(40), margin=0.05)
    assert same.p < 0.001
    assert -0.05 < same.low < same.high < 0.05
    assert equivalence(list(ours), list(far), range(40), margin=0.05).p > 0.999
    assert equivalence(list(ours), list(near), range(40), margin=0.001).p > 0.05


@pytest.mark.parametrize("margin", [0.06, 0.09, 0.12, 0.15, 0.18, 0.21])
def test_it_is_passed_where_the_90_percent_interval_lies_within_the_margin(margin: float) -> None:
    rng = np.random.default_rng(4)
    ours, theirs = rng.random(9), rng.random(9) / 2 + 0.25
    found = equivalence(list(ours), list(theirs), range(9), margin)
    assert (found.p <= 0.05) == (-margin < found.low and found.high < margin)


def test_intervals_cover_the_truth_where_seeds_differ() -> None:
    """Of 300 sets of 8 streams and 3 seeds, whose seeds differ by .2: over streams alone, intervals are too narrow."""
    rng = np.random.default_rng(7)
    streams, seeds = np.repeat(range(8), 3).tolist(), [0, 1, 2] * 8
    covered = np.zeros(2)
    for _ in range(300):
        drawn = rng.normal(0, 0.3, (8, 1)) + rng.normal(0, 0.2, (1, 3)) + rng.normal(0, 0.3, (8, 3))
        ours = drawn.ravel().tolist()
        for way, known in enumerate((None, seeds)):
            found = paired_difference(ours, [0.0] * 24, streams, resamples=1000, seeds=known)
            covered[way] += found.low <= 0 <= found.high
    alone, both = covered / 300
    assert alone < 0.9
    assert 0.93 <= both <= 0.98


def test_seeds_that_disagree_are_not_as_good_and_change_no_p() -> None:
    """Three seeds, .1 ahead, level and .1 behind on every one of ten streams: level on the whole, by luck."""
    ours = [score + 0.01 * (-1) ** stream for stream in range(10) for score in (0.6, 0.5, 0.4)]
    streams, seeds, theirs = [i // 3 for i in range(30)], [0, 1, 2] * 10, [0.5] * 30
    assert equivalence(ours, theirs, streams, 0.05).p < 0.01
    found = equivalence(ours, theirs, streams, 0.05, seeds=seeds)
    assert (found.low, found.high) == pytest.approx((-0.1, 0.1), abs=0.01)
    assert found.p > 0.1
    whole, apart = (paired_difference(ours, theirs, streams, seeds=known) for known in (None, seeds))
    assert (apart.value, apart.p, apart.n, apart.streams) == (whole.value, whole.p, 30, 10)


@pytest.mark.parametrize("everywhere", [0.0, 0.02])
def test_streams_that_are_all_tied_leave_open_what_so_few_cannot_show(everywhere: float) -> None:
    """Two policies whose mean difference is just the margin, all of it in a few streams, which were not drawn."""
    margin, most = 0.05, 0
    for n in (5, 12, 40, 80):
        ours = [everywhere] * n
        found, plain = equivalence(ours, [0.0] * n, range(n), margin), paired_difference(ours, [0.0] * n, range(n))
        others = (margin - everywhere) / (1 - everywhere)
        assert found.p == pytest.approx((1 - others) ** n)
        assert (found.p <= 0.05) == (found.high <= margin)
        assert plain.low < found.low < everywhere < found.high < plain.high
        most += found.p <= 0.05
    assert most == (1 if everywhere == 0 else 0)
    assert equivalence([0.06] * 99, [0.0] * 99, range(99), margin).p == 1.0


def test_equivalence_keeps_its_level_where_few_streams_differ() -> None:
    """Of 300 sets of 12 streams, in which one policy wins a twentieth, which is the margin."""
    rng = np.random.default_rng(5)
    wins = (rng.random((300, 12)) < 0.05).astype(float)
    claimed = [equivalence(list(won), [0.0] * 12, range(12), 0.05, resamples=500).p <= 0.05 for won in wins]
    assert np.mean(claimed) <= 0.05


def test_few_streams_claim_nothing() -> None:
    found = equivalence([0.5] * 4, [0.5] * 4, range(4), margin=0.1)
    assert found.p == 1.0
    assert math.isnan(found.low)


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, of which the last may not be below .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_it_fails_at_the_door() -> None:
    with pytest.raises(ValueError, match="as many scores as streams, got 1, 2 and 1"):
        paired_difference([1.0], [1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="got 0, 0 and 0"):
        equivalence([], [], [], 0.1)
    with pytest.raises(ValueError, match="margin: expected more than 0"):
        equivalence([1.0], [1.0], ["a"], 0.0)
