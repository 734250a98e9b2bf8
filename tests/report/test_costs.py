"""What runs cost, from rows written by hand."""

import csv
import math

from ssm_sense.report import build
from ssm_sense.report.costs import costs


def spent(make, run="ours", **fields):
    return make.row(run, **({"peak_bytes": 3_000_000, "answer_ms": 10.0, "first_pass_ms": 4.0} | fields))


def test_peaks_are_the_most_and_times_the_mean(make):
    rows = [
        spent(make, clip="a", nbytes=10, ms_per_frame=4.0, vision="live", flops={"vision": 5, "memory": 7}),
        spent(make, clip="b", nbytes=30, ms_per_frame=6.0, vision="live", answer_ms=20.0, peak_bytes=5_000_000),
        spent(make, clip="c", nbytes=20, ms_per_frame=1.0, vision="cached", answer_ms=None, first_pass_ms=None),
    ]
    (cost,) = costs(rows)
    assert (cost.held, cost.peak, cost.frame_ms, cost.watch_ms) == (30, 5_000_000, 5.0, 1.0)
    assert (cost.answer_ms, cost.first_pass_ms) == (15.0, 4.0)
    assert (cost.vision_flops, cost.memory_flops) == (5, 7)
    assert math.isnan(cost.peak_cuda)


def test_an_answer_from_what_was_read_for_another_is_no_answers_time(make):
    kept = spent(make, clip="b", first_asked=False, answer_ms=1.0, first_pass_ms=1.0)
    (cost,) = costs([spent(make, clip="a", first_asked=True), kept])
    assert (cost.answer_ms, cost.first_pass_ms) == (10.0, 4.0)


def test_rows_from_before_are_no_line(make):
    assert costs([make.row()]) == []


def test_the_page_has_what_some_run_says(make, tmp_path):
    rows = [spent(make, "ours", flops={"vision": 2_500_000_000, "memory": 120_000_000}), spent(make, "rival")]
    build(make.write(tmp_path, rows=rows), tmp_path / "page.html")
    with open(tmp_path / "page" / "costs.csv") as file:
        lines = list(csv.DictReader(file))
    assert [(line["run"], line["peak"], line["vision_flops"]) for line in lines] == [
        ("ours", "3000000.0", "2500000000.0"),
        ("rival", "3000000.0", ""),
    ]
    text = (tmp_path / "page.html").read_text()
    assert "<h2>Cost</h2>" in text
    assert "<td>2.5</td><td>0.12</td>" in text
    assert "GPU" not in text.split("<h2>Cost</h2>")[1].split("</thead>")[0]
