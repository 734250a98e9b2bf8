"""Do surprises stand where events begin? Every source of surprise against the true boundaries, on equal terms.

`watch` runs sources over cached latents, `track` takes a model's own trace, and `compare` scores them all: AUROC of
the surprise at true boundaries against elsewhere, F1 at a threshold chosen on other streams, and how wrong the
prediction was that the surprise came from. `per_clip` breaks the same down to a line a source and clip.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssm_sense.metrics.boundary import (
    BoundaryCounts,
    Samples,
    boundary_counts,
    boundary_row,
    boundary_samples,
    pooled_auroc,
    total_counts,
)
from ssm_sense.nn.lfp import surprise
from ssm_sense.nn.sources import Predictor, SurpriseSource
from ssm_sense.nn.surprise import SurprisePolicy

Line = dict[str, str | int | float | None]

_FRAMES_AT_ONCE = 64
_CANDIDATES = 60
_EPSILON_S = 1e-6


class Stream(NamedTuple):
    """Cached latents with their truth."""

    name: str
    """The clip's."""
    latents: Tensor
    """(T, S, V), standardised as the model standardises them."""
    seconds: Sequence[float]
    """(T,), increasing."""
    events_s: Sequence[float]
    """When events truly begin."""


class Track(NamedTuple):
    """What one source made of one stream."""

    clip: str
    seconds: np.ndarray
    """(T,)"""
    surprise: np.ndarray
    """(T,), the mean over places."""
    events_s: np.ndarray
    """Times of the first frames of true events; an event at the first frame is no boundary that could be seen."""
    cosine_error: float
    """Mean over frames 1 … T−1 of 1 − cos(expected, actual); nan where nothing is predicted."""
    squared_error: float
    """The same of the mean squared error."""


class BoundaryRow(NamedTuple):
    """One source over all test streams."""

    source: str
    n_streams: int
    n_events: int
    auroc: float
    """Of all test frames together; ``auroc_low`` and ``auroc_high`` bound 95% by a bootstrap over streams."""
    auroc_low: float
    auroc_high: float
    f1: float
    """Micro-averaged over test streams, at ``threshold``."""
    threshold: float
    """The one with the best F1 on validation streams."""
    cosine_error: float
    squared_error: float
    tolerance_s: float
    """How far from a true boundary counts as at it, for AUROC and F1 alike."""


@torch.inference_mode()
def watch(sources: Mapping[str, SurpriseSource], streams: Sequence[Stream]) -> dict[str, list[Track]]:
    """Run every source over every stream, each from its own beginning."""
    return {
        name: [_watch_one(source, i, len(streams), stream) for i, stream in enumerate(streams)]
        for name, source in sources.items()
    }


def track(stream: Stream, surprise_T: Tensor, predicted_TSV: Tensor) -> Track:
    """A model's own trace as a track.

    Args:
        stream: what it watched.
        surprise_T: (T,) per frame, or (T, S) per location.
        predicted_TSV: at each frame, the standardised latents that it expected of the next.
    """
    if len(surprise_T) != len(stream.latents) or predicted_TSV.shape != stream.latents.shape:
        raise ValueError(
            f"expected surprise and predictions of latents {tuple(stream.latents.shape)}, got "
            f"{tuple(surprise_T.shape)} and {tuple(predicted_TSV.shape)}"
        )
    cosine_T, squared_T = _errors(predicted_TSV[:-1].float(), stream.latents[1:].float())
    return _track(stream, surprise_T.reshape(len(surprise_T), -1).mean(-1), cosine_T, squared_T)


def compare(
    test: Mapping[str, Sequence[Track]],
    validation: Mapping[str, Sequence[Track]],
    tolerance_s: float = 2.0,
    shortest_event_s: float = 3.0,
) -> list[BoundaryRow]:
    """One row a source, in the order of `test`.

    Args:
        test: tracks of each source over the streams that are reported.
        validation: of the same sources over other streams, on which each one's threshold is chosen.
        tolerance_s: how far from a true boundary counts as at it.
        shortest_event_s: of the rule that turns surprise into boundaries, `SurprisePolicy`'s, for every source.

    Raises:
        ValueError: for sources without tracks on both sides.
    """
    if test.keys() != validation.keys() or not all([*test.values(), *validation.values()]):
        raise ValueError(f"expected tracks of the same sources, got test {list(test)}, validation {list(validation)}")
    rows = []
    for name, tracks in test.items():
        ranked = pooled_auroc([_samples(t, tolerance_s) for t in tracks])
        threshold = best_threshold(validation[name], tolerance_s, shortest_event_s)
        (counts,) = _counts(tracks, np.array([threshold]), tolerance_s, shortest_event_s)
        frames = [len(t.surprise) - 1 for t in tracks]
        cosine_error = float(np.average([t.cosine_error for t in tracks], weights=frames))
        squared_error = float(np.average([t.squared_error for t in tracks], weights=frames))
        rows.append(
            BoundaryRow(
                name,
                len(tracks),
                ranked.n,
                ranked.value,
                ranked.low,
                ranked.high,
                counts.f1,
                threshold,
                cosine_error,
                squared_error,
                tolerance_s,
            )
        )
    return rows


