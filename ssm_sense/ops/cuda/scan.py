"""The scan and its gradient as launches of ``kernels/scan.cu``; float32 inside, whatever the dtype of x."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssm_sense.ops.cuda.layout import (
    Layout,
    adjoint_shared_bytes,
    backward_layout,
    backward_shared_bytes,
    forward_layout,
    forward_shared_bytes,
    segments,
)
from ssm_sense.ops.cuda.program import DTYPES, Launcher, Program, addresses, aligned, dense, narrow, rows, strides
from ssm_sense.ops.cuda.sums import Sums
from ssm_sense.ops.lean import CHUNK


@dataclass(frozen=True)
class _Inputs:
    """In the order of the struct ``Scan`` of ``scan.cuh``."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    dt_bias: Tensor | None
    gate: Tensor | None
    keep: Tensor | None

    def words(self) -> list[int]:
        at = addresses(self.x, self.dt, self.A, self.B, self.C, self.D, self.z, self.dt_bias, self.gate, self.keep)
        return at + strides(self.x, self.dt, self.z, self.B, self.C)


def _program(x: Tensor, layout: Layout, gradient: bool) -> Program:
    constants = {
        "SSM_TYPE": DTYPES[x.dtype],
        "SSM_LANES": layout.lanes,
        "SSM_STATES": layout.states,
        "SSM_GRADIENT": int(gradient),
    }
    return Program("scan.cu", tuple(constants.items()))


