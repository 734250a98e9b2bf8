"""Bits recalled: a bound that is tight where it can be checked."""

import itertools
import math

import pytest

from ssm_sense.metrics.information import recalled_bits


def test_all_is_all_and_chance_is_nothing() -> None:
    assert recalled_bits(1, 16) == 4
    assert recalled_bits(1 / 16, 16) == recalled_bits(0.01, 16) == 0
    assert recalled_bits(1, 2) == 1


def test_it_is_what_a_symmetric_channel_carries() -> None:
    """A channel that is right with probability a, and else any other answer alike, meets Fano's bound exactly."""
    for answers, right in ((16, 0.7), (4, 0.5), (2, 0.9)):
        joint = [
            [(right if i == j else (1 - right) / (answers - 1)) / answers for j in range(answers)]
            for i in range(answers)
        ]
        information = sum(p * math.log2(p * answers * answers) for row in joint for p in row)
        assert recalled_bits(right, answers) == pytest.approx(information)


def test_it_rises_and_is_convex() -> None:
    shares = [1 / 16 + i * (15 / 16) / 50 for i in range(51)]
    bits = [recalled_bits(min(share, 1), 16) for share in shares]
    steps = [b - a for a, b in itertools.pairwise(bits)]
    assert all(step > 0 for step in steps)
    assert all(b > a for a, b in itertools.pairwise(steps))


def test_what_cannot_be_is_refused() -> None:
    for accuracy, answers in ((1.1, 16), (-0.1, 16), (0.5, 1)):
        with pytest.raises(ValueError, match="expected 2 answers or more and a share"):
            recalled_bits(accuracy, answers)
