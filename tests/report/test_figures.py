"""The figures of cost, and of scores against duration and bytes: who is drawn, where, and what the CSV files say."""

import csv

import numpy as np
import pytest

from ssm_sense.report import build, figures
from ssm_sense.report.controls import controls
from ssm_sense.report.cost_figure import cost, courses
from ssm_sense.report.durations import against_bytes, duration_csv, durations, topics
from ssm_sense.report.palette import Palette
from ssm_sense.report.rows import Track

BUDGETS = (200_000, 800_000)


def track(policy: str, held: float) -> Track:
    nothing, t_s = np.full(20, np.nan), np.arange(20.0)
    return Track(policy, "clip", t_s, nothing, nothing, np.full(20, held), np.full(20, 2.0), [], None)


@pytest.fixture
def rows(make):
    """Six streams asked at three durations, on two data sets; ours has no budget, the rival two."""
    found = []
    for dataset in ("walk", "paste"):
        for policy, budget in (("ours", None), ("blind", None), *(("rival", budget) for budget in BUDGETS)):
            settings = {"dataset": dataset, "minutes": 60, "ask_at": [10, 30]}
            settings |= {} if budget is None else {"policy": {"budget_bytes": budget}}
            found += [
                make.row(
                    f"{policy}-{budget}-{dataset}",
                    f"c{i}",
                    policy=policy,
                    blind=policy == "blind",
                    t_s=60.0 * minutes,
                    duration_s=3600.0,
                    correct=i < (4 if policy == "ours" else 2) + (minutes == 10),
                    nbytes=0 if policy == "blind" else budget or 200_000,
                    answer_ms=3.0,
                    settings=settings,
                )
                for i in range(6)
                for minutes in (10, 30, 60)
            ]
    return found


@pytest.mark.parametrize("width_in", [figures.WIDE_IN, figures.NARROW_IN])
def test_the_legend_of_cost_names_every_line_once(width_in: float) -> None:
    tracks = [track("blind", 0.0), track("sliding_window", 4e5), track("ours", 2e5)]
    figure = cost(courses(tracks, [], str), Palette(t.run for t in tracks), width_in)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "sliding_window", "blind"]
    held, taken = figure.axes
    assert len(held.lines) == 2
    assert len(taken.lines) == 3


def test_cost_is_that_of_the_leanest_budget_and_has_answers(make) -> None:
    def asked(run: str, budget: int | None, ms: float) -> list[dict]:
        settings = {} if budget is None else {"policy": {"budget_bytes": budget}}
        return [make.row(run, policy="p", t_s=t, answer_ms=ms * t, settings=settings) for t in (5.0, 15.0)]

    rows = asked("lean", 100, 1.0) + asked("rich", 900, 7.0)
    found = courses([track("rich", 900.0), track("lean", 100.0)], rows, lambda run: "p")
    assert {course.quantity: sorted(set(course.values.tolist())) for course in found} == {
        "nbytes": [100.0],
        "ms": [2.0],
        "answer_ms": [5.0, 15.0],
    }


def test_a_panel_a_budget_with_ours_in_all_of_them(rows) -> None:
    walk, paste = topics(rows)[::-1]
    assert (walk.name, paste.name) == ("Recall (VSR) · walk", "Recall (VSR) · paste")
    assert walk.floors == {10.0: 0.25, 30.0: 0.25, 60.0: 0.25}
    score = {(p.policy, p.budget, p.minutes): p.estimate for p in walk.lengths}
    assert score["ours", None, 10.0].value == 5 / 6
    assert score["rival", 800_000, 60.0].value == 2 / 6
    assert score["ours", None, 10.0].low < 5 / 6 < score["ours", None, 10.0].high
    overall = {(p.policy, p.budget): (p.estimate.n, p.estimate.streams, p.nbytes) for p in walk.overall}
    assert overall["rival", 200_000] == (18, 6, 200_000)
    palette = Palette(["ours", "rival", "blind"])
    figure = durations(walk, palette, figures.WIDE_IN)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["own settings", "200 kB", "800 kB"]
    # With the floor: ours and blind; ours and the rival at either budget.
    assert [len(panel.lines) for panel in figure.axes] == [3, 3, 3]
    (panel,) = against_bytes(walk, palette, figures.NARROW_IN).axes
    drawn = [list(line.get_xdata()) for line in panel.lines]
    assert drawn[:2] == [[200_000], list(BUDGETS)]  # blind holds nothing, and what remains is the floor


def test_data_sets_side_by_side_are_the_controls(rows) -> None:
    (control,) = controls(topics(rows))
    assert control.conditions == ["Recall (VSR) · paste", "Recall (VSR) · walk"]
    assert control.scores["rival", 200_000]["Recall (VSR) · walk"].n == 18
    assert controls(topics([row for row in rows if row["settings"]["dataset"] == "walk"])) == []