@dataclass(frozen=True)
class _Call:
    """A scan as its kernels take it: inputs of the right kind, kept alive, and how it is cut."""

    launcher: Launcher
    program: Program
    layout: Layout
    segments: int
    sizes: list[int]
    inputs: _Inputs

    def words(self, entering: Tensor | None, outputs: Sequence[int], gradient: Sequence[int]) -> list[int]:
        """The struct ``Scan`` of ``scan.cuh``."""
        return [*self.sizes, *self.inputs.words(), *addresses(entering), *outputs, *gradient]

    def launch(self, kernel: str, shared_bytes: int, words: Sequence[int]) -> None:
        x = self.inputs.x
        blocks = x.shape[0] * self.segments * self.layout.tiles
        self.launcher.launch(self.program, kernel, (blocks, 1), self.layout.threads, shared_bytes, words, x.device)

    def ends(self) -> list[Tensor]:
        """Memory for what each segment does alone: its end, the sum of its step sizes, the product of its keeps."""
        x, A = self.inputs.x, self.inputs.A
        batch, _, channels = x.shape
        sizes = ((batch, self.segments, channels, A.shape[1]), (batch, self.segments, channels), (batch, self.segments))
        return [A.new_empty(size) for size in sizes]

    def carry(self, ends: Sequence[Tensor], outer: Tensor | None, backwards: bool) -> None:
        """Replaces the ends of the segments by what enters each of them."""
        x, A = self.inputs.x, self.inputs.A
        batch, _, channels = x.shape
        words = [batch, channels, A.shape[1], self.segments, int(backwards)]
        words += addresses(A, outer, ends[1], ends[2], ends[0])
        blocks = -(-batch * A.numel() // 256)
        self.launcher.launch(self.program, "ssm_carry", (blocks, 1), 256, 0, words, x.device)


def _call(launcher: Launcher, given: _Inputs, dt_softplus: bool, layout: Layout, gradient: bool) -> _Call:
    x, n = given.x, given.A.shape[1]
    count, each = segments(x.shape[0], x.shape[1], layout, launcher.filling(x.device))
    ready = _Inputs(
        rows(x),
        rows(given.dt),
        aligned(given.A),
        rows(given.B),
        rows(given.C),
        None if given.D is None else aligned(given.D),
        None if given.z is None else rows(given.z),
        None if given.dt_bias is None else aligned(given.dt_bias),
        dense(given.gate),
        dense(given.keep),
    )
    sizes = [*x.shape, n, int(dt_softplus), count, each, layout.tiles, *narrow(given.gate, given.keep)]
    return _Call(launcher, _program(x, layout, gradient), layout, count, sizes, ready)


def scan_forward(
    launcher: Launcher,
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
    """As ``lean.scan_forward``, for float32, bfloat16 and float16 x. Raises ValueError for more than 256 states."""
    batch, length, channels = x.shape
    n = A.shape[1]
    layout = forward_layout(batch, channels, n, launcher.filling(x.device))
    call = _call(launcher, _Inputs(x, dt, A, B, C, D, z, dt_bias, gate, keep), dt_softplus, layout, gradient=False)
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    final_state = A.new_empty(batch, channels, n)
    checkpoints = A.new_empty(batch * -(-length // CHUNK) * n * channels if save else 0)
    entering = None if initial_state is None else aligned(initial_state)
    outputs = addresses(y, final_state, checkpoints if save else None)
    no_gradient = [0] * 15
    if length == 1 and not save:
        blocks = -(-batch * channels * layout.lanes // 128)
        words = call.words(entering, [*outputs, 0, 0, 0], no_gradient)
        launcher.launch(call.program, "ssm_step", (blocks, 1), 128, 0, words, x.device)
        return y, final_state, checkpoints
    shared = forward_shared_bytes(layout)
    if call.segments > 1:
        ends = call.ends()
        call.launch("ssm_scan_ends", shared, call.words(None, [0, 0, 0, *addresses(*ends)], no_gradient))
        call.carry(ends, entering, backwards=False)
        entering = ends[0]
    call.launch("ssm_scan", shared, call.words(entering, [*outputs, 0, 0, 0], no_gradient))
    return y, final_state, checkpoints


def scan_backward(
    launcher: Launcher,
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
    """As ``lean.scan_backward``; sums are taken in a fixed order, so the same inputs give the same bits."""
    batch, _, channels = x.shape
    layout = backward_layout(channels, A.shape[1], launcher.shared_limit(x.device))
    call = _call(launcher, _Inputs(x, dt, A, B, C, D, z, dt_bias, gate, keep), dt_softplus, layout, gradient=True)
    grad_y, leaving = rows(grad_y), aligned(grad_final)
    checkpoints = checkpoints.contiguous()

    def absent() -> Tensor:
        return A.new_empty(0)

    def like(tensor: Tensor | None) -> Tensor:
        return absent() if tensor is None else torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)

    grad_x, grad_dt, grad_z, grad_initial = like(x), like(dt), like(z), like(initial_state)
    sums = Sums(call.program, x)
    part_A, grad_A = sums.over_first(batch * call.segments, A)
    part_D, grad_D = sums.over_first(batch * call.segments, D)
    part_bias, grad_bias = sums.over_first(batch * call.segments, dt_bias)
    part_B, grad_B = sums.over_tiles(layout.tiles, B)
    part_C, grad_C = sums.over_tiles(layout.tiles, C)
    part_gate, grad_gate = sums.over_tiles(layout.tiles, gate)
    part_keep, grad_keep = sums.over_tiles(layout.tiles, keep)

    def words(entering: Tensor | None, leaving: Tensor | None, ends: Sequence[Tensor]) -> list[int]:
        outputs = [0, 0, *addresses(checkpoints), *(addresses(*ends) or [0, 0, 0])]
        gradient = [*addresses(grad_y, leaving), *strides(grad_y)]
        gradient += addresses(grad_x, grad_dt, grad_z, None if initial_state is None else grad_initial)
        gradient += addresses(part_A, part_D, part_bias, part_B, part_C, part_gate, part_keep)
        return call.words(entering, outputs, gradient)

    if call.segments > 1:
        ends = call.ends()
        call.launch("ssm_adjoint_ends", adjoint_shared_bytes(layout), words(None, None, ends))
        call.carry(ends, leaving, backwards=True)
        leaving = ends[0]
    call.launch("ssm_scan_gradient", backward_shared_bytes(layout), words(None, leaving, ()))
    sums.launch(launcher)
    return (
        grad_x,
        grad_dt,
        grad_A,
        grad_B,
        grad_C,
        grad_D,
        grad_z,
        grad_bias,
        absent() if gate is None else grad_gate.to(gate.dtype),
        absent() if keep is None else grad_keep.to(keep.dtype),
        grad_initial,
    )
