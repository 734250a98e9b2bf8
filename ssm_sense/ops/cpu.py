"""The native CPU kernels: a plain C library called by ctypes, built with the package (``kernels/ssm_cpu.h``).

Half-precision inputs are computed in float32. The kernels run on the threads of torch's own OpenMP runtime.
"""

import ctypes
import platform
import struct
from collections.abc import Sequence
from importlib.resources import as_file, files

import torch
from torch import Tensor

from ssm_sense.ops.lean import CHUNK

_FILE = {"Darwin": "libssm_cpu.dylib", "Windows": "ssm_cpu.dll"}.get(platform.system(), "libssm_cpu.so")
ERRORS = {1: "out of memory", 2: "no such build on this processor"}


def _load() -> ctypes.CDLL | None:
    """The library beside this module, in a wheel or an editable install; None where it was not built."""
    resource = files("ssm_sense.ops").joinpath(_FILE)
    if not resource.is_file():
        return None
    with as_file(resource) as path:
        library = ctypes.CDLL(str(path))
    library.ssm_build_name.restype = ctypes.c_char_p
    library.ssm_build_name.argtypes = [ctypes.c_int64]
    library.ssm_scan_floor.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
    for name in ("ssm_scan_forward", "ssm_scan_gradient", "ssm_conv_forward", "ssm_conv_gradient"):
        getattr(library, name).argtypes = [ctypes.c_char_p]
    library.ssm_set_parallel.restype = None
    # Looked up through torch's extension module, so that it is torch's own OpenMP runtime whatever its file is called.
    parallel = getattr(ctypes.CDLL(torch._C.__file__), "GOMP_parallel", None)
    library.ssm_set_parallel(parallel)
    return library


_library = _load()


def library() -> ctypes.CDLL | None:
    """The loaded library, for entry points with a calling convention of their own."""
    return _library


def builds() -> tuple[str, ...]:
    """The instruction sets that this processor can run, best first: of avx512, avx2, sse2; empty without a library."""
    names: list[str] = []
    while _library is not None and (name := _library.ssm_build_name(len(names))) is not None:
        names.append(name.decode())
    return tuple(names)


def scan_floor(updates: int) -> None:
    """Runs so many state updates of the scan's inner loop on registers alone, on the threads that a scan would use."""
    if _library is None:
        raise RuntimeError("the floor is measured by the native library, which is not built here")
    status = _library.ssm_scan_floor(0, torch.get_num_threads(), updates)
    if status:
        raise RuntimeError(f"ssm_scan_floor: {ERRORS[status]}")


def _call(name: str, words: Sequence[int]) -> None:
    """Calls a kernel with its struct: 64-bit words in the order of ``ssm_cpu.h``."""
    status = getattr(_library, name)(struct.pack(f"{len(words)}q", *words))
    if status:
        raise RuntimeError(f"{name}: {ERRORS[status]}")


