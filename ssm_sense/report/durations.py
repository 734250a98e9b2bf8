"""Scores against how long the stream was and how much was held: the points, their CSV and both figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ssm_sense.metrics.interval import FEWEST_STREAMS, Estimate, stream_mean
from ssm_sense.report.figures import remove_spare
from ssm_sense.report.palette import EVENT, FIRST, MUTED, RULE, Palette
from ssm_sense.report.rows import Line
from ssm_sense.report.scores import WHOLE, budget_of, credit, floor_of, kind_title, minutes_of, series, settings_of
from ssm_sense.report.tables import mean, short_bytes

OWN = "own settings"
"""Of a policy that was given no budget."""
_FLOOR: dict[str, Any] = {"color": EVENT, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1}
_DODGE = 0.012
"""By how much of a decade the points of two policies stand apart, so that intervals can be told apart; or by less,
so that all of them take a quarter of the way from one length to the next."""


@dataclass(frozen=True)
class Point:
    """One policy's score at one budget (None where it was given none) on streams of one length, seeds together.

    minutes: None for all lengths together.
    """

    topic: str
    policy: str
    budget: int | None
    minutes: float | None
    estimate: Estimate
    nbytes: float


@dataclass(frozen=True)
class Topic:
    """One kind of question on one data set, about all that was seen: what a figure shows."""

    name: str
    measure: str
    floor: float
    floor_label: str
    floors: dict[float, float]
    """By length: early questions may have fewer options."""
    lengths: list[Point]
    """By policy, budget and length."""
    overall: list[Point]
    """By policy and budget."""


def topics(rows: Sequence[Line]) -> list[Topic]:
    """Every kind of question about all that was seen, by data set, wherever runs name the length of their streams."""
    found: dict[tuple[int, str], list[Line]] = {}
    for row in rows:
        if row["kind"] in WHOLE and credit(row) is not None and minutes_of(row) is not None:
            dataset = str(settings_of(row).get("dataset") or "")
            found.setdefault((WHOLE.index(row["kind"]), dataset), []).append(row)
    return [_topic(chosen, dataset) for (_, dataset), chosen in sorted(found.items(), key=lambda item: item[0])]


def _topic(rows: list[Line], dataset: str) -> Topic:
    name = " · ".join(part for part in (kind_title(rows[0]["kind"]), dataset) if part)
    lengths: dict[tuple[str, int | None, float | None], list[Line]] = {}
    for row in rows:
        lengths.setdefault((series(row), budget_of(row), minutes_of(row)), []).append(row)
        lengths.setdefault((series(row), budget_of(row), None), []).append(row)
    points = [_point(name, *key, chosen) for key, chosen in lengths.items()]
    floor, label = floor_of(rows)
    minutes = sorted({minutes for row in rows if (minutes := minutes_of(row)) is not None})
    floors = {length: floor_of([row for row in rows if minutes_of(row) == length])[0] for length in minutes}
    counts = rows[0]["mra"] is not None
    return Topic(
        name,
        "MRA" if counts else "accuracy",
        floor,
        label,
        floors,
        [point for point in points if point.minutes is not None],
        [point for point in points if point.minutes is None],
    )


def _point(name: str, policy: str, budget: int | None, minutes: float | None, rows: list[Line]) -> Point:
    credits, clips = [credit(row) or 0.0 for row in rows], [row["clip"] for row in rows]
    estimate = stream_mean(credits, clips, seeds=[row.get("seed") for row in rows])
    return Point(name, policy, budget, minutes, estimate, mean(row["nbytes"] for row in rows))


def budgets(topic: Topic) -> list[int | None]:
    """The panels of the figure against duration: own settings first."""
    given = {point.budget for point in topic.lengths}
    return sorted(given, key=lambda budget: (budget is not None, budget or 0))


def durations(topic: Topic, palette: Palette, width_in: float) -> Figure:
    """Score against the length of the stream, a panel a budget; ours, which has no budget, stands in all of them."""
    panels_of = budgets(topic)
    columns = min(len(panels_of), 4 if width_in > 5 else 2)
    n_rows = -(-len(panels_of) // columns)
    names = [name for name in palette.order if any(point.policy == name for point in topic.lengths)]
    figure = _figure(names, palette, width_in, 2.0 * n_rows if columns > 1 else 2.4)
    panels = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
    minutes = sorted({point.minutes for point in topic.lengths if point.minutes is not None})
    gaps = [np.log10(later / sooner) for sooner, later in pairwise(minutes)]
    dodge = min(_DODGE, min(gaps, default=1.0) / (4 * len(names)))
    for panel, budget in zip(panels.flat, panels_of, strict=False):
        for i, name in enumerate(names):
            shown = {budget, None} if name == FIRST else {budget}
            chosen = [point for point in topic.lengths if point.policy == name and point.budget in shown]
            chosen.sort(key=lambda point: point.minutes or 0.0)
            shift = 10 ** (dodge * (i - (len(names) - 1) / 2))
            _draw(panel, [(p.minutes or 0.0) * shift for p in chosen], chosen, name, palette)
        _dress(panel)
        panel.plot(list(topic.floors), [100 * floor for floor in topic.floors.values()], **_FLOOR)
        if len(panels_of) > 1:
            panel.set_title(OWN if budget is None else short_bytes(budget), loc="left", fontsize=8)
        panel.set(xscale="log", xlim=(minutes[0] / 1.3, minutes[-1] * 1.3))
        panel.xaxis.set_major_locator(FixedLocator(minutes))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    remove_spare(panels, len(panels_of))
    figure.supxlabel("length of the stream (min)", color=MUTED, fontsize=8.5)
    figure.supylabel(f"{topic.measure} (%)", color=MUTED, fontsize=8.5)
    return figure


def against_bytes(topic: Topic, palette: Palette, width_in: float) -> Figure:
    """Score against the mean bytes held when asked, all lengths together; a line joins a policy's budgets."""
    held = [point for point in topic.overall if point.nbytes > 0]
    names = [name for name in palette.order if any(point.policy == name for point in held)]
    figure = _figure(names, palette, width_in, 2.9)
    panel = figure.subplots()
    for name in names:
        chosen = sorted((point for point in held if point.policy == name), key=lambda point: point.nbytes)
        _draw(panel, [point.nbytes for point in chosen], chosen, name, palette)
    _dress(panel)
    panel.axhline(100 * topic.floor, **_FLOOR)
    panel.set(xscale="log", xlabel="memory held when asked (bytes)", ylabel=f"{topic.measure} (%)")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_bytes(value)))
    panel.xaxis.set_minor_locator(NullLocator())
    return figure


