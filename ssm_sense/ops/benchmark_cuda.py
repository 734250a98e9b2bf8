"""Our CUDA kernels against mamba-ssm's, and against the floors of the device, in the same process on the same inputs.

Every contender runs once a round, timed by events on the device, and ratios are taken within each round. Ours
computes a gate and a reset besides what its rivals compute.
"""

import importlib.util
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

from ssm_sense.errors import UserError
from ssm_sense.ops.benchmark import Comparison, Sizes
from ssm_sense.ops.cuda import nvrtc
from ssm_sense.ops.scan import selective_scan

Contender = Callable[[], object]

LANGUAGE = Sizes(batch=8, length=2048, channels=1536)
VIDEO = Sizes(batch=512, length=128, channels=1024)
STEP = Sizes(batch=64, length=1, channels=1024)
_EXPONENTIALS_A_CLOCK = 16  # Of a multiprocessor.
_REPEATS = 5
_FLOOR = "floor of memory or exponentials"
_MAMBA = "mamba-ssm's CUDA scan"
_COPIED_BYTES = 1 << 30


def expect_device() -> None:
    """Raises UserError where torch sees no CUDA device."""
    if not torch.cuda.is_available():
        raise UserError(
            "the CUDA benchmark needs an NVIDIA GPU and a torch built for CUDA; torch sees no such device here"
        )


