"""``selective_scan``: checks at the door, then one torch op with its schema, its shapes and its gradient.

Implementations sit behind the dispatcher: ``dispatch.scan`` picks one for every device, once.
"""

import torch
from torch import Tensor

from ssm_sense.ops import dispatch
from ssm_sense.ops.door import expect, expect_input, state_dtype
from ssm_sense.ops.lean import CHUNK

_INPUTS = (
    "Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? dt_bias, bool dt_softplus, "
    "Tensor? gate, Tensor? keep, Tensor? initial_state"
)
_GRADS = "Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor"
_SOFTPLUS_PLACE = 8


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
    """The selective scan of Mamba (Gu & Dao 2023) with a write gate g and a keep k per step.

        h_t = k_t exp(g_t Δ_t A) h_{t-1} + g_t Δ_t B_t x_t        y_t = (C_t h_t + D x_t) silu(z_t)

    Δ is dt, plus dt_bias, through softplus when dt_softplus. Of finite numbers g = 0 holds the state to the bit and
    k = 0 clears it before the step is written; g = k = 1 (the default) is Mamba. Cutting a stream and carrying the
    state changes nothing. nan and inf go on through either, as through any product.

    Args:
        x, dt, z: (batch, length, E), one dtype. B, C: (batch, length, N), the same dtype.
        A: (E, N). D, dt_bias: (E,). float32 when x is half precision, else x's dtype.
        gate, keep: (batch, length) in x's dtype or the state's, in [0, 1] (not checked).
        initial_state: (batch, E, N), zero when absent; float32 when x is half precision, else x's dtype.

    Returns:
        y (batch, length, E) in x's dtype, and the state after the last step, (batch, E, N).

    Every tensor has a gradient, through y and through the final state. Second derivatives are not offered.

    Raises:
        ValueError: an argument has the wrong shape, dtype or device, or a dimension is empty.
    """
    short = dispatch.directly()
    if short is not None:
        done = short["scan"](x, dt, A, B, C, D, z, dt_bias, dt_softplus, gate, keep, initial_state)
        if done is not None:
            return done
    _check(x, dt, A, B, C, D, z, dt_bias, gate, keep, initial_state)
    inputs = (x, dt, A, B, C, D, z, dt_bias, gate, keep, initial_state)
    save = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs)
    y, final_state, _ = torch.ops.ssm_sense.scan(
        x, dt, A, B, C, D, z, dt_bias, dt_softplus, gate, keep, initial_state, save
    )
    return y, final_state


def _check(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    gate: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
) -> None:
    op = "selective_scan"
    batch, length, channels = expect_input(op, x).shape
    if not isinstance(A, Tensor) or A.dim() != 2 or A.shape[0] != channels or A.shape[1] < 1:
        came = tuple(A.shape) if isinstance(A, Tensor) else type(A).__name__
        raise ValueError(f"{op}: A must have shape (E, N) = ({channels}, at least 1), got {came}")
    n = A.shape[1]
    same, state = (x.dtype,), (state_dtype(x),)
    expect(op, "A", A, "E, N", (channels, n), state, x)
    expect(op, "dt", dt, "batch, length, E", x.shape, same, x)
    expect(op, "B", B, "batch, length, N", (batch, length, n), same, x)
    expect(op, "C", C, "batch, length, N", (batch, length, n), same, x)
    if D is not None:
        expect(op, "D", D, "E", (channels,), state, x)
    if z is not None:
        expect(op, "z", z, "batch, length, E", x.shape, same, x)
    if dt_bias is not None:
        expect(op, "dt_bias", dt_bias, "E", (channels,), state, x)
    if gate is not None:
        expect(op, "gate", gate, "batch, length", (batch, length), same + state, x)
    if keep is not None:
        expect(op, "keep", keep, "batch, length", (batch, length), same + state, x)
    if initial_state is not None:
        expect(op, "initial_state", initial_state, "batch, E, N", (batch, channels, n), state, x)


_library = torch.library.Library("ssm_sense", "FRAGMENT")
_library.define(f"scan({_INPUTS}, bool save) -> (Tensor, Tensor, Tensor)")
_library.define(f"scan_backward(Tensor grad_y, Tensor grad_final, {_INPUTS}, Tensor checkpoints) -> ({_GRADS})")
for _op in ("scan", "scan_backward"):
    _library.impl(_op, dispatch.on_cpu(_op), "CPU")
    _library.impl(_op, dispatch.on_cuda(_op), "CUDA")
    _library.impl(_op, dispatch.on_any_device(_op), "CompositeExplicitAutograd")


@torch.library.register_fake("ssm_sense::scan", lib=_library)
def _scan_shapes(x: Tensor, dt: Tensor, A: Tensor, *rest: object) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, channels = x.shape
    n = A.shape[1]
    saved = batch * ((length + CHUNK - 1) // CHUNK) * n * channels if rest[-1] else 0
    return x.new_empty(x.shape), A.new_empty(batch, channels, n), A.new_empty(saved)


@torch.library.register_fake("ssm_sense::scan_backward", lib=_library)
def _scan_backward_shapes(grad_y: Tensor, grad_final: Tensor, *inputs: Tensor | bool | None) -> tuple[Tensor, ...]:
    tensors = inputs[:_SOFTPLUS_PLACE] + inputs[_SOFTPLUS_PLACE + 1 : -1]
    return tuple(t.new_empty(t.shape) if isinstance(t, Tensor) else grad_final.new_empty(0) for t in tensors)


def _save_for_backward(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    *tensors, _ = inputs
    ctx.dt_softplus = tensors.pop(_SOFTPLUS_PLACE)
    ctx.save_for_backward(*tensors, output[2])
    ctx.mark_non_differentiable(output[2])


def _scan_gradient(ctx, grad_y, grad_final, _):  # type: ignore[no-untyped-def]
    *inputs, checkpoints = ctx.saved_tensors
    present = [t is not None for t in inputs]
    inputs.insert(_SOFTPLUS_PLACE, ctx.dt_softplus)
    if checkpoints.numel() == 0:
        checkpoints = torch.ops.ssm_sense.scan(*inputs, True)[2]
    grads = torch.ops.ssm_sense.scan_backward(grad_y, grad_final, *inputs, checkpoints)
    out = [grad if there else None for grad, there in zip(grads, present, strict=True)]
    out.insert(_SOFTPLUS_PLACE, None)
    return (*out, None)


def _no_second_derivative(ctx, *grads):  # type: ignore[no-untyped-def]
    raise RuntimeError("selective_scan offers first derivatives only: its gradient was differentiated again")


torch.library.register_autograd("ssm_sense::scan", _scan_gradient, setup_context=_save_for_backward, lib=_library)
torch.library.register_autograd("ssm_sense::scan_backward", _no_second_derivative, lib=_library)
