"""Rounding: an error at most twice that of plain PyTorch in the same dtype, each against the float64 loop."""

import pytest
import torch

from ssm_sense.ops import reference, selective_scan

pytestmark = pytest.mark.usefixtures("each_backend")


def _relative_error(got, truth):
    return ((got.double() - truth).norm() / truth.norm().clamp_min(1e-30)).item()


def _assert_error_within_twice(inputs, run_with_gradients):
    exact = {name: tensor.double() for name, tensor in inputs.items()}
    truth = run_with_gradients(reference.selective_scan, exact, dt_softplus=True)
    plain = run_with_gradients(reference.selective_scan, inputs, dt_softplus=True)
    got = run_with_gradients(selective_scan, inputs, dt_softplus=True)
    unit = torch.finfo(inputs["x"].dtype).eps
    for name in truth:
        assert got[name].dtype == plain[name].dtype, name
        ours, theirs = _relative_error(got[name], truth[name]), _relative_error(plain[name], truth[name])
        assert ours <= 2 * theirs + unit, f"{name}: {ours:.2e}, plain PyTorch {theirs:.2e}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes(dtype, scan_inputs, run_with_gradients):
    _assert_error_within_twice(scan_inputs(4, 150, 24, 16, dtype), run_with_gradients)


@pytest.mark.parametrize("length", [1000, 4096])
def test_long_sequences(length, scan_inputs, run_with_gradients):
    _assert_error_within_twice(scan_inputs(1, length, 3, 8, torch.float32), run_with_gradients)


def test_slow_decays(scan_inputs, run_with_gradients):
    """Decays of 1 - 1e-4, where an error of exp that does not vanish at 0 would add up over thousands of steps."""
    inputs = scan_inputs(1, 2000, 4, 4, torch.float32)
    inputs["A"] *= 1e-3
    inputs["keep"][:] = 1
    _assert_error_within_twice(inputs, run_with_gradients)


def test_mixed_dtypes_of_gate_and_keep(scan_inputs):
    """Gates come in float32 beside half-precision features, and their gradients go back in float32."""
    inputs = scan_inputs(2, 9, 4, 4, torch.bfloat16)
    inputs["gate"], inputs["keep"] = inputs["gate"].float().requires_grad_(), inputs["keep"].float().requires_grad_()
    y, final_state = selective_scan(**inputs)
    assert (y.dtype, final_state.dtype) == (torch.bfloat16, torch.float32)
    grads = torch.autograd.grad(y.float().sum() + final_state.sum(), [inputs["gate"], inputs["keep"]])
    assert [grad.dtype for grad in grads] == [torch.float32, torch.float32]
