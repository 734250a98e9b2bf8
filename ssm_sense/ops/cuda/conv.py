"""The causal convolution and its gradient as launches of ``kernels/conv.cu``; float32 inside whatever x is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssm_sense.ops.cuda.program import DTYPES, Launcher, Program, addresses, aligned, dense, narrow, rows, strides
from ssm_sense.ops.cuda.sums import Sums

WIDEST = 8
_SEGMENT = 64  # Steps; each segment reads W-1 steps of its neighbours again.
_THREADS = 128


@dataclass(frozen=True)
class _Call:
    """A convolution as its kernels take it: inputs of the right kind, kept alive, and how it is cut."""

    launcher: Launcher
    program: Program
    x: Tensor
    others: tuple[Tensor | None, ...]
    words: list[int]
    blocks: int
    threads: int
    tiles: int
    regions: int

    def launch(self, kernel: str, shared_bytes: int, outputs: Sequence[int], gradient: Sequence[int]) -> None:
        """Words in the order of the struct ``Conv`` of ``conv.cuh``."""
        words = [*self.words, *outputs, *gradient]
        grid = (self.blocks, 1)
        self.launcher.launch(self.program, kernel, grid, self.threads, shared_bytes, words, self.x.device)


def _call(
    launcher: Launcher,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> _Call:
    width = weight.shape[1]
    if width > WIDEST:
        raise ValueError(f"causal_conv1d: weight must have a width of at most {WIDEST} on CUDA, got W = {width}")
    batch, length, channels = x.shape
    x = rows(x)
    state = None if initial_state is None else aligned(initial_state)
    others = (dense(weight), dense(bias), dense(keep), state)
    segments = -(-length // _SEGMENT)
    threads = min(_THREADS, -(-channels // 32) * 32)
    tiles = -(-channels // threads)
    words = [batch, length, channels, int(silu), segments, _SEGMENT, tiles, *narrow(weight, bias, keep)]
    words += [*addresses(x, *others), *strides(x)]
    program = Program("conv.cu", (("SSM_TYPE", DTYPES[x.dtype]), ("SSM_WIDTH", width)))
    blocks = batch * segments * tiles
    return _Call(launcher, program, x, others, words, blocks, threads, tiles, batch * segments)


def conv_forward(
    launcher: Launcher,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """As ``lean_conv.conv_forward``, for float32, bfloat16 and float16 x. Raises ValueError for more than 8 taps."""
    call = _call(launcher, x, weight, bias, keep, initial_state, silu)
    batch, _, channels = x.shape
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    final_state = torch.empty(batch, weight.shape[1] - 1, channels, dtype=torch.float32, device=x.device)
    call.launch("ssm_conv", 0, addresses(y, final_state), [0] * 9)
    return y, final_state


def conv_backward(
    launcher: Launcher,
    grad_y: Tensor,
    grad_final: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    initial_state: Tensor | None,
    silu: bool,
) -> tuple[Tensor, ...]:
    """As ``lean_conv.conv_backward``; sums are taken in a fixed order, so the same inputs give the same bits."""
    call = _call(launcher, x, weight, bias, keep, initial_state, silu)
    grad_y, from_final = rows(grad_y), aligned(grad_final)
    grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    grad_initial = (
        None if initial_state is None else torch.empty_like(initial_state, memory_format=torch.contiguous_format)
    )
    sums = Sums(call.program, x)
    part_weight, grad_weight = sums.over_first(call.regions, weight)
    part_bias, grad_bias = sums.over_first(call.regions, bias)
    part_keep, grad_keep = sums.over_tiles(call.tiles, keep)
    gradient = [*addresses(grad_y, from_final), *strides(grad_y), *addresses(grad_x, grad_initial)]
    gradient += addresses(part_weight, part_bias, part_keep)
    call.launch("ssm_conv_gradient", 4 * _SEGMENT * call.threads // 32, [0, 0], gradient)
    sums.launch(launcher)
    absent = from_final.new_empty(0)
    return (
        grad_x,
        grad_weight.to(weight.dtype),
        absent if bias is None else grad_bias.to(bias.dtype),
        absent if keep is None else grad_keep.to(keep.dtype),
        absent if grad_initial is None else grad_initial,
    )
