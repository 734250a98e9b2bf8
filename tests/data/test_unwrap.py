"""Timestamps of few bits are counted on where they begin anew."""

from fractions import Fraction

import pytest

from ssm_sense.data.unwrap import ROUNDS, Unwrapped

TICK_S = Fraction(1, 90_000)


@pytest.mark.parametrize("kind", ["mpegts", "hls", "flv"])
def test_rounds_are_counted(kind: str) -> None:
    unwrapped, step, full = Unwrapped(kind, TICK_S), 600 * 90_000, ROUNDS[kind]
    times = [7 + n * step for n in range(3 * full // step)]
    assert [unwrapped(time % full) for time in times] == times


def test_what_comes_out_of_order_at_the_end_of_a_round_is_of_that_round() -> None:
    unwrapped, full = Unwrapped("mpegts", TICK_S), ROUNDS["mpegts"]
    times = [full - 9000, full + 3000, full - 3000, full, full + 9000, full + 6000]
    assert [unwrapped(time % full) for time in times] == times


def test_other_leaps_and_other_formats_are_left_as_they_are() -> None:
    full, leaps = ROUNDS["mpegts"], [10**9, 5, 7 * 10**9, 6 * 10**9, 3]
    assert [Unwrapped("mpegts", TICK_S)(time) for time in leaps] == leaps
    unwrapped = Unwrapped("mpegts", TICK_S)
    assert [unwrapped(time) for time in leaps] == leaps
    unwrapped = Unwrapped("matroska,webm", TICK_S)
    assert [unwrapped(time) for time in (full - 1, 5)] == [full - 1, 5]
