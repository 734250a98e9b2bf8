"""The causal depth score as a source of surprise."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.nn.sources import SurpriseSource
from ssm_sense.state import State


class DepthScore(SurpriseSource):
    """How far a frame falls out of a run of frames that were ever more alike.

    The depth score of TextTiling as VideoLLaMB uses it (its `segment_left`, which needs no frame to come): s is the
    cosine of neighbouring frames' mean latents, l the highest s that one reaches going back from it without a descent,
    and the depth is l − s. The surprise is the same at every location.

    Args:
        places: S.
        vision_width: V.
        standard: count depths in deviations from the mean of all of the stream's so far, its own included, as
            `segment_left` does: its boundaries are where that is above α. Otherwise depths are as they come.
    """

    def __init__(self, places: int, vision_width: int, standard: bool = False) -> None:
        super().__init__()
        self.places, self.vision_width, self.standard = places, vision_width, standard
        self.origin: Tensor  # follows the module from device to device, and states begin where it is
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def initial_state(self, streams: int) -> State:
        """``last`` (B, V), the last frame's mean latents; ``alike`` and ``peak`` (B,), its s and l; ``frames`` (B,)
        seen; ``total`` and ``squares`` (B,) of depths."""
        blank = self.origin.new_zeros(streams, dtype=torch.float64)
        return State(
            {
                "last": self.origin.new_zeros(streams, self.vision_width),
                "alike": blank - torch.inf,
                "peak": blank - torch.inf,
                "frames": blank.clone(),
                "total": blank.clone(),
                "squares": blank.clone(),
            }
        )

    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S), 1 at a stream's first frame, and the state after."""
        last, alike, peak, frames, total, squares = (
            state[name] for name in ("last", "alike", "peak", "frames", "total", "squares")
        )
        levels = []
        for here in latents_BTSV.mean(2).float().unbind(1):
            s = F.cosine_similarity(last, here, dim=-1).double()
            peak = torch.where(alike >= s, peak, s)
            depth, begun = peak - s, frames > 0
            counted = begun.double()
            total, squares = total + counted * depth, squares + counted * depth.square()
            level = depth
            if self.standard:
                mean = total / frames.clamp_min(1)
                deviation = (squares / frames.clamp_min(1) - mean.square()).clamp_min(0).sqrt()
                level = (depth - mean) / deviation.clamp_min(1e-6)
            levels.append(torch.where(begun, level, 1.0))
            # A stream's first frame has no neighbour before it, and so neither s nor l.
            alike, peak = torch.where(begun, s, -torch.inf), torch.where(begun, peak, -torch.inf)
            last, frames = here, frames + 1
        after = {"last": last, "alike": alike, "peak": peak, "frames": frames, "total": total, "squares": squares}
        level_BT = torch.stack(levels, 1).to(latents_BTSV.dtype)
        return level_BT.unsqueeze(-1).expand(-1, -1, self.places), State(after)
