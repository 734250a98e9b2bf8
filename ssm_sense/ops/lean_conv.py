"""Pure PyTorch causal convolution with its own backward: one pass per tap, no loop over time.

Tap j at time t is x_{t-j} times the keeps between, so tap_j = k · (tap_{j-1} one step later), and what leaves the last
step of tap_{j-1} is the history at place W-1-j. The products are formed in the order of the loop, so cuts are exact.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def _later(tap: Tensor, history: Tensor, j: int) -> Tensor:
    """tap_{j-1} one step later, with the history (batch, W-1, E) entering at the front."""
    place = history.shape[1] - j
    return torch.cat([history[:, place : place + 1], tap[:, :-1]], dim=1)


def _taps(x: Tensor, width: int, keep: Tensor | None, history: Tensor) -> list[Tensor]:
    """The W taps of every step, each (batch, length, E), newest input first."""
    taps = [x]
    for j in range(1, width):
        later = _later(taps[-1], history, j)
        taps.append(later if keep is None else keep[..., None] * later)
    return taps


def _history(x: Tensor, width: int, initial_state: Tensor | None) -> Tensor:
    return x.new_zeros(x.shape[0], width - 1, x.shape[2]) if initial_state is None else initial_state


def _before_activation(taps: list[Tensor], weight: Tensor, bias: Tensor | None) -> Tensor:
    width = len(taps)
    y = (taps[0] * weight[:, width - 1]).contiguous()
    for j in range(1, width):
        y.addcmul_(taps[j], weight[:, width - 1 - j])
    return y if bias is None else y.add_(bias)


def conv_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """(y, final_state), computed in float32 for half-precision x and in x's dtype otherwise."""
    width = weight.shape[1]
    work = torch.promote_types(x.dtype, torch.float32)
    x_work = x.to(work)
    history = _history(x_work, width, initial_state)
    taps = _taps(x_work, width, None if keep is None else keep.to(work), history)
    y = _before_activation(taps, weight.to(work), None if bias is None else bias.to(work))
    # The tap that entered last is the newest input: places run from the oldest, tap W-2, to the newest, tap 0.
    last = [tap[:, -1] for tap in taps[: width - 1]]
    final_state = torch.stack(last[::-1], dim=1) if last else history.clone(memory_format=torch.contiguous_format)
    return (F.silu(y) if silu else y).to(x.dtype), final_state


def conv_backward(
    grad_y: Tensor,
    grad_final: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> tuple[Tensor, ...]:
    """Gradients of (x, weight, bias, keep, initial_state); empty for what is absent."""
    width = weight.shape[1]
    work = torch.promote_types(x.dtype, torch.float32)
    x_work, weight_work = x.to(work), weight.to(work)
    keep_work = None if keep is None else keep.to(work)
    history = _history(x_work, width, initial_state)
    taps = _taps(x_work, width, keep_work, history)
    gy = grad_y.to(work)
    if silu:
        y = _before_activation(taps, weight_work, None if bias is None else bias.to(work))
        sigmoid = torch.sigmoid(y)
        gy = gy * sigmoid * (1 + y * (1 - sigmoid))

    d_weight = torch.stack([(gy * tap).sum((0, 1)) for tap in reversed(taps)], dim=1)
    d_history = torch.empty_like(history, memory_format=torch.contiguous_format)
    d_keep = None if keep_work is None else torch.zeros_like(keep_work)
    d_tap = gy * weight_work[:, 0]
    for j in range(width - 1, 0, -1):
        if keep_work is not None and d_keep is not None:
            d_keep += (d_tap * _later(taps[j - 1], history, j)).sum(-1)
            d_tap = d_tap * keep_work[..., None]
        d_history[:, width - 1 - j] = d_tap[:, 0]
        d_next = gy * weight_work[:, width - j]
        d_next[:, :-1] += d_tap[:, 1:]
        d_next[:, -1] += grad_final[:, width - 1 - j].to(work)
        d_tap = d_next

    def absent() -> Tensor:
        return x_work.new_empty(0)

    return (
        d_tap.to(x.dtype),
        d_weight.to(weight.dtype),
        absent() if bias is None else gy.sum((0, 1)).to(bias.dtype),
        absent() if keep is None or d_keep is None else d_keep.to(keep.dtype),
        absent() if initial_state is None else d_history,
    )
