"""Which implementation runs: ``backend()`` names it, ``require`` insists on it, ``use_backend`` pins it.

The C++ kernels, for tensors on the CPU, are ``native-avx512``, ``native-avx2``, ``native-sse2``, ``native-portable``;
``torch`` is the pure PyTorch loop, for any device. For tensors on a CUDA device, see ``ssm_sense.ops.cuda.backends``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from ssm_sense.errors import UserError
from ssm_sense.ops import cpu, direct, lean, lean_conv
from ssm_sense.ops.cuda import backends as cuda

HOW_TO_BUILD = "to have them, install GCC or Clang and then the package again (pip install --force-reinstall --no-deps)"

Kernel = Callable[..., tuple[Tensor, ...]]

_KERNELS: dict[str, dict[str, Kernel]] = {
    f"native-{build}": {
        "scan": partial(cpu.scan_forward, place),
        "scan_backward": partial(cpu.scan_backward, place),
        "conv": partial(cpu.conv_forward, place),
        "conv_backward": partial(cpu.conv_backward, place),
    }
    for place, build in enumerate(cpu.builds())
}
_KERNELS["torch"] = {
    "scan": lean.scan_forward,
    "scan_backward": lean.scan_backward,
    "conv": lean_conv.conv_forward,
    "conv_backward": lean_conv.conv_backward,
}
_DIRECT: dict[str, dict[str, direct.Direct]] = {
    f"native-{build}": {"scan": direct.scan(place), "conv": direct.conv(place)}
    for place, build in enumerate(cpu.builds())
}
_DIRECT["torch"] = {"scan": direct.refuse, "conv": direct.refuse}
_running = next(iter(_KERNELS))
# Whether anybody but the caller watches: a compiler, autograd, a mode, a tracer. Looked up once, for a stream's step.
_compiling, _inferring = torch.compiler.is_dynamo_compiling, torch.is_inference_mode_enabled
_modes, _tracing = torch._C._len_torch_dispatch_stack, torch._C._is_tracing


def available(device: str = "cpu") -> tuple[str, ...]:
    """The backends for tensors on this kind of device ("cpu", "cuda"), the one that runs by default first."""
    return cuda.available() if device == "cuda" else tuple(_KERNELS)


def backend(device: str = "cpu") -> str:
    """The name of what runs now for tensors on this kind of device ("cpu", "cuda"), for logs and result rows."""
    return cuda.running() if device == "cuda" else _running


class MissingBackend(UserError, RuntimeError):
    """A backend was demanded that does not run here."""


def require(name: str, device: str = "cpu") -> None:
    """Raise MissingBackend unless ``name`` runs for tensors on this kind of device ("cpu", "cuda"), or one of its kind.

    "native" is any of our own kernels: a native build on the CPU, ``cuda`` on a CUDA device.
    """
    running, wanted = backend(device), "cuda" if (name, device) == ("native", "cuda") else name
    if running != wanted and not running.startswith(wanted + "-"):
        have = ", ".join(available(device))
        hint = f"; {HOW_TO_BUILD}" if name.startswith("native") and device == "cpu" and not cpu.builds() else ""
        raise MissingBackend(f"backend {name!r} was demanded, but {running!r} runs here (have: {have}){hint}")


def without_native() -> str | None:
    """What to tell people where the native CPU kernels are missing; None where they are there."""
    if cpu.builds():
        return None
    return f"the native CPU kernels are not installed, so the recurrence runs as a loop in PyTorch; {HOW_TO_BUILD}"


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Pin a backend inside a with block, for tests and benchmarks, on the kinds of device that have it.

    Raises ValueError if none has.
    """
    global _running
    if name not in _KERNELS and name not in cuda.available():
        known = dict.fromkeys((*_KERNELS, *cuda.available()))
        raise ValueError(f"backend must be one of {', '.join(known)}, got {name!r}")
    before = _running
    _running = name if name in _KERNELS else before
    try:
        with cuda.pinned(name):
            yield
    finally:
        _running = before


def on_cpu(op: str) -> Kernel:
    """The implementation of an op for tensors on the CPU: whatever backend runs when it is called."""
    return lambda *args: _KERNELS[_running][op](*args)


def on_cuda(op: str) -> Kernel:
    """The implementation of an op for tensors on a CUDA device: whatever backend runs there when it is called."""
    return cuda.on_cuda(op)


def directly() -> dict[str, direct.Direct] | None:
    """Each op's short way, which answers with the outputs, or None where it refuses; None where none may be taken."""
    # No function of its own for what is asked here: a call would take as long as all of it.
    if _compiling() or not _inferring() or _modes() or _tracing():
        return None
    return _DIRECT[_running]


def on_any_device(op: str) -> Kernel:
    """The implementation of an op where there is no kernel for the device."""
    return _KERNELS["torch"][op]
