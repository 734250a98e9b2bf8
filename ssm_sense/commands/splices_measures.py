"""What `ssm-sense splices` measures: rows with intervals, paired differences, and what each detector finds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ssm_sense.boundaries import Track, best_threshold
from ssm_sense.commands.splices_detectors import Clip, Levels
from ssm_sense.metrics.boundary import boundary_counts
from ssm_sense.metrics.moments import (
    ELSEWHERE,
    Drawn,
    drawn_auroc,
    drawn_f1,
    drawn_mean,
    fired_at,
    moment_samples,
    over_seeds,
)
from ssm_sense.nn.surprise import SurprisePolicy

CONDITIONS = ("walk", "cut", "jump", "flash", "exposure", "cutjump")
NEEDLES = ("object1", "paste1", "object6", "paste6")
AROUND_S, TOLERANCE_S, SHORTEST_S = 1.0, 2.0, 3.0
"""How far from a moment surprise counts as at it; the same of found boundaries; the shortest event."""
CHANCE = "random"
"""The detector whose τ is not picked: it finds as many boundaries as there are events on validation streams."""

FELT, MARGIN, AIM = 0.60, 0.05, 0.10
"""Of the verdict rule: AUROC that counts as felt; differences that count as none; the aim at F1."""

Row = dict[str, Any]


class Cell(NamedTuple):
    """What one detector, trained one way, made of everything, a seed after another."""

    detector: str
    train: str
    seeds: Sequence[Mapping[tuple[str, str], Levels]]
    """Of each seed: (split, condition) to surprise."""


def measure(
    cell: Cell, clips: Mapping[tuple[str, str], Sequence[Clip]], resamples: int = 10_000
) -> dict[tuple[str, str], Drawn]:
    """Everything that is measured of a cell: (condition, measure) to its value and resamples, seeds put together."""
    each = [_measure_one(cell.detector, levels, clips, resamples) for levels in cell.seeds]
    return {key: over_seeds([one[key] for one in each]) for key in each[0]}


def rows_of(cell: Cell, measured: Mapping[tuple[str, str], Drawn]) -> list[Row]:
    """A line a condition and measure; what could not be measured is null."""
    lines = []
    for (condition, name), drawn in measured.items():
        estimate = drawn.estimate
        numbers = {k: None if math.isnan(v) else round(v, 4) for k, v in estimate._asdict().items() if k[0] in "vlh"}
        place = {"detector": cell.detector, "train": cell.train, "condition": condition, "measure": name}
        lines.append({**place, **numbers, "n": estimate.n, "streams": estimate.streams, "seeds": len(cell.seeds)})
    return lines


def verdict(measured: Mapping[tuple[str, str], Drawn]) -> str:
    """What a detector finds, by the rule: events, splices, change, neither, or open."""

    def felt(condition: str, name: str) -> bool:
        return measured[condition, name].estimate.low > FELT

    events, splices = felt("walk", "auroc event"), felt("jump", "auroc decoy")
    apart = felt("cutjump", "auroc event over decoy")
    if events and apart:
        return "events"
    if events and splices:
        return "change, event or not"
    if splices:
        return "splices"
    return "open" if events else "neither"


def reading(difference: Drawn, margin: float = MARGIN) -> str:
    """ "higher" or "lower" where the interval excludes 0, "the same" where it lies within the margin, else "open"."""
    estimate = difference.estimate
    if math.isnan(estimate.low):
        return "open"
    if -margin < estimate.low and estimate.high < margin:
        return "the same"
    if estimate.low > 0 or estimate.high < 0:
        return "higher" if estimate.low > 0 else "lower"
    return "open"


def _measure_one(
    detector: str,
    levels: Mapping[tuple[str, str], Levels],
    clips: Mapping[tuple[str, str], Sequence[Clip]],
    resamples: int,
) -> dict[tuple[str, str], Drawn]:
    measured: dict[tuple[str, str], Drawn] = {}
    thresholds = {
        condition: _threshold(detector, _tracks(clips[key], levels[key]))
        for key in levels
        if key[0] == "val" and (condition := key[1])
    }
    for key, level in levels.items():
        split, condition = key
        if split != "test":
            continue
        kinds = ("event", "needle") if condition in NEEDLES else ("event", "decoy")
        samples = [
            moment_samples(c.seconds.numpy(), x, {kind: c.moments[kind] for kind in kinds}, AROUND_S)
            for c, x in zip(clips[key], level, strict=True)
        ]
        pairs = {f"auroc {kind}": (kind, ELSEWHERE) for kind in kinds}
        if condition in NEEDLES:
            pairs = {"auroc needle": ("needle", ELSEWHERE)}
        elif any(len(c.moments["decoy"]) for c in clips[key]):
            pairs["auroc event over decoy"] = ("event", "decoy")
        else:
            del pairs["auroc decoy"]
        for name, (above, below) in pairs.items():
            measured[condition, name] = drawn_auroc(samples, above, below, resamples)
        if condition not in NEEDLES:
            tracks = _tracks(clips[key], level)
            for how, threshold in (("tuned", thresholds[condition]), ("transferred", thresholds["walk"])):
                for name, drawn in _found(clips[key], tracks, threshold, resamples).items():
                    measured[condition, f"{name} {how}"] = drawn
    return measured


def _found(clips: Sequence[Clip], tracks: Sequence[Track], threshold: float, resamples: int) -> dict[str, Drawn]:
    """F1, boundaries a minute, and shares of decoys and of moments elsewhere that are answered by a boundary."""
    found = _boundaries(tracks, threshold)
    counts = [boundary_counts(f, t.events_s.tolist(), TOLERANCE_S) for f, t in zip(found, tracks, strict=True)]
    minutes = [(t.seconds[-1] - t.seconds[0]) / 60 for t in tracks]
    fired, calm = [], []
    for clip, track, times in zip(clips, tracks, found, strict=True):
        decoys = np.array(clip.moments["decoy"], dtype=float)
        moments = np.concatenate([track.events_s, decoys])
        away = np.abs(track.seconds[1:, None] - moments[None]).min(1, initial=math.inf) > 2 * TOLERANCE_S
        fired.append(fired_at(times, decoys, TOLERANCE_S))
        calm.append(fired_at(times, track.seconds[1:][away], TOLERANCE_S))
    shares = {"decoys answered": drawn_mean(fired, resamples)} if any(len(f) for f in fired) else {}
    return {
        "f1": drawn_f1(counts, resamples),
        "a minute": drawn_mean([np.array([len(f) / m]) for f, m in zip(found, minutes, strict=True)], resamples),
        **shares,
        "elsewhere answered": drawn_mean(calm, resamples),
    }


def _tracks(clips: Sequence[Clip], levels: Levels) -> list[Track]:
    tracks = []
    for number, (clip, level) in enumerate(zip(clips, levels, strict=True)):
        seconds, events = clip.seconds.numpy(), np.array(clip.moments["event"], dtype=float)
        tracks.append(Track(str(number), seconds, level.astype(float), events, math.nan, math.nan))
    return tracks


@torch.inference_mode()
def _boundaries(tracks: Sequence[Track], threshold: float) -> list[list[float]]:
    """`found_boundaries` of equally long tracks at one threshold, side by side."""
    policy = SurprisePolicy(threshold=0.0, shortest_event_s=SHORTEST_S)
    above = torch.from_numpy(np.stack([t.surprise for t in tracks]) - threshold).unsqueeze(-1)
    seconds = torch.from_numpy(np.stack([t.seconds for t in tracks]))
    decision, _ = policy(above, seconds, policy.initial_state(len(tracks)))
    return [t.seconds[row].tolist() for t, row in zip(tracks, decision.boundary.numpy(), strict=True)]


def _threshold(detector: str, tracks: Sequence[Track]) -> float:
    if detector != CHANCE:
        return best_threshold(tracks, TOLERANCE_S, SHORTEST_S)
    events = sum(len(t.events_s) for t in tracks)
    levels = np.linspace(0.5, 1, 101)
    found = [sum(map(len, _boundaries(tracks, level))) for level in levels]
    # Of two thresholds with as many boundaries the higher: below it draws run into each other.
    return float(levels[len(levels) - 1 - int(np.argmin(np.abs(np.array(found[::-1]) - events)))])
