"""How much of an event is written: all of it, or as much as it surprised."""

import torch
from torch import Tensor, nn

from ssm_sense.nn.peak_pool import peaks_before
from ssm_sense.state import State


class EveryEvent(nn.Module):
    """Writes every event alike, and holds nothing."""

    def initial_state(self, streams: int) -> State:
        """Of B streams that have seen nothing."""
        return State({})

    def forward(self, surprise_BT: Tensor | None, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """The share (B, T) of the event that each frame's boundary ends, 0 where none is, and the state after."""
        return boundary_BT.to(torch.float32), state

    def so_far(self, state: State, last_BPD: Tensor) -> Tensor:
        """The share (B,) of the event in progress, pooled to ``last``, if it ended now."""
        return last_BPD.new_ones(last_BPD.shape[0])


class EventGate(EveryEvent):
    """Opens with the most that a frame of an event surprised by, its first one included.

    At most ``low`` nothing is written, and what stands behind the gate holds its state to the bit; from ``high`` on all
    is; between them the gate opens evenly. There is nothing in it to learn: what opens it must lie above what thousands
    of events without anything to remember come to by chance, of which streams of training have too few to show it.

    Args:
        low, high: surprise, 0 <= low < high.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        if not 0 <= low < high:
            raise ValueError(f"expected 0 <= low < high, got {low} and {high}")
        self.low, self.high = low, high
        self.origin: Tensor  # follows the module from device to device, and states begin where it is
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def initial_state(self, streams: int) -> State:
        """``level`` (B,): the event in progress has surprised by so much so far."""
        return State({"level": self.origin.new_zeros(streams)})

    def forward(self, surprise_BT: Tensor | None, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """As `EveryEvent`. Raises ValueError without surprise."""
        if surprise_BT is None:
            raise ValueError("an EventGate opens with surprise: expected that of every frame, got None")
        ended_BT, level_B = peaks_before(surprise_BT.detach(), boundary_BT, state["level"])
        return torch.where(boundary_BT, self._open(ended_BT), 0.0), State({"level": level_B})

    def so_far(self, state: State, last_BPD: Tensor) -> Tensor:
        """As `EveryEvent`."""
        return self._open(state["level"])

    def _open(self, level: Tensor) -> Tensor:
        """Of events that surprised by so much, in [0, 1]."""
        return ((level - self.low) / (self.high - self.low)).clamp(0, 1)
