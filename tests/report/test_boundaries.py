"""Found boundaries beside as many that nobody looked for, and policies that find them without surprise."""

import csv
import math

import numpy as np
import pytest

from ssm_sense.metrics.boundary import boundary_counts
from ssm_sense.report import build
from ssm_sense.report.boundaries import boundary_lines, boundary_sources
from ssm_sense.report.rows import read


def test_found_boundaries_stand_beside_as_many_set_without_looking(make, tmp_path):
    """A minute with events at 20 and 40 s and two found, as many as are equally spaced at frames 20 and 40."""
    (line,) = boundary_lines(read(make.write(tmp_path, rows=[make.row()], frames=make.walk())))
    assert line["f1"] == 0.5
    assert line["f1_uniform"] == 1.0
    assert line["f1_relative_uniform"] == 1.0
    pairs = [(a, b) for a in range(1, 60) for b in range(1, a)]
    expected = np.mean([boundary_counts([float(b), float(a)], [20.0, 40.0], 2.0).f1 for a, b in pairs])
    assert line["f1_random"] == pytest.approx(expected, abs=0.06)  # of 100 draws that spread by .25
    assert line["f1_relative_random"] == pytest.approx(line["f1_random"], abs=0.1)  # .05 of 59 s


def test_the_same_rows_draw_the_same_boundaries(make, tmp_path):
    evidence = read(make.write(tmp_path, rows=[make.row()], frames=make.walk()))
    assert boundary_lines(evidence) == boundary_lines(evidence)


def test_as_many_as_there_are_frames_are_all_of_them(make, tmp_path):
    frames = [make.frame(t_s=float(t), boundary=True, event="hall" if t == 3 else None) for t in range(6)]
    (line,) = boundary_lines(read(make.write(tmp_path, rows=[make.row()], frames=frames)))
    assert line["per_minute"] == 60.0  # the first frame begins no event
    assert [line[name] for name in ("f1", "f1_uniform", "f1_random")] == pytest.approx([2 / 6] * 3)


def silent(make, run, **found):
    """A walk in which nothing is surprising."""
    return [frame | {"surprise": None} | found for frame in make.walk(run)]


def test_a_policy_without_surprise_has_f1_alone(make, tmp_path):
    """As `uniform-sum`, whose segments begin every so many seconds; one that finds none has no line."""
    rows = [make.row(), make.row("sums", policy="uniform_sum"), make.row("last", policy="last_frames")]
    frames = make.walk() + silent(make, "sums") + silent(make, "last", boundary=False)
    folder = make.write(tmp_path / "run", rows=rows, frames=frames)
    sources = boundary_sources(boundary_lines(read(folder)))
    assert [source.source for source in sources] == ["ours (as watched)", "uniform_sum (as watched)"]
    sums = sources[1]
    assert math.isnan(sums.auroc.value)
    assert math.isnan(sums.ap)
    assert (sums.f1, sums.f1_uniform, sums.n_events, sums.streams) == (0.5, 1.0, 2, 1)
    build(folder, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '<td>uniform_sum (as watched)</td><td class="score">–</td>' in page
    assert "nan" not in page.casefold().partition("surprise at true event boundaries")[2].partition("</table>")[0]
    with open(tmp_path / "page" / "boundaries.csv", newline="") as file:
        line = list(csv.DictReader(file))[1]
    assert (line["source"], line["auroc"], line["f1"], line["f1_uniform"]) == (sums.source, "", "0.5", "1.0")


def test_seeds_that_watched_the_same_streams_are_no_more_streams(make, tmp_path):
    rng = np.random.default_rng(0)
    clips, rows, frames = [f"c{i}" for i in range(5)], [], []
    drawn = {clip: rng.random(60) for clip in clips}
    for run in ("a", "b", "c"):
        rows += [make.row(run, clip=clip, policy="ours", seed=ord(run)) for clip in clips]
        for clip in clips:
            seen = zip(make.walk(run, clip), drawn[clip], strict=True)
            frames += [frame | {"surprise": float(surprise)} for frame, surprise in seen]
    (three,) = boundary_sources(boundary_lines(read(make.write(tmp_path / "3", rows=rows, frames=frames))))
    alone = [frame for frame in frames if frame["run"] == "a"]
    (one,) = boundary_sources(boundary_lines(read(make.write(tmp_path / "1", rows=rows[:5], frames=alone))))
    assert (three.streams, three.n_events) == (one.streams, one.n_events) == (5, 10)
    assert three.auroc.value == pytest.approx(one.auroc.value)
    assert three.auroc.high - three.auroc.low >= 0.99 * (one.auroc.high - one.auroc.low)


def test_budgets_of_one_policy_are_sources_of_their_own(make, tmp_path):
    rows, frames = [], []
    for run, budget in (("small", 1000), ("large", 4000)):
        rows.append(make.row(run, policy="ours", settings={"policy": {"budget_bytes": budget}}))
        frames += make.walk(run)
    sources = boundary_sources(boundary_lines(read(make.write(tmp_path, rows=rows, frames=frames))))
    assert {source.source for source in sources} == {"ours (1 kB, as watched)", "ours (4 kB, as watched)"}
