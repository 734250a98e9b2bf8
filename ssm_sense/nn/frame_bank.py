"""One int8 vector a frame, read by attention: the cheapest memory there is, whole or cut to a number of bytes."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.bank import AgeEmbedding
from ssm_sense.state import State

_BOUND = 4.0
"""Of a number that is kept, in standard deviations of its vector."""
_LEVELS = 127
KEEP = ("last", "uniform", "surprising")


class FrameBank(nn.Module):
    """What frames showed, one vector of D int8 numbers each, behind the interface of `nn.episode.Episode`.

    Boundaries mean nothing to it: every frame is an entry of its own, and what is asked attends to all entries. A
    place of u counts as a frame, so that streams may come event by event with their frames as places.

    Args:
        width: D.
        frames: of them are kept; None keeps all, and then the state grows.
        keep: "last"; or "uniform": a sample in which every frame so far is as likely as any other, drawn along the
            way (the frames whose hashed numbers are lowest), so that no length need be known beforehand; or
            "surprising": those that were least like the frame before them, by cosine, the newer of equals. That is how
            Cambrian-S (arXiv 2511.04670) consolidates its memory, with persistence as the prediction.
        heads: of the attention that reads, a divisor of D.
    """

    tokens = 1

    def __init__(self, width: int, frames: int | None = None, keep: str = "last", heads: int = 4) -> None:
        super().__init__()
        if keep not in KEEP or width % heads or (frames is not None and frames < 1):
            raise ValueError(
                f"expected frames of 1 or more, keep one of {', '.join(KEEP)} and heads that divide the width, got "
                f"{frames}, {keep!r} and {heads} for {width}"
            )
        self.width, self.frames, self.keep, self.heads = width, frames, keep, heads
        self.age = AgeEmbedding(width)
        self.nothing = nn.Parameter(torch.randn(width) * width**-0.5)
        self.frame_norm, self.probe_norm, self.norm = (nn.RMSNorm(width) for _ in range(3))
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.mix = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def initial_state(self, streams: int) -> State:
        """``entries`` (B, n, D), multiples of 4 / 127 within ±4; ``number`` (B, n) of each frame; ``seen`` (B,).

        Where surprising frames are kept also ``surprise`` (B, n) of each and ``newest`` (B, D), the frame before.
        """
        blank = self.nothing.new_zeros
        whole = blank(streams, 0, dtype=torch.int64)
        state = State({"entries": blank(streams, 0, self.width), "number": whole, "seen": whole.new_zeros(streams)})
        if self.keep == "surprising":
            state = state.replace(surprise=blank(streams, 0), newest=blank(streams, self.width))
        return state

    def nbytes(self, state: State) -> int:
        """Bytes of the entries of all streams, and of the frame before, as int8, and of surprises; numbers not counted.

        Training needs entries as floats, through which gradients flow.
        """
        if self.keep == "surprising":
            return state["entries"].numel() + state["newest"].numel() + 4 * state["surprise"].numel()
        return state["entries"].numel()

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State, surprise_BT: Tensor | None = None) -> State:
        """Take in T·S frames and forget those that are too many."""
        new = self._rounded(u_BTSD.flatten(1, 2))
        number = state["seen"].unsqueeze(1) + torch.arange(new.shape[1], device=new.device)
        entries = torch.cat([state["entries"], new], dim=1)
        number = torch.cat([state["number"], number], dim=1)
        after = {"seen": state["seen"] + new.shape[1]}
        if self.keep == "surprising":
            before = torch.cat([state["newest"].unsqueeze(1), new[:, :-1]], dim=1)
            # Nothing comes before a stream's first frame, whose surprise is 1, as it is to all.
            surprise = 1 - F.cosine_similarity(new.detach(), before.detach(), dim=-1)
            after |= {"surprise": torch.cat([state["surprise"], surprise], dim=1), "newest": new[:, -1].detach()}
        if self.frames is not None and entries.shape[1] > self.frames:
            kept = self._kept(number, after.get("surprise"))
            number = number.gather(1, kept)
            entries = entries.gather(1, kept.unsqueeze(-1).expand(-1, -1, self.width))
            if "surprise" in after:
                after["surprise"] = after["surprise"].gather(1, kept)
        return State({"entries": entries, "number": number, **after})

    def _kept(self, number: Tensor, surprise: Tensor | None) -> Tensor:
        """Places (B, frames) of what is kept of the frames with these numbers, in order of time."""
        assert self.frames is not None
        if surprise is not None:
            # Newest first, for a stable sort puts of equals the first one first.
            newest = surprise.flip(1).argsort(dim=1, descending=True, stable=True)[:, : self.frames]
            return (surprise.shape[1] - 1 - newest).sort(dim=1).values
        rank = -number if self.keep == "last" else _hashed(number)
        return rank.topk(self.frames, dim=1, largest=False).indices.sort(dim=1).values

    def flush(self, state: State) -> State:
        """The state: nothing waits for a boundary."""
        return state

    def alone(self, state: State) -> State:
        """A copy that remembers nothing."""
        return self.initial_state(state["seen"].shape[0])

    def read(self, state: State, probes_RD: Tensor) -> Tensor:
        """What R probes read, each by itself: (B, R, 1, D)."""
        streams = state["seen"].shape[0]
        asked = probes_RD.expand(streams, -1, -1)
        age = (state["seen"].unsqueeze(1) - 1 - state["number"]).to(probes_RD.dtype)
        known = torch.cat([self.nothing.expand(streams, 1, -1), state["entries"] + self.age(age)], dim=1)
        query = self._split(self.query(self.probe_norm(asked)))
        key, value = (self._split(x) for x in self.key_value(known).chunk(2, dim=-1))
        found = F.scaled_dot_product_attention(query, key, value)
        y = asked + self.out(found.transpose(1, 2).flatten(2))
        return cast(Tensor, self.norm(y + self.mix(y))).unsqueeze(2)

    def _rounded(self, x: Tensor) -> Tensor:
        """Normalised vectors as their int8 numbers say them; the gradient passes the rounding by."""
        x = self.frame_norm(x).clamp(-_BOUND, _BOUND)
        levels = (x * (_LEVELS / _BOUND)).round() * (_BOUND / _LEVELS)
        return x + (levels - x).detach()

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, D) to (B, heads, n, D / heads)."""
        return cast(Tensor, x.unflatten(-1, (self.heads, -1)).transpose(1, 2))


def _hashed(number: Tensor) -> Tensor:
    """A pseudo-random order of whole numbers below 2^31 (multiplicative hashing, twice, with a shift between)."""
    mixed = (number * 2654435761) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 2246822519) & 0xFFFFFFFF
    return mixed ^ (mixed >> 13)