def conditions() -> dict[str, object]:
    """What the figures were measured on, for the row's reader."""
    packages = {}
    for name in ("torch", "triton", "mamba-ssm", "causal-conv1d"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {"device": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "nvrtc": nvrtc.version(), **packages}


def forward_bytes(sizes: Sizes, element: int) -> int:
    """What a forward pass must move: x, dt, z, y, B and C of this many bytes; states, gate and keep in float32."""
    rows = sizes.batch * sizes.length
    return (
        element * (4 * rows * sizes.channels + 2 * rows * sizes.n)
        + 8 * sizes.batch * sizes.channels * sizes.n
        + 8 * rows
    )


def backward_bytes(sizes: Sizes, element: int) -> int:
    """What a backward pass must move: four inputs and three gradients by channel, B, C, their gradients, states."""
    rows = sizes.batch * sizes.length
    return (
        element * (7 * rows * sizes.channels + 2 * rows * sizes.n)
        + 8 * rows * sizes.n
        + 8 * sizes.batch * sizes.channels * sizes.n
    )


def exponentials(sizes: Sizes) -> int:
    """Of a pass: one for each state and step."""
    return sizes.batch * sizes.length * sizes.channels * sizes.n


@dataclass(frozen=True)
class Floor:
    """What the device can do: bytes a second, as a large copy moves them, and exponentials a second, by its clock."""

    bytes_s: float
    exponentials_s: float

    def milliseconds(self, moved: int, raised: int) -> float:
        """The larger of the two times."""
        return 1e3 * max(moved / self.bytes_s, raised / self.exponentials_s)


def measure_floor() -> Floor:
    """The copy is measured, the exponentials are arithmetic: multiprocessors x 16 a clock x the highest clock."""
    source = torch.empty(_COPIED_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copy_ms = min(_milliseconds(lambda: target.copy_(source)) for _ in range(5))
    driver = nvrtc.bindings("driver")
    attribute = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_CLOCK_RATE
    khz = nvrtc.checked("the clock's rate", driver.cuDeviceGetAttribute(attribute, torch.cuda.current_device()))
    processors = torch.cuda.get_device_properties().multi_processor_count
    return Floor(2e3 * _COPIED_BYTES / copy_ms, 1e3 * khz * _EXPONENTIALS_A_CLOCK * processors)


def _milliseconds(contender: Contender) -> float:
    """The device's time for one of several runs in a row, after one that is not counted."""
    contender()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(_REPEATS):
        contender()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / _REPEATS


def compare(
    case: str,
    ours: Contender,
    rivals: Mapping[str, tuple[Contender | float, float | None]],
    rounds: int,
    seconds: Callable[[Contender], float] = _milliseconds,
) -> list[Comparison]:
    """Rivals are (what to run or its milliseconds, target); ratios are rival over ours, a target their lower bound."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    own = []
    for _ in range(rounds):
        own.append(seconds(ours))
        for name, (rival, _) in rivals.items():
            times[name].append(rival if isinstance(rival, float) else seconds(rival))
    found = []
    for name, (_, target) in rivals.items():
        ratios = [theirs / mine for theirs, mine in zip(times[name], own, strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        medians = statistics.median(own), statistics.median(times[name])
        met = None if target is None else ratio >= target
        found.append(Comparison(case, name, *medians, ratio, low, high, target, met))
    return found


def make_inputs(sizes: Sizes, dtype: torch.dtype) -> dict[str, Tensor]:
    """As Mamba has them at initialisation, with a gate, and a reset every 64 steps."""
    draw = torch.Generator("cuda").manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, device="cuda").to(dtype)

    rows = (sizes.batch, sizes.length)
    keep = torch.ones(rows, device="cuda")
    keep[:, ::64] = 0
    return {
        "x": normal(*rows, sizes.channels),
        "dt": normal(*rows, sizes.channels),
        "A": -torch.arange(1.0, sizes.n + 1, device="cuda").repeat(sizes.channels, 1),
        "B": normal(*rows, sizes.n),
        "C": normal(*rows, sizes.n),
        "D": torch.ones(sizes.channels, device="cuda"),
        "z": normal(*rows, sizes.channels),
        "dt_bias": torch.full((sizes.channels,), -3.0, device="cuda"),
        "gate": torch.rand(rows, generator=draw, device="cuda"),
        "keep": keep,
        "initial_state": torch.zeros(sizes.batch, sizes.channels, sizes.n, device="cuda"),
    }


def _upstream(module: str, name: str) -> Callable[..., Tensor] | None:
    """A function of mamba-ssm, None where it is not installed."""
    return getattr(import_module(module), name) if importlib.util.find_spec("mamba_ssm") is not None else None


def _mamba_scan(inputs: Mapping[str, Tensor]) -> tuple[Contender, list[Tensor]] | None:
    """mamba-ssm's scan and its leaves: tensors of its own layout, which it is given ready-made."""
    scan = _upstream("mamba_ssm.ops.selective_scan_interface", "selective_scan_fn")
    if scan is None:
        return None
    u, delta, B, C, z = (inputs[name].transpose(1, 2).contiguous() for name in ("x", "dt", "B", "C", "z"))
    given = (u, delta, inputs["A"], B, C, inputs["D"], z, inputs["dt_bias"])
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given]
    return lambda: scan(*leaves, True), leaves


def _with_backward(forward: Contender, leaves: list[Tensor], upstream: Tensor) -> Contender:
    def run() -> None:
        y = forward()
        assert isinstance(y, Tensor)
        torch.autograd.grad(y, leaves, upstream)

    return run


def _without_gradient(forward: Contender) -> Contender:
    def run() -> None:
        with torch.no_grad():
            forward()

    return run


def whole_sequence(
    case: str, sizes: Sizes, targets: tuple[float, float], floor: Floor, rounds: int
) -> list[Comparison]:
    """Forward, and forward with backward, in bfloat16: against mamba-ssm where installed, and against the floor."""
    inputs = make_inputs(sizes, torch.bfloat16)
    upstream = torch.randn_like(inputs["x"])

    def ours() -> Tensor:
        return selective_scan(**inputs, dt_softplus=True)[0]

    theirs = _mamba_scan(inputs)
    forward_floor = floor.milliseconds(forward_bytes(sizes, 2), exponentials(sizes))
    both_floor = forward_floor + floor.milliseconds(backward_bytes(sizes, 2), exponentials(sizes))
    forward: dict[str, tuple[Contender | float, float | None]] = {_FLOOR: (forward_floor, 1 / 1.5)}
    both: dict[str, tuple[Contender | float, float | None]] = {_FLOOR: (both_floor, 1 / 1.5)}
    if theirs is not None:
        forward[_MAMBA] = (_without_gradient(theirs[0]), targets[0])
        # Dense in their layout: they would copy it in every run, and the copy would count against them.
        both[_MAMBA] = (_with_backward(*theirs, upstream.transpose(1, 2).contiguous()), targets[1])
    found = compare(f"{case}, forward", _without_gradient(ours), forward, rounds)
    leaves = [tensor.requires_grad_() for tensor in inputs.values()]
    return found + compare(f"{case}, forward + backward", _with_backward(ours, leaves, upstream), both, rounds)


def step(sizes: Sizes, target: float, rounds: int) -> list[Comparison]:
    """One streaming step, launches and all, against mamba-ssm's Triton kernel, which overwrites its state."""
    inputs = make_inputs(sizes, torch.bfloat16)

    def ours() -> None:
        with torch.inference_mode():
            selective_scan(**inputs, dt_softplus=True)

    rivals: dict[str, tuple[Contender | float, float | None]] = {}
    update = _upstream("mamba_ssm.ops.triton.selective_state_update", "selective_state_update")
    if update is not None:
        x, dt, B, C, z = (inputs[name][:, 0] for name in ("x", "dt", "B", "C", "z"))
        state, A, D, bias = inputs["initial_state"].clone(), inputs["A"], inputs["D"], inputs["dt_bias"]
        rivals["mamba-ssm's selective_state_update"] = (
            lambda: update(state, x, dt, A, B, C, D, z, bias, True),
            target,
        )
    return compare(f"step, batch {sizes.batch}, E {sizes.channels}", ours, rivals, 5 * rounds)


def comparisons(rounds: int) -> list[Comparison]:
    """Every row of the table. Raises UserError without a CUDA device."""
    expect_device()
    floor = measure_floor()
    found = whole_sequence("batch 8, length 2,048, E 1,536", LANGUAGE, (1.5, 2.0), floor, rounds)
    found += whole_sequence("video: batch 512, length 128, E 1,024", VIDEO, (2.0, 3.0), floor, rounds)
    return found + step(STEP, 1.3, rounds)
