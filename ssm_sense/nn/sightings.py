"""What was seen beside what, and when: of every pair of things the surest sightings so far."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.state import State

_RARE = -5.0
"""Bias under which a location shows less than a hundredth of everything before anything is learned."""
_SEEN = 3.0
"""Weight of a frame that shows a thing beside one that does not, of which there are a hundred times as many."""
_BESIDE = 0.05
"""Weight of which mark a thing is next to beside whether it is in view: a false sighting hides a true one for ever."""
_SUMMED = 16.0
"""What all locations show is added up on a grid of 4 × 4, and weighs as much on finer ones."""
_EPSILON = 1e-6
_LEAST = 0.05
"""How sure a sighting must be to be one at all."""


class Sightings(nn.Module):
    """X things that are looked for, such as toys, and which of Y marks, such as pieces of furniture, each is beside.

    A frame's latents are read location by location: how likely a thing is there, and which mark is next to it. Each is
    read with the mean of all, and with as much of every other as is learned for the two of them, for what is next to a
    thing is mostly at another location, and it matters at which.

    Of each of the X·Y pairs the state holds how sure its M surest frames were, and when they were: an order of
    appearances can be read from it whatever is asked later, and it takes 12 M·X·Y bytes whatever is seen. Of equals the
    later stay. One moment is not enough: in hours something false is often surer than what is true.

    Args:
        vision_width: V of the latents.
        locations: S.
        sought: X.
        marks: Y.
        width: features of a location.
        groups: the features of a location, in so many parts, come from the others by weights of their own.
        moments: M that are held of a pair.
    """

    def __init__(
        self,
        vision_width: int,
        locations: int,
        sought: int,
        marks: int,
        width: int = 256,
        groups: int = 16,
        moments: int = 12,
    ) -> None:
        super().__init__()
        for name, number in (("sought", sought), ("marks", marks), ("groups", groups), ("moments", moments)):
            if number < 1:
                raise ValueError(f"{name}: expected 1 or more, got {number}")
        if width % groups:
            raise ValueError(f"groups: expected a divisor of width {width}, got {groups}")
        self.sought, self.marks, self.moments = sought, marks, moments
        self.dropout = 0.0
        """Share of features that are left out at random while they learn to see; frames that are only read keep all."""
        self.shares: Callable[[Tensor], Tensor] = torch.ones_like
        """By which to multiply means over so many items; several processes that train one model have their own."""
        self.place = nn.Parameter(torch.zeros(locations, vision_width))
        self.look = nn.Linear(vision_width, width)
        self.think = nn.Linear(width, width)
        self.around = nn.Linear(width, width, bias=False)
        self.elsewhere = nn.Linear(width, width)
        self.across = nn.Parameter(torch.randn(groups, locations, locations) * 0.02)
        self.there = nn.Linear(width, sought)
        self.beside = nn.Linear(width, marks)
        nn.init.constant_(self.there.bias, _RARE)
        self.register_buffer("moved", torch.zeros(sought))

    moved: Tensor
    """(X,) to add to the logits of each thing being in view, as `ssm-sense calibrate` has it; 0 as it was learned."""

    def initial_state(self, streams: int) -> State:
        """``sure`` (B, X, Y, M), the surest first, and ``when`` (B, X, Y, M), float64 seconds."""
        blank = self.place.new_zeros(streams, self.sought, self.marks, self.moments)
        return State({"sure": blank, "when": blank.double()})

    def forward(self, x_BTSV: Tensor, seconds_BT: Tensor, state: State) -> State:
        """The state after T frames of standardised latents."""
        there, beside = self.sight(x_BTSV)
        sure = (torch.sigmoid(there + self.moved).unsqueeze(-1) * beside).permute(0, 2, 3, 1)
        when = seconds_BT[:, None, None].expand(*sure.shape)
        # The newest come first, and what is held, which is in order, after them.
        sure = torch.cat([sure.flip(-1), state["sure"]], dim=-1)
        when = torch.cat([when.flip(-1), state["when"]], dim=-1)
        surest, at = sure.sort(dim=-1, descending=True, stable=True)
        at = at[..., : self.moments]
        return State({"sure": surest[..., : self.moments].contiguous(), "when": when.gather(-1, at)})

    def sight(self, x_BTSV: Tensor) -> tuple[Tensor, Tensor]:
        """Of each frame, as it was learned, the logits of each thing being in view (B, T, X), and which mark it is
        beside (B, T, X, Y)."""
        return self._sight(x_BTSV, 0.0)

    def _sight(self, x_BTSV: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
        h = F.dropout(F.gelu(self.look(x_BTSV + self.place)), dropout)
        seen = self.elsewhere(h).unflatten(-1, (len(self.across), -1))
        across = torch.einsum("gsz,btzgd->btsgd", self.across * (_SUMMED / len(self.place)), seen).flatten(3)
        h = F.dropout(F.gelu(self.think(h) + self.around(h.mean(2, keepdim=True)) + across), dropout)
        there = self.there(h)
        at, marks = torch.softmax(there, dim=2), torch.softmax(self.beside(h), dim=-1)
        return there.logsumexp(2), torch.einsum("btsx,btsy->btxy", at, marks)

    def loss(self, x_BTSV: Tensor, true_BTX: Tensor) -> Tensor:
        """How wrong frames are read: cross-entropy of what is in view, and of the marks beside what is.

        true_BTX: 0 where the thing is not in view, 1 + y where it is beside mark y, negative where nobody knows.
        """
        there, beside = self._sight(x_BTSV, self.dropout if self.training else 0.0)
        known, seen = true_BTX >= 0, true_BTX > 0
        wrong = F.binary_cross_entropy_with_logits(
            there.float(), seen.float(), reduction="none", pos_weight=there.new_tensor(_SEEN).float()
        )
        known_share, seen_share = self.shares(torch.stack([known.sum(), seen.sum()]))
        right = beside.float().gather(-1, (true_BTX.long() - 1).clamp_min(0).unsqueeze(-1)).squeeze(-1)
        misplaced = torch.where(seen, -(right + _EPSILON).log(), 0.0).sum() / seen.sum().clamp_min(1)
        missed = torch.where(known, wrong, 0.0).sum() / known.sum().clamp_min(1)
        return known_share * missed + seen_share * _BESIDE * misplaced

    def read(self, state: State) -> Tensor:
        """How sure, and when: (B, 2, X, Y, M), float64."""
        return torch.stack([state["sure"].double(), state["when"]], dim=1)

    def with_told(self, read_n2XYM: Tensor, told_n2XY: Tensor) -> Tensor:
        """What was read, but for the pairs that are told, which have one moment; what is negative tells nothing.

        Told is how sure it was as it was learned, and so it reaches the language model.
        """
        sure = shifted(told_n2XY[:, 0].clamp_min(0), self.moved[:, None])
        once = F.pad(torch.stack([sure, told_n2XY[:, 1]], 1).unsqueeze(-1), (0, self.moments - 1))
        return torch.where(told_n2XY.unsqueeze(-1) < 0, read_n2XYM, once)


def shifted(sure: Tensor, by: Tensor) -> Tensor:
    """Probabilities whose logits are moved."""
    return sure / (sure + (1 - sure) * (-by).exp())


def in_order(sure_Y: Tensor, when_Y: Tensor, most: int) -> Tensor:
    """Places of the surest marks of one thing, of each moment one and no more than `most`, in order of time."""
    place = torch.arange(len(sure_Y), device=sure_Y.device)
    surer = (sure_Y > sure_Y[:, None]) | ((sure_Y == sure_Y[:, None]) & (place < place[:, None]))
    second = ((when_Y == when_Y[:, None]) & surer).any(1)
    best = torch.where(second, 0.0, sure_Y.detach()).topk(min(most, len(sure_Y)))
    shown = best.indices[best.values > _LEAST]
    return shown[when_Y[shown].argsort(stable=True)]
