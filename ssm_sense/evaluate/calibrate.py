"""τ and the gate's centre, picked on validation streams in the closed loop.

Another τ resets the state elsewhere, and another centre writes something else into it; both change the very surprise
that they are compared with. So no candidate is judged by the surprise that another one saw: every candidate watches
all streams anew, frame by frame, as streaming does. The number of such passes is bounded: one to begin with, a few
that settle the centre, a coarse row of τ, and a finer one twice over.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssm_sense.metrics.boundary import BoundaryCounts, boundary_counts, total_counts
from ssm_sense.model import SsmSense
from ssm_sense.nn.surprise import SurprisePolicy

COARSE = 9
FINE = 2
SETTLE = 3
PASSES = 1 + SETTLE + COARSE + 2 * FINE + SETTLE
"""The most that a calibration needs."""
SHARE_TOLERANCE = 0.01
"""How near to the share of writes that was asked for counts as there."""

_TOGETHER = 16
_EPSILON_S = 1e-6


class Watched(NamedTuple):
    """Cached latents with their truth."""

    latents: Tensor
    """(T, S, V), as the vision tower gives them."""
    seconds: Tensor
    """(T,) float64, increasing."""
    events_s: Sequence[float]
    """When events truly begin."""
    counts: Mapping[str, int] | None = None
    """How many of each kind of thing can be counted in all of it; None where nobody knows."""
    shown: Mapping[str, Tensor] | None = None
    """Of each thing that may be sought (T,): positive where it is in view, 0 where not, negative where nobody knows."""


class Outcome(NamedTuple):
    """What one pair of values made of all streams, watched in the closed loop."""

    threshold: float
    centre: float
    f1: float
    """Micro-averaged over all streams at the stated tolerance; 0 where nothing was found."""
    precision: float
    recall: float
    share: float
    """Mean gate over frames and places, what is written at boundaries included."""
    per_minute: float
    """Boundaries found."""


class Calibration(NamedTuple):
    """The outcome that was chosen, and every pass in order, the first with the values the model came with."""

    chosen: Outcome
    passes: list[Outcome]


def calibrate(
    model: SsmSense,
    streams: Sequence[Watched],
    tolerance_s: float = 2.0,
    writes: float | None = None,
    on_frames: Callable[[int, int], None] = lambda n, passed: None,
) -> Calibration:
    """Search for the τ of the best boundary F1 and, where a share of writes is stated, for the centre that gives it.

    The model is left as it came. Of passes within `SHARE_TOLERANCE` of the share, the best F1 wins, and of equals
    the one in the middle of them; where no pass comes that near, the nearest is taken, and says its share.

    Args:
        model: in eval mode; its vision latents are those of ``streams``.
        streams: of validation data alone.
        tolerance_s: how far from a true boundary counts as at it.
        writes: share of all frames and places that is to be written; None leaves the centre as it is.
        on_frames: told of every frame (of all streams together) that was watched, and in which pass.

    Raises:
        ValueError: without streams or true boundaries, and for a share that the gate's floor rules out.
    """
    if not streams or not any(true_boundaries(stream) for stream in streams):
        raise ValueError(f"streams: expected some with true boundaries after their first frame, got {len(streams)}")
    floor = model.policy.floor
    if writes is not None and not floor < writes < 1:
        raise ValueError(f"writes: expected a share between the gate's floor, {floor:g}, and 1, got {writes:g}")
    search = _Search(model, streams, tolerance_s, writes, on_frames)
    with _restored(model.policy):
        search.watch()
        search.settle()
        search.row(_coarse(search.levels, sum(len(true_boundaries(s)) for s in streams)))
        for _ in range(FINE):
            search.between()
        search.settle()
    return Calibration(search.best(), search.passes)


class _Search:
    """The values tried so far and what came of them; the model's policy holds the newest."""

    def __init__(
        self,
        model: SsmSense,
        streams: Sequence[Watched],
        tolerance_s: float,
        writes: float | None,
        on_frames: Callable[[int, int], None],
    ) -> None:
        self.model, self.policy, self.streams = model, model.policy, streams
        self.tolerance_s, self.writes, self.on_frames = tolerance_s, writes, on_frames
        self.passes: list[Outcome] = []

    def watch(self) -> None:
        """One pass of all streams with the policy as it stands."""
        number = len(self.passes)
        surprises: list[Tensor] = []
        gates: list[Tensor] = []
        counts, found_n, minutes = [], 0, 0.0
        order = sorted(range(len(self.streams)), key=lambda i: len(self.streams[i].seconds))
        for start in range(0, len(order), _TOGETHER):
            group = [self.streams[i] for i in order[start : start + _TOGETHER]]
            for stream, (surprise, gate, boundary) in zip(
                group, watch_together(self.model, group, lambda n: self.on_frames(n, number)), strict=True
            ):
                surprises.append(self.policy.judged(surprise.unsqueeze(0).to(self.policy.threshold.device))[0].cpu())
                gates.append(gate)
                found = stream.seconds[boundary].tolist()
                counts.append(boundary_counts(found, true_boundaries(stream), self.tolerance_s))
                found_n += len(found)
                minutes += float(stream.seconds[-1] - stream.seconds[0]) / 60
        f1, precision, recall = f1_precision_recall(counts)
        self.surprise, self.gate = torch.cat(surprises), torch.cat(gates)
        self.levels = np.sort(torch.cat([s[1:].mean(-1) for s in surprises]).double().numpy())
        share, per_minute = self.gate.mean().item(), found_n / minutes if minutes else 0.0
        threshold, centre = self.policy.threshold.item(), self.policy.centre.item()
        self.passes.append(Outcome(threshold, centre, f1, precision, recall, share, per_minute))

    def settle(self) -> None:
        """Move the centre until the closed loop writes the share asked for, or the passes are spent.

        Each pass asks which centre would have written it of the surprise just seen, which is exact once the surprise
        stands still.
        """
        for _ in range(SETTLE):
            if self.writes is None or self._is_near(self.passes[-1]):
                return
            self._set(self.policy.threshold.item(), self._centre())
            self.watch()

    def row(self, thresholds: Sequence[float]) -> None:
        """A pass for each τ; the policy is left with the best of this centre's."""
        centre = self.policy.centre.item()
        for threshold in thresholds:
            self._set(threshold, centre)
            self.watch()
        self._set(_middle_of_best(self._of(centre)).threshold, centre)

    def between(self) -> None:
        """Two more τ, half-way from the best of this centre to its neighbours on either side."""
        here = self._of(self.policy.centre.item())
        best = here.index(_middle_of_best(here))
        beside = [here[i].threshold for i in (best - 1, best + 1) if 0 <= i < len(here)]
        self.row([(here[best].threshold + threshold) / 2 for threshold in beside])

    def best(self) -> Outcome:
        """The best F1 among passes of the share asked for; without any, the pass nearest to it."""
        near = [one for one in self.passes if self.writes is None or self._is_near(one)]
        if not near:
            return min(self.passes, key=lambda one: abs(one.share - (self.writes or 0.0)))
        return _middle_of_best(near)

    def _of(self, centre: float) -> list[Outcome]:
        """The passes with this centre, in order of τ."""
        return sorted((one for one in self.passes if one.centre == centre), key=lambda one: one.threshold)

    def _set(self, threshold: float, centre: float) -> None:
        with torch.no_grad():
            self.policy.threshold.fill_(threshold)
            self.policy.centre.fill_(centre)

    def _is_near(self, one: Outcome) -> bool:
        return self.writes is not None and abs(one.share - self.writes) <= SHARE_TOLERANCE

    def _centre(self) -> float:
        """By bisection, the centre that would write the share of the surprise that was just seen."""
        assert self.writes is not None
        width = float(self.policy.log_width.detach().exp())
        floor = self.policy.floor
        opened = self.gate >= 1.0  # boundaries, which no centre closes
        low, high = float(self.surprise.min()) - 20 * width, float(self.surprise.max()) + 20 * width
        for _ in range(40):
            centre = (low + high) / 2
            gate = floor + (1 - floor) * torch.sigmoid((self.surprise - centre) / width)
            share = float(torch.where(opened, 1.0, gate).mean())
            low, high = (centre, high) if share > self.writes else (low, centre)
        return (low + high) / 2