def _figure(names: Sequence[str], palette: Palette, width_in: float, panels_in: float) -> Figure:
    """A figure with a legend of the policies over it, tall enough for both."""
    columns = max(1, int(width_in / (0.62 + 0.075 * max(map(len, names)))))
    legend_in = 0.17 * -(-len(names) // columns)
    figure = Figure(figsize=(width_in, panels_in + legend_in + 0.25), layout="constrained")
    dashes: dict[str, Any] = {name: palette.dash(name) for name in names}
    handles = [Line2D([], [], color=palette.colour(n), linestyle=dashes[n], marker="o", ms=3.2) for n in names]
    figure.legend(
        handles, names, loc="outside upper left", ncols=columns, frameon=False, handlelength=1.8, fontsize=7.5,
        labelspacing=0.25, columnspacing=1.2,
    )  # fmt: skip
    return figure


def _draw(panel: Axes, x: Sequence[float], points: Sequence[Point], name: str, palette: Palette) -> None:
    """One policy's points with their intervals, joined."""
    if not points:
        return
    first = name == FIRST
    colour = palette.colour(name)
    y = np.array([100 * point.estimate.value for point in points])
    low = np.array([100 * point.estimate.low for point in points])
    high = np.array([100 * point.estimate.high for point in points])
    known = np.isfinite(low) & (np.array([point.estimate.streams for point in points]) >= FEWEST_STREAMS)
    panel.vlines(np.array(x)[known], low[known], high[known], color=colour, linewidth=1.4 if first else 0.7, alpha=0.55)
    style: dict[str, Any] = {
        "linewidth": 1.9 if first else 1.0,
        "ms": 4.2 if first else 3.0,
        "zorder": 3 if first else 2,
    }
    panel.plot(x, y, marker="o", color=colour, linestyle=palette.dash(name), **style)


def _dress(panel: Axes) -> None:
    panel.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.6)
    panel.set_ylim(0, 100)


def duration_csv(found: Sequence[Topic]) -> list[dict[str, Any]]:
    """durations.csv: a line a point, those of all lengths together without minutes."""
    return [
        {
            "topic": topic.name,
            "measure": topic.measure,
            "policy": point.policy,
            "budget_bytes": math.nan if point.budget is None else point.budget,
            "minutes": math.nan if point.minutes is None else point.minutes,
            "score": point.estimate.value,
            "low95": point.estimate.low,
            "high95": point.estimate.high,
            "n": point.estimate.n,
            "streams": point.estimate.streams,
            "nbytes": point.nbytes,
            "floor": topic.floor if point.minutes is None else topic.floors[point.minutes],
        }
        for topic in found
        for point in (*topic.lengths, *topic.overall)
    ]


def duration_caption(topic: Topic) -> str:
    """What stands under the figure against duration; HTML."""
    several = len(budgets(topic)) > 1
    own = " No budget was given under “own settings”." if several else ""
    if several and any(point.policy == FIRST for point in topic.lengths):
        own += " Ours has none, and is drawn in every panel."
    floor = f"{escape(topic.floor_label)}, {100 * topic.floor:.1f} over all"
    return (
        f"<b>{escape(topic.name)}: {topic.measure} against the length of the stream"
        f"{', a panel a budget' * several}.</b> Bars: 95% intervals, a bootstrap over streams and training "
        f"seeds (Owen 2007); none below five streams. Dashed: what needs no video, at each length ({floor}).{own}"
    )


def bytes_caption(topic: Topic) -> str:
    """What stands under the figure against bytes; HTML."""
    return (
        f"<b>{escape(topic.name)}: {topic.measure} against bytes, all lengths together.</b> Bytes: the mean of all "
        "that was held of the stream when a question came; a line joins one policy's budgets. Policies that hold "
        "nothing are left out."
    )
