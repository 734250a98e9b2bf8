"""Fewer spatial tokens a frame, by averaging neighbours."""

import torch.nn.functional as F
from torch import Tensor


def pool_places(x: Tensor, side: int) -> Tensor:
    """Average the S places of (..., S, V) down to side × side: (..., side², V); fewer places stay as they are."""
    grid = round(x.shape[-2] ** 0.5)
    if grid <= side:
        return x
    image = x.reshape(-1, grid, grid, x.shape[-1]).permute(0, 3, 1, 2)
    pooled = F.adaptive_avg_pool2d(image, side).flatten(2).transpose(1, 2)
    return pooled.reshape(*x.shape[:-2], side * side, x.shape[-1])
