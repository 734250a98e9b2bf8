"""The kernels' own text built as host C++ and run on one core, behind the launcher that the device would be behind."""

import ctypes
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ssm_sense.ops.cuda import conv, scan
from ssm_sense.ops.cuda.program import Program

HERE = Path(__file__).parent
KERNELS = HERE.parents[2] / "kernels"
COMPILER = shutil.which("g++") or shutil.which("clang++")
FLAGS = ["-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared"]
ERRORS = {1: "threads waited for each other for ever", 2: "a write behind the end of shared memory"}


class Emulator:
    """Runs a kernel's blocks one after another (``emulator.h``); lengths are split to reach ``threads``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.threads = 60
        self.shared_bytes = 227 << 10
        self.reversed = False
        self.launched: list[str] = []
        self.libraries: dict[Program, ctypes.CDLL] = {}

    def filling(self, device: torch.device) -> int:
        return self.threads

    def shared_limit(self, device: torch.device) -> int:
        return self.shared_bytes

    def launch(
        self,
        program: Program,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        shared_bytes: int,
        words: Sequence[int],
        device: torch.device,
    ) -> None:
        if program not in self.libraries:
            self.libraries[program] = ctypes.CDLL(str(self._build(program)))
        library = self.libraries[program]
        call = struct.pack(f"{len(words)}q", *words)
        size = getattr(library, f"emulate_size_{kernel}")
        size.restype = ctypes.c_size_t
        assert size() == len(call), f"{kernel} takes a struct of {size()} bytes, got {len(call)}"
        run = getattr(library, f"emulate_{kernel}")
        run.argtypes = [ctypes.c_char_p, *[ctypes.c_uint] * 2, ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
        status = run(call, *grid, threads, shared_bytes, self.reversed)
        assert status == 0, f"{kernel} {program.constants} on {threads} threads: {ERRORS[status]}"
        self.launched.append(kernel)

    def _build(self, program: Program) -> Path:
        constants = [f"-D{name}={value}" for name, value in program.constants]
        library = self.folder / ("".join(constants) + program.file + ".so")
        if not library.exists():
            fresh = library.with_suffix(f".{os.getpid()}")
            source = HERE / f"emulate_{program.file.removesuffix('.cu')}.cpp"
            include = [f"-I{KERNELS}", f"-I{HERE}"]
            subprocess.run([COMPILER, *FLAGS, *constants, *include, "-o", fresh, source], check=True)
            fresh.rename(library)
        return library

    def selective_scan(self, dt_softplus: bool = False, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As ``ssm_sense.ops.selective_scan``."""
        names = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "gate", "keep", "initial_state")
        return _Scan.apply(self, dt_softplus, *(inputs.get(name) for name in names))

    def causal_conv1d(self, activation: str | None = None, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As ``ssm_sense.ops.causal_conv1d``."""
        names = ("x", "weight", "bias", "keep", "initial_state")
        return _Conv.apply(self, activation == "silu", *(inputs.get(name) for name in names))


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, emulator, dt_softplus, *tensors):
        ordered = (*tensors[:8], dt_softplus, *tensors[8:])
        save = any(t is not None and t.requires_grad for t in tensors)
        y, final_state, checkpoints = scan.scan_forward(emulator, *ordered, save)
        ctx.emulator, ctx.ordered, ctx.checkpoints = emulator, ordered, checkpoints
        return y, final_state

    @staticmethod
    def backward(ctx, grad_y, grad_final):
        grads = scan.scan_backward(ctx.emulator, grad_y, grad_final, *ctx.ordered, ctx.checkpoints)
        given = [t for t in ctx.ordered if not isinstance(t, bool)]
        return None, None, *(None if t is None else grad for t, grad in zip(given, grads, strict=True))


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, emulator, silu, *tensors):
        ctx.emulator, ctx.inputs = emulator, (*tensors, silu)
        return conv.conv_forward(emulator, *tensors, silu)

    @staticmethod
    def backward(ctx, grad_y, grad_final):
        grads = conv.conv_backward(ctx.emulator, grad_y, grad_final, *ctx.inputs)
        given = ctx.inputs[:-1]
        return None, None, *(None if t is None else grad for t, grad in zip(given, grads, strict=True))


@pytest.fixture(scope="session")
def _libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of the test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "emulated"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def compiler() -> str:
    if COMPILER is None:
        pytest.skip("no C++ compiler here: the CUDA kernels' text is run as host code where there is one")
    return COMPILER


@pytest.fixture
def emulator(_libraries: Path, compiler: str) -> Emulator:
    return Emulator(_libraries)


@pytest.fixture
def assert_as_promised() -> Callable[..., None]:
    """What the launches of an op made has the shapes and dtypes that the op promises a compiler, absent parts too."""

    def check(op: str, made: Sequence[Tensor], *given: Tensor | bool | None) -> None:
        meta = [each.to("meta") if isinstance(each, Tensor) else each for each in given]
        promised = getattr(torch.ops.ssm_sense, op)(*meta)
        assert [(t.shape, t.dtype) for t in made] == [(t.shape, t.dtype) for t in promised]
        assert all(t.is_contiguous() for t in made)

    return check


@pytest.fixture
def assert_close_to() -> Callable[..., None]:
    """Each result within a relative distance of the truth: norms, since single numbers near zero say little."""

    def check(got: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float) -> None:
        assert got.keys() == truth.keys()
        for name, tensor in truth.items():
            assert got[name].shape == tensor.shape, name
            assert got[name].isfinite().all(), name
            error = (got[name].double() - tensor.double()).norm() / tensor.double().norm().clamp_min(1e-30)
            assert error <= tolerance or torch.equal(got[name].double(), tensor.double()), f"{name}: {error:.1e}"

    return check
