"""Pure PyTorch selective scan with its own backward: what runs where no native kernel does.

It loops over time and keeps one state per CHUNK steps, so memory is N/CHUNK of x instead of the N times x that autograd
would store; the backward recomputes each chunk from its checkpoint. The gradient is derived in ``kernels/README.md``.
All functions compute in A's dtype. Checkpoints are one
flat tensor, (batch, chunks, N, E) when viewed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 32


def _step_sizes(
    dt: Tensor, dt_bias: Tensor | None, dt_softplus: bool, gate: Tensor | None, work: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """(raw, Δ, g·Δ), each (batch, length, E): before softplus, after it, and with the gate."""
    raw = dt.to(work)
    if dt_bias is not None:
        raw = raw + dt_bias
    delta = F.softplus(raw) if dt_softplus else raw
    return raw, delta, delta if gate is None else delta * gate.to(work)[..., None]


def _advance(h: Tensor, decay: Tensor, size: Tensor, A: Tensor, sx: Tensor, B: Tensor, keep: Tensor | None) -> None:
    """One step in place: h (batch, E, N) moves on, decay receives exp(size A). size, sx (batch, E), B (batch, N)."""
    torch.mul(size[:, :, None], A, out=decay).exp_()
    h.mul_(decay)
    if keep is not None:
        h.mul_(keep[:, None, None])
    h.addcmul_(sx[:, :, None], B[:, None, :])


def scan_forward(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    dt_softplus: bool,
    gate: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, final_state, checkpoints); checkpoints are empty unless save."""
    work = A.dtype
    batch, length, channels = x.shape
    _, _, size = _step_sizes(dt, dt_bias, dt_softplus, gate, work)
    x_work, B_work, C_work = x.to(work), B.to(work), C.to(work)
    sx = size * x_work
    h = (
        x_work.new_zeros(batch, *A.shape)
        if initial_state is None
        else initial_state.clone(memory_format=torch.contiguous_format)
    )
    decay = torch.empty_like(h)
    y = x_work.new_empty(batch, length, channels)
    chunks = -(-length // CHUNK) if save else 0
    checkpoints = h.new_empty(batch, chunks, A.shape[1], channels)
    for t in range(length):
        if save and t % CHUNK == 0:
            checkpoints[:, t // CHUNK] = h.transpose(1, 2)
        keep_t = None if keep is None else keep[:, t].to(work)
        _advance(h, decay, size[:, t], A, sx[:, t], B_work[:, t], keep_t)
        y[:, t] = torch.bmm(h, C_work[:, t, :, None])[..., 0]
    if D is not None:
        y.addcmul_(x_work, D)
    if z is not None:
        y.mul_(F.silu(z.to(work)))
    return y.to(x.dtype), h, checkpoints.flatten()


def scan_backward(
    grad_y: Tensor,
    grad_final: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    dt_softplus: bool,
    gate: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    checkpoints: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of (x, dt, A, B, C, D, z, dt_bias, gate, keep, initial_state); empty for what is absent."""
    work = A.dtype
    length = x.shape[1]
    raw, delta, size = _step_sizes(dt, dt_bias, dt_softplus, gate, work)
    x_work, B_work, C_work = x.to(work), B.to(work), C.to(work)
    keep_work = None if keep is None else keep.to(work)
    sx = size * x_work
    gy = grad_y.to(work)
    silu_z = None if z is None else F.silu(z.to(work))
    gy_inner = gy if silu_z is None else gy * silu_z

    saved = checkpoints.view(x.shape[0], -1, A.shape[1], x.shape[2])
    lam = grad_final.to(work).clone(memory_format=torch.contiguous_format)
    decays = lam.new_empty(CHUNK, *lam.shape)
    states = lam.new_empty(CHUNK + 1, *lam.shape)
    through_decay = torch.empty_like(lam)
    d_x, d_size, d_B, d_C = (
        torch.empty_like(of, memory_format=torch.contiguous_format) for of in (x_work, size, B_work, C_work)
    )
    d_A = torch.zeros_like(lam)
    d_keep = None if keep_work is None else torch.empty_like(keep_work)
    y_inner = None if z is None else torch.empty_like(x_work)

    for chunk in range(saved.shape[1] - 1, -1, -1):
        begin, end = chunk * CHUNK, min((chunk + 1) * CHUNK, length)
        states[0] = saved[:, chunk].transpose(1, 2)
        for i, t in enumerate(range(begin, end)):
            h = states[i + 1].copy_(states[i])
            keep_t = None if keep_work is None else keep_work[:, t]
            _advance(h, decays[i], size[:, t], A, sx[:, t], B_work[:, t], keep_t)
            if y_inner is not None:
                y_inner[:, t] = torch.bmm(h, C_work[:, t, :, None])[..., 0]
        for t in range(end - 1, begin - 1, -1):
            i = t - begin
            lam.addcmul_(gy_inner[:, t, :, None], C_work[:, t, None, :])
            d_C[:, t] = torch.bmm(gy_inner[:, t, None, :], states[i + 1])[:, 0]
            d_B[:, t] = torch.bmm(sx[:, t, None, :], lam)[:, 0]
            lam_B = torch.bmm(lam, B_work[:, t, :, None])[..., 0]
            torch.mul(lam, decays[i], out=lam)
            torch.mul(lam, states[i], out=through_decay)
            if keep_work is not None and d_keep is not None:
                d_keep[:, t] = through_decay.sum((1, 2))
                through_decay.mul_(keep_work[:, t, None, None])
                lam.mul_(keep_work[:, t, None, None])
            d_x[:, t] = lam_B * size[:, t]
            d_size[:, t] = lam_B * x_work[:, t] + (through_decay * A).sum(-1)
            d_A.addcmul_(through_decay, size[:, t, :, None])

    def absent() -> Tensor:
        return x_work.new_empty(0)

    d_D, d_z = absent(), absent()
    if D is not None:
        d_D = (gy_inner * x_work).sum((0, 1))
        d_x.addcmul_(gy_inner, D)
    if z is not None and y_inner is not None:
        if D is not None:
            y_inner.addcmul_(x_work, D)
        sigmoid = torch.sigmoid(z.to(work))
        d_z = (gy * y_inner * sigmoid * (1 + z.to(work) * (1 - sigmoid))).to(z.dtype)
    d_gate = absent() if gate is None else (d_size * delta).sum(-1).to(gate.dtype)
    d_delta = d_size if gate is None else d_size * gate.to(work)[..., None]
    d_raw = d_delta * torch.sigmoid(raw) if dt_softplus else d_delta
    return (
        d_x.to(x.dtype),
        d_raw.to(dt.dtype),
        d_A.sum(0),
        d_B.to(B.dtype),
        d_C.to(C.dtype),
        d_D,
        d_z,
        absent() if dt_bias is None else d_raw.sum((0, 1)),
        d_gate,
        absent() if keep is None or d_keep is None else d_keep.to(keep.dtype),
        absent() if initial_state is None else lam,
    )
