"""How many of each kind of thing the events so far have shown: sums that a recurrence would have to learn to keep."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_QUIET = -3.0
"""Bias under which an event adds about .05 of everything before anything is learned."""


class Tally(nn.Module):
    """What one event adds to the count of each of K kinds of things.

    A count is a sum over events, exact however many there were, if each adds what it held that was new. What is new
    is judged from the episode's output at the event: the event itself, and what the recurrence recalls in its light.
    The sums are part of the episode's state: K numbers, never reset, and never more.

    Args:
        width: features of an event, P·D.
        kinds: K.
    """

    def __init__(self, width: int, kinds: int) -> None:
        super().__init__()
        if kinds < 1:
            raise ValueError(f"kinds: expected 1 or more, got {kinds}")
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, kinds)
        nn.init.constant_(self.down.bias, _QUIET)

    def forward(self, y_BTPD: Tensor) -> Tensor:
        """The episode's output at T events, (B, T, P, D), to what each adds, (B, T, K), 0 or more."""
        return F.softplus(self.down(F.gelu(self.up(self.norm(y_BTPD.flatten(2))))))


def tally_loss(found: Tensor, true: Tensor) -> Tensor:
    """How wrong counts are, about relatively: mean smooth L1 of log(1 + n), over kinds with a known truth.

    found: counts of any shape, 0 or more. true: of the same shape, negative where unknown.
    """
    known = true >= 0
    wrong = F.smooth_l1_loss(
        torch.log1p(found), torch.log1p(true.clamp_min(0).to(found.dtype)), reduction="none", beta=0.1
    )
    return torch.where(known, wrong, 0.0).sum() / known.sum().clamp_min(1)
