"""mamba-ssm's selective scan and causal-conv1d behind our ops, where they are installed: to compare in place.

They serve whole sequences that begin at zero. Asked for a gate, a keep or a state, they say what they lack. The
gradient runs their forward pass again, since what they keep between the two passes fits no tensor of ours; for
timings of their own, ``ssm_sense.ops.benchmark_cuda`` calls them as they are. Eager only: under torch.compile
the checkpoints would have another shape than the op promises.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ssm_sense.errors import UserError

_WIDTHS = (2, 3, 4)
_MOST_STATES = 256


def installed() -> bool:
    """Whether mamba-ssm is, without importing it."""
    return find_spec("mamba_ssm") is not None


def _function(package: str, module: str, name: str) -> Callable[..., Any]:
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise UserError(
            f"backend 'mamba-ssm' needs {package}, built for CUDA; importing {module} failed: {error}"
        ) from error


def _refuse(op: str, package: str, unserved: Mapping[str, object]) -> None:
    """Raise UserError if anything was asked for that the package lacks."""
    lacking = [name for name, value in unserved.items() if value is not None and value is not False]
    if lacking:
        raise UserError(
            f"{op}: {package} lacks {', '.join(lacking)}, so backend 'mamba-ssm' cannot serve this call; "
            "backend 'cuda' can"
        )


def _flip(tensor: Tensor | None) -> Tensor | None:
    """(batch, length, E) to their (batch, E, length), or back."""
    return None if tensor is None else tensor.transpose(1, 2)


def _scan(dt_softplus: bool, *theirs: Tensor | None) -> tuple[Tensor, Tensor]:
    """Their call on x, dt, A, B, C, D, z and dt_bias in their layout."""
    run = _function("mamba-ssm", "mamba_ssm.ops.selective_scan_interface", "selective_scan_fn")
    return run(*theirs, dt_softplus, return_last_state=True)


def _check_scan(x: Tensor, A: Tensor, gate: Tensor | None, keep: Tensor | None, initial_state: Tensor | None) -> None:
    unserved: dict[str, object] = {"gate": gate, "keep": keep, "initial_state": initial_state}
    unserved |= {"float64": x.dtype == torch.float64, "more than 256 states": A.shape[1] > _MOST_STATES}
    _refuse("selective_scan", "mamba-ssm", unserved)


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
    """As ``lean.scan_forward``, but checkpoints are a single zero. Raises UserError where mamba-ssm cannot serve."""
    _check_scan(x, A, gate, keep, initial_state)
    with torch.no_grad():
        y, final_state = _scan(dt_softplus, _flip(x), _flip(dt), A, _flip(B), _flip(C), D, _flip(z), dt_bias)
    return y.transpose(1, 2).contiguous(), final_state.float(), A.new_zeros(int(save))


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
    """As ``lean.scan_backward``. Raises UserError for a gradient of the final state, which mamba-ssm ignores."""
    _check_scan(x, A, gate, keep, initial_state)
    _refuse("selective_scan", "mamba-ssm", {"a gradient of the final state": bool(grad_final.any())})

    def run(*theirs: Tensor | None) -> Tensor:
        return _scan(dt_softplus, *theirs)[0]

    theirs = (_flip(x), _flip(dt), A, _flip(B), _flip(C), D, _flip(z), dt_bias)
    d_x, d_dt, d_A, d_B, d_C, d_D, d_z, d_bias = _replay(run, grad_y.transpose(1, 2), theirs)
    absent = x.new_empty(0)
    flipped = [absent if grad is None else grad.transpose(1, 2) for grad in (d_x, d_dt, d_B, d_C, d_z)]
    d_x, d_dt, d_B, d_C, d_z = flipped
    plain = [absent if grad is None else grad for grad in (d_A, d_D, d_bias)]
    return (d_x, d_dt, plain[0], d_B, d_C, plain[1], d_z, plain[2], absent, absent, absent)


def _conv(silu: bool, *theirs: Tensor | None) -> Tensor:
    """Their call on x, weight and bias in their layout."""
    run = _function("causal-conv1d", "causal_conv1d", "causal_conv1d_fn")
    return run(*theirs, activation="silu" if silu else None)


def _check_conv(x: Tensor, weight: Tensor, keep: Tensor | None, initial_state: Tensor | None) -> None:
    unserved: dict[str, object] = {"keep": keep, "initial_state": initial_state}
    unserved |= {"float64": x.dtype == torch.float64, "widths other than 2 to 4": weight.shape[1] not in _WIDTHS}
    _refuse("causal_conv1d", "causal-conv1d", unserved)


def conv_forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, keep: Tensor | None, initial_state: Tensor | None, silu: bool
) -> tuple[Tensor, Tensor]:
    """As ``lean_conv.conv_forward``. Raises UserError where causal-conv1d cannot serve."""
    _check_conv(x, weight, keep, initial_state)
    with torch.no_grad():
        y = _conv(silu, *_filter(x, weight, bias))
    past = weight.shape[1] - 1
    final_state = x.new_zeros(x.shape[0], past, x.shape[2], dtype=torch.float32)
    last = min(past, x.shape[1])
    final_state[:, past - last :] = x[:, x.shape[1] - last :]
    return y.transpose(1, 2).contiguous(), final_state


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
    """As ``lean_conv.conv_backward``; the final state is a copy of the last inputs, so its gradient is theirs."""
    _check_conv(x, weight, keep, initial_state)

    def run(*theirs: Tensor | None) -> Tensor:
        return _conv(silu, *theirs)

    d_x, d_weight, d_bias = _replay(run, _flip_for_conv(grad_y), _filter(x, weight, bias))
    assert d_x is not None
    assert d_weight is not None
    absent = x.new_empty(0)
    d_x = d_x.transpose(1, 2).clone()
    last = min(grad_final.shape[1], x.shape[1])
    d_x[:, x.shape[1] - last :] += grad_final[:, grad_final.shape[1] - last :].to(x.dtype)
    d_bias = absent if d_bias is None or bias is None else d_bias.to(bias.dtype)
    return (d_x, d_weight.to(weight.dtype), d_bias, absent, absent)


def _filter(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor | None, ...]:
    return _flip_for_conv(x), weight.to(x.dtype), None if bias is None else bias.to(x.dtype)


def _flip_for_conv(x: Tensor) -> Tensor:
    """x in their layout, where it lies if their kernel for channels last takes it there, else in fresh memory.

    That kernel reads vectors of up to 16 bytes, and refuses channels and strides that are no multiples of 8.
    """
    flipped = x.transpose(1, 2)
    if x.data_ptr() % 16 == 0 and all(n % 8 == 0 for n in (x.shape[2], *x.stride()[:2])):
        return flipped
    # A length of 1 counts as contiguous whatever its stride, so contiguous() would not do.
    return flipped.clone(memory_format=torch.contiguous_format)


def _replay(run: Callable[..., Tensor], grad: Tensor, theirs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """The gradient of every input of ``run``, which is called again for it; None for what is absent.

    Their functions must see the leaves themselves: inside an op torch records nothing but autograd Functions.
    """
    leaves = [None if given is None else given.detach().requires_grad_() for given in theirs]
    with torch.enable_grad():
        y = run(*leaves)
    grads = iter(torch.autograd.grad(y, [leaf for leaf in leaves if leaf is not None], grad))
    return tuple(None if leaf is None else next(grads) for leaf in leaves)
