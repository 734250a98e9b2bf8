"""The forward passes without torch's dispatcher: a stream's step takes microseconds, and so must the way to it.

Under inference_mode, where no gradient can be asked for, tensors go to the native library as Python holds them, and it
checks them itself (``kernels/direct_cpu.h``), some hundred times faster than Python can. It runs the same kernels, so
the bits are those of the ordinary way, and it refuses whatever is not plain: the ordinary way then answers or explains.
"""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from ssm_sense.ops import cpu
from ssm_sense.ops.lean import CHUNK

_PLAIN = frozenset((Tensor, torch.nn.Parameter, type(None)))
_DLPACK_MAJOR, _READ_PLACE = 1, 5

Pair = tuple[Tensor, Tensor]


def _reader() -> int | None:
    """The address of torch's function that describes a tensor in C; None where this torch does not publish it.

    It stands in DLPack's exchange interface: a version, a pointer to an older interface, and then functions.
    """
    capsule = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    if capsule is None:
        return None
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    words = ctypes.cast(pointer_of(capsule, b"dlpack_exchange_api"), ctypes.POINTER(ctypes.c_void_p))
    major = ctypes.cast(words, ctypes.POINTER(ctypes.c_uint32))[0]
    return words[_READ_PLACE] if major == _DLPACK_MAJOR else None


def _entries() -> tuple[Callable[..., int], Callable[..., int]] | None:
    """The scan and the convolution of the library, Python's lock held, or None where they cannot be had."""
    library, read = cpu.library(), _reader()
    if library is None or read is None:
        return None
    forget = ctypes.cast(ctypes.pythonapi.PyErr_Clear, ctypes.c_void_p)
    item = ctypes.cast(ctypes.pythonapi.PyTuple_GetItem, ctypes.c_void_p)
    library.ssm_set_runtime.argtypes = [ctypes.c_void_p] * 4
    library.ssm_set_runtime.restype = None
    library.ssm_set_runtime(read, item, forget, id(None))
    scan = ctypes.PYFUNCTYPE(ctypes.c_int, *[ctypes.c_int64] * 4, ctypes.py_object)(("ssm_scan_direct", library))
    conv = ctypes.PYFUNCTYPE(ctypes.c_int, *[ctypes.c_int64] * 3, ctypes.py_object)(("ssm_conv_direct", library))
    return scan, conv


_found = _entries()
# Looked up once: every attribute of a module costs a step some thirty nanoseconds.
_threads, _empty_like, _strided = torch.get_num_threads, torch.empty_like, torch.strided
_inferring, _compiling = torch.is_inference_mode_enabled, torch.compiler.is_compiling
_modes, _tracing = torch._C._len_torch_dispatch_stack, torch._C._is_tracing


def allowed() -> bool:
    """Whether nobody but the caller watches: no autograd, no compiler, no tracer, no mode."""
    return not _compiling() and _inferring() and not _modes() and not _tracing()


def scan(
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
) -> Pair | None:
    """(y, final_state) of ``selective_scan`` by the kernel at this place of ``cpu.builds()``, or None when refused."""
    if _found is None or not _PLAIN.issuperset(map(type, (x, A, dt, B, C, D, z, dt_bias, gate, keep, initial_state))):
        return None
    if x is None or A is None or x.layout is not _strided or _negated(gate) or _negated(keep):
        return None
    y = _empty_like(x)
    final_state = A.new_empty((x.shape[0], *A.shape)) if initial_state is None else _empty_like(initial_state)
    tensors = (x, A, dt, B, C, D, z, dt_bias, gate, keep, initial_state, y, final_state)
    return _answer(_found[0](build, _threads(), CHUNK, dt_softplus, tensors), y, final_state)


def conv(
    build: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> Pair | None:
    """(y, final_state) of ``causal_conv1d`` by the kernel at this place of ``cpu.builds()``, or None when refused."""
    if _found is None or not _PLAIN.issuperset(map(type, (x, weight, bias, keep, initial_state))):
        return None
    if x is None or initial_state is None or x.layout is not _strided or _negated(keep):
        return None
    y, final_state = _empty_like(x), _empty_like(initial_state)
    tensors = (x, weight, bias, keep, initial_state, y, final_state)
    return _answer(_found[1](build, _threads(), silu, tensors), y, final_state)


def _negated(tensor: Tensor | None) -> bool:
    """A lazy negation, which shows in the strides of all tensors but those that may hold a single number."""
    return tensor is not None and tensor.is_neg()


def _answer(status: int, y: Tensor, final_state: Tensor) -> Pair | None:
    if status == 0:
        return y, final_state
    if status == cpu.REFUSED:
        return None
    raise RuntimeError(f"the native library: {cpu.ERRORS[status]}")
