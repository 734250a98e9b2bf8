"""The episode state: a Mamba over events, advanced only where an event ends."""

from typing import cast

import torch
from torch import Tensor, nn

from ssm_sense.nn.event_gate import EventGate, EveryEvent
from ssm_sense.nn.event_pool import Pooling, pool_of
from ssm_sense.nn.mamba import Mamba
from ssm_sense.nn.temporal import READ_GAIN
from ssm_sense.state import State


class EpisodeBlock(nn.Module):
    """x + Mamba over events after a norm; no convolution, whose history would shift between events.

    An event is one step, so steps begin long (0.1 to 1) and decays range from nearly none, which adds events up, to
    one that leaves little but the newest. With Mamba's own, made for hundreds of small steps, neither the number of
    events nor which was the last could be read for the first hundreds of training steps.

    Args:
        width: D.
        state_size: N.
    """

    def __init__(self, width: int, state_size: int = 16) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.mix = Mamba(width, state_size, conv_width=0, dt_min=0.1, dt_max=1.0, decays=(0.01, 1.0), aligned=True)

    def forward(self, x: Tensor, state: State, gate: Tensor) -> tuple[Tensor, State]:
        """x (batch, length, D), gate (batch, length) to y of x's shape and the state after."""
        y, state = self.mix(self.norm(x), state, gate)
        return x + y, state


class Episode(nn.Module):
    """What is left of every event so far, in a state of fixed size that is never reset.

    Its input at frame t is the temporal encoder's output over the event up to t−1, pooled by attention; its gate is
    the boundary indicator. So the event that ended is written at the first frame of the next one, and between
    boundaries the recurrent state is held to the bit. The first frame closes no event.

    Args:
        width: D.
        tokens: P, pooled tokens an event is written as; each has a recurrence of its own.
        layers: number of blocks.
        state_size: N.
        pool: of what an event showed, its "peak" or the "attention" of learned queries to it.
        gate: how much of an event is written; None writes every event alike.
    """

    def __init__(
        self,
        width: int,
        tokens: int = 4,
        layers: int = 2,
        state_size: int = 16,
        pool: Pooling = "attention",
        gate: EventGate | None = None,
    ) -> None:
        super().__init__()
        self.width, self.tokens = width, tokens
        self.gate = gate or EveryEvent()
        self.pool = pool_of(pool, width, tokens)
        self.blocks = nn.ModuleList(EpisodeBlock(width, state_size) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.gain = nn.Parameter(torch.tensor(READ_GAIN))

    def initial_state(self, streams: int) -> State:
        """``pool``, the event in progress (`EventPool`), ``gate``, its own, and ``i.ssm`` (B, P, E, N) per block."""
        parts: dict[str, State | Tensor] = {
            "pool": self.pool.initial_state(streams),
            "gate": self.gate.initial_state(streams),
        }
        for i, block in enumerate(cast(list[EpisodeBlock], self.blocks)):
            flat = block.mix.initial_state(streams * self.tokens)["ssm"]
            parts[f"{i}.ssm"] = flat.unflatten(0, (streams, self.tokens))
        return State.join(parts)

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State, surprise_BT: Tensor | None = None) -> State:
        """Advance over T frames: write the event before each boundary, hold the recurrence everywhere else.

        surprise_BT: of the frames; without a gate the recurrence needs none. Raises ValueError where a gate has none.
        """
        pooled, pool = self.pool(u_BTSD, boundary_BT, state.sub("pool"))
        ended = torch.cat([state["pool.last"].unsqueeze(1), pooled[:, :-1]], dim=1)
        write_BT, gate = self.gate(surprise_BT, boundary_BT, state.sub("gate"))
        _, after = self._mix(ended, write_BT.to(pooled.dtype), state)
        return State.join({"pool": pool, "gate": gate, **after})

    def flush(self, state: State) -> State:
        """A copy of the state into which the event in progress is written as if it ended now."""
        last = state["pool.last"]
        write_B = self.gate.so_far(state.sub("gate"), last)
        _, after = self._mix(last.unsqueeze(1), write_B.to(last.dtype).unsqueeze(1), state)
        return state.replace(**after)

    def alone(self, state: State) -> State:
        """A copy that remembers no event but the one in progress."""
        blank = self.initial_state(state["pool.last"].shape[0])
        return blank.replace(**{name: tensor for name, tensor in state.items() if name.startswith(("pool.", "gate."))})

    def read(self, state: State, probes_RD: Tensor) -> Tensor:
        """What R learned probes read from the state, each by one step with gate 0: (B, R, P, D).

        A probe's answer is what it reads besides what it would read in an empty state, times a learned gain, on top
        of the probe. In a state that has only begun to be written the difference is small, and without the gain the
        language model would see little but the probe.
        """
        found, blank = self._probe(state, probes_RD), self._probe(self.initial_state(1), probes_RD)
        return self.norm(probes_RD.unsqueeze(1) + self.gain * (found - blank))

    def _probe(self, state: State, probes_RD: Tensor) -> Tensor:
        """The blocks' outputs (B, R, P, D) before the last norm."""
        streams, probes = state["pool.last"].shape[0], probes_RD.shape[0]
        x = probes_RD.repeat(streams, 1)[:, None, None].expand(-1, 1, self.tokens, -1)
        forked = State({k: v.repeat_interleave(probes, dim=0) for k, v in state.items()})
        y, _ = self._mix(x, x.new_zeros(x.shape[:2]), forked)
        return y.view(streams, probes, self.tokens, self.width)

    def _mix(self, x_BTPD: Tensor, gate_BT: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        batch, frames, tokens, width = x_BTPD.shape
        x = x_BTPD.transpose(1, 2).reshape(batch * tokens, frames, width)
        gate = gate_BT.repeat_interleave(tokens, dim=0)
        after: dict[str, Tensor] = {}
        for i, block in enumerate(self.blocks):
            x, block_state = block(x, State({"ssm": state[f"{i}.ssm"].flatten(0, 1)}), gate)
            after[f"{i}.ssm"] = block_state["ssm"].unflatten(0, (batch, tokens))
        return x.view(batch, tokens, frames, width).transpose(1, 2), after
