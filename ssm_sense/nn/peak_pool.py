"""What an event held, in a few tokens: the most that any place of any frame showed of each feature."""

import torch
from torch import Tensor, nn

from ssm_sense.state import State

NOTHING = -1e4
"""The peak of an event of no frames; finite, so that a norm of it is."""


class PeakPool(nn.Module):
    """The running maximum of learned features over everything that an event has shown so far.

    What is small is seen in few places of few frames: an average of an event dilutes it, even a weighted one, while a
    maximum keeps it as it was at its clearest. A boundary clears the maximum, which is exact in any form and under any
    cut; its state is the maximum itself.

    Args:
        width: D.
        tokens: P.
    """

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        if tokens < 1:
            raise ValueError(f"tokens: expected 1 or more, got {tokens}")
        self.width, self.tokens = width, tokens
        self.value = nn.Linear(width, tokens * width, bias=False)
        self.norm = nn.LayerNorm(tokens * width)

    def initial_state(self, streams: int) -> State:
        """``peak`` (B, P·D), and ``last`` (B, P, D), the newest result."""
        blank = self.value.weight.new_zeros(streams, self.tokens, self.width)
        return State({"peak": blank.flatten(1) + NOTHING, "last": blank})

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """What the event in progress has shown up to each of T frames, (B, T, P, D), and the state after the last."""
        peak = self.peaks(u_BTSD, boundary_BT, state)
        pooled = self.norm(peak).unflatten(-1, (self.tokens, self.width))
        return pooled, State({"peak": peak[:, -1], "last": pooled[:, -1]})

    def peaks(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State) -> Tensor:
        """The same before the norm, (B, T, P·D)."""
        return peak_so_far(self.value(u_BTSD).amax(2), boundary_BT, state["peak"])


def peak_so_far(shown_BTC: Tensor, boundary_BT: Tensor, before_BC: Tensor) -> Tensor:
    """The running maximum (B, T, C) of every event, to the bit however it is cut.

    before_BC: that of the event in progress, up to the frame before the first.
    """
    event, shown, reach = boundary_BT.cumsum(1), shown_BTC, 1
    while reach < shown.shape[1]:
        # Each frame has the maximum of the `reach` frames up to it, and takes that of as many before them.
        same = (event[:, reach:] == event[:, :-reach]).unsqueeze(-1)
        earlier = torch.where(same, shown[:, :-reach], NOTHING)
        shown = torch.cat([shown[:, :reach], torch.maximum(shown[:, reach:], earlier)], dim=1)
        reach *= 2
    before = torch.where((event == 0).unsqueeze(-1), before_BC.unsqueeze(1), NOTHING)
    return torch.maximum(shown, before)


def peaks_before(shown_BT: Tensor, boundary_BT: Tensor, before_B: Tensor) -> tuple[Tensor, Tensor]:
    """The running maximum (B, T) of the event up to the frame before each, and (B,) of that in progress after the last.

    before_B: that of the event in progress, up to the frame before the first.
    """
    peak_BT = peak_so_far(shown_BT.unsqueeze(-1), boundary_BT, before_B.unsqueeze(-1)).squeeze(-1)
    return torch.cat([before_B.unsqueeze(1), peak_BT[:, :-1]], dim=1), peak_BT[:, -1]
