"""Training on prediction alone: what models make of streams that nobody asks anything about.

The answers' loss shapes a model's state too, and with it the surprise; whoever asks what prediction by itself finds
trains by these. No truth is used: boundaries are the model's own from the first step.
"""

from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from ssm_sense.memory.lfp_window import LFPWindow
from ssm_sense.model import SsmSense
from ssm_sense.nn.lfp import lfp_loss


def train_closed_loop(
    model: SsmSense,
    latents: Sequence[Tensor],
    steps: int = 300,
    seed: int = 0,
    batch_size: int = 8,
    frames: int = 96,
    fps: float = 1.0,
    learning_rate: float = 3e-3,
    progress: bool = True,
) -> list[float]:
    """Train encoder and head in the closed loop, τ following the quantile that the policy asks for; in place.

    Args:
        model: with any language model, which need not be loaded.
        latents: streams as the vision tower gives them, each (T, S, V) with T ≥ ``frames``.
        steps: updates, each on ``batch_size`` runs of ``frames`` frames that begin anywhere.
        seed: of what is drawn.
        fps: frames a second, by which the shortest event is judged.
        learning_rate: the highest of its one-cycle schedule.
        progress: show a bar on stderr.

    Returns the loss of every step, mean squared error plus cosine distance. Raises ValueError for shorter streams.
    """
    _check(latents, frames)
    model.scale.fit(torch.cat([x.flatten(0, 1) for x in latents]))
    seconds = torch.arange(frames, dtype=torch.float64) / fps
    learnt = [*model.encoder.parameters(), *model.head.parameters()]

    def loss_of(batch: Tensor) -> Tensor:
        trace, _ = model.observe(batch, seconds.expand(len(batch), -1), model.initial_state(len(batch)))
        parts = lfp_loss(trace.predicted[:, :-1], model.scale(batch)[:, 1:])
        model.policy.follow(trace.surprise[:, 1:].mean(-1))
        return parts.squared + parts.cosine

    return _train(model, learnt, loss_of, latents, steps, seed, batch_size, frames, learning_rate, progress)


def train_window(
    model: LFPWindow,
    latents: Sequence[Tensor],
    steps: int = 300,
    seed: int = 0,
    batch_size: int = 8,
    frames: int = 96,
    learning_rate: float = 1e-3,
    progress: bool = True,
) -> list[float]:
    """Train a loaded `LFPWindow`, its language model included, to predict frames; in place. As `train_closed_loop`."""
    _check(latents, frames)
    model.scale.fit(torch.cat([x.flatten(0, 1) for x in latents]))
    learnt = [p for p in model.parameters() if p.requires_grad]

    def loss_of(batch: Tensor) -> Tensor:
        parts = lfp_loss(model.predictions(batch)[:, :-1], model.target(batch)[:, 1:])
        return parts.squared + parts.cosine

    return _train(model, learnt, loss_of, latents, steps, seed, batch_size, frames, learning_rate, progress)


def _check(latents: Sequence[Tensor], frames: int) -> None:
    if not latents or min(len(x) for x in latents) < frames:
        raise ValueError(f"latents: expected streams of {frames} frames or more, got {[len(x) for x in latents]}")


def _train(
    model: nn.Module,
    learnt: Sequence[nn.Parameter],
    loss_of: Callable[[Tensor], Tensor],
    latents: Sequence[Tensor],
    steps: int,
    seed: int,
    batch_size: int,
    frames: int,
    learning_rate: float,
    progress: bool,
) -> list[float]:
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(learnt, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    model.train()
    losses = []
    for _ in track(range(steps), type(model).__name__, console=Console(stderr=True), disable=not progress):
        chosen = torch.randint(len(latents), (batch_size,), generator=draw).tolist()
        starts = [int(torch.randint(len(latents[i]) - frames + 1, (1,), generator=draw)) for i in chosen]
        batch = torch.stack([latents[i][t : t + frames] for i, t in zip(chosen, starts, strict=True)]).float()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    model.eval()
    return losses
