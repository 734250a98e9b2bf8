"""The cost figure names everyone it draws, also those that hold no bytes."""

import numpy as np
import pytest

from ssm_sense.report import figures
from ssm_sense.report.palette import Palette
from ssm_sense.report.rows import Track


def track(policy: str, held: float) -> Track:
    nothing, t_s = np.full(20, np.nan), np.arange(20.0)
    return Track(policy, "clip", t_s, nothing, nothing, np.full(20, held), np.full(20, 2.0), [], None)


@pytest.mark.parametrize("width_in", [figures.WIDE_IN, figures.NARROW_IN])
def test_the_legend_names_every_line_once(width_in: float) -> None:
    tracks = [track("blind", 0.0), track("sliding_window", 4e5), track("ours", 2e5)]
    figure = figures.cost(tracks, str, Palette(t.run for t in tracks), width_in)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "sliding_window", "blind"]
    held, taken = figure.axes
    assert len(held.lines) == 2
    assert len(taken.lines) == 3
