"""Gated DeltaNet over events (Yang, Kautz & Hatamizadeh 2024, arXiv 2412.06464), behind the episode's interface."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.event_gate import EventGate, EveryEvent
from ssm_sense.nn.event_pool import EventPool
from ssm_sense.state import State


class GatedDelta(nn.Module):
    """x + one layer of the gated delta rule after a norm: a matrix a head, in which a value is written at a key.

    With equation 10 of the paper, transposed, and this project's gate g, which leaves the matrix alone at 0:

        S ← α^g S + g β k (v − kᵀ α^g S)          o = qᵀ S

    What is written at a key that is known takes the place of what was there; α forgets all alike. As everywhere
    here that holds a state between events, there is no convolution, whose history would shift.

    Args:
        width: D.
        heads: H.
        head_width: K, of keys and values alike.
        slowest, fastest: at initialisation, the share that heads forget at an event; spread evenly in logarithm.
    """

    def __init__(
        self, width: int, heads: int = 4, head_width: int = 32, slowest: float = 1e-3, fastest: float = 1e-1
    ) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        inner = heads * head_width
        self.norm = nn.RMSNorm(width)
        self.query_key_value = nn.Linear(width, 3 * inner, bias=False)
        self.rates = nn.Linear(width, 2 * heads)
        self.found_norm = nn.RMSNorm(head_width)
        self.open = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        with torch.no_grad():
            self.rates.weight.mul_(0.1)
            forgets = torch.linspace(math.log(slowest), math.log(fastest), heads).exp()
            # Through the inverse of softplus; and half of the way to the new value.
            self.rates.bias.copy_(torch.cat([forgets.expm1().log(), torch.zeros(heads)]))

    def forward(self, x: Tensor, memory: Tensor, gate: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step for any leading dimensions.

        Args:
            x: (..., D).
            memory: float32 (..., H, K, K), keys by values; dimensions of size 1 are shared.
            gate: (...) in [0, 1], how much is written; None writes nothing.

        Returns:
            y (..., D), and the memory after the step, held to the bit where the gate is 0.
        """
        x_normed = self.norm(x)
        query, key, value = self._heads(self.query_key_value(x_normed))
        if gate is not None:
            forget, write = self.rates(x_normed).float().chunk(2, dim=-1)
            kept = torch.exp(-F.softplus(forget) * gate.unsqueeze(-1))
            share = write.sigmoid() * gate.unsqueeze(-1)
            memory = torch.where(_over(gate > 0, memory), _written(memory, key, value, kept, share), memory)
        found = self.found_norm((query.unsqueeze(-1) * memory).sum(-2)).flatten(-2)
        return x + self.out(found.to(x.dtype) * F.silu(self.open(x_normed))), memory

    def _heads(self, joined: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of length 1, and values, float32 (..., H, K)."""
        query, key, value = F.silu(joined.float()).unflatten(-1, (3, self.heads, self.head_width)).unbind(-3)
        return F.normalize(query, dim=-1), F.normalize(key, dim=-1), value


def _written(memory: Tensor, key: Tensor, value: Tensor, kept: Tensor, share: Tensor) -> Tensor:
    """(..., H, K, K) with a value (..., H, K) put in part, ``share`` (..., H), at a key (..., H, K) of length 1."""
    faded = memory * kept[..., None, None]
    known = (key.unsqueeze(-1) * faded).sum(-2)
    return faded + key.unsqueeze(-1) * (share.unsqueeze(-1) * (value - known)).unsqueeze(-2)


def _over(flags: Tensor, memory: Tensor) -> Tensor:
    """(...) to (..., 1, 1, 1) of a memory."""
    return flags.reshape(*flags.shape, *[1] * (memory.ndim - flags.ndim))


class DeltaEpisode(nn.Module):
    """What is left of every event so far, as associations in matrices of fixed size that are never reset.

    In the place of `nn.episode.Episode`, with the same input: at a boundary the event that ended is written, pooled
    by attention (`EventPool`), and between boundaries the matrices are held to the bit. Each pooled token has
    matrices of its own. A layer takes 4·P·H·K² bytes: with H = 4 and K = 32 as many as an `Episode` layer of D = 128.

    Args:
        width: D.
        tokens: P of an event.
        layers: number of `GatedDelta` layers.
        heads, head_width: H and K.
        gate: how much of an event is written; None writes every event alike.
    """

    def __init__(
        self,
        width: int,
        tokens: int = 4,
        layers: int = 2,
        heads: int = 4,
        head_width: int = 32,
        gate: EventGate | None = None,
    ) -> None:
        super().__init__()
        if min(tokens, layers, heads, head_width) < 1:
            raise ValueError(
                "expected tokens, layers, heads and head_width of 1 or more, got "
                f"{tokens}, {layers}, {heads} and {head_width}"
            )
        self.width, self.tokens, self.heads, self.head_width = width, tokens, heads, head_width
        self.gate = gate or EveryEvent()
        self.pool = EventPool(width, tokens)
        self.layers = nn.ModuleList(GatedDelta(width, heads, head_width) for _ in range(layers))
        self.norm = nn.RMSNorm(width)

    def initial_state(self, streams: int) -> State:
        """``pool``, the event in progress, ``gate``, its own, and ``i.memory`` (B, P, H, K, K) a layer."""
        shape = (streams, self.tokens, self.heads, self.head_width, self.head_width)
        blank = self.norm.weight.new_zeros(shape, dtype=torch.float32)
        parts: dict[str, State | Tensor] = {f"{i}.memory": blank for i in range(len(self.layers))}
        return State.join({"pool": self.pool.initial_state(streams), "gate": self.gate.initial_state(streams), **parts})

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State, surprise_BT: Tensor | None = None) -> State:
        """Advance over T frames: write the event before each boundary, hold the matrices everywhere else.

        surprise_BT: of the frames; without a gate the rule needs none. Raises ValueError where a gate has none.
        """
        pooled, pool = self.pool(u_BTSD, boundary_BT, state.sub("pool"))
        ended = torch.cat([state["pool.last"].unsqueeze(1), pooled[:, :-1]], dim=1)
        write_BT, gate = self.gate(surprise_BT, boundary_BT, state.sub("gate"))
        for t in boundary_BT.any(0).nonzero().squeeze(1).tolist():
            state = self._write(ended[:, t], write_BT[:, t], state)
        return state.replace(**State.join({"pool": pool, "gate": gate}))

    def flush(self, state: State) -> State:
        """A copy of the state into which the event in progress is written as if it ended now."""
        last = state["pool.last"]
        return self._write(last, self.gate.so_far(state.sub("gate"), last), state)

    def alone(self, state: State) -> State:
        """A copy that remembers no event but the one in progress."""
        blank = self.initial_state(state["pool.last"].shape[0])
        return blank.replace(**{name: tensor for name, tensor in state.items() if name.startswith(("pool.", "gate."))})

    def read(self, state: State, probes_RD: Tensor) -> Tensor:
        """What R learned probes read from the state, each by one step with gate 0: (B, R, P, D).

        What is found has a norm of its own, so it is as loud in matrices that have only begun to be written.
        """
        streams, probes = state["pool.last"].shape[0], probes_RD.shape[0]
        y = probes_RD[None, :, None].expand(streams, probes, self.tokens, self.width)
        for i, layer in enumerate(self.layers):
            y, _ = layer(y, state[f"{i}.memory"].unsqueeze(1))
        return cast(Tensor, self.norm(y))

    def _write(self, event_BPD: Tensor, write_B: Tensor, state: State) -> State:
        gate = write_B.to(torch.float32).unsqueeze(1).expand(-1, self.tokens)
        x = event_BPD
        after: dict[str, Tensor] = {}
        for i, layer in enumerate(self.layers):
            x, after[f"{i}.memory"] = layer(x, state[f"{i}.memory"], gate)
        return state.replace(**after)
