"""The learning rate's course: a linear warm-up, then half a cosine down to nothing, as in Cambrian-S's recipe."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupCosine(LambdaLR):
    """Scales every group's own rate alike.

    Args:
        optimizer: whose groups have their highest rates.
        total_steps: after which the rate is 0.
        warmup: share of them in which the rate rises.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.03) -> None:
        if total_steps < 1 or not 0 <= warmup < 1:
            raise ValueError(
                f"expected total_steps of 1 or more and a warmup in [0, 1), got {total_steps} and {warmup}"
            )
        self.total_steps, self.warmup = total_steps, warmup
        super().__init__(optimizer, self.factor)

    def factor(self, step: int) -> float:
        """Of the highest rate, for the step that follows ``step`` others."""
        rising = math.ceil(self.warmup * self.total_steps)
        if step < rising:
            return (step + 1) / rising
        done = min(1.0, (step - rising) / max(1, self.total_steps - rising))
        return 0.5 * (1 + math.cos(math.pi * done))
