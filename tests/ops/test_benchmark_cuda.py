"""The CUDA benchmark's arithmetic, and what it says where there is no device."""

import pytest
import torch

from ssm_sense.errors import UserError
from ssm_sense.ops import benchmark_cuda
from ssm_sense.ops.benchmark_cuda import LANGUAGE, Floor


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


def test_without_a_device_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs an NVIDIA GPU and a torch built for CUDA"):
        benchmark_cuda.comparisons(1)
