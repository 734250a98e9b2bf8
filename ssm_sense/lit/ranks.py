"""Several processes that train one model: what they must agree on besides the gradients."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ssm_sense.nn.surprise import SurprisePolicy


def follow_together(model: nn.Module) -> None:
    """Let every surprise policy of a model follow the surprise of all processes' streams, not of its own alone.

    τ is no parameter, so gradients do not keep it the same everywhere, and it decides where events begin.
    """
    for policy in model.modules():
        if isinstance(policy, SurprisePolicy):
            policy.follow = _together(policy.follow)  # type: ignore[method-assign, assignment]


def _together(follow: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
    def follow_all(level_BT: Tensor) -> None:
        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, level_BT.cpu())
        frames = min(level.shape[1] for level in gathered)
        follow(torch.cat([level[:, :frames] for level in gathered]).to(level_BT.device))

    return follow_all


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
