"""The causal convolution of every backend against the plain loop, its cuts, and PyTorch's own conv1d."""

import pytest
import torch
import torch.nn.functional as F

from ssm_sense.ops import causal_conv1d, reference

OPTIONAL = ("bias", "keep", "initial_state")


def _assert_equal_to_loop(inputs, run_with_gradients, activation):
    got = run_with_gradients(causal_conv1d, inputs, activation=activation)
    truth = run_with_gradients(reference.causal_conv1d, inputs, activation=activation)
    for name, tensor in truth.items():
        assert got[name].dtype == tensor.dtype, name
        torch.testing.assert_close(got[name], tensor, rtol=1e-9, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize("width", [2, 3, 4, 7])
@pytest.mark.parametrize(("batch", "length", "channels"), [(1, 1, 1), (2, 2, 5), (3, 40, 17), (2, 130, 16)])
def test_truth(batch, length, channels, width, activation, conv_inputs, run_with_gradients):
    _assert_equal_to_loop(conv_inputs(batch, length, channels, width), run_with_gradients, activation)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("name", OPTIONAL)
def test_each_optional_present_and_absent(name, conv_inputs, run_with_gradients):
    everything = conv_inputs(2, 34, 5, 4)
    without = {key: tensor for key, tensor in everything.items() if key != name}
    alone = {key: tensor for key, tensor in everything.items() if key not in OPTIONAL or key == name}
    _assert_equal_to_loop(without, run_with_gradients, "silu")
    _assert_equal_to_loop(alone, run_with_gradients, "silu")


@pytest.mark.usefixtures("each_backend")
def test_a_filter_of_one_tap_has_an_empty_state(conv_inputs):
    inputs = conv_inputs(2, 5, 3, 1)
    y, state = causal_conv1d(**inputs)
    torch.testing.assert_close(y, inputs["x"] * inputs["weight"][:, 0] + inputs["bias"])
    assert state.shape == (2, 0, 3)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("width", [1, 4])
def test_gradcheck(width, conv_inputs):
    inputs = conv_inputs(2, 6, 3, width)
    inputs["keep"][:, 2] = 0
    names = list(inputs)

    def op(*tensors):
        return causal_conv1d(**dict(zip(names, tensors, strict=True)), activation="silu")

    assert torch.autograd.gradcheck(op, [tensor.requires_grad_() for tensor in inputs.values()])


@pytest.mark.usefixtures("each_backend")
def test_without_a_keep_it_is_conv1d(conv_inputs):
    inputs = conv_inputs(2, 20, 5, 4)
    y, _ = causal_conv1d(inputs["x"], inputs["weight"], inputs["bias"])
    padded = F.pad(inputs["x"].transpose(1, 2), (3, 0))
    truth = F.conv1d(padded, inputs["weight"][:, None], inputs["bias"], groups=5).transpose(1, 2)
    torch.testing.assert_close(y, truth)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("cuts", [[1], [2, 3], [10, 20], list(range(1, 30))])
def test_any_cut_gives_the_uncut_answer(cuts, dtype, conv_inputs, each_backend):
    """To the bit in native code; PyTorch's own kernels round the last few elements of a tensor differently."""
    inputs = conv_inputs(2, 30, 19, 4, dtype)
    inputs["keep"][0, 12] = 0
    inputs["keep"][1, 13:16] = 0
    y, state = causal_conv1d(**inputs, activation="silu")
    state_cut, ys = inputs["initial_state"], []
    for begin, end in zip([0, *cuts], [*cuts, 30], strict=True):
        part = {**inputs, "x": inputs["x"][:, begin:end], "keep": inputs["keep"][:, begin:end]}
        y_cut, state_cut = causal_conv1d(**{**part, "initial_state": state_cut}, activation="silu")
        ys.append(y_cut)
    tolerance = 0 if each_backend.startswith("native") else torch.finfo(dtype).eps
    torch.testing.assert_close(torch.cat(ys, 1), y, rtol=4 * tolerance, atol=tolerance)
    assert torch.equal(state_cut, state)


@pytest.mark.usefixtures("each_backend")
def test_a_reset_forgets_the_history(conv_inputs):
    inputs = conv_inputs(2, 12, 5, 4, torch.float32)
    inputs["keep"][:] = 1
    inputs["keep"][:, 6] = 0
    y, state = causal_conv1d(**inputs)
    fresh, fresh_state = causal_conv1d(inputs["x"][:, 6:], inputs["weight"], inputs["bias"])
    torch.testing.assert_close(y[:, 6:], fresh)
    torch.testing.assert_close(state, fresh_state)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_error_within_twice_that_of_plain_pytorch(dtype, conv_inputs, run_with_gradients):
    inputs = conv_inputs(4, 150, 24, 4, dtype)
    exact = {name: tensor.double() for name, tensor in inputs.items()}
    truth = run_with_gradients(reference.causal_conv1d, exact, activation="silu")
    plain = run_with_gradients(reference.causal_conv1d, inputs, activation="silu")
    got = run_with_gradients(causal_conv1d, inputs, activation="silu")
    for name, tensor in truth.items():
        ours, theirs = ((r[name].double() - tensor).norm() / tensor.norm() for r in (got, plain))
        assert ours <= 2 * theirs + torch.finfo(dtype).eps, name


@pytest.mark.usefixtures("each_backend")
def test_every_output_is_written(conv_inputs, run_with_gradients, monkeypatch):
    """Fresh memory filled with NaN changes nothing."""
    inputs = conv_inputs(3, 45, 21, 4, torch.float32)
    clean = run_with_gradients(causal_conv1d, inputs, activation="silu")
    torch.use_deterministic_algorithms(True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    try:
        poisoned = run_with_gradients(causal_conv1d, inputs, activation="silu")
    finally:
        torch.use_deterministic_algorithms(False)
    for name, tensor in clean.items():
        assert torch.equal(tensor, poisoned[name]), name