def best_threshold(tracks: Sequence[Track], tolerance_s: float, shortest_event_s: float) -> float:
    """The surprise threshold whose boundaries have the best F1 over all tracks together.

    Candidates lie half-way between neighbouring surprises, densest among the highest, where boundaries are, and
    evenly over all values. Of several that are as good, the middle one leaves the most room on both sides.
    """
    levels = np.unique(np.concatenate([t.surprise[1:] for t in tracks]))[::-1]
    if len(levels) < 2:
        return float(levels[0])
    ranks = np.unique(np.geomspace(1, len(levels) - 1, _CANDIDATES).astype(int)) - 1
    between = (levels[ranks] + levels[ranks + 1]) / 2
    thresholds = np.unique(np.concatenate([between, np.linspace(levels[-1], levels[0], _CANDIDATES)]))
    f1 = np.nan_to_num([counts.f1 for counts in _counts(tracks, thresholds, tolerance_s, shortest_event_s)])
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(thresholds[best[len(best) // 2]])


def found_boundaries(track: Track, thresholds: np.ndarray, shortest_event_s: float) -> list[list[float]]:
    """Where events begin by `SurprisePolicy`'s rule, in seconds, at each of n thresholds."""
    policy = SurprisePolicy(threshold=0.0, shortest_event_s=shortest_event_s)
    above = torch.from_numpy(track.surprise[None] - thresholds[:, None]).unsqueeze(-1)
    seconds = torch.from_numpy(track.seconds).expand(len(thresholds), -1)
    with torch.inference_mode():
        decision, _ = policy(above, seconds, policy.initial_state(len(thresholds)))
    return [track.seconds[row].tolist() for row in decision.boundary.numpy()]


def per_clip(
    test: Mapping[str, Sequence[Track]], rows: Iterable[BoundaryRow], shortest_event_s: float = 3.0
) -> list[Line]:
    """A line of boundaries.jsonl for every source and clip, at the thresholds that `compare` chose.

    The measures are those of `metrics.boundary.boundary_row`, whose AUROC takes each event at its own frame.
    """
    lines = []
    for row in rows:
        for one in test[row.source]:
            (found,) = found_boundaries(one, np.array([row.threshold]), shortest_event_s)
            line = boundary_row(
                row.source,
                one.clip,
                one.seconds.tolist(),
                one.surprise.tolist(),
                found,
                one.events_s.tolist(),
                row.tolerance_s,
                None if math.isnan(one.cosine_error) else one.cosine_error,
            )
            lines.append({**line, "threshold": row.threshold})
    return lines


def write_lines(lines: Iterable[Line | BoundaryRow], path: Path) -> None:
    """Write one JSON object a line; what is not a number becomes null."""
    objects = [line._asdict() if isinstance(line, BoundaryRow) else line for line in lines]
    strict = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in o.items()} for o in objects]
    path.write_text("".join(json.dumps(line, allow_nan=False) + "\n" for line in strict), encoding="utf-8")


def _watch_one(source: SurpriseSource, i: int, n_streams: int, stream: Stream) -> Track:
    state = source.initial_state(n_streams).select(torch.tensor([i]))
    levels, cosines, squares = [], [], []
    for frames in stream.latents.split(_FRAMES_AT_ONCE):
        frames = frames.float()
        if isinstance(source, Predictor):
            expected, state = source.expect(frames[None], state)
            cosine_T, squared_T = _errors(expected[0], frames)
            levels.append(cosine_T)
            cosines.append(cosine_T)
            squares.append(squared_T)
        else:
            wrong, state = source(frames[None], state)
            levels.append(wrong[0].mean(-1))
    nothing = torch.full((1,), torch.nan)
    cosine_T, squared_T = (torch.cat(parts)[1:] if parts else nothing for parts in (cosines, squares))
    return _track(stream, torch.cat(levels), cosine_T, squared_T)


def _samples(track: Track, tolerance_s: float) -> Samples:
    return boundary_samples(track.seconds.tolist(), track.surprise.tolist(), track.events_s.tolist(), tolerance_s)


def _errors(expected_TSV: Tensor, actual_TSV: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine distance and mean squared error of each frame, (T,) each."""
    return surprise(expected_TSV, actual_TSV).mean(-1), (expected_TSV - actual_TSV).square().mean((-1, -2))


def _track(stream: Stream, surprise_T: Tensor, cosine_T: Tensor, squared_T: Tensor) -> Track:
    seconds = np.asarray(stream.seconds, dtype=float)
    events = np.asarray(stream.events_s, dtype=float)
    first = np.searchsorted(seconds, events[events > seconds[0] + _EPSILON_S] - _EPSILON_S)
    return Track(
        stream.name,
        seconds,
        surprise_T.double().numpy(),
        seconds[np.unique(first[first < len(seconds)])],
        float(cosine_T.double().mean()),
        float(squared_T.double().mean()),
    )


def _counts(
    tracks: Sequence[Track], thresholds: np.ndarray, tolerance_s: float, shortest_event_s: float
) -> list[BoundaryCounts]:
    """Hits and misses at each threshold, of all tracks together."""
    found = [found_boundaries(t, thresholds, shortest_event_s) for t in tracks]
    return [
        total_counts(
            boundary_counts(by[i], t.events_s.tolist(), tolerance_s) for by, t in zip(found, tracks, strict=True)
        )
        for i in range(len(thresholds))
    ]
