"""What an event held, in a few tokens: attention over all its frames and places, kept as two running sums."""

from typing import Literal

import torch
from torch import Tensor, nn

from ssm_sense.nn.peak_pool import PeakPool
from ssm_sense.ops import selective_scan
from ssm_sense.state import State

_BOUND = 8.0
"""Of a score. It keeps every weight within e^±8, so that no running maximum is needed."""


class EventPool(nn.Module):
    """Softmax attention of P learned queries over everything that an event has shown so far.

    The last frame of an event is often its poorest: on a walk, the door to the next room. So an event is written not
    as that frame left it, but as the average of what it showed, weighted by a learned score of every place of every
    frame, each head by its own. Numerator and denominator are running sums that a boundary clears: the attention is
    exact, and its state has a constant size. The logarithm of the denominator is added, for an average alone would
    not say how much there was.

    Args:
        width: D.
        tokens: P.
        heads: of each token, a divisor of D.
    """

    def __init__(self, width: int, tokens: int, heads: int = 4) -> None:
        super().__init__()
        if tokens < 1 or width % heads:
            raise ValueError(
                f"expected tokens of 1 or more and heads that divide the width, got {tokens}, and {heads} for {width}"
            )
        self.width, self.tokens, self.heads = width, tokens, heads
        self.score = nn.Linear(width, tokens * heads)
        self.value = nn.Linear(width, tokens * width, bias=False)
        self.size = nn.Linear(heads, width)
        self.norm = nn.RMSNorm(width)

    def initial_state(self, streams: int) -> State:
        """``sums`` (B, P·D + P·heads), numerators and denominators, and ``last`` (B, P, D), the newest result."""
        blank = self.score.weight.new_zeros
        return State(
            {
                "sums": blank(streams, self.tokens * (self.width + self.heads)),
                "last": blank(streams, self.tokens, self.width),
            }
        )

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """What the event in progress has shown up to each of T frames, (B, T, P, D), and the state after the last."""
        weight = torch.exp(_BOUND * torch.tanh(self.score(u_BTSD) / _BOUND)).unflatten(-1, (self.tokens, self.heads))
        value = self.value(u_BTSD).unflatten(-1, (self.tokens, self.heads, -1))
        numerator = (weight.unsqueeze(-1) * value).sum(2).flatten(2)
        x = torch.cat([numerator, weight.sum(2).flatten(2)], dim=-1).float()
        # A sum over time that a boundary clears is the recurrence with A = 0 and all else 1.
        one, keep = x.new_ones(*x.shape[:2], 1), (~boundary_BT).to(x.dtype)
        zero = x.new_zeros(x.shape[-1], 1)
        sums, after = selective_scan(
            x, torch.ones_like(x), zero, one, one, keep=keep, initial_state=state["sums"].unsqueeze(-1)
        )
        above, below = sums.split([numerator.shape[-1], self.tokens * self.heads], dim=-1)
        below = below.unflatten(-1, (self.tokens, self.heads))
        mean = above.unflatten(-1, (self.tokens, self.heads, -1)) / below.unsqueeze(-1)
        pooled = self.norm(mean.flatten(3) + self.size(below.log()))
        return pooled, State({"sums": after.squeeze(-1), "last": pooled[:, -1]})


Pooling = Literal["peak", "attention"]


def pool_of(kind: Pooling, width: int, tokens: int) -> EventPool | PeakPool:
    """The pooling of this kind. Raises ValueError for another."""
    if kind not in ("peak", "attention"):
        raise ValueError(f"pool: expected 'peak' or 'attention', got {kind!r}")
    return PeakPool(width, tokens) if kind == "peak" else EventPool(width, tokens)
