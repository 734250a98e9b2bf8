"""How sure sightings are, set so that things are found as often as they are there where a model was calibrated."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ssm_sense.evaluate.calibrate import Watched
from ssm_sense.model import SsmSense

_TOGETHER = 512
"""Frames that are looked at at a time."""
_FURTHEST = 20.0
_HALVINGS = 50


@torch.inference_mode()
def learn_sureness(
    model: SsmSense, streams: Sequence[Watched], on_frames: Callable[[int], object] = lambda _: None
) -> dict[str, float]:
    """Move the logit of each thing that a model seeks until it is found in as many frames as show it.

    In training a thing in view weighs more than a frame without, and tours show more of them than most streams, so
    sightings come out surer than they are right. Found is the sum of how sure frames are, over all streams together:
    of all ways to move a logit by a constant this is the likeliest to give the truth.

    Args:
        model: in eval mode, with sightings.
        streams: of validation data alone, with things as rare as they will be; those without ``shown`` are left out.
        on_frames: told of each stream's frames when all were looked at.

    Returns:
        By how much the logit of each thing is moved now; what no frame shows, or every one, is left as it was.

    Raises:
        ValueError: where of no stream it is known what it shows.
    """
    sightings = model.sightings
    assert sightings is not None
    known = [(stream, stream.shown) for stream in streams if stream.shown is not None]
    if not known:
        raise ValueError("streams: expected some of which it is known what they show, got none")
    logits, truths = [], []
    for stream, shown in known:
        logits.append(logits_of(model, stream.latents))
        on_frames(len(stream.latents))
        unknown = torch.full((len(stream.seconds),), -1)
        truths.append(torch.stack([shown.get(name, unknown) for name in model.sought], dim=1))
    there_NX, true_NX = torch.cat(logits), torch.cat(truths)
    moved = {}
    for number, name in enumerate(model.sought):
        told = true_NX[:, number] >= 0
        true = int((true_NX[:, number] > 0).sum())
        if 0 < true < int(told.sum()):
            moved[name] = _until_found(there_NX[told, number], true)
            sightings.moved[number] = moved[name]
    return moved


@torch.inference_mode()
def logits_of(model: SsmSense, latents_TSV: Tensor) -> Tensor:
    """(T, X) float64, on the CPU: of each thing being in view, as it was learned, by a model with sightings."""
    sightings, device = model.sightings, model.policy.threshold.device
    assert sightings is not None
    parts = latents_TSV.split(_TOGETHER)
    return torch.cat([sightings.sight(model.scale(x.float().to(device)[None]))[0][0].double().cpu() for x in parts])


def _until_found(logits_N: Tensor, wanted: int) -> float:
    """What to add to logits so that their probabilities add up to `wanted`, by bisection."""
    low, high = -_FURTHEST - float(logits_N.max()), _FURTHEST - float(logits_N.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if float(torch.sigmoid(logits_N + middle).sum()) > wanted else (middle, high)
    return (low + high) / 2
