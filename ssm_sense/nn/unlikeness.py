"""How unlike the place of the stay in progress a frame is, as a source of surprise."""

import torch
from torch import Tensor

from ssm_sense.nn.places import Places
from ssm_sense.nn.sources import SurpriseSource
from ssm_sense.state import State


class Unlikeness(SurpriseSource):
    """The distance of a frame's key from that of its stay, as `Places` learned to tell them by what a room is.

    Args:
        places: with `Places.unlike` set, so that its stays end.
        locations: S, which are all equally surprised.
    """

    def __init__(self, places: Places, locations: int) -> None:
        super().__init__()
        self.places, self.locations = places, locations

    def initial_state(self, streams: int) -> State:
        """``sums`` (B, W) and ``frames`` (B,) of the stay in progress."""
        blank = self.places.unlike.new_zeros
        return State({"sums": blank(streams, self.places.width), "frames": blank(streams)})

    @torch.no_grad()
    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """1 − cos of the keys (B, T, S) of T frames, 1 at a stream's first; and the state after them."""
        described = self.places.describe(latents_BTSV)
        never = torch.zeros(described.shape[:2], dtype=torch.bool, device=described.device)
        _, sums, frames = self.places.stays(described, never, state["sums"], state["frames"], self.places.unlike)
        before = torch.cat([state["sums"].unsqueeze(1), sums[:, :-1]], 1)
        distance = 1 - (self.places.key(before) * self.places.key(described)).sum(-1)
        distance[:, 0] = torch.where(state["frames"] > 0, distance[:, 0], 1.0)
        surprise = distance.unsqueeze(-1).expand(-1, -1, self.locations)
        return surprise, State({"sums": sums[:, -1], "frames": frames[:, -1]})
