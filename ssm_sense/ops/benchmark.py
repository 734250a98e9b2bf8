"""The scan against its rivals, side by side: every contender runs once a round, and a ratio is taken within each round.

On a machine that others use, times drift by a factor of three within minutes; ratios of neighbours drift far less.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.ops import cpu
from ssm_sense.ops.dispatch import available, backend, use_backend
from ssm_sense.ops.scan import selective_scan

Contender = Callable[[], object]


@dataclass(frozen=True)
class Sizes:
    """B streams of L steps, E channels of N states."""

    batch: int
    length: int
    channels: int
    n: int = 16


@dataclass(frozen=True)
class Comparison:
    """A rival's median time over ours, taken round by round; ``target`` is what it is held to, if anything."""

    case: str
    rival: str
    ours_ms: float
    rival_ms: float
    ratio: float
    low: float
    high: float
    target: float | None
    met: bool | None

    def row(self) -> dict[str, object]:
        return asdict(self)


def compare(
    case: str, ours: Contender, rivals: Mapping[str, tuple[Contender, float | None]], rounds: int
) -> list[Comparison]:
    """Times ours and each (rival, target) once a round, each right after a run of its own; ratios are rival over ours.

    ``low`` and ``high`` are the quartiles of the ratio. Every target is a lower bound: a floor
    that we should stay within 1.6 times of has the target 1/1.6.
    """
    contenders = [ours, *(rival for rival, _ in rivals.values())]
    seconds = [[_seconds(contender) for contender in contenders] for _ in range(rounds)]
    found = []
    for place, (rival, (_, target)) in enumerate(rivals.items(), start=1):
        ratios = [row[place] / row[0] for row in seconds]
        low, ratio, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        found.append(
            Comparison(
                case,
                rival,
                1e3 * statistics.median(row[0] for row in seconds),
                1e3 * statistics.median(row[place] for row in seconds),
                ratio,
                low,
                high,
                target,
                None if target is None else ratio >= target,
            )
        )
    return found


def _seconds(contender: Contender) -> float:
    """The time of one run after another, untimed: freeing a predecessor's gigabytes is not its cost."""
    contender()
    start = time.perf_counter()
    contender()
    return time.perf_counter() - start


def make_inputs(sizes: Sizes) -> tuple[Tensor, ...]:
    """x, Δ, A, B, C, D as Mamba has them at initialisation."""
    draw = torch.Generator().manual_seed(0)
    shape = (sizes.batch, sizes.length)
    x = torch.randn(*shape, sizes.channels, generator=draw)
    delta = F.softplus(torch.randn(*shape, sizes.channels, generator=draw) - 3)
    A = -torch.arange(1.0, sizes.n + 1).repeat(sizes.channels, 1)
    B, C = (torch.randn(*shape, sizes.n, generator=draw) for _ in range(2))
    return x, delta, A, B, C, torch.ones(sizes.channels)


