"""The figures, each drawn at a given width in the colours of `palette`: for paper, for the page, for a phone."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ssm_sense.metrics.answer import parse_number
from ssm_sense.metrics.boundary import match_boundaries
from ssm_sense.report.boundaries import TOLERANCE_S
from ssm_sense.report.palette import BAND, EVENT, INK, MUTED, RULE, Palette
from ssm_sense.report.rows import Line, Track
from ssm_sense.report.scores import budget_of, series, settings_of
from ssm_sense.report.tables import mean

WIDE_IN, NARROW_IN = 7.4, 3.7
STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "font.family": "sans-serif",
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "lines.linewidth": 1.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "ssm_sense",
}
"""Matplotlib settings under which every figure is drawn and saved."""

_POINTS = 1200
"""A line with more points than this is thinned: no screen shows more, and the page stays small."""
PANELS = 24
"""More counts than these are left to counts.csv."""
_COUNTS = re.compile("count|vsc")
"""Kinds of question that are answered by a count, and not by a length in metres, say."""


@dataclass(frozen=True)
class TimelineFacts:
    """What the timeline's caption says."""

    frames_a_point: int
    true: int
    found: int
    hits: int


def timeline_facts(track: Track) -> TimelineFacts:
    """Counts of true and found boundaries of one clip, the first frame left out."""
    true_s = _changes_s(track)
    found_s = [t for t in track.found_s if t > track.t_s[0]]
    hits = len(match_boundaries(found_s, true_s, TOLERANCE_S, TOLERANCE_S))
    return TimelineFacts(-(-len(track.t_s) // _POINTS), len(true_s), len(found_s), hits)


def timeline(track: Track, colour: str, width_in: float) -> Figure:
    """Surprise over time, true changes and found events, and below it the gate where there is one."""
    gated = bool(np.isfinite(track.gate).any())
    figure = Figure(figsize=(width_in, 2.9 if gated else 2.2), layout="constrained")
    panels = figure.subplots(2 if gated else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 1][: 1 + gated])[:, 0]
    scale, unit = (60.0, "min") if track.t_s[-1] >= 180 else (1.0, "s")
    begin, end = track.t_s[0] / scale, track.t_s[-1] / scale
    top = panels[0]
    surprise = track.surprise.copy()
    surprise[0] = np.nan  # 1 by definition: nothing predicted the first frame
    high = float(np.nanmax(surprise)) if np.isfinite(surprise).any() else 1.0
    ceiling, floor = high * 1.28, -0.16 * high
    for i, (start, stop, label) in enumerate(_places(track)):
        for panel in panels:
            if i % 2 == 0:
                panel.axvspan(start / scale, stop / scale, color=BAND, linewidth=0, zorder=0)
        room_in = (stop - start) / scale / (end - begin) * (width_in - 0.8)
        if len(label) * 0.075 < room_in:
            top.text(
                (start + stop) / 2 / scale, ceiling * 0.985, label, ha="center", va="top", color=MUTED, fontsize=7.5
            )
    true_s = _changes_s(track)
    for panel in panels:
        panel.vlines(np.array(true_s) / scale, 0, 1, transform=panel.get_xaxis_transform(), color=EVENT, linewidth=0.8)
    top.plot(*_thinned(track.t_s / scale, surprise, np.nanmax), color=colour, linewidth=1.1)
    found_s = [t for t in track.found_s if t > track.t_s[0]]
    hits = {found for found, _ in match_boundaries(found_s, true_s, TOLERANCE_S, TOLERANCE_S)}
    for chosen, fill in ((hits, colour), (set(found_s) - hits, "none")):
        if chosen:  # an empty line outside the axes would upset the layout
            at = np.array(sorted(chosen)) / scale
            style = {"ms": 5, "mfc": fill, "mec": colour, "mew": 0.9, "linestyle": "", "clip_on": False}
            top.plot(at, np.full(len(at), floor / 2), "^", **style)
    top.set(ylim=(floor, ceiling), ylabel="surprise", xlim=(begin, end))
    top.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    top.set_yticks([tick for tick in top.get_yticks() if 0 <= tick <= high * 1.1])
    if gated:
        panels[1].plot(*_thinned(track.t_s / scale, track.gate, np.nanmean), color=colour, linewidth=1.1)
        panels[1].set(ylim=(0, 1.05), yticks=[0, 1], ylabel="gate")
    panels[-1].set_xlabel(f"time in the stream ({unit})")
    figure.align_ylabels()
    return figure


def counts(rows: Sequence[Line], palette: Palette, width_in: float) -> Figure:
    """Predicted against true counts, a panel a policy and data set, the first `PANELS` of them; the shaded wedge earns
    credit, the line all of it."""
    groups: dict[tuple[str, str], list[Count]] = {}
    for count in counted(rows):
        groups.setdefault((count.policy, count.dataset), []).append(count)
    names = sorted(groups, key=lambda name: (palette.order.index(name[0]), name[1]))[:PANELS]
    named = len({dataset for _, dataset in groups}) > 1
    wide = width_in > 5
    columns = min(len(names), (4 if wide else 2) if len(names) <= 8 else (6 if wide else 3))
    n_rows = -(-len(names) // columns)
    side = (width_in - 0.3) / max(columns, 3 if wide else 2)
    figure = Figure(figsize=(side * columns + 0.3, (side + 0.35 + 0.13 * named) * n_rows + 0.2), layout="constrained")
    panels = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
    most = max(count.truth for of in groups.values() for count in of) * 1.08 or 1.0
    limit = most * 1.5
    for panel, name in zip(panels.flat, names, strict=False):
        policy, dataset = name
        pairs = [(count.truth, count.answered) for count in groups[name]]
        colour = palette.colour(policy)
        x = np.array([0.0, most])
        panel.fill_between(x, 0.5 * x, 1.5 * x, color=BAND, linewidth=0)
        panel.plot(x, x, color=EVENT, linewidth=0.8)
        inside = [(t, p) for t, p in pairs if p is not None and 0 <= p <= limit]
        beyond = [t for t, p in pairs if p is not None and p > limit]
        if inside:
            panel.plot(*zip(*inside, strict=True), "o", ms=3.6, color=colour, alpha=0.55, mew=0)
        if beyond:
            panel.plot(beyond, [limit * 0.985] * len(beyond), "^", ms=4, mfc="none", mec=colour, clip_on=False)
        mra = np.mean([count.mra for count in groups[name]])
        title = [policy, *([dataset] if named else []), f"MRA {100 * mra:.1f}"]
        panel.set_title("\n".join(title), loc="left", fontsize=8 if len(names) <= 8 else 6.5)
        panel.set(xlim=(0, most), ylim=(0, limit))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(4, integer=True))
    remove_spare(panels, len(names))
    figure.supxlabel("true count", color=MUTED, fontsize=8.5)
    figure.supylabel("answered count", color=MUTED, fontsize=8.5)
    return figure


def remove_spare(panels: np.ndarray, used: int) -> None:
    """Remove all but the first of a grid of panels (rows, columns) that share their axes; who is then last of a column
    has its numbers."""
    for place in range(used, panels.size):
        panels.flat[place].remove()
        panels.flat[place - panels.shape[1]].tick_params(labelbottom=True)


def count_kind(rows: Sequence[Line]) -> str | None:
    """The kind of count question that is drawn: VSC asked at the end, or else the commonest; None without any."""
    kinds = Counter(row["kind"] for row in rows if row["mra"] is not None and _COUNTS.search(row["kind"]))
    return "vsc" if "vsc" in kinds else max(kinds, key=lambda kind: kinds[kind], default=None)


class Count(NamedTuple):
    """One answered count question; `answered` is None without a number."""

    policy: str
    dataset: str
    t_s: float | None
    budget: int | None
    seed: int | None
    truth: float
    answered: float | None
    mra: float
    """As its run's scorer had it."""


def counted(rows: Sequence[Line]) -> list[Count]:
    """Every answer to `count_kind`; of a policy that ran at several budgets, those at which it held least."""
    kind = count_kind(rows)
    asked: dict[tuple[str, str], dict[int | None, list[Line]]] = {}
    for row in rows:
        if row["kind"] == kind and row["mra"] is not None:
            name = (series(row), str(settings_of(row).get("dataset") or ""))
            asked.setdefault(name, {}).setdefault(budget_of(row), []).append(row)
    found = []
    for (policy, dataset), held in asked.items():
        least = min(held, key=lambda budget: (mean(row["nbytes"] for row in held[budget]), budget or 0))
        for row in held[least]:
            answer = None if row["prediction"] is None else parse_number(row["prediction"])
            found.append(
                Count(policy, dataset, row["t_s"], least, row.get("seed"), float(row["truth"]), answer, row["mra"])
            )
    return found


def _changes_s(track: Track) -> list[float]:
    """True boundaries, the beginning of the stream not among them."""
    return [t for t, _ in track.events or [] if t > track.t_s[0]]


def _places(track: Track) -> list[tuple[float, float, str]]:
    """(start, stop, label) from the beginning and each true event to the next; no label where none is known."""
    events = track.events or []
    if events and events[0][0] > track.t_s[0]:
        events = [(float(track.t_s[0]), ""), *events]
    stops = [*(t for t, _ in events), float(track.t_s[-1])][1:]
    return [(t, stop, label) for (t, label), stop in zip(events, stops, strict=True)]


def _thinned(x: np.ndarray, y: np.ndarray, pool: Callable[[np.ndarray], Any]) -> tuple[np.ndarray, np.ndarray]:
    """At most _POINTS points: each stands for equally many frames, pooled so that no peak is lost."""
    step = -(-len(x) // _POINTS)
    if step == 1:
        return x, y
    starts = range(0, len(x), step)
    pooled = [pool(part) if np.isfinite(part := y[i : i + step]).any() else np.nan for i in starts]
    return x[::step], np.array(pooled)
