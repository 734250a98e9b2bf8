"""The gated delta rule over a whole stream at a time, by one triangular system a chunk (arXiv 2412.06464, §3.3)."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.nn.deltanet import DeltaEpisode, GatedDelta
from ssm_sense.nn.event_gate import EventGate
from ssm_sense.state import State

CHUNK = 128
"""Steps solved together: what they cost grows with the square of their number."""


def delta_scan(
    query: Tensor, key: Tensor, value: Tensor, log_keep: Tensor, write: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """All steps of S ← α S + β k (v − kᵀ α S), o = qᵀ S, as exactly as the loop over them and many times as fast.

    What step t writes is wₜ = βₜ (vₜ − Σ_{i<t} Γₜᵢ (kₜ·kᵢ) wᵢ − γₜ S₀ᵀ kₜ), with γ the product of α so far and
    Γₜᵢ = γₜ / γᵢ: a unit lower triangular system. A step with β = 0 and α = 1 holds the memory to the bit.

    Args:
        query, key, value: (..., T, K).
        log_keep: (..., T), log α, at most 0.
        write: (..., T), β.
        memory: (..., K, K), keys by values.

    Returns:
        o (..., T, K), read after each step's write, and the memory after the last; under autocast, too, in the dtype
        of what is given.
    """
    with torch.autocast(query.device.type, enabled=False):
        return _delta_scan(query, key, value, log_keep, write, memory)


def _delta_scan(
    query: Tensor, key: Tensor, value: Tensor, log_keep: Tensor, write: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    outs = []
    for start in range(0, key.shape[-2], CHUNK):
        part = slice(start, start + CHUNK)
        q, k, v = query[..., part, :], key[..., part, :], value[..., part, :]
        beta, total = write[..., part, None], log_keep[..., part].cumsum(-1)
        # Above the diagonal the exponent would be positive and might overflow.
        decay = (total.unsqueeze(-1) - total.unsqueeze(-2)).tril().exp().tril()
        gamma = total.exp().unsqueeze(-1)
        system = beta * (decay * (k @ k.transpose(-1, -2))).tril(-1)
        wanted = beta * (v - gamma * (k @ memory))
        written = torch.linalg.solve_triangular(system, wanted, upper=False, unitriangular=True)
        outs.append((decay * (q @ k.transpose(-1, -2))) @ written + gamma * (q @ memory))
        memory = gamma[..., -1:, :] * memory + (k * decay[..., -1, :, None]).transpose(-1, -2) @ written
    return torch.cat(outs, dim=-2), memory


class ScannedDeltaEpisode(DeltaEpisode):
    """`DeltaEpisode` with the same weights, state and answers, trained by `delta_scan` in place of a loop over events.

    With ``aligned``, queries begin equal to keys, so that from the start what was written by steps like the one that
    reads is what it finds, as in `Mamba`.

    Args:
        width, tokens, layers, heads, head_width: as for `DeltaEpisode`.
        aligned: see above.
        slowest, fastest: as for `GatedDelta`.
        gate: as for `DeltaEpisode`.
    """

    def __init__(
        self,
        width: int,
        tokens: int = 4,
        layers: int = 2,
        heads: int = 4,
        head_width: int = 32,
        aligned: bool = True,
        slowest: float = 1e-3,
        fastest: float = 1e-1,
        gate: EventGate | None = None,
    ) -> None:
        super().__init__(width, tokens, layers, heads, head_width, gate)
        inner = heads * head_width
        forgets = torch.linspace(math.log(slowest), math.log(fastest), heads).exp()
        for layer in cast(list[GatedDelta], self.layers):
            with torch.no_grad():
                layer.rates.bias[:heads] = forgets.expm1().log()
                if aligned:
                    layer.query_key_value.weight[:inner] = layer.query_key_value.weight[inner : 2 * inner]

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State, surprise_BT: Tensor | None = None) -> State:
        """Advance over T frames, as `DeltaEpisode` does."""
        pooled, pool = self.pool(u_BTSD, boundary_BT, state.sub("pool"))
        x = torch.cat([state["pool.last"].unsqueeze(1), pooled[:, :-1]], dim=1).transpose(1, 2)
        write_BT, gate = self.gate(surprise_BT, boundary_BT, state.sub("gate"))
        share = write_BT[:, None, :, None]
        after: dict[str, Tensor] = {}
        for i, layer in enumerate(cast(list[GatedDelta], self.layers)):
            x, after[f"{i}.memory"] = _scanned(layer, x, state[f"{i}.memory"], share)
        return State.join({"pool": pool, "gate": gate, **after})


def _scanned(layer: GatedDelta, x_BPTD: Tensor, memory: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """`GatedDelta.forward` over T steps; gate (B, 1, T, 1)."""
    normed = layer.norm(x_BPTD)
    query, key, value = (x.transpose(-2, -3) for x in layer._heads(layer.query_key_value(normed)))
    forget, write = layer.rates(normed).float().chunk(2, dim=-1)
    log_keep = (-F.softplus(forget) * gate).transpose(-1, -2)
    share = (write.sigmoid() * gate).transpose(-1, -2)
    found, memory = delta_scan(query, key, value, log_keep, share, memory)
    found = layer.found_norm(found.transpose(-2, -3)).flatten(-2)
    return x_BPTD + layer.out(found.to(x_BPTD.dtype) * F.silu(layer.open(normed))), memory
