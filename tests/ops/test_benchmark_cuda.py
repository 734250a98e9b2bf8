"""The CUDA benchmark's arithmetic, and what it says where there is no device."""

import pytest
import torch

from ssm_sense.errors import UserError
from ssm_sense.ops import benchmark_cuda
from ssm_sense.ops.benchmark_cuda import LANGUAGE, Floor, Sizes


def test_floors_of_the_language_shape():
    """204 MB forward, 357 MB backward and 403 million exponentials: on an H200, 4.8 TB/s and 132 x 16 at 1.755 GHz."""
    assert round(benchmark_cuda.forward_bytes(LANGUAGE, 2) / 1e6) == 204
    assert round(benchmark_cuda.backward_bytes(LANGUAGE, 2) / 1e6) == 357
    floor = Floor(4.8e12, 132 * 16 * 1.755e9)
    raised = benchmark_cuda.exponentials(LANGUAGE)
    assert raised == 8 * 2048 * 1536 * 16
    assert floor.milliseconds(benchmark_cuda.forward_bytes(LANGUAGE, 2), raised) == pytest.approx(0.109, abs=5e-4)
    assert floor.milliseconds(benchmark_cuda.forward_bytes(LANGUAGE, 2), 0) == pytest.approx(0.0425, abs=5e-4)


def test_ratios_are_taken_round_by_round():
    pace = iter([1.0, 10.0, 2.0, 20.0, 4.0, 40.0])
    rivals = {"rival": (lambda: None, 11.0), "floor": (0.5, 0.1)}
    rival, floor = benchmark_cuda.compare("case", lambda: None, rivals, 3, seconds=lambda _: next(pace))
    assert (rival.ratio, rival.low, rival.high, rival.met) == (10.0, 10.0, 10.0, False)
    assert (rival.ours_ms, rival.rival_ms) == (2.0, 20.0)
    assert (floor.ratio, floor.met) == (0.25, True)


def test_mamba_ssm_copies_nothing(monkeypatch):
    """All that it reads lies densely in its own layout, the gradient of y included; ours is given what it takes."""
    sizes, read = Sizes(batch=2, length=6, channels=4, n=3), []

    class Scan(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *given):
            read.extend(tensor for tensor in given if isinstance(tensor, torch.Tensor))
            ctx.save_for_backward(*read[-8:])
            return given[0].clone()

        @staticmethod
        def backward(ctx, grad):
            read.append(grad)
            return *(torch.zeros_like(tensor) for tensor in ctx.saved_tensors), None

    made = {
        "x": torch.randn(2, 6, 4),
        "dt": torch.randn(2, 6, 4),
        "A": -torch.rand(4, 3),
        "B": torch.randn(2, 6, 3),
        "C": torch.randn(2, 6, 3),
        "D": torch.ones(4),
        "z": torch.randn(2, 6, 4),
        "dt_bias": torch.zeros(4),
        "gate": torch.rand(2, 6),
        "keep": torch.rand(2, 6),
        "initial_state": torch.zeros(2, 4, 3),
    }
    monkeypatch.setattr(benchmark_cuda, "make_inputs", lambda *_: made)
    monkeypatch.setattr(benchmark_cuda, "_upstream", lambda *_: Scan.apply)
    monkeypatch.setattr(benchmark_cuda.compare, "__defaults__", (lambda contender: contender() or 1.0,))
    found = benchmark_cuda.whole_sequence("case", sizes, (1.5, 2.0), Floor(1.0, 1.0), 1)
    assert [row.case for row in found] == ["case, forward"] * 2 + ["case, forward + backward"] * 2
    assert len(read) == 8 + 8 + 1
    assert all(tensor.is_contiguous() for tensor in read)


def test_without_a_device_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs an NVIDIA GPU and a torch built for CUDA"):
        benchmark_cuda.comparisons(1)
