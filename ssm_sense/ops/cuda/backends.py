"""What runs for tensors on a CUDA device: ``cuda``, our kernels; ``mamba-ssm`` where installed; ``torch``, the loop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from ssm_sense.ops import lean, lean_conv
from ssm_sense.ops.cuda import conv, scan, upstream
from ssm_sense.ops.cuda.driver import Driver

Kernel = Callable[..., tuple[Tensor, ...]]

_driver = Driver()
_X_PLACE = {"scan": 0, "scan_backward": 2, "conv": 0, "conv_backward": 2}

_LOOP: dict[str, Kernel] = {
    "scan": lean.scan_forward,
    "scan_backward": lean.scan_backward,
    "conv": lean_conv.conv_forward,
    "conv_backward": lean_conv.conv_backward,
}
_OURS: dict[str, Kernel] = {
    "scan": partial(scan.scan_forward, _driver),
    "scan_backward": partial(scan.scan_backward, _driver),
    "conv": partial(conv.conv_forward, _driver),
    "conv_backward": partial(conv.conv_backward, _driver),
}
_UPSTREAM: dict[str, Kernel] = {
    "scan": upstream.scan_forward,
    "scan_backward": upstream.scan_backward,
    "conv": upstream.conv_forward,
    "conv_backward": upstream.conv_backward,
}
# On AMD devices, which torch calls cuda too, the loop is all there is.
_KERNELS = {"torch": _LOOP} if torch.version.hip else {"cuda": _OURS, "torch": _LOOP}
if upstream.installed():
    _KERNELS["mamba-ssm"] = _UPSTREAM
_running = next(iter(_KERNELS))


def available() -> tuple[str, ...]:
    """The backends for tensors on a CUDA device, the one that runs by default first."""
    return tuple(_KERNELS)


def running() -> str:
    """The name of what runs now for them."""
    return _running


@contextmanager
def pinned(name: str) -> Iterator[None]:
    """Another one of ``available()`` inside a with block; other names change nothing."""
    global _running
    before = _running
    _running = name if name in _KERNELS else before
    try:
        yield
    finally:
        _running = before


def on_cuda(op: str) -> Kernel:
    """The implementation of an op for tensors on a CUDA device: whatever runs when it is called.

    float64 runs on the loop: it serves checks of gradients, and our kernels compute in float32.
    """
    place = _X_PLACE[op]

    def run(*args: Tensor) -> tuple[Tensor, ...]:
        kernels = _LOOP if _running == "cuda" and args[place].dtype == torch.float64 else _KERNELS[_running]
        return kernels[op](*args)

    return run
