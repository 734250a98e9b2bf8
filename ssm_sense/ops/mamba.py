"""mamba-ssm's two entry points, its signatures and layouts, over our scan: a drop-in where its kernels cannot run.

Letters: B batch, L length, E channels, N state size, G groups, each of E/G neighbouring channels, sharing one B and C.
"""

import torch
from torch import Tensor

from ssm_sense.ops.scan import selective_scan


def selective_scan_fn(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """``mamba_ssm.ops.selective_scan_interface.selective_scan_fn`` for real A and input-dependent B and C.

    Args:
        u, delta, z: (B, E, L). A: (E, N). B, C: (B, N, L) or (B, G, N, L). D, delta_bias: (E,).

    Returns:
        out (B, E, L) in u's dtype and, if asked for, the last state (B, E, N), which carries gradients too.

    Raises:
        ValueError: B or C are not input-dependent, E is no multiple of G, or what ``selective_scan`` refuses.
    """
    _expect_dims("selective_scan_fn", u=(u, 3), delta=(delta, 3), A=(A, 2))
    B, C = _as_groups("B", B, u), _as_groups("C", C, u)
    groups = max(B.shape[1], C.shape[1])
    B, C = B.expand(-1, groups, -1, -1), C.expand(-1, groups, -1, -1)
    each = u.shape[1] // groups
    ys, states = [], []
    for g in range(groups):
        own = slice(g * each, (g + 1) * each)
        y, state = selective_scan(
            u[:, own].transpose(1, 2),
            delta[:, own].transpose(1, 2),
            A[own],
            B[:, g].transpose(1, 2),
            C[:, g].transpose(1, 2),
            None if D is None else D[own],
            None if z is None else z[:, own].transpose(1, 2),
            None if delta_bias is None else delta_bias[own],
            delta_softplus,
        )
        ys.append(y)
        states.append(state)
    out = torch.cat(ys, dim=-1).transpose(1, 2)
    return (out, torch.cat(states, dim=1)) if return_last_state else out


def selective_state_update(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
) -> Tensor:
    """``mamba_ssm.ops.triton.selective_state_update`` without heads: one step that overwrites ``state``.

    Args:
        state: (B, E, N), updated in place. x, dt, z: (B, E). A: (E, N). B, C: (B, N) or (B, G, N). D, dt_bias: (E,).

    Returns:
        out (B, E) in x's dtype.

    Raises:
        ValueError: as ``selective_scan_fn``.
    """
    _expect_dims("selective_state_update", state=(state, 3), x=(x, 2), dt=(dt, 2), A=(A, 2))
    B, C = _as_groups("B", B[..., None], x[..., None]), _as_groups("C", C[..., None], x[..., None])
    groups = max(B.shape[1], C.shape[1])
    B, C = B.expand(-1, groups, -1, -1), C.expand(-1, groups, -1, -1)
    each = x.shape[1] // groups
    outs = []
    with torch.no_grad():
        for g in range(groups):
            own = slice(g * each, (g + 1) * each)
            y, after = selective_scan(
                x[:, None, own],
                dt[:, None, own],
                A[own],
                B[:, g].transpose(1, 2),
                C[:, g].transpose(1, 2),
                None if D is None else D[own],
                None if z is None else z[:, None, own],
                None if dt_bias is None else dt_bias[own],
                dt_softplus,
                initial_state=state[:, own].to(A.dtype),
            )
            state[:, own] = after.to(state.dtype)
            outs.append(y[:, 0])
    return torch.cat(outs, dim=-1)


def _expect_dims(op: str, **tensors: tuple[Tensor, int]) -> None:
    for name, (tensor, dims) in tensors.items():
        if tensor.dim() != dims:
            raise ValueError(f"{op}: {name} must have {dims} dimensions, got shape {tuple(tensor.shape)}")


def _as_groups(name: str, tensor: Tensor, x: Tensor) -> Tensor:
    """(B, N, L) or (B, G, N, L) as (B, G, N, L), G dividing the channels of x (B, E, L)."""
    if tensor.dim() not in (3, 4):
        raise ValueError(f"{name} must be (B, N, L) or (B, G, N, L), got shape {tuple(tensor.shape)}")
    grouped = tensor[:, None] if tensor.dim() == 3 else tensor
    if grouped.shape[1] < 1 or x.shape[1] % grouped.shape[1]:
        raise ValueError(f"{name} must have a number of groups that divides E = {x.shape[1]}, got {grouped.shape[1]}")
    return grouped
