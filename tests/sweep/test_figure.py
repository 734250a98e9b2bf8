"""What is drawn stands where the means say."""

import math

import pytest
from matplotlib.figure import Figure

from ssm_sense.report import svg
from ssm_sense.sweep.figure import draw, drawings
from ssm_sense.sweep.report_plan import FigurePlan
from ssm_sense.sweep.table import Group, Mean


def groups(xs, names=("ours", "bank"), panels=("a",), metric="val/score"):
    return [
        Group({"x": x, "name": name, "panel": panel}, {metric: Mean(i + j, i + j - 0.5, i + j + 1, 3)})
        for panel in panels
        for j, name in enumerate(names)
        for i, x in enumerate(xs)
    ]


def curves(figure: Figure, panel: int = 0) -> dict[str, list[tuple[float, float]]]:
    """Label of each series to its points."""
    found = {}
    for container in figure.axes[panel].containers:
        line = container.lines[0]
        found[container.get_label()] = [(float(x), float(y)) for x, y in line.get_xydata()]
    return found


def test_numbers_make_lines(tmp_path) -> None:
    plan = FigurePlan("x", "name", None, ("val/score",), ("x",), {"val/score": "score"})
    (name, drawn), *more = drawings(plan, groups(["16", 4, 8.0])).items()
    assert (name, more) == ("val-score", [])
    figure = drawn(7.4)
    assert curves(figure) == {"ours": [(4, 1), (8, 2), (16, 0)], "bank": [(4, 2), (8, 3), (16, 1)]}
    axis = figure.axes[0]
    assert axis.get_xscale() == "log"
    assert list(axis.get_xticks()) == [4, 8, 16]
    assert figure.get_supylabel() == "score"
    ours = axis.containers[0]
    assert [[round(float(y), 6) for _, y in bar] for bar in ours.lines[2][0].get_segments()] == [
        [0.5, 2],
        [1.5, 3],
        [-0.5, 1],
    ]
    assert len({container.lines[0].get_color() for container in axis.containers}) == 2
    svg.save(drawn, tmp_path / name)
    assert (tmp_path / "val-score.png").stat().st_size > 1000
    assert "score" in (tmp_path / "val-score.svg").read_text()


def test_names_make_points_from_top_to_bottom() -> None:
    plan = FigurePlan("x", None, None, ("val/score",))
    figure = draw(plan, groups(["full", "no gate", 4], names=("one",)), "val/score", 3.7)
    assert curves(figure) == {"None": [(0, 0), (1, 1), (2, 2)]}
    axis = figure.axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["full", "no gate", "4"]
    low, high = axis.get_ylim()
    assert low > high
    assert figure.get_supxlabel() == "val/score"
    assert figure.legends == []


def test_panels_share_their_axes_and_colours() -> None:
    plan = FigurePlan("x", "name", "panel", ("val/score",), (), {"panel": "kind"})
    figure = draw(
        plan, [*groups([1, 2], panels="abcd"), *groups([1, 2], names=("none",), panels="e")], "val/score", 7.4
    )
    assert [axis.get_title(loc="left") for axis in figure.axes] == [f"kind {p}" for p in "abcde"]
    assert set(curves(figure, 4)) == {"ours", "bank", "none"}
    assert [len(points) for points in curves(figure, 4).values()] == [0, 0, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "bank", "none"]


def test_a_single_seed_has_no_whiskers() -> None:
    plan = FigurePlan("x", None, None, ("s",))
    figure = draw(plan, [Group({"x": 1}, {"s": Mean(0.5, math.nan, math.nan, 1)}), Group({"x": 2}, {})], "s", 7.4)
    (bar,) = figure.axes[0].containers[0].lines[2][0].get_segments()
    assert [float(y) for _, y in bar] == [0.5, 0.5]


@pytest.mark.parametrize("width_in", [3.7, 7.4])
def test_everything_fits_without_complaint(width_in: float, recwarn) -> None:
    plan = FigurePlan("x", "name", "panel", ("val/score",), ("y",))
    names = [f"a policy with a long name {i}" for i in range(9)]
    draw(plan, groups(["one", "two"], names=names, panels=range(4)), "val/score", width_in).draw_without_rendering()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_long_legend_takes_no_height_from_what_is_drawn() -> None:
    plan = FigurePlan("x", "name", None, ("val/score",))
    tall = []
    for n in (2, 11):
        figure = draw(plan, groups([1, 2], names=[f"policy {i}" for i in range(n)]), "val/score", 7.4)
        figure.draw_without_rendering()
        tall.append(figure.axes[0].get_position().height * figure.get_figheight())
    assert tall[1] > 0.95 * tall[0]


def test_without_x_nothing_is_drawn() -> None:
    assert drawings(FigurePlan(y=("val/score",)), groups([1])) == {}
