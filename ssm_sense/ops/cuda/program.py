"""What is compiled, and what runs it: CUDA sources with the constants that they are compiled for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


@dataclass(frozen=True)
class Program:
    """A file of ``kernels/`` and its constants (``-D`` of a compiler), e.g. SSM_TYPE, one of ``DTYPES``."""

    file: str
    constants: tuple[tuple[str, int], ...]

    def options(self) -> list[str]:
        """Products and sums fuse only where the code says so: every path that runs a formula gives the same bits."""
        return ["-std=c++17", "--fmad=false", *(f"-D{name}={value}" for name, value in self.constants)]


class Launcher(Protocol):
    """Runs kernels: on the device (``driver.Driver``), or on one CPU core in the tests."""

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
        """Queues a kernel whose only argument is a struct of 64-bit words."""

    def filling(self, device: torch.device) -> int:
        """How many threads keep the device busy."""

    def shared_limit(self, device: torch.device) -> int:
        """How many bytes of shared memory a block may ask for."""


@cache
def sources() -> dict[str, str]:
    """The CUDA files of the package by name. Raises RuntimeError if they were not installed with it."""
    folders = [files("ssm_sense").joinpath("kernels"), Path(__file__).parents[3] / "kernels"]
    for folder in folders:
        if folder.joinpath("scan.cu").is_file():
            texts = {f.name: f.read_text() for f in folder.iterdir() if f.name.endswith((".cu", ".cuh"))}
            return dict(sorted(texts.items()))
    raise RuntimeError("the CUDA sources (kernels/scan.cu) are missing from this installation of ssm-sense")


def digest(program: Program, compiler: str, architecture: str) -> str:
    """A name for the compiled program: it changes with the sources, the constants, the compiler and the target."""
    parts = [program.file, *program.options(), compiler, architecture, *sources(), *sources().values()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def aligned(tensor: Tensor) -> Tensor:
    """The tensor densely, in float32, on an address that vectors of 16 bytes can be read from."""
    if tensor.dtype is torch.float32 and tensor.is_contiguous() and tensor.data_ptr() % 16 == 0:
        return tensor
    tensor = tensor.to(torch.float32).contiguous()
    return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()


def dense(tensor: Tensor | None) -> Tensor | None:
    return tensor if tensor is None or tensor.is_contiguous() else tensor.contiguous()


def narrow(*tensors: Tensor | None) -> list[int]:
    """Whether they are half precision, as x is then too: kernels read either kind where an op takes both."""
    return [int(tensor is not None and tensor.dtype is not torch.float32) for tensor in tensors]


def rows(tensor: Tensor) -> Tensor:
    """The tensor with its last dimension dense; the others may have any stride."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def addresses(*tensors: Tensor | None) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def strides(*tensors: Tensor | None) -> list[int]:
    """Of batch and time, in elements."""
    steps: list[int] = []
    for tensor in tensors:
        steps += (0, 0) if tensor is None else tensor.stride()[:2]
    return steps
