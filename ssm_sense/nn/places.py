"""Places that were seen before: what each looks like and held, and whether an event is in one of them again."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.state import State

_SHARP = 10.0
"""Logits a cosine, times a learned scale, so that what is learned of it is of the order of one."""
_SCALE, _BIAS = 1.0, -1.2
"""Before anything is learned no place is taken for another: the highest logit is -2."""
_PART = 10
"""Frames of the longest part of a stay that training compares with others."""
_PURE = 0.75
"""Share of an event's frames that must be of one room for training to call it that room's."""
_EVERY = 4
"""Of so many frames training compares one by itself."""
_ROOMS = 2**20
"""More than a stream has."""
_LONG = 2.0**20
"""Frames of a stay from which on all that it has so far counts half: a sum to which one more of some millions is added
loses it, and the number itself stops at 2^24."""
_KNOWN = 1000.0
"""Frames that what a place holds from before weighs at most: a mean over tens of thousands, in 8 bits, is beyond change
by another visit of a minute."""
_UNIT = 127.0
"""What a key is kept in: 1 is so many steps of a signed byte."""


class Places(nn.Module):
    """M places, each in a key of signed bytes and how many of each kind it held, in a state of fixed size.

    A frame is described by the mean over its locations of a learned feature, a stay by the sum over its frames. A
    perceptron makes a key of that. A stay ends before a frame whose key is unlike its own. A place is known again where
    the cosine of keys is high, the higher the more places there are to take for it. A stay at a known place joins it:
    the key is the direction of both, and it holds the mean of what either showed, weighed by frames, for the most of
    many counts would be too many; all that was before weighs a thousand frames at most. One at a new place takes a free
    slot, or that of the place that was left the longest ago.

    Args:
        vision_width: V.
        locations: S.
        kinds: K, what is counted at a place.
        kept: M.
        width: W, of what describes a frame.
        key_width: bytes that a place is told by.
    """

    def __init__(
        self, vision_width: int, locations: int, kinds: int, kept: int, width: int = 128, key_width: int = 64
    ) -> None:
        super().__init__()
        if kept < 1:
            raise ValueError(f"kept: expected 1 or more, got {kept}")
        self.kinds, self.kept, self.width, self.key_width = kinds, kept, width, key_width
        self.place = nn.Parameter(torch.zeros(locations, vision_width))
        self.look = nn.Linear(vision_width, width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, key_width)
        self.scale = nn.Parameter(torch.tensor(_SCALE))
        self.bias = nn.Parameter(torch.tensor(_BIAS))
        self.unlike: Tensor
        """Logit of a frame being where the stay in progress is, under which the stay ends; until set, events end it."""
        self.register_buffer("unlike", torch.tensor(-torch.inf))
        self.everyones: Callable[[Tensor], Tensor] = _same
        """Rows (n, ...) of this process to those of all that train together, whose gradients flow back."""
        self.process = 0

    def initial_state(self, streams: int) -> State:
        """Of each place ``key`` (B, M, bytes) int8, ``held`` (B, M, K) bfloat16, ``frames`` (B, M) and ``age``."""
        blank = self.norm.weight.new_zeros
        return State(
            {
                "key": blank(streams, self.kept, self.key_width, dtype=torch.int8),
                "held": blank(streams, self.kept, self.kinds, dtype=torch.bfloat16),
                "frames": blank(streams, self.kept),
                "age": blank(streams, self.kept),
            }
        )

    def describe(self, x_BTSV: Tensor) -> Tensor:
        """What a place is told by, of each frame: (B, T, W)."""
        return F.gelu(self.look(x_BTSV + self.place)).mean(2)

    def key(self, sums: Tensor) -> Tensor:
        """Sums of descriptions (..., W) to unit vectors; a norm makes means of them, whatever the number of frames."""
        return F.normalize(self.down(F.gelu(self.up(self.norm(sums)))), dim=-1)

    def alike(self, keys_nk: Tensor, others_mk: Tensor) -> Tensor:
        """Logits (..., n, m) of two keys being of the same place."""
        return _SHARP * (self.scale * keys_nk @ others_mk.mT + self.bias)

    def stays(
        self, described_BTW: Tensor, boundary_BT: Tensor, sums_BW: Tensor, frames_B: Tensor, unlike: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where stays begin (B, T), and of the one in progress at each frame the sum (B, T, W) and the frames (B, T).

        Of a stay that goes on for more than a million frames, sum and frames are halved whenever it has as many.

        Args:
            described_BTW: of each frame. boundary_BT: where stays begin if ``unlike`` is not set.
            sums_BW: of the stay in progress before the first of them. frames_B: how many it has.
            unlike: one for all or (B,), as this module keeps it.
        """
        boundary_BT = boundary_BT & (unlike == -torch.inf).view(-1, 1)
        begun, sums, frames = [], [sums_BW], [frames_B]
        for described, key, boundary in zip(
            described_BTW.unbind(1), self.key(described_BTW).unbind(1), boundary_BT.unbind(1), strict=True
        ):
            alike = self.alike(self.key(sums[-1]).unsqueeze(1), key.unsqueeze(1)).flatten()
            begins = boundary | ((frames[-1] > 0) & (alike < unlike))
            before = torch.where(frames[-1] >= _LONG, 0.5, 1.0) * (~begins).to(frames_B.dtype)
            begun.append(begins)
            sums.append(before.unsqueeze(1) * sums[-1] + described)
            frames.append(before * frames[-1] + 1)
        return torch.stack(begun, 1), torch.stack(sums[1:], 1), torch.stack(frames[1:], 1)

    def loss(self, x_BTSV: Tensor, rooms_BT: Tensor, boundary_BT: Tensor) -> Tensor:
        """Cross-entropy of whether any two parts of a batch are of the same room, summed over pairs, per part.

        Parts are what is found to be one event, if most of it is of one room, stays as they truly were, cut where the
        room changes and wherever ten frames are full, so that tours without revisits teach something too, and every
        fourth frame by itself. The rooms of different streams are different ones.

        Args:
            x_BTSV: standardised latents. rooms_BT: the number of the room of each frame. boundary_BT: found.
        """
        streams, frames = rooms_BT.shape
        at = torch.arange(frames, device=rooms_BT.device)
        changes = F.pad(rooms_BT[:, 1:] != rooms_BT[:, :-1], (1, 0)) | (at % _PART == 0)
        described, room = self.describe(x_BTSV), F.one_hot(rooms_BT).to(x_BTSV.dtype)
        first = _ROOMS * (self.process * streams + torch.arange(streams, device=at.device).unsqueeze(1))
        keys = [self.key(described[:, ::_EVERY]).flatten(0, 1)]
        names = [(rooms_BT + first)[:, ::_EVERY].flatten()]
        for begins in (changes, boundary_BT):
            part = begins.cumsum(1)
            parts = F.one_hot(part, int(part.max()) + 1).to(x_BTSV.dtype)
            most, name = (parts.mT @ room).max(-1)
            pure = (most > 0) & (most >= _PURE * parts.sum(1))
            keys.append(self.key((parts.mT @ described)[pure]))
            names.append((name + first)[pure])
        every, of = self.everyones(torch.cat(keys)), self.everyones(torch.cat(names))
        same = (of.unsqueeze(0) == of.unsqueeze(1)).to(every.dtype)
        wrong = F.binary_cross_entropy_with_logits(self.alike(every, every), same, reduction="none")
        return wrong.triu(1).sum() / len(of)

    def recognise(self, sums_BTW: Tensor, state: State) -> Tensor:
        """Which of the places T stays are at, if any: (B, T, M), one 1 or none.

        The odds of the likeliest must be above the root of the number of places, any of which may look alike by chance.
        """
        alike = self.alike(self.key(sums_BTW), state["key"].to(sums_BTW) / _UNIT)
        there = (state["frames"] > 0).unsqueeze(1)
        alike = alike.masked_fill(~there, -torch.inf)
        best = F.one_hot(alike.argmax(-1), self.kept).to(alike.dtype)
        return best * (alike.amax(-1, keepdim=True) > 0.5 * there.sum(-1, keepdim=True).clamp_min(1).log())

    def held(self, at_BTM: Tensor, state: State) -> Tensor:
        """What is known that the places of T stays hold, (B, T, K); nothing of new ones."""
        # Looked up, not multiplied: a sum over places would depend on how many threads share it.
        at = at_BTM.argmax(-1, keepdim=True).expand(-1, -1, self.kinds)
        return state["held"].gather(1, at).to(at_BTM) * at_BTM.amax(-1, keepdim=True)

    def joined(self, held_BTK: Tensor, frames_BT: Tensor, at_BTM: Tensor, state: State) -> Tensor:
        """What the places of T stays hold with what those showed, (B, T, K), in so many frames, (B, T)."""
        stayed = state["frames"].gather(1, at_BTM.argmax(-1)) * at_BTM.amax(-1)
        before = self.held(at_BTM, state)
        return before + (frames_BT / (frames_BT + stayed).clamp_min(1)).unsqueeze(-1) * (held_BTK - before)

    def leave(
        self, left_B: Tensor, at_BM: Tensor, sums_BW: Tensor, frames_B: Tensor, held_BK: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Write stays that ended where ``left_B``: what was held by places forgotten for them (B, K), and the state.

        held_BK: of the place, with the stay.
        """
        oldest = torch.where(state["frames"] == 0, torch.inf, state["age"]).argmax(-1)
        known = at_BM.sum(-1) > 0
        slot = torch.where(known, at_BM.argmax(-1), oldest).unsqueeze(-1)
        key, held, frames = (state[name].gather(1, _rows(slot, state[name])) for name in ("key", "held", "frames"))
        forgets = (left_B * ~known).unsqueeze(-1)
        before = frames * (1 - forgets)
        both = before * key[:, 0].to(sums_BW) + frames_B.unsqueeze(-1) * _UNIT * self.key(sums_BW)
        written = {
            "key": (_UNIT * F.normalize(both, dim=-1)).round().unsqueeze(1),
            "held": held_BK.unsqueeze(1),
            "frames": (before + frames_B.unsqueeze(-1)).clamp(max=_KNOWN),
        }
        left = left_B.unsqueeze(-1) > 0
        after = {"age": torch.where(left, (state["age"] + 1).scatter(1, slot, 0.0), state["age"])}
        for name, old in (("key", key), ("held", held), ("frames", frames)):
            new = torch.where(left.view(-1, *[1] * (old.dim() - 1)), written[name].to(old), old)
            after[name] = state[name].scatter(1, _rows(slot, state[name]), new)
        return forgets * held[:, 0].to(forgets), State({name: after[name] for name in state})


def _same(rows: Tensor) -> Tensor:
    return rows


def _rows(slot_B1: Tensor, of: Tensor) -> Tensor:
    """Where to gather or scatter one place a stream of (B, M, ...)."""
    return slot_B1 if of.dim() == 2 else slot_B1.unsqueeze(-1).expand(-1, -1, of.shape[-1])
