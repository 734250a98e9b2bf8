"""Training the stateless predictor by itself: the rival that a claim for the closed loop has to beat."""

import math
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.sources import StatelessLFP
from ssm_sense.nn.temporal import TemporalEncoder


def train_stateless(
    latents: Sequence[Tensor],
    steps: int = 500,
    seed: int = 0,
    width: int = 128,
    layers: int = 2,
    heads: int = 4,
    state_size: int = 16,
    pairs: int = 16,
    learning_rate: float = 1e-3,
    progress: bool = True,
) -> StatelessLFP:
    """A stateless predictor of the closed loop's architecture, trained by itself on pairs of neighbouring frames.

    Args:
        latents: streams of standardised latents, each (T, S, V) with T ≥ 2 and S a square.
        steps: updates, each on ``pairs`` pairs drawn at random from all streams.
        seed: of the weights and the draws.
        width, layers, heads, state_size: of the encoder, as the closed loop's.
        learning_rate: the highest of its one-cycle schedule.
        progress: show a bar on stderr.

    Raises ValueError for shorter streams, and for an S that is no square.
    """
    places, vision_width = latents[0].shape[1:]
    firsts = torch.cat(
        [torch.stack([torch.full((len(x) - 1,), i), torch.arange(len(x) - 1)], 1) for i, x in enumerate(latents)]
    )
    if math.isqrt(places) ** 2 != places or not len(firsts):
        raise ValueError(
            f"expected streams of 2 or more frames on a square grid, got {[tuple(x.shape) for x in latents]}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = TemporalEncoder(vision_width, width, math.isqrt(places), layers, heads, state_size)
        source = StatelessLFP(encoder, LFPHead(width, vision_width)).to(latents[0].device)
        optimizer = torch.optim.AdamW(source.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
        console = Console(stderr=True)
        for _ in track(range(steps), "stateless LFP", console=console, disable=not progress):
            chosen = firsts[torch.randint(len(firsts), (pairs,))].tolist()
            batch = torch.stack([latents[i][t : t + 2] for i, t in chosen]).float()
            optimizer.zero_grad(set_to_none=True)
            source.losses(batch)["loss"].backward()
            optimizer.step()
            schedule.step()
    return source.eval()