def plain_loop(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The loop a PyTorch user writes, its steps unbound once so that its backward is linear in the length."""
    decays = torch.exp(delta[..., None] * A).unbind(1)
    inputs = ((delta * x)[..., None] * B[:, :, None]).unbind(1)
    h = torch.zeros_like(decays[0])
    ys = []
    for decay, entering, C_t in zip(decays, inputs, C.unbind(1), strict=True):
        h = decay * h + entering
        ys.append((h @ C_t[..., None])[..., 0])
    return torch.stack(ys, 1) + D * x


def mambapy_scan(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """mambapy's parallel scan (Blelloch), as its Mamba block calls it."""
    from mambapy.pscan import pscan

    states = pscan(torch.exp(delta[..., None] * A), (delta * x)[..., None] * B[:, :, None])
    return (states @ C[..., None])[..., 0] + D * x


def _ours(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    return selective_scan(x, delta, A, B, C, D)[0]


def _rivals(forward_target: float, mambapy_target: float) -> dict[str, tuple[Callable[..., Tensor], float | None]]:
    rivals: dict[str, tuple[Callable[..., Tensor], float | None]] = {"plain PyTorch loop": (plain_loop, forward_target)}
    if importlib.util.find_spec("mambapy") is not None:
        rivals["mambapy parallel scan"] = (mambapy_scan, mambapy_target)
    return rivals


def whole_sequence(sizes: Sizes, rounds: int) -> list[Comparison]:
    """Forward, and forward with backward, against the plain loop, mambapy where installed, and the floor."""
    inputs = make_inputs(sizes)

    def inferring(op: Callable[..., Tensor]) -> Contender:
        def run() -> Tensor:
            with torch.inference_mode():
                return op(*inputs)

        return run

    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    upstream = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1))

    def training(op: Callable[..., Tensor]) -> Contender:
        return lambda: torch.autograd.grad(op(*leaves), leaves, upstream)

    rivals = _rivals(45, 70)
    forward = {name: (inferring(op), target) for name, (op, target) in rivals.items()}
    backward = {name: (training(op), target) for name, (op, target) in rivals.items()}
    found = compare("forward", inferring(_ours), forward, rounds)
    if backend() == f"native-{(cpu.builds() or ('',))[0]}":
        # Rivals with gigabytes of temporaries leave the caches cold, so the floor is compared in rounds of its own.
        floor = {"floor: the scan's body on registers": (floor_contender(sizes), 1 / 1.6)}
        found += compare("forward", inferring(_ours), floor, 4 * rounds)
    return found + compare("forward + backward", training(_ours), backward, rounds)


def floor_contender(sizes: Sizes) -> Contender:
    """As many state updates as the scan makes, on registers alone, on the same threads."""
    updates = sizes.batch * sizes.length * sizes.channels * sizes.n
    return lambda: cpu.scan_floor(updates)


def streaming_step(sizes: Sizes, rounds: int, calls: int, whole: bool) -> list[Comparison]:
    """One step under inference_mode against PyTorch's eager operations on a state updated in place.

    whole: with what a Mamba block's step has around the recurrence (softplus of Δ with its bias, and silu(z)).
    """
    x, delta, A, B, C, D = make_inputs(sizes)
    state = torch.zeros(sizes.batch, sizes.channels, sizes.n)
    in_place = state.clone()
    x_t, delta_t, B_t, C_t = x[:, 0], delta[:, 0], B[:, 0], C[:, 0]
    z, bias = (x, torch.zeros(sizes.channels)) if whole else (None, None)

    def ours() -> None:
        after = state
        with torch.inference_mode():
            for _ in range(calls):
                _, after = selective_scan(x, delta, A, B, C, D, z, bias, whole, initial_state=after)

    def eager() -> None:
        with torch.inference_mode():
            for _ in range(calls):
                size = delta_t if bias is None else F.softplus(delta_t + bias)
                in_place.mul_((size[..., None] * A).exp_())
                in_place.addcmul_((size * x_t)[..., None], B_t[:, None])
                y = torch.bmm(in_place, C_t[..., None])[..., 0].addcmul_(D, x_t)
                if z is not None:
                    y.mul_(F.silu(x_t))

    case = f"{calls} steps, batch {sizes.batch}, {'with softplus and silu(z)' if whole else 'the recurrence alone'}"
    return compare(case, ours, {"eager PyTorch, in place": (eager, 5)}, rounds)


def lean_against_native(sizes: Sizes, rounds: int) -> list[Comparison]:
    """The pure PyTorch fallback, for those without a compiler: how much slower a forward pass is than what runs now."""
    inputs = make_inputs(sizes)

    def fallback() -> None:
        with use_backend("torch"), torch.inference_mode():
            _ours(*inputs)

    def ours() -> None:
        with torch.inference_mode():
            _ours(*inputs)

    return compare("forward", ours, {"our PyTorch fallback": (fallback, None)}, rounds) if len(available()) > 1 else []
