"""Sources of surprise against true event boundaries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssm_sense.metrics.boundary import boundary_row
from ssm_sense.metrics.interval import Estimate, stream_mean
from ssm_sense.report.rows import Evidence, Line
from ssm_sense.report.tables import mean

TOLERANCE_S = 2.0
"""Found and true boundaries nearer than this are the same one, where frames.jsonl is measured."""


def boundary_lines(evidence: Evidence) -> list[Line]:
    """A line a source and clip: those of boundaries.jsonl, and one for every clip watched whose events are known."""
    lines = list(evidence.boundaries)
    for track in evidence.tracks:
        if track.events and len(track.t_s) > 1 and np.isfinite(track.surprise[1:]).all():
            source = f"{evidence.policy(track.run)} (as watched)"
            events_s = [t for t, _ in track.events]
            lines.append(
                boundary_row(source, track.clip, track.t_s, track.surprise, track.found_s, events_s, TOLERANCE_S)
            )
    return [line for line in lines if line["n_events"]]


@dataclass(frozen=True)
class Source:
    """How well one source of surprise tells true boundaries, over its streams."""

    source: str
    condition: str
    auroc: Estimate
    ap: float
    f1: float
    f1_relative: float
    delay_s: float
    per_minute: float
    prediction_error: float
    n_events: int
    streams: int


def boundary_sources(lines: Sequence[Line]) -> list[Source]:
    """Each source under each condition, the best AUROC first; every number is a mean over streams."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line["auroc"] is not None:
            groups.setdefault((line.get("condition") or "", line["source"]), []).append(line)
    sources = [
        Source(
            source=source,
            condition=condition,
            auroc=stream_mean([line["auroc"] for line in group], range(len(group))),
            n_events=sum(line["n_events"] for line in group),
            streams=len(group),
            **{
                name: mean(line.get(name) for line in group)
                for name in ("ap", "f1", "f1_relative", "delay_s", "per_minute", "prediction_error")
            },
        )
        for (condition, source), group in groups.items()
    ]
    return sorted(sources, key=lambda s: (s.condition, -s.auroc.value))


def boundary_csv(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """boundaries.csv: a line a source and condition."""
    return [
        {
            "condition": s.condition,
            "source": s.source,
            "auroc": s.auroc.value,
            "low95": s.auroc.low,
            "high95": s.auroc.high,
            "ap": s.ap,
            "f1": s.f1,
            "f1_relative": s.f1_relative,
            "delay_s": s.delay_s,
            "per_minute": s.per_minute,
            "prediction_error": s.prediction_error,
            "n_events": s.n_events,
            "streams": s.streams,
        }
        for s in sources
    ]
