"""What happened to a stream's frames on their way into the memory."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ssm_sense.nn.surprise import Decision


class Trace(NamedTuple):
    """What happened over T frames."""

    predicted: Tensor
    """(B, T, S, V): at each frame, the standardised latents expected of the next."""
    surprise: Tensor
    """(B, T, S): of each frame, detached; 1 at a stream's first frame."""
    decision: Decision
    residual: Tensor
    """Scalar: largest change of the gate in the last rescan (0 where the surprise is exact)."""
    disagreement: Tensor
    """Scalar: boundaries that changed in the last rescan."""
    inventory: Tensor
    """(B, T, 4, K): the `Inventory`'s rows after each frame, of no kinds where none is kept."""


def join_traces(traces: Sequence[Trace]) -> Trace:
    """Consecutive traces as one: frames side by side, the largest residual, all disagreements."""
    decisions = [trace.decision for trace in traces]
    return Trace(
        torch.cat([trace.predicted for trace in traces], 1),
        torch.cat([trace.surprise for trace in traces], 1),
        Decision(*(torch.cat(parts, 1) for parts in zip(*decisions, strict=True))),
        torch.stack([trace.residual for trace in traces]).max(),
        torch.stack([trace.disagreement for trace in traces]).sum(),
        torch.cat([trace.inventory for trace in traces], 1),
    )
