"""From surprise to what is written, what is kept and where an event begins.

One function serves training (whole windows) and streaming (single frames): ``(surprise, seconds, state) ->
(decision, state)``. The seconds are there because the shortest event is a time, not a number of frames.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssm_sense.state import State


class Decision(NamedTuple):
    """What the policy made of a run of frames."""

    gate: Tensor
    """(B, T, S) in [floor, 1]: how much of each location is written; 1 everywhere at a boundary."""
    keep: Tensor
    """(B, T): what survives of the past before the frame is written; 0 at a boundary."""
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
    ) -> None:
        super().__init__()
        if not 0 < floor <= 1:
            raise ValueError(f"floor: expected a share in (0, 1], got {floor}")
        if width <= 0 or shortest_event_s < 0 or not 0 < event_rate < 1:
            raise ValueError(
                "expected width > 0, shortest_event_s >= 0 and event_rate in (0, 1), got "
                f"{width}, {shortest_event_s} and {event_rate}"
            )
        self.floor, self.shortest_event_s = floor, shortest_event_s
        self.event_rate, self.momentum = event_rate, momentum
        self.centre = nn.Parameter(torch.tensor(float(centre)))
        self.log_width = nn.Parameter(torch.tensor(math.log(width)))
        self.threshold: Tensor
        self.register_buffer("threshold", torch.tensor(float(threshold)))

    def initial_state(self, streams: int) -> State:
        """Per stream: surprise of the last frame, when the event in progress began, whether any frame was seen."""
        device = self.threshold.device
        return State(
            {
                "previous": torch.full((streams,), torch.inf, device=device),
                "began_s": torch.zeros(streams, dtype=torch.float64, device=device),
                "started": torch.zeros(streams, dtype=torch.bool, device=device),
            }
        )

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
        level_BT = surprise_BTS.mean(-1)
        boundary_BT, state = self._boundaries(level_BT, seconds_BT, state, events_BT)
        opened = torch.sigmoid((surprise_BTS - self.centre) / self.log_width.exp())
        gate_BTS = self.floor + (1 - self.floor) * opened
        gate_BTS = torch.where(boundary_BT.unsqueeze(-1), 1.0, gate_BTS)
        return Decision(gate_BTS, (~boundary_BT).to(gate_BTS.dtype), boundary_BT), state

    def _boundaries(
        self, level_BT: Tensor, seconds_BT: Tensor, state: State, events_BT: Tensor | None
    ) -> tuple[Tensor, State]:
        previous, began_s, started = state["previous"], state["began_s"], state["started"]
        found = []
        for t in range(level_BT.shape[1]):
            level, now_s = level_BT[:, t], seconds_BT[:, t]
            if events_BT is None:
                crossed = (level > self.threshold) & (previous <= self.threshold)
                here = crossed & (now_s - began_s >= self.shortest_event_s) & started
            else:
                here = events_BT[:, t] & started
            began_s = torch.where(here | ~started, now_s, began_s)
            started = torch.ones_like(started)
            previous = level
            found.append(here)
        after = State({"previous": previous, "began_s": began_s, "started": started})
        return torch.stack(found, 1), after

    @torch.no_grad()
    def follow(self, level_BT: Tensor) -> None:
        """Move τ towards the quantile of these frames' surprise that `event_rate` asks for (training only)."""
        wanted = torch.quantile(level_BT.float(), 1 - self.event_rate)
        self.threshold.lerp_(wanted, self.momentum)
