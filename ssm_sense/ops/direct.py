"""The forward passes without torch's dispatcher: a stream's step takes microseconds, and so must the way to it.

Under inference_mode, where no gradient can be asked for, the native library is called as a builtin of Python. It checks
the arguments itself and makes the outputs (``kernels/direct_cpu.h``), many times faster than Python can. It runs the
same kernels, so the bits are those of the ordinary way, and it refuses whatever is not plain: the ordinary way then
answers or explains.
"""

import ctypes
import struct
from collections.abc import Callable

import torch
from torch import Tensor

from ssm_sense.ops import cpu
from ssm_sense.ops.lean import CHUNK

_DLPACK_MAJOR, _READ_PLACE = 1, 5
_PYTHON = (
    "PyObject_CallFunctionObjArgs",
    "PyObject_CallMethod",
    "PyTuple_Pack",
    "PyObject_Type",
    "PyLong_AsLong",
    "Py_IncRef",
    "Py_DecRef",
    "PyErr_Clear",
)
_OBJECTS = (
    *(None, True, False),
    *(Tensor, torch.nn.Parameter),
    *(torch.empty_like, torch.is_neg, torch.get_num_threads),
)

Pair = tuple[Tensor, Tensor]
Direct = Callable[..., Pair | None]


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


def _methods() -> tuple[int, int] | None:
    """Where the library describes the scan and the convolution to Python, or None where they cannot be had."""
    library, read = cpu.library(), _reader()
    if library is None or read is None:
        return None
    functions = (ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value for name in _PYTHON)
    words = (read, *functions, *map(id, _OBJECTS), CHUNK)
    library.ssm_set_runtime.restype = None
    library.ssm_set_runtime(struct.pack(f"{len(words)}q", *words))
    scan, conv = (ctypes.c_byte.in_dll(library, f"ssm_{op}_method") for op in ("scan", "conv"))
    return ctypes.addressof(scan), ctypes.addressof(conv)


_found = _methods()
_bind = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


def refuse(*_: object) -> None:
    """The short way of a backend that has none."""


def scan(build: int) -> Direct:
    """(y, final_state) of ``selective_scan`` by the kernel at this place of ``cpu.builds()``, or None when refused.

    It takes the arguments of ``selective_scan`` by position, all of them.
    """
    return refuse if _found is None else _bind(_found[0], build, None)


def conv(build: int) -> Direct:
    """As ``scan``, for ``causal_conv1d``, but for the last argument: whether silu follows."""
    return refuse if _found is None else _bind(_found[1], build, None)
