"""Seeded inputs for the two ops, a run with gradients through both outputs, and every backend of this machine."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from ssm_sense import ops

Inputs = dict[str, Tensor]
Results = dict[str, Tensor]


class Draw:
    """Seeded float64 tensors."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64)


def _make_scan_inputs(
    batch: int, length: int, channels: int, n: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Inputs:
    """Every tensor of ``selective_scan``, at the sizes that Mamba trains with: Δ about 0.1, A from -1 to -N."""
    draw = Draw(seed)
    state = torch.promote_types(dtype, torch.float32)
    return {
        "x": draw.normal(batch, length, channels).to(dtype),
        "dt": (0.5 * draw.normal(batch, length, channels) - 2).to(dtype),
        "A": (-torch.arange(1.0, n + 1, dtype=torch.float64) * (0.5 + draw.uniform(channels, n))).to(state),
        "B": draw.normal(batch, length, n).to(dtype),
        "C": draw.normal(batch, length, n).to(dtype),
        "D": draw.normal(channels).to(state),
        "z": draw.normal(batch, length, channels).to(dtype),
        "dt_bias": (0.1 * draw.normal(channels)).to(state),
        "gate": draw.uniform(batch, length).to(dtype),
        "keep": draw.uniform(batch, length).sqrt().to(dtype),
        "initial_state": draw.normal(batch, channels, n).to(state),
    }


def _make_conv_inputs(
    batch: int, length: int, channels: int, width: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Inputs:
    """Every tensor of ``causal_conv1d``."""
    draw = Draw(seed)
    return {
        "x": draw.normal(batch, length, channels).to(dtype),
        "weight": draw.normal(channels, width).to(dtype),
        "bias": draw.normal(channels).to(dtype),
        "keep": draw.uniform(batch, length).to(dtype),
        "initial_state": draw.normal(batch, width - 1, channels).to(torch.promote_types(dtype, torch.float32)),
    }


def _run_with_gradients(op: Callable[..., tuple[Tensor, Tensor]], inputs: Inputs, **options: object) -> Results:
    """y, final_state and the gradient of every input for a random gradient of both outputs."""
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in inputs.items()}
    y, final_state = op(**leaves, **options)
    draw = Draw(99)
    grad_y, grad_final = draw.normal(*y.shape).to(y.dtype), draw.normal(*final_state.shape).to(final_state.dtype)
    grads = torch.autograd.grad((y, final_state), list(leaves.values()), (grad_y, grad_final))
    named = {f"grad_{name}": grad for name, grad in zip(leaves, grads, strict=True)}
    return {"y": y.detach(), "final_state": final_state.detach(), **named}


@pytest.fixture
def scan_inputs() -> Callable[..., Inputs]:
    return _make_scan_inputs


@pytest.fixture
def conv_inputs() -> Callable[..., Inputs]:
    return _make_conv_inputs


@pytest.fixture
def run_with_gradients() -> Callable[..., Results]:
    return _run_with_gradients


@pytest.fixture(params=ops.available())
def each_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once for every backend of this machine."""
    with ops.use_backend(request.param):
        yield request.param
