"""The torchmetrics classes give what the pure functions give, whatever the batches."""

import math

import pytest
import torch

from ssm_sense.metrics.boundary import auroc, boundary_samples
from ssm_sense.metrics.running import AnswerAccuracy, AnswerScore, BoundaryAUROC, BoundaryF1


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
