"""An episode whose recurrence begins by forgetting next to nothing."""

import math
from typing import cast

import torch

from ssm_sense.nn.episode import Episode, EpisodeBlock


class SlowEpisode(Episode):
    """`Episode` with decays of its own at initialisation; everything else is the same.

    `Episode` spreads N decays from .01 to 1 a unit step, and its steps are .1 to 1: after a hundred events only the
    slowest of N = 16 numbers a channel still hold anything of the first. Training can lower decays, but begins with
    them. Whether it helps is open (experiments/load).

    Args:
        width, tokens, layers, state_size: as for `Episode`.
        decays: lowest and highest −A, between which N are spaced evenly in the logarithm.
    """

    def __init__(
        self,
        width: int,
        tokens: int = 4,
        layers: int = 2,
        state_size: int = 16,
        decays: tuple[float, float] = (1e-4, 1e-2),
    ) -> None:
        super().__init__(width, tokens, layers, state_size)
        if not 0 < decays[0] <= decays[1]:
            raise ValueError(f"decays: expected two above 0, the lower first, got {decays}")
        rates = torch.linspace(math.log(decays[0]), math.log(decays[1]), state_size)
        for block in cast(list[EpisodeBlock], self.blocks):
            with torch.no_grad():
                block.mix.A_log.copy_(rates.repeat(block.mix.inner, 1))
