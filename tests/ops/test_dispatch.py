"""What runs where, and what is demanded."""

import pytest

from ssm_sense.ops import require, use_backend
from ssm_sense.ops.dispatch import MissingBackend


def test_native_on_a_cuda_device_is_the_cuda_kernels() -> None:
    """Whatever the CPU has; which kernels a device would run is known without one."""
    require("native", "cuda")
    with use_backend("torch"), pytest.raises(MissingBackend, match="'native' was demanded, but 'torch' runs here"):
        require("native", "cuda")


def test_a_demand_for_the_loop_is_met_where_it_is_pinned() -> None:
    with use_backend("torch"):
        require("torch")
        require("torch", "cuda")
