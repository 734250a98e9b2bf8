"""How much of an event is written, by how much it surprised."""

import torch
from torch import Tensor, nn

from ssm_sense.nn.peak_pool import peak_so_far


class EventGate(nn.Module):
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

    def forward(self, surprise_BT: Tensor | None, boundary_BT: Tensor, level_B: Tensor) -> tuple[Tensor, Tensor]:
        """The gate (B, T) of the event that each frame's boundary ends, 0 where none is, and the level after.

        level_B: the event in progress has surprised by so much so far; 0 before a stream's first frame.
        Raises ValueError without surprise.
        """
        if surprise_BT is None:
            raise ValueError("an EventGate opens with surprise: expected that of every frame, got None")
        level_BT = peak_so_far(surprise_BT.detach().unsqueeze(-1), boundary_BT, level_B.unsqueeze(-1)).squeeze(-1)
        ended_BT = torch.cat([level_B.unsqueeze(1), level_BT[:, :-1]], dim=1)
        return torch.where(boundary_BT, self.at(ended_BT), 0.0), level_BT[:, -1]

    def at(self, level: Tensor) -> Tensor:
        """Of events that surprised by so much, in [0, 1]."""
        return ((level - self.low) / (self.high - self.low)).clamp(0, 1)