@torch.inference_mode()
def watch_together(
    model: SsmSense, streams: Sequence[Watched], on_frames: Callable[[int], None] = lambda n: None
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Watch streams side by side in exact closed loop: for each, surprise and gate (T, S) and boundary (T,).

    The shorter ones go on with their last frame, which nothing before it can notice, and are cut to their length.
    """
    longest = max(len(stream.seconds) for stream in streams)
    state = model.initial_state(len(streams))
    device = model.policy.threshold.device
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for t in range(longest):
        rows = [min(t, len(stream.seconds) - 1) for stream in streams]
        latents = torch.stack([stream.latents[i] for stream, i in zip(streams, rows, strict=True)]).float()
        late_s = [float(stream.seconds[i]) + (t - i) for stream, i in zip(streams, rows, strict=True)]
        seconds = torch.tensor(late_s, dtype=torch.float64, device=device)
        trace, state = model.observe(latents.to(device).unsqueeze(1), seconds.unsqueeze(1), state)
        decision = trace.decision
        found.append((trace.surprise[:, 0].cpu(), decision.gate[:, 0].cpu(), decision.boundary[:, 0].cpu()))
        on_frames(sum(t < len(stream.seconds) for stream in streams))
    surprise, gate, boundary = (torch.stack(parts, 1) for parts in zip(*found, strict=True))
    lengths = [len(stream.seconds) for stream in streams]
    return [(surprise[i, :n], gate[i, :n], boundary[i, :n]) for i, n in enumerate(lengths)]


def _coarse(levels: np.ndarray, events: int) -> list[float]:
    """Up to `COARSE` candidates of τ, exceeded by four times as many frames as there are events, down to a quarter.

    ``levels`` of surprise are in rising order. Equal candidates are tried once.
    """
    wanted = np.geomspace(4.0, 0.25, COARSE) * events
    ranks = np.clip(len(levels) - wanted, 0, len(levels) - 1).astype(int)
    above = np.minimum(ranks + 1, len(levels) - 1)
    return [float(x) for x in np.unique((levels[ranks] + levels[above]) / 2)]


def _middle_of_best(outcomes: Sequence[Outcome]) -> Outcome:
    """Of those with the best F1 the middle one in order of τ, which leaves the most room on both sides."""
    highest = max(one.f1 for one in outcomes)
    best = sorted((one for one in outcomes if one.f1 >= highest - 1e-12), key=lambda one: one.threshold)
    return best[len(best) // 2]


def f1_precision_recall(streams: Iterable[BoundaryCounts]) -> tuple[float, float, float]:
    """Of several streams together; 0 in place of NaN, where nothing was found or there was nothing to find."""
    total = total_counts(streams)
    f1, precision, recall = (0.0 if math.isnan(x) else x for x in (total.f1, total.precision, total.recall))
    return f1, precision, recall


def true_boundaries(stream: Watched) -> list[float]:
    """True boundaries that can be seen: after the first frame, and not after the last."""
    first, last = float(stream.seconds[0]) + _EPSILON_S, float(stream.seconds[-1]) + _EPSILON_S
    return [t_s for t_s in stream.events_s if first < t_s <= last]


@contextmanager
def _restored(policy: SurprisePolicy) -> Iterator[None]:
    """Whatever happens inside, τ and centre are then what they were."""
    before = policy.threshold.clone(), policy.centre.detach().clone()
    try:
        yield
    finally:
        with torch.no_grad():
            policy.threshold.copy_(before[0])
            policy.centre.copy_(before[1])
