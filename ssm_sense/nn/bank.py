"""A bounded bank of events: the hybrid alternative to the recurrent episode, behind the same interface."""

from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.event_pool import EventPool
from ssm_sense.nn.peak_pool import NOTHING, peaks_before
from ssm_sense.state import State

Judged = Literal["beginning", "peak", "age"]
"""By what an event is judged when one has to go."""


class AgeEmbedding(nn.Module):
    """How many events ago, relative to now: sines of the logarithm, so that no age lies far beyond those of training.

    Args:
        width: D.
        frequencies: sines and cosines, spaced evenly up to one turn per doubling of the age.
    """

    def __init__(self, width: int, frequencies: int = 8) -> None:
        super().__init__()
        self.turns: Tensor
        self.register_buffer("turns", torch.arange(1, frequencies + 1) / frequencies * torch.pi, persistent=False)
        self.out = nn.Linear(2 * frequencies + 1, width)

    def forward(self, age: Tensor) -> Tensor:
        """(...) to (..., D)."""
        scale = torch.log2(1 + age).unsqueeze(-1)
        angle = scale * self.turns
        return self.out(torch.cat([scale / 8, angle.sin(), angle.cos()], dim=-1))


class EventBank(nn.Module):
    """The last read-outs of K events, of constant size, read by attention.

    An event is written at the boundary that ends it, as its last frame left it, pooled over space to P tokens, and
    never again unless it is merged. Between boundaries the bank is held to the bit. When it is full, a new event
    costs an old one its place: the one that surprised least. With ``merge`` that one joins the one before it instead,
    averaged by how many events each already stands for.

    An event takes 4·P·D bytes and a few: 32 of them are as many as `Episode` has with one layer, E = 2·D and N = 16.

    Args:
        width: D.
        tokens: P of an event.
        events: K.
        heads: of the attention that reads, a divisor of D.
        merge: merge neighbours rather than drop an event.
        judged: by "beginning" an event has surprised as much as its first frame did, by "peak" as much as any frame;
            by "age" all are alike, and the oldest goes (or is merged) first.
    """

    def __init__(
        self,
        width: int,
        tokens: int = 4,
        events: int = 32,
        heads: int = 4,
        merge: bool = False,
        judged: Judged = "beginning",
    ) -> None:
        super().__init__()
        if events < 1 or tokens < 1 or width % heads:
            raise ValueError(
                "expected events and tokens of 1 or more and heads that divide the width, got "
                f"{events}, {tokens} and {heads} for {width}"
            )
        if judged not in get_args(Judged):
            raise ValueError(f"judged: expected one of {', '.join(get_args(Judged))}, got {judged!r}")
        self.width, self.tokens, self.events, self.heads = width, tokens, events, heads
        self.merge, self.judged = merge, judged
        self.pool = EventPool(width, tokens)
        self.age = AgeEmbedding(width)
        self.slot = nn.Parameter(torch.randn(tokens, width) * width**-0.5)
        self.nothing = nn.Parameter(torch.randn(width) * width**-0.5)
        self.entry_norm, self.probe_norm, self.norm = nn.RMSNorm(width), nn.RMSNorm(width), nn.RMSNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.mix = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def initial_state(self, streams: int) -> State:
        """An empty bank for B streams, oldest event first and empty places before it.

        ``entries`` (B, K, P, D); ``age`` (B, K) in events; ``stands_for`` (B, K) events, 0 where empty; ``began``
        (B, K), how much each surprised. Of the event in progress ``pool`` (`EventPool`) and ``level`` (B,), how much it
        has so far: 1 for a stream's first event as for its first frame, but judged by peaks, in which that frame
        tells nothing, 0.
        """
        blank = self.nothing.new_zeros
        return State.join(
            {
                "pool": self.pool.initial_state(streams),
                "entries": blank(streams, self.events, self.tokens, self.width),
                **{name: blank(streams, self.events) for name in ("age", "stands_for", "began")},
                "level": blank(streams) + (self.judged != "peak"),
            }
        )

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State, surprise_BT: Tensor | None = None) -> State:
        """Advance over T frames: write the event before each boundary, hold the bank everywhere else.

        surprise_BT: of the frames, for what is to go when the bank is full; without it all events are alike, and the
            oldest goes first.
        """
        pooled, pool = self.pool(u_BTSD, boundary_BT, state.sub("pool"))
        ended = torch.cat([state["pool.last"].unsqueeze(1), pooled[:, :-1]], dim=1)
        before_BT, level_B = self._levels(surprise_BT, boundary_BT, state["level"])
        for t in boundary_BT.any(0).nonzero().squeeze(1).tolist():
            after = self._written(ended[:, t], state.replace(level=before_BT[:, t]))
            state = State({name: _where(boundary_BT[:, t], after[name], tensor) for name, tensor in state.items()})
        return state.replace(level=level_B, **{f"pool.{name}": tensor for name, tensor in pool.items()})

    def _levels(self, surprise_BT: Tensor | None, boundary_BT: Tensor, level_B: Tensor) -> tuple[Tensor, Tensor]:
        """How much the event in progress has surprised before each frame, (B, T), and after the last, (B,)."""
        heard_BT = level_B.new_ones(boundary_BT.shape)
        if self.judged != "age" and surprise_BT is not None:
            heard_BT = surprise_BT.to(level_B.dtype)
        if self.judged == "beginning":
            heard_BT = heard_BT.where(boundary_BT, NOTHING)
        return peaks_before(heard_BT, boundary_BT, level_B)

    def flush(self, state: State) -> State:
        """A copy of the state into which the event in progress is written as if it ended now."""
        return self._written(state["pool.last"], state)

    def alone(self, state: State) -> State:
        """A copy that remembers no event but the one in progress."""
        blank = self.initial_state(state["pool.last"].shape[0])
        kept = {name: tensor for name, tensor in state.items() if name == "level" or name.startswith("pool.")}
        return blank.replace(**kept)

    def read(self, state: State, probes_RD: Tensor) -> Tensor:
        """What R learned probes read from the bank, each by itself once for every pooled token: (B, R, P, D)."""
        streams, probes = state["pool.last"].shape[0], probes_RD.shape[0]
        asked = (probes_RD.unsqueeze(1) + self.slot).view(1, probes * self.tokens, self.width).expand(streams, -1, -1)
        entries = self.entry_norm(state["entries"]) + self.age(state["age"]).unsqueeze(2) + self.slot
        known = torch.cat([self.nothing.expand(streams, 1, -1), entries.flatten(1, 2)], dim=1)
        filled = (state["stands_for"] > 0).repeat_interleave(self.tokens, dim=1)
        mask = torch.cat([filled.new_ones(streams, 1), filled], dim=1)[:, None, None]
        query = self._split(self.query(self.probe_norm(asked)))
        key, value = (self._split(x) for x in self.key_value(known).chunk(2, dim=-1))
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        y = asked + self.out(found.transpose(1, 2).flatten(2))
        y = self.norm(y + self.mix(y))
        return y.view(streams, probes, self.tokens, self.width)

    def _written(self, event_BPD: Tensor, state: State) -> State:
        """The bank with one event more, and what had to go for it gone."""
        streams = event_BPD.shape[0]
        one = event_BPD.new_ones(streams, 1)
        longer = {
            "entries": torch.cat([state["entries"], event_BPD.unsqueeze(1)], dim=1),
            "age": torch.cat([state["age"] + 1, 0 * one], dim=1),
            "stands_for": torch.cat([state["stands_for"], one], dim=1),
            "began": torch.cat([state["began"], state["level"].unsqueeze(1)], dim=1),
        }
        full = state["stands_for"][:, 0] > 0
        if self.merge:
            # The event that surprised least joins the one before it, which keeps its own beginning.
            joins = longer["began"][:, 1:].argmin(1) + 1
            longer = _merged(longer, joins - 1, full)
            gone = torch.where(full, joins, 0)
        else:
            gone = torch.where(full, state["began"].argmin(1), 0)
        place = torch.arange(self.events, device=gone.device)
        index = place + (place >= gone.unsqueeze(1))
        rows = torch.arange(streams, device=gone.device).unsqueeze(1)
        return state.replace(**{name: tensor[rows, index] for name, tensor in longer.items()})

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, D) to (B, heads, n, D / heads)."""
        return cast(Tensor, x.unflatten(-1, (self.heads, -1)).transpose(1, 2))


def _where(here: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(here.view(-1, *[1] * (a.ndim - 1)), a, b)


def _merged(bank: dict[str, Tensor], first: Tensor, full: Tensor) -> dict[str, Tensor]:
    """The bank with entries ``first`` and ``first`` + 1 of each full stream averaged at ``first``."""
    rows = torch.arange(len(first), device=first.device)
    weight = bank["stands_for"]
    a, b = weight[rows, first], weight[rows, first + 1]
    share = torch.where(full, b / (a + b).clamp_min(1), 0)
    merged = {name: tensor.clone() for name, tensor in bank.items()}
    for name in ("entries", "age"):
        here, there = bank[name][rows, first], bank[name][rows, first + 1]
        merged[name][rows, first] = torch.lerp(here, there, share.view(-1, *[1] * (here.ndim - 1)))
    merged["stands_for"][rows, first] = torch.where(full, a + b, a)
    return merged
