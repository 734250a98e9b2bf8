"""The longest streams against the shortest, by hand."""

import csv
import math

import pytest

from ssm_sense.report import build
from ssm_sense.report.lengths import lasting

TWO, FOUR = ["A. x", "B. y"], ["A. x", "B. y", "C. z", "D. w"]


def asked(make, minutes, rights, options=FOUR, run="ours", clips=None, **fields):
    """A question a stream, in a run that asks at several durations."""
    settings = {"minutes": 60, "ask_at": [10, 30]}
    clips = clips or [f"c{i}" for i in range(len(rights))]
    return [
        make.row(run, clip, t_s=60.0 * minutes, correct=right, options=options, settings=settings, **fields)
        for clip, right in zip(clips, rights, strict=True)
    ]


def test_chance_is_taken_off_where_it_differs(make):
    """Of ten, eight with two options and six with four: .6 and .467 of what chance leaves."""
    rows = [
        *asked(make, 10, [True] * 8 + [False] * 2, TWO),
        *asked(make, 30, [False] * 10),
        *asked(make, 60, [True] * 6 + [False] * 4),
    ]
    (one,) = lasting(rows, 0.05)
    assert (one.kind, one.policy, one.lengths) == ("Recall (VSR)", "ours", ("10 min", "60 min"))
    assert (one.scores, one.chance, one.n, one.streams) == ((0.8, 0.6), (0.5, 0.25), (10, 10), (10, 10))
    assert one.change.value == pytest.approx(-0.2)
    assert one.above is not None
    assert one.above.value == pytest.approx((0.6 - 0.25) / 0.75 - (0.8 - 0.5) / 0.5)
    assert one.change.low < -0.2 < one.change.high
    (alike,) = lasting(rows[10:], 0.05)
    assert alike.above is None


def test_streams_that_were_asked_at_both_lengths_are_paired(make):
    """Every other stream is right at both: nothing changes in any, however different they are from each other."""
    rights = [True, False] * 40
    rows = asked(make, 10, rights) + asked(make, 60, rights)
    (same,) = lasting(rows, 0.05)
    assert same.paired
    unseen = 1 - 0.025 ** (1 / 80)  # no more than that share of streams may change where none of 80 did
    assert same.change[:3] == pytest.approx((0.0, -unseen, unseen))
    assert same.change.equal.p == pytest.approx(0.95**80)
    others = [f"d{i}" for i in range(80)]
    (apart,) = lasting(asked(make, 10, rights) + asked(make, 60, rights, clips=others), 0.05)
    assert not apart.paired
    assert apart.change.low < -0.1
    assert apart.change.high > 0.1
    assert apart.change.equal.p > 0.2
    few = asked(make, 10, rights[:6])
    (some,), (none,) = (lasting(few + asked(make, 60, rights[:10], clips=clips), 0.05) for clips in (None, others[:10]))
    assert (some.paired, some.n, some.streams) == (True, (6, 10), (6, 10))
    assert none.change.low < some.change.low < 0 < some.change.high < none.change.high


def test_seeds_are_drawn_as_well(make):
    """One seed keeps everything and the other loses it all."""
    rows = []
    for seed in (0, 1):
        fields = {"run": f"ours-{seed}", "policy": "ours", "seed": seed}
        rows += asked(make, 10, [True] * 6, **fields) + asked(make, 60, [seed == 0] * 6, **fields)
    (one,) = lasting(rows, 0.05)
    assert one.change[:3] == (-0.5, -1.0, 0.0)


def test_few_streams_claim_nothing_and_one_length_is_no_line(make):
    (few,) = lasting(asked(make, 10, [True] * 4) + asked(make, 60, [True] * 9), 0.05)
    assert math.isnan(few.change.low)
    assert few.change.equal.p == 1.0
    assert lasting(asked(make, 10, [True] * 9), 0.05) == []
    bench = {"benchmark": "vsi-bench"}
    rows = [make.row(clip=f"c{s}", kind="route_planning", duration_s=s, settings=bench) for s in (60.0, 300.0)]
    assert lasting(rows, 0.05) == [], "VSI-Bench has no lengths"


def test_table_and_csv(make, tmp_path):
    rights = [True, False] * 5
    rows = [
        *asked(make, 10, rights, TWO),
        *asked(make, 60, rights),
        *asked(make, 10, rights, run="blind"),
        *asked(make, 60, rights, run="blind"),
    ]
    build(make.write(tmp_path / "rows", rows=rows), tmp_path / "page.html", margin=0.1)
    text = (tmp_path / "page.html").read_text()
    assert "<h2>By length</h2>" in text
    assert "p, ± 10" in text
    assert '<td class="score">+33.3</td>' in text, "at chance with two options, a third above it with four"
    assert "--margin 10" in text
    with open(tmp_path / "page" / "lengths.csv") as file:
        ours, blind = csv.DictReader(file)
    assert (ours["lengths_short"], ours["lengths_long"], ours["difference"]) == ("10 min", "60 min", "0.0")
    assert float(ours["above_chance_difference"]) == pytest.approx(1 / 3)
    assert (blind["policy"], blind["above_chance_difference"], blind["paired"]) == ("blind", "", "True")
