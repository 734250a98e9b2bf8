"""Credit for answers, worked by hand, and the faults of the official scorers."""

import pytest

from ssm_sense.metrics.score import (
    SCORERS,
    Score,
    best_constant,
    mean_relative_accuracy,
    official,
    official_streaming,
    official_streaming_mra,
    robust,
    streaming_mra,
)


@pytest.mark.parametrize(
    ("prediction", "truth", "mra"),
    [
        (10, 10, 1.0),
        (5, 10, 0.1),  # relative error .5: only θ = .50
        (15, 10, 0.1),
        (4.99, 10, 0.0),
        (19, 20, 1.0),  # .05, the very edge of θ = .95, where 1 − .95 in floats is not .05
        (21, 20, 1.0),
        (18, 20, 0.9),
        (7, 10, 0.5),  # .3: θ = .50 to .70
        (13, 20, 0.4),  # .35: θ = .50 to .65
        (0, 10, 0.0),
        (-10, 10, 0.0),
        (1.05, 1, 1.0),
        (2.1, 3, 0.5),
        (None, 10, 0.0),
        (0, 0, 1.0),
        (1, 0, 0.0),
        (None, 0, 0.0),
    ],
)
def test_mean_relative_accuracy(prediction, truth, mra):
    assert mean_relative_accuracy(prediction, truth) == mra


@pytest.mark.parametrize("steps", range(1, 11))
@pytest.mark.parametrize("truth", [20, 40, 100, 740])
def test_every_threshold_includes_its_own_edge(steps, truth):
    error = steps * truth // 20
    assert mean_relative_accuracy(truth + error, truth) == (11 - steps) / 10
    assert mean_relative_accuracy(truth - error, truth) == (11 - steps) / 10
    assert mean_relative_accuracy(truth + error + 1, truth) < (11 - steps) / 10


@pytest.mark.parametrize("truth", [-1, float("nan"), float("inf")])
def test_a_truth_that_is_no_count_is_refused(truth):
    with pytest.raises(ValueError, match="truth of 0 or more"):
        mean_relative_accuracy(3, truth)


def test_best_constant():
    assert best_constant([10, 10, 10]) == (10, 1.0)

    constant, mra = best_constant([10, 20])
    assert mra == max((mean_relative_accuracy(c, 10) + mean_relative_accuracy(c, 20)) / 2 for c in range(0, 40))
    assert (mean_relative_accuracy(constant, 10) + mean_relative_accuracy(constant, 20)) / 2 == mra
    assert best_constant([0, 0, 5]) == (0, pytest.approx(2 / 3))
    with pytest.raises(ValueError, match="at least one"):
        best_constant([])


def test_robust_scores_letters_numbers_and_words():
    options = ("A. Bed, Chair", "B. Chair, Bed")
    assert robust("b.", "B", options) == Score(True)
    assert robust("chair, bed", "B", options) == Score(True)
    assert robust("A", "B", options) == Score(False)
    assert robust(None, "B", options) == Score(False)
    assert robust("There are five chairs", "10") == Score(False, 0.1)
    assert robust("ten", "10") == Score(True, 1.0)
    assert robust("some", "10") == Score(False, 0.0)
    assert robust(None, "0") == Score(False, 0.0)
    assert robust("none", "0") == Score(True, 1.0)
    assert robust("The kitchen", "kitchen") == Score(True)
    assert robust(None, "kitchen") == Score(False)


def test_the_headline_value_is_mra_for_counts():
    assert robust("5", "10").value == 0.1
    assert robust("B", "B", ("A. x", "B. y")).value == 1.0


def test_official_recall_takes_the_first_word():
    options = ("A. Bed, Chair", "B. Chair, Bed")
    assert official("b. it is", "B", options).correct
    assert not official("(B)", "B", options).correct  # which ours accepts
    assert not official("chair, bed", "B", options).correct


def test_official_counts_crash_on_prose_and_on_a_truth_of_zero():
    assert official("5", "10") == Score(False, 0.1)
    with pytest.raises(ValueError, match="could not convert"):
        official("5 chairs", "10")
    with pytest.raises(ZeroDivisionError):
        official("5", "0")
    with pytest.raises(ValueError, match="missing answer"):
        official(None, "10")


def test_official_streaming_gives_any_number_full_credit_where_the_truth_is_zero():
    assert official_streaming("73", "0").mra == 1.0
    assert official_streaming("5", "10") == Score(False, 0.1)
    assert robust("73", "0").mra == 0.0


def test_missing_replies_are_wrong_in_ours_and_dropped_in_the_official_scorer():
    truths = [0, 10, 10, 20]
    assert streaming_mra(["0", "ten", "5"], truths) == [1.0, 1.0, 0.1, 0.0]
    assert official_streaming_mra([7, 10, 5], truths) == [1.0, 1.0, 0.1]
    with pytest.raises(ValueError, match="at most 1"):
        streaming_mra(["1", "2"], [1])


def test_scorers_by_name():
    assert SCORERS["robust-2"] is robust
    assert SCORERS["official"] is official
    assert SCORERS["official-streaming"] is official_streaming