def test_all_of_it_is_on_the_page_and_in_files(rows, make, tmp_path) -> None:
    short = {"ours", "blind"}
    rows = [r for r in rows if r["settings"]["dataset"] == "walk" or (r["policy"] in short and r["t_s"] == 3600.0)]
    out = tmp_path / "page.html"
    written = {path.name for path in build(make.write(tmp_path / "rows", rows=rows), out)}
    # Of the data set with one length and equal bytes there is nothing to draw.
    drawn = {f"{name}-1.{ending}" for name in ("duration", "bytes") for ending in ("png", "svg")}
    assert written == {"page.html", "scores.csv", "durations.csv", "controls.csv", "lengths.csv", *drawn}
    text = out.read_text()
    assert "accuracy against the length of the stream, a panel a budget" in text
    assert "<h2>Controls</h2>" in text
    with open(tmp_path / "page" / "durations.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * (3 + 1) + 2 * (1 + 1)
    assert {line["budget_bytes"] for line in lines} == {"", "200000", "800000"}
    with open(tmp_path / "page" / "lengths.csv") as file:
        assert [line["policy"] for line in csv.DictReader(file)] == ["ours", "blind", "rival", "rival"]
    with open(tmp_path / "page" / "controls.csv") as file:
        assert len(list(csv.DictReader(file))) == 4 + 2


def test_every_column_of_panels_has_numbers_below_its_last(make):
    names = ["ours", "a", "b", "c", "d"]
    rows = [make.row(name, kind="vsc", mra=0.5) for name in names]
    figure = figures.counts(rows, Palette(names), figures.WIDE_IN)
    figure.draw_without_rendering()
    labelled = [panel.xaxis.get_tick_params()["labelbottom"] for panel in figure.axes]
    assert labelled == [False, True, True, True, True], "the first has the fifth below it"


def test_points_of_one_length_stand_beside_its_own_floor(make):
    """Two options at one minute, four at two."""
    few = {"options": ["A. x", "B. y"], "settings": {"minutes": 1}}
    rows = [make.row(clip="a", **few), make.row(clip="b", settings={"minutes": 2})]
    floors = {line["minutes"]: line["floor"] for line in duration_csv(topics(rows)) if line["minutes"] > 0}
    assert floors == {1.0: 0.5, 2.0: 0.25}
    assert [line["floor"] for line in duration_csv(topics(rows)) if not line["minutes"] > 0] == [0.375]


def test_scores_of_several_seeds_are_as_wide_as_the_seeds_differ(make):
    """Of ten streams, one seed has all right and the other none."""
    rows = [make.row(f"ours-{s}", f"c{i}", policy="ours", seed=s, correct=s == 0) for s in (0, 1) for i in range(10)]
    (topic,) = topics(rows)
    assert topic.lengths[0].estimate[:3] == (0.5, 0.0, 1.0)


def test_counts_are_of_the_leanest_budget_a_panel_a_policy_and_data_set(make):
    def counts(policy, dataset, budget, said, mra, **fields):
        settings = {"dataset": dataset, **({} if budget is None else {"policy": {"budget_bytes": budget}})}
        run = f"{policy}-{dataset}-{budget}-{fields}"
        return make.row(run, policy=policy, kind="vsc", prediction=said, mra=mra, settings=settings, **fields)

    # As an official scorer has them, which may earn otherwise than the number that the text says.
    rows = [
        counts("ours", "walk", None, "10", 0.7, nbytes=5, seed=0),
        counts("ours", "walk", None, "20", 0.1, nbytes=5, seed=1),
        counts("ours", "paste", None, "11", 0.3, nbytes=5),
        counts("rival", "walk", 900, "12", 0.9, nbytes=900),
        counts("rival", "walk", 100, "13", 0.0, nbytes=100, t_s=30.0),
    ]
    assert figures.counted(rows) == [
        ("ours", "walk", 60.0, None, 0, 10.0, 10.0, 0.7),
        ("ours", "walk", 60.0, None, 1, 10.0, 20.0, 0.1),
        ("ours", "paste", 60.0, None, 0, 10.0, 11.0, 0.3),
        ("rival", "walk", 30.0, 100, 0, 10.0, 13.0, 0.0),
    ]
    figure = figures.counts(rows, Palette(["ours", "rival"]), figures.WIDE_IN)
    titles = [panel.get_title(loc="left").replace("\n", " ") for panel in figure.axes]
    assert titles == ["ours paste MRA 30.0", "ours walk MRA 40.0", "rival walk MRA 0.0"]


def test_every_policy_has_its_panel_and_what_has_none_is_said(make, tmp_path, monkeypatch):
    names = [f"p{i:02d}" for i in range(12)]
    rows = [make.row(name, kind="vsc", prediction="9", mra=0.8) for name in names]
    assert len(figures.counts(rows, Palette(names), figures.WIDE_IN).axes) == 12
    monkeypatch.setattr(figures, "PANELS", 1)
    build(make.write(tmp_path / "rows", rows=rows[:3]), tmp_path / "page.html")
    assert "2 more panels had no room" in (tmp_path / "page.html").read_text()
    with open(tmp_path / "page" / "counts.csv") as file:
        assert [line["policy"] for line in csv.DictReader(file)] == names[:3]
