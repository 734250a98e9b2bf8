"""The episode state: a Mamba over events, advanced only where an event ends."""

from typing import cast

import torch
from torch import Tensor, nn

from ssm_sense.nn.mamba import Mamba
from ssm_sense.state import State


class SpacePool(nn.Module):
    """P learned queries attend over the S places of a frame, for a place on the retina is not a place in the world.

    Args:
        width: D.
        tokens: P.
    """

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(tokens, width) * width**-0.5)
        self.value = nn.Linear(width, width)

    def forward(self, u: Tensor) -> Tensor:
        """(..., S, D) to (..., P, D)."""
        weights = torch.softmax(self.queries @ u.transpose(-1, -2) * u.shape[-1] ** -0.5, dim=-1)
        return weights @ self.value(u)


class EpisodeBlock(nn.Module):
    """x + Mamba over events after a norm; no convolution, whose history would shift between events.

    Args:
        width: D.
        state_size: N.
    """

    def __init__(self, width: int, state_size: int = 16) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.mix = Mamba(width, state_size, conv_width=0)

    def forward(self, x: Tensor, state: State, gate: Tensor) -> tuple[Tensor, State]:
        """x (batch, length, D), gate (batch, length) to y of x's shape and the state after."""
        y, state = self.mix(self.norm(x), state, gate)
        return x + y, state


class Episode(nn.Module):
    """What is left of every event so far, in a state of fixed size that is never reset.

    Its input at frame t is the temporal encoder's output at t−1, pooled over space; its gate is the boundary
    indicator. So the event that ended is written at the first frame of the next one, and between boundaries the
    state is held to the bit. The first frame closes no event.

    Args:
        width: D.
        tokens: P, pooled tokens an event is written as; each has a recurrence of its own.
        layers: number of blocks.
        state_size: N.
    """

    def __init__(self, width: int, tokens: int = 4, layers: int = 2, state_size: int = 16) -> None:
        super().__init__()
        self.width, self.tokens = width, tokens
        self.pool = SpacePool(width, tokens)
        self.blocks = nn.ModuleList(EpisodeBlock(width, state_size) for _ in range(layers))
        self.norm = nn.RMSNorm(width)

    def initial_state(self, streams: int) -> State:
        """``last`` (B, P, D), the pooled output of the newest frame, and ``i.ssm`` (B, P, E, N) per block."""
        parts: dict[str, State | Tensor] = {}
        for i, block in enumerate(cast(list[EpisodeBlock], self.blocks)):
            flat = block.mix.initial_state(streams * self.tokens)["ssm"]
            parts[f"{i}.ssm"] = flat.unflatten(0, (streams, self.tokens))
        parts["last"] = self.pool.queries.new_zeros(streams, self.tokens, self.width)
        return State.join(parts)

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State, surprise_BT: Tensor | None = None) -> State:
        """Advance over T frames: write the event before each boundary, hold the state everywhere else.

        surprise_BT: of the frames; the recurrence needs none, for it writes every event alike.
        """
        pooled = self.pool(u_BTSD)
        ended = torch.cat([state["last"].unsqueeze(1), pooled[:, :-1]], dim=1)
        _, after = self._mix(ended, boundary_BT.to(pooled.dtype), state)
        return after.replace(last=pooled[:, -1])

    def flush(self, state: State) -> State:
        """A copy of the state into which the event in progress is written as if it ended now."""
        last = state["last"]
        _, after = self._mix(last.unsqueeze(1), last.new_ones(last.shape[0], 1), state)
        return after.replace(last=last)

    def alone(self, state: State) -> State:
        """A copy that remembers no event but the one in progress."""
        return self.initial_state(state["last"].shape[0]).replace(last=state["last"])

    def read(self, state: State, probes_RD: Tensor) -> Tensor:
        """What R learned probes read from the state, each by one step with gate 0: (B, R, P, D)."""
        streams, probes = state["last"].shape[0], probes_RD.shape[0]
        x = probes_RD.repeat(streams, 1)[:, None, None].expand(-1, 1, self.tokens, -1)
        forked = State({k: v.repeat_interleave(probes, dim=0) for k, v in state.items()})
        y, _ = self._mix(x, x.new_zeros(x.shape[:2]), forked)
        return y.view(streams, probes, self.tokens, self.width)

    def _mix(self, x_BTPD: Tensor, gate_BT: Tensor, state: State) -> tuple[Tensor, State]:
        batch, frames, tokens, width = x_BTPD.shape
        x = x_BTPD.transpose(1, 2).reshape(batch * tokens, frames, width)
        gate = gate_BT.repeat_interleave(tokens, dim=0)
        after: dict[str, State | Tensor] = {}
        for i, block in enumerate(self.blocks):
            x, block_state = block(x, State({"ssm": state[f"{i}.ssm"].flatten(0, 1)}), gate)
            after[f"{i}.ssm"] = block_state["ssm"].unflatten(0, (batch, tokens))
        y = self.norm(x).view(batch, tokens, frames, width).transpose(1, 2)
        return y, State.join(after)
