"""``causal_conv1d``: checks at the door, then one torch op with its schema, its shapes and its gradient."""

from typing import Literal

import torch
from torch import Tensor

from ssm_sense.ops import dispatch
from ssm_sense.ops.door import expect, expect_input, state_dtype

_INPUTS = "Tensor x, Tensor weight, Tensor? bias, Tensor? keep, Tensor? initial_state, bool silu"


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    keep: Tensor | None = None,
    initial_state: Tensor | None = None,
    activation: Literal["silu"] | None = None,
) -> tuple[Tensor, Tensor]:
    """A causal filter per channel whose history a keep k fades or clears.

        y_t = bias + Σ_j weight[:, W-1-j] · x_{t-j} · k_{t-j+1} ⋯ k_t,      j = 0 … W-1,  then silu if asked for

    Every input enters the history, whatever the gate of the scan; k_t = 0 means step t sees nothing older than itself.

    Args:
        x: (batch, length, E). weight: (E, W) and bias: (E,) in x's dtype or the state's.
        keep: (batch, length) in x's dtype or the state's, in [0, 1] (not checked).
        initial_state: (batch, W-1, E), oldest first, each input already multiplied by the keeps that came after it;
            zero when absent; float32 when x is half precision, else x's dtype.

    Returns:
        y (batch, length, E) in x's dtype, and the history after the last step, (batch, W-1, E).

    Every tensor has a gradient, through y and through the final state. Second derivatives are not offered.

    Raises:
        ValueError: an argument has the wrong shape, dtype or device, a dimension is empty, or activation is unknown.
    """
    short = dispatch.directly()
    if short is not None and (activation is None or activation == "silu"):
        done = short["conv"](x, weight, bias, keep, initial_state, activation == "silu")
        if done is not None:
            return done
    _check(x, weight, bias, keep, initial_state, activation)
    return torch.ops.ssm_sense.conv(x, weight, bias, keep, initial_state, activation == "silu")


def _check(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    activation: str | None,
) -> None:
    op = "causal_conv1d"
    batch, length, channels = expect_input(op, x).shape
    if not isinstance(weight, Tensor) or weight.dim() != 2 or weight.shape[0] != channels or weight.shape[1] < 1:
        came = tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(f"{op}: weight must have shape (E, W) = ({channels}, at least 1), got {came}")
    width = weight.shape[1]
    state = (state_dtype(x),)
    either = (x.dtype, *state)
    expect(op, "weight", weight, "E, W", (channels, width), either, x)
    if bias is not None:
        expect(op, "bias", bias, "E", (channels,), either, x)
    if keep is not None:
        expect(op, "keep", keep, "batch, length", (batch, length), either, x)
    if initial_state is not None:
        expect(op, "initial_state", initial_state, "batch, W-1, E", (batch, width - 1, channels), state, x)
    if activation not in (None, "silu"):
        raise ValueError(f'{op}: activation must be None or "silu", got {activation!r}')


_library = torch.library.Library("ssm_sense", "FRAGMENT")
_library.define(f"conv({_INPUTS}) -> (Tensor, Tensor)")
_library.define(
    f"conv_backward(Tensor grad_y, Tensor grad_final, {_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
for _op in ("conv", "conv_backward"):
    _library.impl(_op, dispatch.on_cpu(_op), "CPU")
    _library.impl(_op, dispatch.on_cuda(_op), "CUDA")
    _library.impl(_op, dispatch.on_any_device(_op), "CompositeExplicitAutograd")


@torch.library.register_fake("ssm_sense::conv", lib=_library)
def _conv_shapes(x: Tensor, weight: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    final_state = x.new_empty(x.shape[0], weight.shape[1] - 1, x.shape[2], dtype=state_dtype(x))
    return x.new_empty(x.shape), final_state


@torch.library.register_fake("ssm_sense::conv_backward", lib=_library)
def _conv_backward_shapes(grad_y: Tensor, grad_final: Tensor, *inputs: Tensor | bool | None) -> tuple[Tensor, ...]:
    return tuple(t.new_empty(t.shape) if isinstance(t, Tensor) else grad_final.new_empty(0) for t in inputs[:-1])


def _save_for_backward(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    *tensors, ctx.silu = inputs
    ctx.save_for_backward(*tensors)


def _conv_gradient(ctx, grad_y, grad_final):  # type: ignore[no-untyped-def]
    inputs = ctx.saved_tensors
    grads = torch.ops.ssm_sense.conv_backward(grad_y, grad_final, *inputs, ctx.silu)
    return (*(None if t is None else grad for grad, t in zip(grads, inputs, strict=True)), None)


def _no_second_derivative(ctx, *grads):  # type: ignore[no-untyped-def]
    raise RuntimeError("causal_conv1d offers first derivatives only: its gradient was differentiated again")


torch.library.register_autograd("ssm_sense::conv", _conv_gradient, setup_context=_save_for_backward, lib=_library)
torch.library.register_autograd("ssm_sense::conv_backward", _no_second_derivative, lib=_library)
