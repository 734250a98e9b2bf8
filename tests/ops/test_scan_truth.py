"""Outputs, final state and every gradient of every backend against the plain loop."""

import pytest
import torch

from ssm_sense.ops import reference, selective_scan

OPTIONAL = ("D", "z", "dt_bias", "gate", "keep", "initial_state")
pytestmark = pytest.mark.usefixtures("each_backend")


def _assert_equal_to_loop(inputs, run_with_gradients, **options):
    got = run_with_gradients(selective_scan, inputs, **options)
    truth = run_with_gradients(reference.selective_scan, inputs, **options)
    assert got.keys() == truth.keys()
    for name, tensor in truth.items():
        assert got[name].dtype == tensor.dtype, name
        torch.testing.assert_close(got[name], tensor, rtol=1e-9, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 63, 64, 65, 200])
def test_lengths(length, scan_inputs, run_with_gradients):
    _assert_equal_to_loop(scan_inputs(2, length, 5, 3), run_with_gradients, dt_softplus=True)


@pytest.mark.parametrize("n", [1, 2, 8, 16, 64, 256])
def test_state_sizes(n, scan_inputs, run_with_gradients):
    _assert_equal_to_loop(scan_inputs(2, 40, 3, n), run_with_gradients, dt_softplus=True)


@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (3, 7), (1, 16), (2, 17), (1, 130), (70, 2)])
def test_batches_and_channels_that_fill_no_vector(batch, channels, scan_inputs, run_with_gradients):
    _assert_equal_to_loop(scan_inputs(batch, 35, channels, 16), run_with_gradients, dt_softplus=True)


@pytest.mark.parametrize("dt_softplus", [False, True])
@pytest.mark.parametrize("name", OPTIONAL)
def test_each_optional_present_and_absent(name, dt_softplus, scan_inputs, run_with_gradients):
    everything = scan_inputs(2, 34, 4, 16)
    everything["dt"] = everything["dt"].abs() / 4
    without = {key: tensor for key, tensor in everything.items() if key != name}
    alone = {key: tensor for key, tensor in everything.items() if key not in OPTIONAL or key == name}
    _assert_equal_to_loop(without, run_with_gradients, dt_softplus=dt_softplus)
    _assert_equal_to_loop(alone, run_with_gradients, dt_softplus=dt_softplus)


@pytest.mark.parametrize("places", [[0], [37], [69], [31, 32, 33], list(range(70))])
def test_resets(places, scan_inputs, run_with_gradients):
    inputs = scan_inputs(2, 70, 4, 16)
    inputs["keep"][:] = 1
    inputs["keep"][:, places] = 0
    _assert_equal_to_loop(inputs, run_with_gradients, dt_softplus=True)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_hard_gates(value, scan_inputs, run_with_gradients):
    inputs = scan_inputs(2, 40, 4, 16)
    inputs["gate"][:, 10:30] = value
    _assert_equal_to_loop(inputs, run_with_gradients, dt_softplus=True)


def test_steep_and_growing_decays(scan_inputs, run_with_gradients):
    """exp far below the smallest number, exactly one, and above one."""
    inputs = scan_inputs(1, 40, 4, 16)
    inputs["A"] *= torch.tensor([[1e3], [0.0], [1.0], [-0.05]], dtype=torch.float64)
    _assert_equal_to_loop(inputs, run_with_gradients, dt_softplus=True)


def test_views_of_any_stride(scan_inputs, run_with_gradients):
    inputs = scan_inputs(3, 40, 8, 16)

    def strided(**leaves):
        wide = torch.cat([leaves["x"], leaves["dt"], leaves["z"]], dim=-1)
        leaves["x"], leaves["dt"], leaves["z"] = wide.chunk(3, dim=-1)
        leaves["B"] = leaves["B"].transpose(0, 1).contiguous().transpose(0, 1)
        leaves["C"] = leaves["C"].transpose(1, 2).contiguous().transpose(1, 2)
        leaves["A"] = leaves["A"].T.contiguous().T
        leaves["gate"] = leaves["gate"].T.contiguous().T
        leaves["initial_state"] = leaves["initial_state"].transpose(1, 2).contiguous().transpose(1, 2)
        return selective_scan(**leaves, dt_softplus=True)

    got = run_with_gradients(strided, inputs)
    truth = run_with_gradients(reference.selective_scan, inputs, dt_softplus=True)
    for name, tensor in truth.items():
        torch.testing.assert_close(got[name], tensor, rtol=1e-9, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


def test_gradcheck_across_a_chunk_boundary(scan_inputs):
    inputs = scan_inputs(1, 34, 2, 3)
    inputs["keep"][0, 20] = 0
    names = list(inputs)
    leaves = [tensor.requires_grad_() for tensor in inputs.values()]

    def op(*tensors):
        return selective_scan(**dict(zip(names, tensors, strict=True)), dt_softplus=True)

    assert torch.autograd.gradcheck(op, leaves, fast_mode=True)


def test_gradcheck_in_full(scan_inputs):
    inputs = scan_inputs(2, 3, 2, 2)
    names = list(inputs)
    leaves = [tensor.requires_grad_() for tensor in inputs.values()]

    def op(*tensors):
        return selective_scan(**dict(zip(names, tensors, strict=True)), dt_softplus=True)

    assert torch.autograd.gradcheck(op, leaves)


@pytest.mark.parametrize("output", ["y", "final_state"])
def test_gradient_through_one_output_alone(output, scan_inputs):
    inputs = {name: tensor.requires_grad_() for name, tensor in scan_inputs(2, 34, 4, 16).items()}
    pick = 0 if output == "y" else 1
    # Only z, C and D have no way into the final state.
    names = [name for name in inputs if output == "y" or name not in ("C", "D", "z")]
    leaves = [inputs[name] for name in names]
    got = torch.autograd.grad(selective_scan(**inputs, dt_softplus=True)[pick].square().sum(), leaves)
    truth = torch.autograd.grad(reference.selective_scan(**inputs, dt_softplus=True)[pick].square().sum(), leaves)
    for name, a, b in zip(names, got, truth, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


def test_second_derivative_is_refused(scan_inputs):
    inputs = {name: tensor.requires_grad_() for name, tensor in scan_inputs(1, 3, 2, 2).items()}
    (grad,) = torch.autograd.grad(
        selective_scan(**inputs, dt_softplus=True)[0].square().sum(), inputs["x"], create_graph=True
    )
    with pytest.raises(RuntimeError, match="first derivatives only"):
        grad.sum().backward()