def _rows(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in the working dtype, its last dimension dense; the others may have any stride."""
    if tensor.dtype != dtype:
        tensor = tensor.to(dtype)
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _dense(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if tensor is None:
        return None
    if tensor.dtype != dtype:
        tensor = tensor.to(dtype)
    return tensor if tensor.is_contiguous() else tensor.contiguous()


def _at(*tensors: Tensor | None) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _strides(*tensors: Tensor | None) -> list[int]:
    steps: list[int] = []
    for tensor in tensors:
        steps += (0, 0) if tensor is None else tensor.stride()[:2]
    return steps


class _Scan:
    """The inputs of a scan as the kernel takes them: converted, kept alive, and listed as the words of ``ssm_scan``."""

    def __init__(
        self,
        build: int,
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
    ) -> None:
        work = A.dtype
        x, dt, B, C = _rows(x, work), _rows(dt, work), _rows(B, work), _rows(C, work)
        z = None if z is None else _rows(z, work)
        A, D, dt_bias = A.contiguous(), _dense(D, work), _dense(dt_bias, work)
        gate, keep, initial_state = _dense(gate, work), _dense(keep, work), _dense(initial_state, work)
        self.alive = (x, dt, A, B, C, D, z, dt_bias, gate, keep, initial_state)
        self.words = [build, work == torch.float64, torch.get_num_threads(), *x.shape, A.shape[1], CHUNK, dt_softplus]
        self.words += _at(*self.alive)
        self.words += _strides(x, dt, z, B, C)


def scan_forward(
    build: int,
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
    """As ``lean.scan_forward``, by the kernel at this place of ``builds()``."""
    scan = _Scan(build, x, dt, A, B, C, D, z, dt_bias, dt_softplus, gate, keep, initial_state)
    batch, length, channels = x.shape
    n = A.shape[1]
    y = x.new_empty(x.shape, dtype=A.dtype)
    final_state = A.new_empty(batch, channels, n)
    checkpoints = A.new_empty(batch * -(-length // CHUNK) * n * channels if save else 0)
    _call("ssm_scan_forward", [*scan.words, *_at(y, final_state, checkpoints if save else None)])
    return y if y.dtype == x.dtype else y.to(x.dtype), final_state, checkpoints


def scan_backward(
    build: int,
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
    """As ``lean.scan_backward``, by the kernel at this place of ``builds()``."""
    work = A.dtype
    scan = _Scan(build, x, dt, A, B, C, D, z, dt_bias, dt_softplus, gate, keep, initial_state)
    inputs = (x, dt, A, B, C, D, z, dt_bias, gate, keep, initial_state)
    grads = [None if tensor is None else tensor.new_empty(tensor.shape, dtype=work) for tensor in inputs]
    grad_y, grad_final, checkpoints = _rows(grad_y, work), grad_final.contiguous(), checkpoints.contiguous()
    words = [*scan.words, 0, 0, checkpoints.data_ptr(), *_at(grad_y, grad_final), *_strides(grad_y), *_at(*grads)]
    _call("ssm_scan_gradient", words)
    return _as_inputs(grads, inputs)


def conv_forward(
    build: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """As ``lean_conv.conv_forward``, by the kernel at this place of ``builds()``."""
    words, alive = _conv_words(build, x, weight, bias, keep, initial_state, silu)
    work = alive[0].dtype
    y = x.new_empty(x.shape, dtype=work)
    final_state = x.new_empty(x.shape[0], weight.shape[1] - 1, x.shape[2], dtype=work)
    _call("ssm_conv_forward", [*words, *_at(y, final_state)])
    return y.to(x.dtype), final_state


def conv_backward(
    build: int,
    grad_y: Tensor,
    grad_final: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> tuple[Tensor, ...]:
    """As ``lean_conv.conv_backward``, by the kernel at this place of ``builds()``."""
    words, alive = _conv_words(build, x, weight, bias, keep, initial_state, silu)
    work = alive[0].dtype
    inputs = (x, weight, bias, keep, initial_state)
    grads = [None if tensor is None else tensor.new_empty(tensor.shape, dtype=work) for tensor in inputs]
    grad_y, grad_final = _rows(grad_y, work), grad_final.contiguous()
    _call("ssm_conv_gradient", [*words, 0, 0, *_at(grad_y, grad_final), *_strides(grad_y), *_at(*grads)])
    return _as_inputs(grads, inputs)


def _conv_words(
    build: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> tuple[list[int], list[Tensor]]:
    """The words of ``ssm_conv`` but for its outputs, and the tensors that must live until the call is over."""
    work = torch.promote_types(x.dtype, torch.float32)
    x = _rows(x, work)
    dense = [_dense(tensor, work) for tensor in (weight, bias, keep, initial_state)]
    words = [build, work == torch.float64, torch.get_num_threads(), *x.shape, weight.shape[1], silu]
    return [*words, *_at(x, *dense), *_strides(x)], [x, *(tensor for tensor in dense if tensor is not None)]


def _as_inputs(grads: Sequence[Tensor | None], inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Each gradient in its input's dtype; empty for what is absent."""
    return tuple(
        torch.empty(0) if grad is None or tensor is None else grad.to(tensor.dtype)
        for grad, tensor in zip(grads, inputs, strict=True)
    )
