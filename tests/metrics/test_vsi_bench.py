"""VSI-Bench's score, ours and as its own scorer has it."""

import math
from itertools import product

import numpy as np
import pytest

from ssm_sense.metrics.compare import equivalence, paired_difference
from ssm_sense.metrics.interval import stream_mean
from ssm_sense.metrics.score import official_vsi_bench, robust
from ssm_sense.metrics.vsi_bench import bench_difference, bench_estimate, bench_scores


def test_tasks_weigh_the_same_and_so_do_levels_of_direction() -> None:
    credits = [("object_counting", 0.5), ("object_counting", 1.0), ("route_planning", 0.0)]
    credits += [("object_rel_direction_easy", 1.0)] * 10 + [("object_rel_direction_hard", 0.0)]
    assert bench_scores(credits) == {
        "object_counting": 0.75,
        "object_rel_direction": 0.5,
        "route_planning": 0.0,
        "overall": pytest.approx(1.25 / 3),
    }
    assert bench_scores([]) == {}


@pytest.mark.parametrize(
    ("prediction", "truth", "options", "official", "ours"),
    [
        ("B. lamp", "B", ["A. bed", "B. lamp"], 1, 1),
        ("The answer is B", "B", ["A. bed", "B. lamp"], 0, 1),
        ("4", "4", [], 1, 1),
        ("4 chairs", "4", [], 1, 1),
        ("about 4", "4", [], 0, 1),
        ("four", "4", [], 0, 1),
        ("3.", "4", [], 0.6, 0.6),
    ],
)
def test_prose_earns_nothing_officially(
    prediction: str, truth: str, options: list[str], official: float, ours: float
) -> None:
    assert official_vsi_bench(prediction, truth, options).value == pytest.approx(official)
    assert robust(prediction, truth, options).value == pytest.approx(ours)


def test_the_official_scorer_crashes_where_it_does() -> None:
    with pytest.raises(ZeroDivisionError):
        official_vsi_bench("0", "0")
    with pytest.raises(ValueError, match="missing answer"):
        official_vsi_bench(None, "4")
    assert robust("0", "0").value == 1
    assert robust(None, "4").value == 0


def test_the_interval_of_the_average_is_a_bootstrap_over_streams() -> None:
    """One question a stream and type: the average of a sample is the plain mean, as `stream_mean` has it."""
    streams = [f"s{i}" for i in range(10) for _ in range(2)]
    kinds = ["route_planning", "object_rel_distance"] * 10
    credits = [float(i < 4) for i in range(10) for _ in range(2)]
    found = bench_estimate(kinds, credits, streams)
    assert found == pytest.approx(stream_mean(credits, streams))
    assert math.isnan(bench_estimate(kinds[:4], credits[:4], streams[:4]).low)
    with pytest.raises(ValueError, match="types, got none"):
        bench_estimate(["vsr"], [1.0], ["a"])


@pytest.mark.parametrize("credit", [0.0, 1.0])
def test_all_right_and_all_wrong_still_have_an_interval(credit: float) -> None:
    found = bench_estimate(["route_planning"] * 6, [credit] * 6, range(6))
    reach = 1 - 0.025 ** (1 / 6)
    assert (found.low, found.high) == pytest.approx((0.0, reach) if credit == 0 else (1 - reach, 1.0))


def test_a_sample_without_a_type_leaves_it_out() -> None:
    kinds = ["object_rel_direction_easy"] * 5 + ["object_rel_direction_hard"]
    found = bench_estimate(kinds, [1.0] * 5 + [0.0], [*"abcde", "a"])
    assert found.value == pytest.approx(0.5)
    assert found.high == pytest.approx(1.0)  # samples without stream a have the easy level alone


def test_the_difference_of_averages_weighs_tasks_as_the_average_does() -> None:
    """Ours is ahead by 1 on the one question of a task, behind by .5 on nine of another: (1 - .5) / 2."""
    kinds = ["route_planning"] + ["object_rel_distance"] * 9
    ours, theirs = [1.0] + [0.0] * 9, [0.0] + [0.5] * 9
    difference, _ = bench_difference(kinds, ours, theirs, list(range(10)), 0.1)
    assert difference.value == pytest.approx(0.25)
    # Streams weigh .5 and nine times -.5 / 18: the ways to swap that reach .25 need the first, or all nine against it.
    totals = [abs(0.5 * a + sum(b) * -0.25 / 9) for a in (1, -1) for b in product((1, -1), repeat=9)]
    assert difference.p == pytest.approx(sum(t >= 0.25 - 1e-9 for t in totals) / len(totals))
    assert bench_scores(zip(kinds, ours, strict=True))["overall"] - bench_scores(zip(kinds, theirs, strict=True))[
        "overall"
    ] == pytest.approx(difference.value)


def test_the_difference_of_averages_is_the_plain_one_where_types_are_balanced() -> None:
    rng = np.random.default_rng(0)
    kinds = ["object_rel_direction_easy", "object_rel_direction_hard"] * 12
    streams = [i for i in range(12) for _ in range(2)]
    ours, theirs = list(rng.random(24)), list(rng.random(24))
    difference, equal = bench_difference(kinds, ours, theirs, streams, 0.2)
    assert difference == pytest.approx(paired_difference(ours, theirs, streams))
    assert equal == pytest.approx(equivalence(ours, theirs, streams, 0.2))
    seeds = [0] * 24 + [1] * 24
    difference, equal = bench_difference(kinds * 2, ours * 2, theirs + ours, streams * 2, 0.2, seeds)
    assert difference == pytest.approx(paired_difference(ours * 2, theirs + ours, streams * 2, seeds=seeds))
    assert equal == pytest.approx(equivalence(ours * 2, theirs + ours, streams * 2, 0.2, seeds=seeds))
    few, none = bench_difference(kinds[:4], ours[:4], theirs[:4], streams[:4], 0.2)
    assert math.isnan(few.low)
    assert none.p == 1.0
