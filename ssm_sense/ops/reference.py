"""The recurrence and the causal convolution as plain loops over time: the truth that faster code is proved against.

Any floating dtype, differentiable by autograd, no speed. Letters: E channels, N state size, W filter width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    gate: Tensor | None = None,
    keep: Tensor | None = None,
    initial_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mamba's selective scan (Gu & Dao 2023, algorithm 2) with a write gate and a keep.

        h_t = k_t exp(g_t Δ_t A) h_{t-1} + g_t Δ_t B_t x_t        y_t = (C_t h_t + D x_t) silu(z_t)

    Shapes as in ``ssm_sense.ops.selective_scan``; computed in A's dtype, y in x's.
    """
    work = A.dtype
    x_work, size = x.to(work), dt.to(work)
    if dt_bias is not None:
        size = size + dt_bias
    if dt_softplus:
        size = F.softplus(size)
    if gate is not None:
        size = size * gate.to(work)[..., None]
    h = x_work.new_zeros(x.shape[0], *A.shape) if initial_state is None else initial_state
    ys = []
    for t in range(x.shape[1]):
        h = torch.exp(size[:, t, :, None] * A) * h
        if keep is not None:
            h = keep[:, t, None, None].to(work) * h
        h = h + (size * x_work)[:, t, :, None] * B[:, t, None, :].to(work)
        ys.append((h * C[:, t, None, :].to(work)).sum(-1))
    y = torch.stack(ys, dim=1)
    if D is not None:
        y = y + D * x_work
    if z is not None:
        y = y * F.silu(z.to(work))
    return y.to(x.dtype), h


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    keep: Tensor | None = None,
    initial_state: Tensor | None = None,
    activation: str | None = None,
) -> tuple[Tensor, Tensor]:
    """A causal filter per channel whose history a keep fades or clears.

        y_t = bias + Σ_j weight[W-1-j] · x_{t-j} · k_{t-j+1} ⋯ k_t,      j = 0 … W-1

    The history holds the last W-1 inputs, oldest first, each already multiplied by the keeps that came after it,
    so that cutting a stream anywhere changes nothing. Shapes as in ``ssm_sense.ops.causal_conv1d``.
    """
    work = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    batch, length, channels = x.shape
    width = weight.shape[1]
    taps = weight.to(work)
    history = x.new_zeros(batch, width - 1, channels, dtype=work) if initial_state is None else initial_state
    ys = []
    for t in range(length):
        if keep is not None:
            history = keep[:, t, None, None].to(work) * history
        window = torch.cat([history, x[:, t : t + 1].to(work)], dim=1)
        ys.append((window * taps.T).sum(1))
        history = window[:, 1:]
    y = torch.stack(ys, dim=1)
    if bias is not None:
        y = y + bias.to(work)
    if activation == "silu":
        y = F.silu(y)
    return y.to(x.dtype), history
