"""How often each kind of thing is met where a model was calibrated, which its counts elsewhere are set against."""

from collections.abc import Sequence

import torch

from ssm_sense.evaluate.calibrate import Watched
from ssm_sense.model import SsmSense

_MOST = 4.0
"""By how much, or how little, what places seem to hold is scaled at most."""


@torch.inference_mode()
def learn_rates(model: SsmSense, streams: Sequence[Watched]) -> dict[str, tuple[float, float]]:
    """Set the usual rates of the model's inventory from what it finds in streams whose true counts are known.

    Each kind is scaled so that all streams together hold as many as they truly do; its usual rate is the mean over the
    places that the inventory still holds at their ends.

    Args:
        model: in eval mode, with the threshold that it will have, and with an inventory.
        streams: of validation data alone; those without ``counts`` are left out.

    Returns:
        Usual rate and scale of each kind that has them: one that is both there and found.

    Raises:
        ValueError: where no stream has counts.
    """
    assert model.inventory is not None
    known = [(stream, stream.counts) for stream in streams if stream.counts is not None]
    if not known:
        raise ValueError("streams: expected some whose true counts are known, got none")
    device = model.policy.threshold.device
    true, found, places = torch.zeros(len(model.concepts)), torch.zeros(len(model.concepts)), []
    for stream, counts in known:
        latents, seconds = stream.latents.float().to(device)[None], stream.seconds.to(device)[None]
        _, state = model.observe(latents, seconds, model.initial_state(1))
        held, there = model.inventory.held_by_places(state.sub("inventory"))
        places.append(held[there].cpu())
        found += state["inventory.now"][0, 0].cpu()
        true += torch.tensor([float(counts.get(name, 0)) for name in model.concepts])
    scale = torch.where((true > 0) & (found > 0), (true / found.clamp_min(1e-6)).clamp(1 / _MOST, _MOST), 0.0)
    rates = model.inventory.rates
    rates.set(torch.cat(places).to(device), scale.to(device))
    numbers = zip(model.concepts, rates.usual.tolist(), rates.scale.tolist(), rates.known.tolist(), strict=True)
    return {name: (usual, scaled) for name, usual, scaled, there in numbers if there}
