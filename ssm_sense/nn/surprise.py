"""From surprise to what is written, what is kept and where an event begins.

One function serves training (whole windows) and streaming (single frames): ``(surprise, seconds, state) ->
(decision, state)``. The seconds are there because the shortest event is a time, not a number of frames.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssm_sense.state import State

_ROUNDING_S = 1e-6
"""Times that are multiples of a frame differ by a whole number of seconds only up to that."""
_PRIOR_DEVIATION, _PRIOR_FRAMES = 0.1, 4.0
"""What a stream's deviation of surprise is taken for before it is known, and how many frames that opinion weighs."""


class Decision(NamedTuple):
    """What the policy made of a run of frames."""

    gate: Tensor
    """(B, T, S) in [floor, 1]: how much of each location is written; 1 everywhere at a boundary."""
    keep: Tensor
    """(B, T): what survives of the past before the frame is written; at a boundary 0, or less than 1 if soft."""
    boundary: Tensor
    """(B, T) bool: an event begins with this frame."""


class SurprisePolicy(nn.Module):
    """A soft gate per location and a hard reset where the frame's mean surprise crosses a threshold upwards.

    The gate is ``floor + (1 − floor) · sigmoid((surprise − centre) / width)``. Centre and width are learned through
    the gate (surprise itself arrives detached); the floor stays above 0, for without it a gate that closes starves
    the predictor that would open it again.

    Args:
        floor: least share of a frame that is written, in (0, 1].
        centre: surprise at which the gate is half open, before training.
        width: softness of the gate, before training.
        threshold: τ, the surprise whose upward crossing begins an event.
        shortest_event_s: no event begins sooner after the last one.
        event_rate: in training τ follows the (1 − event_rate) quantile of surprise, events per frame.
        momentum: of that running quantile, per update.
        reset_width: softness of a reset: at a boundary sigmoid((τ − surprise) / reset_width) of the past survives, a
            half of it just above τ. None resets hard, to 0.
        normalise_frames: judge surprise by what is usual in its own stream: minus the running mean and over the
            running deviation of the frames before it, over about so many frames. Centre, width and τ then count
            deviations. None takes surprise as it is.
    """

    def __init__(
        self,
        floor: float = 0.3,
        centre: float = 0.5,
        width: float = 0.15,
        threshold: float = 0.7,
        shortest_event_s: float = 3.0,
        event_rate: float = 0.08,
        momentum: float = 0.05,
        reset_width: float | None = None,
        normalise_frames: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 < floor <= 1:
            raise ValueError(f"floor: expected a share in (0, 1], got {floor}")
        if width <= 0 or shortest_event_s < 0 or not 0 < event_rate < 1:
            raise ValueError(
                "expected width > 0, shortest_event_s >= 0 and event_rate in (0, 1), got "
                f"{width}, {shortest_event_s} and {event_rate}"
            )
        if reset_width is not None and not reset_width > 0:
            raise ValueError(f"reset_width: expected more than 0, or None for hard resets, got {reset_width}")
        if normalise_frames is not None and not normalise_frames >= 1:
            raise ValueError(f"normalise_frames: expected 1 or more, or None, got {normalise_frames}")
        self.floor, self.shortest_event_s = floor, shortest_event_s
        self.reset_width, self.normalise_frames = reset_width, normalise_frames
        self.event_rate, self.momentum = event_rate, momentum
        self.centre = nn.Parameter(torch.tensor(float(centre)))
        self.log_width = nn.Parameter(torch.tensor(math.log(width)))
        self.threshold: Tensor
        self.register_buffer("threshold", torch.tensor(float(threshold)))

    def initial_state(self, streams: int) -> State:
        """Per stream: surprise of the last frame, when the event in progress began, whether any frame was seen.

        Where surprise is normalised, also the fading sums of it: ``weight``, ``sum`` and ``squares``.
        """
        device = self.threshold.device
        state = State(
            {
                "previous": torch.full((streams,), torch.inf, device=device),
                "began_s": torch.zeros(streams, dtype=torch.float64, device=device),
                "started": torch.zeros(streams, dtype=torch.bool, device=device),
            }
        )
        if self.normalise_frames is None:
            return state
        return state.replace(**{name: torch.zeros(streams, device=device) for name in ("weight", "sum", "squares")})

    def forward(
        self, surprise_BTS: Tensor, seconds_BT: Tensor, state: State, events_BT: Tensor | None = None
    ) -> tuple[Decision, State]:
        """Decide T frames in order.

        Args:
            surprise_BTS: detached surprise per location.
            seconds_BT: float64 times of the frames, increasing.
            state: from `initial_state` or the frame before.
            events_BT: bool, true boundaries to use in place of found ones (warm-up; an oracle's upper bound).
        """
        if self.normalise_frames is not None:
            surprise_BTS, state = self._normalised(surprise_BTS, state, self.normalise_frames)
        level_BT = surprise_BTS.mean(-1)
        boundary_BT, state = self._boundaries(level_BT, seconds_BT, state, events_BT)
        opened = torch.sigmoid((surprise_BTS - self.centre) / self.log_width.exp())
        gate_BTS = self.floor + (1 - self.floor) * opened
        gate_BTS = torch.where(boundary_BT.unsqueeze(-1), 1.0, gate_BTS)
        keep_BT = (~boundary_BT).to(gate_BTS.dtype)
        if self.reset_width is not None:
            left_BT = torch.sigmoid((self.threshold - level_BT) / self.reset_width).to(keep_BT.dtype)
            keep_BT = torch.where(boundary_BT, left_BT, keep_BT)
        return Decision(gate_BTS, keep_BT, boundary_BT), state

    def _boundaries(
        self, level_BT: Tensor, seconds_BT: Tensor, state: State, events_BT: Tensor | None
    ) -> tuple[Tensor, State]:
        previous, began_s, started = state["previous"], state["began_s"], state["started"]
        found = []
        for t in range(level_BT.shape[1]):
            level, now_s = level_BT[:, t], seconds_BT[:, t]
            if events_BT is None:
                crossed = (level > self.threshold) & (previous <= self.threshold)
                here = crossed & (now_s - began_s >= self.shortest_event_s - _ROUNDING_S) & started
            else:
                here = events_BT[:, t] & started
            began_s = torch.where(here | ~started, now_s, began_s)
            started = torch.ones_like(started)
            previous = level
            found.append(here)
        return torch.stack(found, 1), state.replace(previous=previous, began_s=began_s, started=started)

    def judged(self, surprise_BTS: Tensor) -> Tensor:
        """Surprise of whole streams in the units of centre, width and τ: as it is, or normalised."""
        if self.normalise_frames is None:
            return surprise_BTS
        return self._normalised(surprise_BTS, self.initial_state(len(surprise_BTS)), self.normalise_frames)[0]

    def _normalised(self, surprise_BTS: Tensor, state: State, frames: float) -> tuple[Tensor, State]:
        """Surprise in deviations from its stream's own mean, each frame by the frames before it alone.

        A stream's first frame, whose surprise is 1 by definition, is no part of what is usual. Before anything is
        known the mean is 0 and the deviation small, so the first frames pass for surprising.
        """
        weight, total, squares, started = (state[name] for name in ("weight", "sum", "squares", "started"))
        means, deviations = [], []
        for level in surprise_BTS.mean(-1).unbind(1):
            mean = total / weight.clamp_min(1.0)
            spread = (squares - mean * total).clamp_min(0) + _PRIOR_FRAMES * _PRIOR_DEVIATION**2
            means.append(mean)
            deviations.append((spread / (weight + _PRIOR_FRAMES)).sqrt())
            counted, fade = started.to(level.dtype), 1 - started.to(level.dtype) / frames
            weight, total, squares = (
                fade * sums + counted * now for sums, now in ((weight, 1.0), (total, level), (squares, level.square()))
            )
            started = torch.ones_like(started)
        mean_BT, deviation_BT = torch.stack(means, 1), torch.stack(deviations, 1)
        after = state.replace(weight=weight, sum=total, squares=squares)
        return (surprise_BTS - mean_BT.unsqueeze(-1)) / deviation_BT.unsqueeze(-1), after

    @torch.no_grad()
    def follow(self, level_BT: Tensor) -> None:
        """Move τ towards the quantile of these frames' surprise that `event_rate` asks for (training only).

        level_BT: from each stream's second frame on, as it comes; it is normalised here if the policy does that. Of
            a picture that is held for two frames there is one, and it says nothing of events: those are not followed.
        """
        if level_BT.shape[1] < 2:
            return
        if self.normalise_frames is not None:
            begun = self.initial_state(len(level_BT)).replace(started=torch.ones(len(level_BT), dtype=torch.bool))
            level_BT = self._normalised(level_BT.unsqueeze(-1), begun.to(level_BT.device), self.normalise_frames)[0]
        wanted = torch.quantile(level_BT.float(), 1 - self.event_rate)
        # A batch that overflowed, whose step a loss scaler leaves out, must not leave a threshold of nan.
        self.threshold.lerp_(torch.where(wanted.isfinite(), wanted, self.threshold), self.momentum)
