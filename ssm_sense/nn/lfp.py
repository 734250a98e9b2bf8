"""Latent-frame prediction (LFP): what will the next frame look like to the vision tower, and how wrong was that?

Head and loss follow Cambrian-S (arXiv 2511.04670, §5 and its released code); the target is the frozen vision
tower's latents, pooled to the grid, before the connector. One thing differs: the latents are standardised per
channel first. Raw SigLIP features share a large constant part, which keeps the cosine of any two frames near 1.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LFPHead(nn.Module):
    """Linear, GELU, Linear: the encoder's output at one frame to the latents of the next.

    Args:
        width: D.
        vision_width: V.
        hidden: inner width, by default D.
    """

    def __init__(self, width: int, vision_width: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden if hidden is not None else width
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, vision_width)
        for layer in (self.up, self.down):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, u: Tensor) -> Tensor:
        """(..., D) to predicted latents (..., V)."""
        return self.down(F.gelu(self.up(u)))


class LatentScale(nn.Module):
    """Standardises vision latents per channel with statistics measured once, on training data.

    Args:
        vision_width: V.
    """

    def __init__(self, vision_width: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(vision_width))
        self.register_buffer("scale", torch.ones(vision_width))

    @torch.no_grad()
    def fit(self, latents: Tensor) -> None:
        """Set mean and scale from latents (..., V)."""
        flat = latents.flatten(0, -2).float()
        self.mean.copy_(flat.mean(0))
        self.scale.copy_(flat.std(0).clamp_min(1e-6))

    def forward(self, latents: Tensor) -> Tensor:
        """(..., V) to (..., V) of mean 0 and deviation 1 on the data that was fitted."""
        return (latents - self.mean) / self.scale


class LFPLoss(NamedTuple):
    """The two parts of the loss, each a scalar averaged over tokens."""

    squared: Tensor
    cosine: Tensor


def lfp_loss(predicted: Tensor, actual: Tensor) -> LFPLoss:
    """Mean squared error and cosine distance of predicted and actual latents, both (..., V)."""
    return LFPLoss(F.mse_loss(predicted, actual), surprise(predicted, actual).mean())


def surprise(predicted: Tensor, actual: Tensor) -> Tensor:
    """1 − cos(predicted, actual) per location: (..., S, V) twice to (..., S), in [0, 2]."""
    return 1 - F.cosine_similarity(predicted, actual, dim=-1)
