"""Places that were seen before: what each showed, and whether an event is in one of them again."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.peak_pool import NOTHING
from ssm_sense.state import State

_SHARP = 10.0
"""Logits a cosine, times a learned scale, so that what is learned of it is of the order of one."""
_SCALE, _BIAS = 1.0, -1.2
"""Before anything is learned no place is taken for another: the highest logit is -2."""
_PART = 10
"""Frames of the longest part of a stay that training compares with others."""
_SURE = 0.8
"""How likely it must be the same place: one that is not known again is counted twice, one mistaken not at all."""


class Places(nn.Module):
    """M places, each the union of the events that were there, in a state of fixed size.

    A place is told by the mean of the latents that its events showed, through a small perceptron, and known again where
    the cosine is high. An event at a known place joins it: peaks are merged by their maximum, as within an event. One
    at a new place takes a free slot, or that of the place that was left the longest ago.

    Args:
        vision_width: V.
        width: of the peaks.
        kinds: K, what is counted at a place.
        kept: M.
        key_width: of what a place is told by.
    """

    def __init__(self, vision_width: int, width: int, kinds: int, kept: int, key_width: int = 64) -> None:
        super().__init__()
        if kept < 1:
            raise ValueError(f"kept: expected 1 or more, got {kept}")
        self.vision_width, self.width, self.kinds, self.kept = vision_width, width, kinds, kept
        self.norm = nn.LayerNorm(vision_width)
        self.up = nn.Linear(vision_width, 2 * vision_width)
        self.down = nn.Linear(2 * vision_width, key_width)
        self.scale = nn.Parameter(torch.tensor(_SCALE))
        self.bias = nn.Parameter(torch.tensor(_BIAS))

    def initial_state(self, streams: int) -> State:
        """Of each place ``peaks`` (B, M, D), ``sums`` (B, M, V) of ``frames`` (B, M), ``held`` (B, M, K), ``age``."""
        blank = self.norm.weight.new_zeros
        return State(
            {
                "peaks": blank(streams, self.kept, self.width) + NOTHING,
                "sums": blank(streams, self.kept, self.vision_width),
                "frames": blank(streams, self.kept),
                "held": blank(streams, self.kept, self.kinds),
                "age": blank(streams, self.kept),
            }
        )

    def alike(self, sums_nV: Tensor, others_mV: Tensor) -> Tensor:
        """Logits (..., n, m) of two sums of latents being of the same place."""
        return _SHARP * (self.scale * self._key(sums_nV) @ self._key(others_mV).mT + self.bias)

    def loss(self, x_BTV: Tensor, rooms_BT: Tensor) -> Tensor:
        """Cross-entropy of whether any two parts of a stream are of the same room.

        A room that is never seen again is seen again all the same once its stay is cut in parts: where the room
        changes, and wherever ten frames are full.

        Args:
            x_BTV: standardised latents, the mean over a frame. rooms_BT: the number of the room of each.
        """
        frames = torch.arange(x_BTV.shape[1], device=x_BTV.device)
        changes = F.pad(rooms_BT[:, 1:] != rooms_BT[:, :-1], (1, 0)) | (frames % _PART == 0)
        part = changes.cumsum(1) - 1
        parts = F.one_hot(part, int(part.max()) + 1).to(x_BTV.dtype)
        sums, size = parts.mT @ x_BTV, parts.sum(1)
        room = (parts * rooms_BT.unsqueeze(-1)).sum(1) / size.clamp_min(1)
        there = size > 0
        pairs = (there.unsqueeze(1) & there.unsqueeze(2)).triu(1)
        same = (room.unsqueeze(1) == room.unsqueeze(2)).to(x_BTV.dtype)
        wrong = F.binary_cross_entropy_with_logits(self.alike(sums, sums), same, reduction="none")
        return (wrong * pairs).sum() / pairs.sum().clamp_min(1)

    def _key(self, sums: Tensor) -> Tensor:
        # A norm makes the mean of a sum, whatever the number of frames.
        return F.normalize(self.down(F.gelu(self.up(self.norm(sums)))), dim=-1)

    def recognise(self, sums_BTV: Tensor, state: State) -> Tensor:
        """Which of the places T events are at: (B, T, M), one 1 or none."""
        alike = self.alike(sums_BTV, state["sums"]).masked_fill(state["frames"].unsqueeze(1) == 0, -torch.inf)
        best = F.one_hot(alike.argmax(-1), self.kept).to(alike.dtype)
        return best * (torch.sigmoid(alike.amax(-1, keepdim=True)) > _SURE)

    def merge(self, peak_BTD: Tensor, at_BTM: Tensor, state: State) -> Tensor:
        """What the places of T events have shown with them: (B, T, D)."""
        known = at_BTM.sum(-1, keepdim=True) > 0
        return torch.where(known, torch.maximum(peak_BTD, at_BTM @ state["peaks"]), peak_BTD)

    def leave(
        self,
        left_B: Tensor,
        at_BM: Tensor,
        peak_BD: Tensor,
        sums_BV: Tensor,
        frames_B: Tensor,
        held_BK: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Write events that ended where ``left_B``: what was held by places forgotten for them (B, K), and the state.

        peak_BD, held_BK: of the place, with the event.
        """
        known = at_BM.sum(-1, keepdim=True) > 0
        oldest = torch.where(state["frames"] == 0, torch.inf, state["age"]).argmax(-1)
        slot = torch.where(known, at_BM, F.one_hot(oldest, self.kept).to(at_BM.dtype)) * left_B.unsqueeze(-1)
        here, forgets = slot.unsqueeze(-1), (slot * ~known).unsqueeze(-1)
        old = state["sums"] * (1 - forgets)
        return (forgets * state["held"]).sum(1), State(
            {
                "peaks": torch.where(here > 0, peak_BD.unsqueeze(1), state["peaks"]),
                "sums": old + here * sums_BV.unsqueeze(1),
                "frames": state["frames"] * (1 - forgets.squeeze(-1)) + slot * frames_B.unsqueeze(-1),
                "held": torch.where(here > 0, held_BK.unsqueeze(1), state["held"]),
                "age": (state["age"] + left_B.unsqueeze(-1)) * (1 - slot),
            }
        )
