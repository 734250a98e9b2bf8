"""From features to the language model's embedding space."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Connector(nn.Module):
    """Norm, then a two-layer GELU MLP as in Cambrian-S (arXiv 2511.04670) beside a linear path, plus each slot's own.

    The linear path begins as the identity on the features that both sides have: where vision and words already share
    a space, as in the tiny family, what is seen is readable before anything is learned. Tokens begin with a norm of
    about 1, that of pretrained embeddings; where they are much longer, attention is slow to change them.

    Args:
        width: features a token.
        language_width: Q.
        slots: number of tokens in the group.
    """

    def __init__(self, width: int, language_width: int, slots: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, language_width)
        self.down = nn.Linear(language_width, language_width)
        self.straight = nn.Linear(width, language_width, bias=False)
        nn.init.eye_(self.straight.weight)
        with torch.no_grad():
            self.straight.weight.mul_(width**-0.5)
            self.down.weight.mul_(0.1)
            self.down.bias.zero_()
        self.slot = nn.Parameter(torch.randn(slots, language_width) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(..., slots, width) to (..., slots, Q)."""
        x = self.norm(x)
        return self.straight(x) + self.down(F.gelu(self.up(x))) + self.slot
