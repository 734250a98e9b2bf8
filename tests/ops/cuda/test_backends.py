"""Which implementation runs for tensors on a CUDA device, and which programs its ops ask for, without a device."""

import pytest
import torch

from ssm_sense import ops
from ssm_sense.ops.cuda import backends
from ssm_sense.ops.cuda.program import Program


def test_our_kernels_run_by_default():
    assert ops.backend("cuda") == ops.available("cuda")[0] == "cuda"
    assert "torch" in ops.available("cuda")


def test_a_backend_is_pinned_on_the_devices_that_have_it():
    before = ops.backend()
    with ops.use_backend("cuda"):
        assert (ops.backend("cuda"), ops.backend()) == ("cuda", before)
    with ops.use_backend("torch"):
        assert (ops.backend("cuda"), ops.backend()) == ("torch", "torch")
        with ops.use_backend("cuda"):
            assert (ops.backend("cuda"), ops.backend()) == ("cuda", "torch")
    assert (ops.backend("cuda"), ops.backend()) == ("cuda", before)


@pytest.mark.parametrize("op", ["scan", "scan_backward", "conv", "conv_backward"])
def test_every_op_is_registered_for_cuda(op):
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"ssm_sense::{op}", "CUDA")


def test_float64_runs_on_the_loop(scan_inputs, monkeypatch):
    """Our kernels compute in float32; gradcheck on a device needs more."""
    asked = []
    monkeypatch.setitem(backends._OURS, "scan", lambda *args: asked.append(args[0].dtype))
    run = backends.on_cuda("scan")
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        given = scan_inputs(1, 3, 2, 4, dtype)
        inputs = [given[name] for name in ("x", "dt", "A", "B", "C")]
        run(*inputs, None, None, None, True, None, None, None, False)
    assert asked == [torch.float32, torch.bfloat16]


def test_a_program_is_known_by_what_it_is_compiled_with():
    program = Program("scan.cu", (("SSM_TYPE", 2), ("SSM_LANES", 4)))
    assert program.options() == ["-std=c++17", "--fmad=false", "-DSSM_TYPE=2", "-DSSM_LANES=4"]
    assert program == Program("scan.cu", (("SSM_TYPE", 2), ("SSM_LANES", 4)))
