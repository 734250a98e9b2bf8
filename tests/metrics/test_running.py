"""The torchmetrics classes give what the pure functions give, whatever the batches."""

import math

import pytest
import torch

from ssm_sense.metrics.boundary import auroc, boundary_samples
from ssm_sense.metrics.running import (
    AnswerAccuracy,
    AnswerScore,
    BoundariesPerMinute,
    BoundaryAUROC,
    BoundaryF1,
    DetectionDelay,
    RelativeBoundaryF1,
)


def test_answer_score_and_accuracy():
    score, accuracy = AnswerScore(), AnswerAccuracy()
    assert math.isnan(score.compute())
    for metric in (score, accuracy):
        metric.update(["5", None], ["10", "10"])
        metric.update(["B", "ten"], ["B", "10"], [("A. x", "B. y"), ()])
    assert score.compute() == pytest.approx((0.1 + 0.0 + 1.0 + 1.0) / 4)
    assert accuracy.compute() == pytest.approx(0.5)
    score.reset()
    score.update(["B"], ["B"], [("A. x", "B. y")])
    assert score.compute() == 1.0


def test_an_answer_too_few_is_refused():
    with pytest.raises(ValueError, match="argument 2"):
        AnswerScore().update(["1"], ["1", "2"])


def test_boundary_auroc_pools_streams():
    metric = BoundaryAUROC()
    assert math.isnan(metric.compute())
    metric.update([0.0, 1.0, 2.0, 3.0], torch.tensor([1.0, 0.2, 0.9, 0.1]), [2.0])
    metric.update([0.0, 1.0, 2.0], torch.tensor([1.0, 0.15, 0.05]), [1.0])
    # Boundaries .9 and .15 against .2, .1 and .05: .15 loses to .2 alone.
    assert metric.compute() == pytest.approx(5 / 6)
    metric.reset()
    metric.update([0.0, 1.0, 2.0], torch.tensor([1.0, 0.2, 0.2]), [2.0])
    assert metric.compute() == 0.5


def test_boundary_auroc_uses_its_tolerance():
    times, surprise = [float(t) for t in range(9)], torch.tensor([1.0, 0.1, 0.2, 0.3, 0.9, 0.4, 0.5, 0.6, 0.7])
    metric = BoundaryAUROC(tolerance_s=1.0)
    metric.update(times, surprise, [3.0])
    assert metric.compute() == auroc(*boundary_samples(times, surprise.tolist(), [3.0], 1.0)) == 1.0


def test_boundary_f1_adds_streams_before_the_ratio():
    metric = BoundaryF1(tolerance_s=0.5)
    assert math.isnan(metric.compute())
    metric.update([1.0], [1.0])
    metric.update([5.0, 6.0], [1.0, 9.0])
    assert metric.compute() == pytest.approx(1 / 3)


def test_relative_f1_is_the_mean_over_distances():
    metric = RelativeBoundaryF1()
    assert math.isnan(metric.compute())
    metric.update([33.0], [30.0], 30.0)  # 3 s are .1 of 30 s: too far at .05 alone
    assert metric.compute() == pytest.approx(0.9)
    metric.update([10.0, 70.0], [10.0], 100.0)  # a hit and a false alarm at every distance
    # At .05 one hit, two false alarms, one miss; at each other two hits and one false alarm.
    assert metric.compute() == pytest.approx((2 / 5 + 9 * 4 / 5) / 10)


def test_boundaries_per_minute_weigh_streams_by_their_length():
    metric = BoundariesPerMinute()
    assert math.isnan(metric.compute())
    metric.update([1.0, 2.0, 3.0], 30.0)
    metric.update([], 60.0)
    assert metric.compute() == 2.0
    with pytest.raises(ValueError, match="duration above 0"):
        metric.update([1.0], 0.0)


def test_detection_delay_is_the_median_of_all_detections():
    metric = DetectionDelay(window_s=5.0)
    assert math.isnan(metric.compute())
    metric.update([29.0], [30.0])  # too early to be a detection
    assert math.isnan(metric.compute())
    metric.update([10.5, 22.0], [10.0, 20.0])
    metric.update([4.0], [0.0])
    assert metric.compute() == 2.0
    metric.update([1.0], [0.0])
    assert metric.compute() == 1.5


STREAMS = [([3.0, 9.0], [2.0, 8.0], 20.0), ([5.0], [1.0, 4.5], 8.0), ([], [6.0], 30.0), ([7.0, 7.5], [7.0], 12.0)]


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (RelativeBoundaryF1, lambda found, true, length: (found, true, length)),
        (BoundariesPerMinute, lambda found, _, length: (found, length)),
        (lambda: DetectionDelay(2.0), lambda found, true, _: (found, true)),
        (lambda: BoundaryF1(1.0), lambda found, true, _: (found, true)),
    ],
    ids=["relative", "rate", "delay", "f1"],
)
def test_two_processes_together_give_what_one_gives(make, given):
    whole, one, other = make(), make(), make()
    for i, stream in enumerate(STREAMS):
        whole.update(*given(*stream))
        (one if i < 2 else other).update(*given(*stream))
    one.merge_state(other)
    assert one.compute() == whole.compute()
    assert math.isfinite(whole.compute())
    one.reset()
    assert math.isnan(one.compute())
