"""A figure a metric: lines against numbers, or points beside names, each mean with its interval."""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ssm_sense.report.figures import STYLE
from ssm_sense.report.palette import MUTED, RULE, Palette
from ssm_sense.sweep.columns import Scalar
from ssm_sense.sweep.report_plan import FigurePlan
from ssm_sense.sweep.table import Group, Mean, short

_COLUMNS = 3
_ROW_IN = 0.2
_FEW_TICKS = 8
Point = tuple[Scalar | None, Mean]


def drawings(plan: FigurePlan, groups: Sequence[Group]) -> dict[str, Callable[[float], Figure]]:
    """For each metric that the plan draws, a file's name without its ending and what draws it at a width in inches."""
    if plan.x is None:
        return {}
    return {
        re.sub(r"[^\w-]+", "-", name).strip("-"): partial(draw, plan, groups, name)
        for name in plan.y
        if any(name in group.means for group in groups)
    }


def draw(plan: FigurePlan, groups: Sequence[Group], metric: str, width_in: float) -> Figure:
    """One metric. groups: of the figure's own columns alone, see `summarise`."""
    panels = _panels(plan, groups, metric)
    names = list(dict.fromkeys(line for lines in panels.values() for line in lines))
    palette = Palette(map(str, names))
    numeric = all(_number(x) is not None for lines in panels.values() for points in lines.values() for x, _ in points)
    order = list(dict.fromkeys(x for lines in panels.values() for points in lines.values() for x, _ in points))
    columns = min(len(panels), _COLUMNS if width_in > 5 else 1)
    n_rows = -(-len(panels) // columns)
    tall_in = 2.5 if numeric else 0.75 + max(1.8, len(names) + 1) * _ROW_IN * len(order) * 0.8
    beside = max(1, int(width_in / (0.5 + 0.08 * max(len(str(name)) for name in names))))
    legend_in = 0.1 + 0.2 * -(-len(names) // beside) if len(names) > 1 else 0
    figure = Figure(figsize=(width_in, tall_in * n_rows + legend_in), layout="constrained")
    axes = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        for place, name in enumerate(names):
            style = {"color": palette.colour(str(name)), "label": str(name), "capsize": 2, "elinewidth": 0.9}
            if numeric:
                style["linestyle"] = palette.dash(str(name))
                _line(axis, lines.get(name, []), style)
            else:
                offset = (place - (len(names) - 1) / 2) * 0.8 / max(len(names), 2)
                _points(axis, lines.get(name, []), order, offset, style)
        if title is not None:
            axis.set_title(f"{plan.labels.get(plan.panels or '', plan.panels)} {title}", loc="left")
        (_numeric_axes if numeric else _named_axes)(axis, plan, order)
    for axis in list(axes.flat)[len(panels) :]:
        axis.remove()
    _label(figure, plan, metric, numeric)
    if len(names) > 1:
        handles, labels = next(iter(axes.flat)).get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=beside,
            frameon=False,
            handlelength=1.6,
        )
    return figure


def _panels(
    plan: FigurePlan, groups: Sequence[Group], metric: str
) -> dict[Scalar | None, dict[Scalar | None, list[Point]]]:
    """Panel to line to its points."""
    panels: dict[Scalar | None, dict[Scalar | None, list[Point]]] = {}
    for group in groups:
        if metric in group.means:
            panel = group.columns[plan.panels] if plan.panels else None
            line = group.columns[plan.lines] if plan.lines else None
            x = group.columns[plan.x or ""]
            panels.setdefault(panel, {}).setdefault(line, []).append((x, group.means[metric]))
    return panels


def _line(axis: Axes, points: Sequence[Point], style: dict[str, object]) -> None:
    points = sorted(points, key=lambda point: _number(point[0]) or 0.0)
    means = [mean for _, mean in points]
    axis.errorbar(
        [_number(x) or 0.0 for x, _ in points],
        [mean.value for mean in means],
        yerr=_whiskers(means),
        marker="o",
        ms=3.2,
        **style,  # type: ignore[arg-type]
    )


def _points(
    axis: Axes, points: Sequence[Point], order: Sequence[Scalar | None], offset: float, style: dict[str, object]
) -> None:
    means = [mean for _, mean in points]
    axis.errorbar(
        [mean.value for mean in means],
        [order.index(x) + offset for x, _ in points],
        xerr=_whiskers(means),
        marker="o",
        ms=3.6,
        linestyle="",
        **style,  # type: ignore[arg-type]
    )


def _whiskers(means: Sequence[Mean]) -> list[list[float]]:
    """How far below and above; nothing where there is one seed."""
    ends = [(mean.value - mean.low, mean.high - mean.value) for mean in means]
    return [[0.0 if math.isnan(end) else end for end in side] for side in zip(*ends, strict=True)] or [[], []]


def _numeric_axes(axis: Axes, plan: FigurePlan, order: Sequence[Scalar | None]) -> None:
    axis.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.6)
    if "y" in plan.log:
        axis.set_yscale("log")
    if "x" in plan.log:
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
    values = sorted({_number(x) or 0.0 for x in order})
    if len(values) <= _FEW_TICKS:
        axis.xaxis.set_major_locator(FixedLocator(values))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _named_axes(axis: Axes, plan: FigurePlan, order: Sequence[Scalar | None]) -> None:
    axis.grid(axis="x", color=RULE, linewidth=0.5, alpha=0.6)
    if "y" in plan.log:
        axis.set_xscale("log")
    else:
        axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.set_yticks(range(len(order)), [str(x) for x in order])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(order) - 0.5, -0.5)


def _label(figure: Figure, plan: FigurePlan, metric: str, numeric: bool) -> None:
    """Names of both axes; the metric lies along the bottom where the names of x stand on the left."""
    name = plan.labels.get(metric, metric)
    size = STYLE["axes.labelsize"]
    if numeric:
        figure.supxlabel(plan.labels.get(plan.x or "", plan.x or ""), color=MUTED, fontsize=size)
        figure.supylabel(name, color=MUTED, fontsize=size)
    else:
        figure.supxlabel(name, color=MUTED, fontsize=size)


def _number(value: Scalar | None) -> float | None:
    """What can stand on a numeric axis: numbers, and texts that are numbers."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
