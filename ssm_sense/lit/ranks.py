"""Several processes that train one model: what they must agree on besides the gradients."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from ssm_sense.nn.places import Places
from ssm_sense.nn.sightings import Sightings
from ssm_sense.nn.surprise import SurprisePolicy


def follow_together(model: nn.Module) -> None:
    """Let what a model learns from all streams of a batch learn from those of all processes, not of its own alone.

    Every surprise policy follows their surprise, for τ is no parameter, so gradients do not keep it the same, and it
    decides where events begin. Places are told from all others, and what sightings lose is a mean over all processes'.
    """
    for part in model.modules():
        if isinstance(part, SurprisePolicy):
            part.follow = _together(part.follow)  # type: ignore[method-assign, assignment]
        if isinstance(part, Sightings):
            part.shares = shares
        if isinstance(part, Places):
            part.process, part.everyones = dist.get_rank(), _everyones


def _together(follow: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
    def follow_all(level_BT: Tensor) -> None:
        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, level_BT.cpu())
        streams = [level for level in gathered if level.shape[1] > 1]  # the others hold a picture
        if streams:
            frames = min(level.shape[1] for level in streams)
            follow(torch.cat([level[:, :frames] for level in streams]).to(level_BT.device))

    return follow_all


def _everyones(rows: Tensor) -> Tensor:
    """The rows (n, ...) of all processes, of which each may have another number; gradients flow back to their own."""
    sizes: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(sizes, len(rows))
    padded = F.pad(rows, [0, 0] * (rows.dim() - 1) + [0, max(sizes) - len(rows)])
    if rows.requires_grad:
        gathered = all_gather(padded)
    else:
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded)
    return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])


def shares(own: Tensor) -> Tensor:
    """By which to multiply means over so many items, that a mean over processes is that over the items of all."""
    everyones = own.clone()
    dist.all_reduce(everyones)
    return own * dist.get_world_size() / everyones.clamp_min(1)


def totals(own: dict[str, tuple[float, int]]) -> dict[str, float]:
    """Means from (sum, number) by name, over all processes; not all of them need to have every name."""
    gathered: list[Any] = [own]
    if dist.is_available() and dist.is_initialized():
        gathered = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, own)
    names = sorted({name for part in gathered for name in part})
    pairs = {name: [part[name] for part in gathered if name in part] for name in names}
    return {name: sum(total for total, _ in found) / sum(n for _, n in found) for name, found in pairs.items()}
