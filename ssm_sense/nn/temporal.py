"""The temporal encoder: space mixes inside a frame by attention, time by one recurrence per location."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.mamba import Mamba
from ssm_sense.state import State

READ_GAIN = 4.0
"""How much louder than the probe itself begins what a probe finds in a state."""


class SpatialAttention(nn.Module):
    """Multi-head attention among the S tokens of one frame; frames do not see each other.

    Args:
        width: D.
        heads: number of heads, a divisor of D.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: expected a divisor of width {width}, got {heads}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTSD: Tensor) -> Tensor:
        """(B, T, S, D) to (B, T, S, D)."""
        batch, frames, places, width = x_BTSD.shape
        qkv = self.qkv(x_BTSD).view(batch * frames, places, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.out(mixed.reshape(batch, frames, places, width))


class TemporalBlock(nn.Module):
    """x + attention over space, then x + Mamba over time, both after a norm.

    At a frame a second an event lasts some ten steps, so the recurrence begins with longer steps and slower decays than
    Mamba's own, which were made for texts.

    Args:
        width: D.
        heads: attention heads over space.
        state_size: N of the recurrence.
        conv_width: W of the recurrence.
    """

    def __init__(self, width: int, heads: int = 4, state_size: int = 16, conv_width: int = 4) -> None:
        super().__init__()
        self.space_norm = nn.RMSNorm(width)
        self.space = SpatialAttention(width, heads)
        self.time_norm = nn.RMSNorm(width)
        self.time = Mamba(width, state_size, conv_width, dt_min=0.05, dt_max=0.5, decays=(0.01, 1.0), aligned=True)

    def initial_state(self, streams: int, places: int) -> State:
        """``ssm`` (B, S, E, N) and ``conv`` (B, S, W−1, E), zeros."""
        flat = self.time.initial_state(streams * places)
        return State({k: v.unflatten(0, (streams, places)) for k, v in flat.items()})

    def forward(
        self, x_BTSD: Tensor, state: State, gate_BTS: Tensor | None = None, keep_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Any number of frames on from ``state``; the gate acts per location, the keep per frame."""
        batch, frames, places, width = x_BTSD.shape
        x_BTSD = x_BTSD + self.space(self.space_norm(x_BTSD))
        x = self.time_norm(x_BTSD).transpose(1, 2).reshape(batch * places, frames, width)
        gate = None if gate_BTS is None else gate_BTS.transpose(1, 2).reshape(batch * places, frames)
        keep = None if keep_BT is None else keep_BT.repeat_interleave(places, dim=0)
        flat = State({k: v.flatten(0, 1) for k, v in state.items()})
        y, after = self.time(x, flat, gate, keep)
        y_BTSD = y.view(batch, places, frames, width).transpose(1, 2)
        return x_BTSD + y_BTSD, State({k: v.unflatten(0, (batch, places)) for k, v in after.items()})


class TemporalEncoder(nn.Module):
    """Vision latents in, event-aware features out; the event state is what its blocks carry.

    Args:
        vision_width: V of the latents.
        width: D.
        grid: side of the square of spatial tokens, S = grid².
        layers: number of temporal blocks.
        heads, state_size, conv_width: of each `TemporalBlock`.
    """

    def __init__(
        self,
        vision_width: int,
        width: int = 128,
        grid: int = 4,
        layers: int = 2,
        heads: int = 4,
        state_size: int = 16,
        conv_width: int = 4,
    ) -> None:
        super().__init__()
        self.width, self.places = width, grid * grid
        self.embed = nn.Linear(vision_width, width)
        self.place = nn.Embedding(self.places, width)
        nn.init.normal_(self.place.weight, std=0.02)
        self.blocks = nn.ModuleList(TemporalBlock(width, heads, state_size, conv_width) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.gain = nn.Parameter(torch.tensor(READ_GAIN))

    def initial_state(self, streams: int) -> State:
        """Zeros for B streams, a part per block: ``0.ssm``, ``0.conv``, ``1.ssm``, ..."""
        blocks = cast(list[TemporalBlock], self.blocks)
        return State.join({str(i): b.initial_state(streams, self.places) for i, b in enumerate(blocks)})

    def forward(
        self, x_BTSV: Tensor, state: State, gate_BTS: Tensor | None = None, keep_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """u (B, T, S, D), the last block's normalised output, and the state after the last frame."""
        u, after = self._mix(self.embed(x_BTSV) + self.place.weight, state, gate_BTS, keep_BT)
        return self.norm(u), after

    def read(self, state: State, probes_RSD: Tensor) -> Tensor:
        """What R learned probe frames read from the state: (B, R, S, D). The state is left as it was.

        Each probe takes one step by itself from the same state with gate 0, so the recurrence neither decays nor
        takes anything in, and the state that the step would leave is thrown away. Its answer is what it reads besides
        what it would read in an empty state, times a learned gain, on top of the probe.
        """
        found, blank = self._probe(state, probes_RSD), self._probe(self.initial_state(1), probes_RSD)
        return self.norm(probes_RSD + self.gain * (found - blank))

    def _probe(self, state: State, probes_RSD: Tensor) -> Tensor:
        """The blocks' outputs (B, R, S, D) before the last norm."""
        streams, probes = next(iter(state.values())).shape[0], probes_RSD.shape[0]
        x = probes_RSD.repeat(streams, 1, 1).unsqueeze(1)
        forked = State({k: v.repeat_interleave(probes, dim=0) for k, v in state.items()})
        y, _ = self._mix(x, forked, x.new_zeros(x.shape[:3]), None)
        return y.view(streams, probes, self.places, self.width)

    def _mix(
        self, x_BTSD: Tensor, state: State, gate_BTS: Tensor | None, keep_BT: Tensor | None
    ) -> tuple[Tensor, State]:
        after: dict[str, State | Tensor] = {}
        for i, block in enumerate(self.blocks):
            x_BTSD, after[str(i)] = block(x_BTSD, state.sub(str(i)), gate_BTS, keep_BT)
        return x_BTSD, State.join(after)
