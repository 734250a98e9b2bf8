"""Which implementation runs: ``backend()`` names it, ``require`` insists on it, ``use_backend`` pins it.

The C++ kernels, for tensors on the CPU, are ``native-avx512``, ``native-avx2``, ``native-sse2``, ``native-portable``;
``torch`` is the pure PyTorch loop, for any device.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor

from ssm_sense.ops import cpu, lean, lean_conv

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
_running = next(iter(_KERNELS))


def available() -> tuple[str, ...]:
    """The backends of this machine, the one that runs by default first."""
    return tuple(_KERNELS)


def backend() -> str:
    """The name of what runs now for tensors on the CPU, for logs and result rows."""
    return _running


def require(name: str) -> None:
    """Raise RuntimeError unless the running backend is ``name`` or one of its kind ("native" for any native build)."""
    if _running != name and not _running.startswith(name + "-"):
        raise RuntimeError(f"backend {name!r} was demanded, but {_running!r} runs here (have: {', '.join(_KERNELS)})")


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Pin a backend of ``available()`` inside a with block, for tests and benchmarks. Raises ValueError if unknown."""
    global _running
    if name not in _KERNELS:
        raise ValueError(f"backend must be one of {', '.join(_KERNELS)}, got {name!r}")
    before, _running = _running, name
    try:
        yield
    finally:
        _running = before


def on_cpu(op: str) -> Kernel:
    """The implementation of an op for tensors on the CPU: whatever backend runs when it is called."""
    return lambda *args: _KERNELS[_running][op](*args)


def on_any_device(op: str) -> Kernel:
    """The implementation of an op where there is no kernel for the device."""
    return _KERNELS["torch"][op]
