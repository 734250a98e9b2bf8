"""Under which likeness a stay ends by itself, picked on validation streams."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from ssm_sense.evaluate.calibrate import Watched, f1_precision_recall, true_boundaries
from ssm_sense.metrics.boundary import boundary_counts
from ssm_sense.model import SsmSense

_CANDIDATES = (-math.inf, *(-12 + n / 2 for n in range(25)))
"""Logits of a frame being where the stay in progress is."""


class Stays(NamedTuple):
    """What one logit made of all streams."""

    unlike: float | None
    """None: stays end with events."""
    f1: float
    """Of where stays begin, micro-averaged over all streams at the stated tolerance."""
    precision: float
    recall: float


@torch.inference_mode()
def learn_stays(model: SsmSense, streams: Sequence[Watched], tolerance_s: float) -> tuple[Stays, Stays]:
    """Set the logit under which the places of a model's inventory end a stay, to that of the best boundary F1.

    Args:
        model: in eval mode, with the threshold that it will have, and with an inventory.
        streams: of validation data alone.
        tolerance_s: how far from a true boundary counts as at it.

    Returns:
        With events in their place, and the best.
    """
    assert model.inventory is not None
    places, device = model.inventory.places, model.policy.threshold.device
    candidates = torch.tensor(_CANDIDATES, device=device)
    found = []
    for stream in streams:
        latents, seconds = stream.latents.float().to(device)[None], stream.seconds.to(device)[None]
        trace, _ = model.observe(latents, seconds, model.initial_state(1))
        described, blank = places.describe(model.scale(latents)), model.inventory.initial_state(len(candidates))
        begins, _, _ = places.stays(
            described.expand(len(candidates), -1, -1),
            trace.decision.boundary.expand(len(candidates), -1),
            blank["sums"],
            blank["frames"],
            candidates,
        )
        true = true_boundaries(stream)
        found.append([boundary_counts(stream.seconds[row].tolist(), true, tolerance_s) for row in begins.cpu()])
    outcomes = [
        Stays(unlike if math.isfinite(unlike) else None, *f1_precision_recall(counts))
        for unlike, counts in zip(_CANDIDATES, zip(*found, strict=True), strict=True)
    ]
    best = max(range(len(outcomes)), key=lambda i: outcomes[i].f1)  # of equals the first, which ends the fewest
    places.unlike.fill_(_CANDIDATES[best])
    return outcomes[0], outcomes[best]
