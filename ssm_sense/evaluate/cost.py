"""What watching costs besides time: the most memory that the process held, and the multiplications of a frame."""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.stream import Session, now_s

GREY = np.full((64, 64, 3), 128, dtype=np.uint8)
"""A frame with nothing on it."""

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def counted(work: Callable[[], object]) -> int:
    """Floating-point operations of some work, two a multiply-add, as `torch.utils.flop_counter` counts them.

    Counted are matrix products, convolutions and attention. Elementwise work is not, the recurrence's own among it:
    about 7·E·N a token and layer, beside more than 6·D·E of its projections.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def vision_flops(session: Session) -> int:
    """Of one grey frame in the vision tower; the session does not see it."""
    return counted(lambda: session.vision.encode(torch.from_numpy(GREY)[None]))


def forget_peak() -> None:
    """Let the process's peak begin anew, where the system can (Linux), and that of CUDA."""
    with suppress(OSError):
        _CLEAR.write_text("5")
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def peak_bytes() -> int:
    """The most memory that was resident since `forget_peak`; since the process began where there is no forgetting."""
    if _STATUS.exists():
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return 1024 * int(fields["VmHWM"].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_cuda_bytes() -> int | None:
    """The most that tensors held on the GPU since `forget_peak`; None where none is used."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None


@contextmanager
def first_pass(session: Session) -> Iterator[list[float]]:
    """Times, in the seconds of `time.perf_counter`, at which passes of a policy's language model ended, while inside.

    With a policy that reads its memory once for an answer, the first is when the answer's first token is known. Empty
    for policies without a language model.
    """
    ends: list[float] = []
    language = _language_of(session)
    if language is None:
        yield ends
        return
    device = next(language.parameters()).device
    handle = language.register_forward_hook(lambda *_: ends.append(now_s(device)))
    try:
        yield ends
    finally:
        handle.remove()


def _language_of(session: Session) -> nn.Module | None:
    """The language model that a policy calls."""
    held = [value for value in vars(session.memory).values() if isinstance(value, nn.Module)]
    models = (module.lm for value in held for module in value.modules() if isinstance(module, CausalLM))
    return next((model for model in models if model is not None), None)
