"""What a policy holds, and what a frame and an answer cost, as the stream goes on: the figure and its numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ssm_sense.report.palette import RULE, Palette
from ssm_sense.report.rows import Line, Track, time_of
from ssm_sense.report.scores import budget_of
from ssm_sense.report.tables import mean, short_bytes

_BINS = 60


class Course(NamedTuple):
    """One quantity of one policy against seconds of the stream: medians over streams."""

    policy: str
    quantity: str
    t_s: np.ndarray
    values: np.ndarray


QUANTITIES = {"nbytes": "memory held (bytes)", "ms": "time a frame (ms)", "answer_ms": "time an answer (ms)"}


def courses(tracks: Sequence[Track], rows: Sequence[Line], policy_of: Callable[[str], str]) -> list[Course]:
    """Bytes and milliseconds a frame of every policy, and milliseconds an answer where it was asked at several times.

    Of a policy that ran at several budgets, the one is taken at which it held least.
    """
    budgets = {row["run"]: budget_of(row) for row in rows}
    longest_s = max(float(track.t_s[-1]) for track in tracks)
    found = []
    for policy in dict.fromkeys(policy_of(track.run) for track in tracks):
        runs = _leanest([track for track in tracks if policy_of(track.run) == policy], budgets)
        chosen = [track for track in tracks if track.run in runs]
        for name in ("nbytes", "ms"):
            at, values = _median_course(chosen, name, longest_s)
            known = np.isfinite(values) & (values > 0)
            if known.any():
                found.append(Course(policy, name, at[known], values[known]))
        asked: dict[float, list[float]] = {}
        for row in rows:
            answer_ms = time_of(row, "answer_ms")
            if row["run"] in runs and answer_ms is not None and row["t_s"] is not None:
                asked.setdefault(float(row["t_s"]), []).append(float(answer_ms))
        if len(asked) > 1:
            times = sorted(asked)
            found.append(Course(policy, "answer_ms", np.array(times), np.array([np.median(asked[t]) for t in times])))
    return found


def _leanest(tracks: Sequence[Track], budgets: dict[str, int | None]) -> set[str]:
    """The runs at the budget at which least was held."""
    held: dict[int | None, list[float]] = {}
    for track in tracks:
        held.setdefault(budgets.get(track.run), []).append(float(np.nanmax(track.nbytes, initial=0.0)))
    least = min(held, key=lambda budget: (mean(held[budget]), budget or 0))
    return {track.run for track in tracks if budgets.get(track.run) == least}


def cost(found: Sequence[Course], palette: Palette, width_in: float) -> Figure:
    """A panel a quantity, a line a policy."""
    wide = width_in > 5
    quantities = [name for name in QUANTITIES if any(course.quantity == name for course in found)]
    present = [policy for policy in palette.order if any(course.policy == policy for course in found)]
    ncols = max(1, int(width_in / (0.6 + 0.08 * max(map(len, present)))))
    legend_in = 0.18 * -(-len(present) // ncols)
    size = (width_in, 2.4 + legend_in) if wide else (width_in, 2.1 * len(quantities) + legend_in)
    figure = Figure(figsize=size, layout="constrained")
    shape = (1, len(quantities)) if wide else (len(quantities), 1)
    panels = figure.subplots(*shape, squeeze=False).flat
    longest_s = max(float(course.t_s[-1]) for course in found)
    scale, unit = (60.0, "min") if longest_s >= 180 else (1.0, "s")
    shown = {}
    for panel, quantity in zip(panels, quantities, strict=True):
        for course in found:
            if course.quantity == quantity:
                style = {"color": palette.colour(course.policy), "linestyle": palette.dash(course.policy)}
                (shown[course.policy],) = panel.plot(course.t_s / scale, course.values, **style)
        panel.set(ylabel=QUANTITIES[quantity], xlabel=f"time in the stream ({unit})", xlim=(0, longest_s / scale))
        panel.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.6)
        values = np.concatenate([course.values for course in found if course.quantity == quantity])
        if quantity == "nbytes" or values.max() > 30 * values.min():
            panel.set(yscale="log")
            panel.yaxis.minorticks_off()
            _whole_decades(panel)
            words: Callable[[float], str] = short_bytes if quantity == "nbytes" else "{:g}".format
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _, words=words: words(value)))
        else:
            panel.set_ylim(bottom=0)
    handles = [shown[policy] for policy in present]
    figure.legend(
        handles, present, loc="outside upper left", ncols=ncols, frameon=False, handlelength=1.6, fontsize=8,
        labelspacing=0.25,
    )  # fmt: skip
    return figure


def course_csv(found: Sequence[Course]) -> list[dict[str, Any]]:
    """cost.csv: a line a point."""
    return [
        {"policy": course.policy, "quantity": course.quantity, "t_s": float(t_s), "value": float(value)}
        for course in found
        for t_s, value in zip(course.t_s, course.values, strict=True)
    ]


def _median_course(tracks: Sequence[Track], name: str, longest_s: float) -> tuple[np.ndarray, np.ndarray]:
    """The median over streams, in each of _BINS stretches of time, of their own medians there."""
    edges = np.linspace(0, longest_s, _BINS + 1)
    medians = np.full((len(tracks), _BINS), np.nan)
    for i, track in enumerate(tracks):
        places = np.clip(np.searchsorted(edges, track.t_s, side="right") - 1, 0, _BINS - 1)
        values = getattr(track, name)
        for place in np.unique(places):
            part = values[places == place]
            if np.isfinite(part).any():
                medians[i, place] = np.nanmedian(part)
    seen = np.isfinite(medians).any(axis=0)
    at = (edges[:-1] + edges[1:])[seen] / 2
    return at, np.nanmedian(medians[:, seen], axis=0)


def _whole_decades(panel: Axes) -> None:
    """Limits of a logarithmic axis at powers of ten, so that a constant memory is not drawn as noise."""
    low, high = panel.get_ylim()
    panel.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))
