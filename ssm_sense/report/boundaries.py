"""Sources of surprise against true event boundaries."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssm_sense.metrics.boundary import RELATIVE_DISTANCES, boundary_counts, boundary_row
from ssm_sense.metrics.interval import Estimate, stream_mean
from ssm_sense.report.rows import Evidence, Line, Track
from ssm_sense.report.scores import budget_of, settings_of
from ssm_sense.report.tables import mean, short_bytes

TOLERANCE_S = 2.0
"""Found and true boundaries nearer than this are the same one, where frames.jsonl is measured."""
DRAWS = 100
"""Of random boundaries, over which their F1 is a mean."""
_NOTHING = Estimate(math.nan, math.nan, math.nan, 0, 0)


def boundary_lines(evidence: Evidence) -> list[Line]:
    """A line a source and clip: those of boundaries.jsonl, and one for every clip watched whose events are known.

    What was watched has beside its F1 those of `_controls`. A policy that finds boundaries without surprise has no
    AUROC.
    """
    lines = list(evidence.boundaries)
    finders = {track.run for track in evidence.tracks if track.found_s}
    rows = {row["run"]: row for row in evidence.rows}
    for track in evidence.tracks:
        surprise = track.surprise if np.isfinite(track.surprise[1:]).all() else None
        if track.events and len(track.t_s) > 1 and (surprise is not None or track.run in finders):
            row = rows.get(track.run, {})
            budget = budget_of(row)
            held = "" if budget is None else f"{short_bytes(budget)}, "
            source = f"{evidence.policy(track.run)} ({held}as watched)"
            events_s = [t for t, _ in track.events]
            found_s = [t for t in track.found_s if t > track.t_s[0]]
            line = boundary_row(source, track.clip, track.t_s, surprise, found_s, events_s, TOLERANCE_S)
            line |= {"run": track.run, "dataset": settings_of(row).get("dataset")}
            lines.append({**line, **_controls(track, len(found_s), [t for t in events_s if t > track.t_s[0]])})
    return [line for line in lines if line["n_events"]]


def _controls(track: Track, n: int, true_s: list[float]) -> Line:
    """F1 of n boundaries that were set without looking, at frames but the first: equally spaced, and at random."""
    frames = track.t_s[1:]
    spaced = frames[np.arange(1, n + 1) * (len(frames) + 1) // (n + 1) - 1]
    draw = np.random.default_rng(0)
    drawn = [draw.choice(frames, n, replace=False) for _ in range(DRAWS)]
    within_s = {"f1": TOLERANCE_S, "f1_relative": RELATIVE_DISTANCES[0] * float(track.t_s[-1] - track.t_s[0])}
    return {
        f"{measure}_{control}": mean(boundary_counts(found_s.tolist(), true_s, tolerance_s).f1 for found_s in sets)
        for measure, tolerance_s in within_s.items()
        for control, sets in (("uniform", [spaced]), ("random", drawn))
    }


@dataclass(frozen=True)
class Source:
    """How well one source of surprise tells true boundaries, over its streams."""

    source: str
    condition: str
    auroc: Estimate
    ap: float
    f1: float
    f1_uniform: float
    """Of as many boundaries, equally spaced."""
    f1_random: float
    """Of as many boundaries, at random."""
    f1_relative: float
    f1_relative_uniform: float
    f1_relative_random: float
    delay_s: float
    per_minute: float
    prediction_error: float
    n_events: int
    streams: int


_MEANS = (
    *("ap", "f1", "f1_uniform", "f1_random", "f1_relative", "f1_relative_uniform", "f1_relative_random"),
    *("delay_s", "per_minute", "prediction_error"),
)


def boundary_sources(lines: Sequence[Line]) -> list[Source]:
    """Each source under each condition, the best AUROC first, those without one last; all numbers are means over
    streams."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line["auroc"] is not None or line.get("f1") is not None:
            groups.setdefault((line.get("condition") or "", line["source"]), []).append(line)
    sources = [
        Source(
            source=source,
            condition=condition,
            auroc=_auroc([line for line in group if line["auroc"] is not None]),
            n_events=sum({_stream(line): line["n_events"] for line in group}.values()),
            streams=len(set(map(_stream, group))),
            **{name: mean(line.get(name) for line in group) for name in _MEANS},
        )
        for (condition, source), group in groups.items()
    ]
    return sorted(sources, key=lambda s: (s.condition, 2 - s.f1 if math.isnan(s.auroc.value) else -s.auroc.value))


def _auroc(lines: list[Line]) -> Estimate:
    """Over streams; runs that watched the same ones, such as training seeds, are drawn as seeds."""
    if not lines:
        return _NOTHING
    runs = [line.get("run") for line in lines]
    return stream_mean([line["auroc"] for line in lines], list(map(_stream, lines)), seeds=runs)


def _stream(line: Line) -> Hashable:
    return line.get("dataset"), line["clip"]


def boundary_csv(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """boundaries.csv: a line a source and condition."""
    return [
        {
            "condition": s.condition,
            "source": s.source,
            "auroc": s.auroc.value,
            "low95": s.auroc.low,
            "high95": s.auroc.high,
            **{name: getattr(s, name) for name in _MEANS},
            "n_events": s.n_events,
            "streams": s.streams,
        }
        for s in sources
    ]
