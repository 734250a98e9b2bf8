"""The text of the CUDA convolution, run as host code, against the plain loop in float64."""

import pytest
import torch

from ssm_sense.ops import reference
from ssm_sense.ops.cuda import conv

OPTIONAL = ("bias", "keep", "initial_state")


@pytest.fixture
def check(emulator, run_with_gradients, assert_close_to):
    def check_(inputs, tolerance=1e-6, activation="silu"):
        exact = {name: tensor.double() for name, tensor in inputs.items()}
        truth = run_with_gradients(reference.causal_conv1d, exact, activation=activation)
        got = run_with_gradients(emulator.causal_conv1d, inputs, activation=activation)
        assert got["y"].dtype == inputs["x"].dtype
        assert all(got[f"grad_{name}"].dtype == tensor.dtype for name, tensor in inputs.items())
        assert_close_to(got, truth, tolerance)

    return check_


@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize(
    ("batch", "length", "channels"), [(1, 1, 1), (2, 2, 5), (3, 63, 17), (2, 130, 40), (1, 200, 150)]
)
def test_truth(batch, length, channels, activation, conv_inputs, check):
    check(conv_inputs(batch, length, channels, 4, torch.float32), activation=activation)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_widths(width, conv_inputs, check):
    check(conv_inputs(2, 70, 5, width, torch.float32))


@pytest.mark.parametrize("name", OPTIONAL)
def test_each_optional_present_and_absent(name, conv_inputs, check):
    everything = conv_inputs(2, 34, 5, 4, torch.float32)
    check({key: tensor for key, tensor in everything.items() if key != name})
    check({key: tensor for key, tensor in everything.items() if key not in OPTIONAL or key == name})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("absent", [(), OPTIONAL])
def test_all_is_made_as_the_op_promises(absent, dtype, conv_inputs, emulator, assert_as_promised):
    given = [None if name in absent else tensor for name, tensor in conv_inputs(2, 34, 5, 4, dtype).items()]
    made = conv.conv_forward(emulator, *given, True)
    assert_as_promised("conv", made, *given, True)
    backward = (*made, *given, True)
    assert_as_promised("conv_backward", conv.conv_backward(emulator, *backward), *backward)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes(dtype, conv_inputs, emulator, run_with_gradients):
    """An error at most twice that of plain PyTorch in the same dtype."""
    inputs = conv_inputs(2, 90, 24, 4, dtype)
    exact = {name: tensor.double() for name, tensor in inputs.items()}
    truth = run_with_gradients(reference.causal_conv1d, exact, activation="silu")
    plain = run_with_gradients(reference.causal_conv1d, inputs, activation="silu")
    got = run_with_gradients(emulator.causal_conv1d, inputs, activation="silu")
    for name, tensor in truth.items():
        ours, theirs = ((r[name].double() - tensor).norm() / tensor.norm() for r in (got, plain))
        assert ours <= 2 * theirs + torch.finfo(dtype).eps, name


@pytest.mark.parametrize("cuts", [[1], [2, 3], [70, 100], list(range(1, 130))])
def test_any_cut_gives_the_uncut_answer_to_the_bit(cuts, conv_inputs, emulator):
    inputs = conv_inputs(2, 130, 19, 4, torch.float32)
    inputs["keep"][0, 12] = 0
    inputs["keep"][1, 62:67] = 0
    y, final_state = emulator.causal_conv1d(**inputs, activation="silu")
    state, ys = inputs["initial_state"], []
    for begin, end in zip([0, *cuts], [*cuts, 130], strict=True):
        part = {**inputs, "x": inputs["x"][:, begin:end], "keep": inputs["keep"][:, begin:end]}
        y_cut, state = emulator.causal_conv1d(**{**part, "initial_state": state}, activation="silu")
        ys.append(y_cut)
    assert torch.equal(torch.cat(ys, 1), y)
    assert torch.equal(state, final_state)


def test_every_output_is_written_and_the_order_of_threads_is_nothing(
    conv_inputs, emulator, run_with_gradients, monkeypatch
):
    """Fresh memory filled with NaN, and threads run from the last to the first, change no bit."""
    inputs = conv_inputs(2, 75, 21, 4, torch.float32)
    clean = run_with_gradients(emulator.causal_conv1d, inputs, activation="silu")
    emulator.reversed = True
    torch.use_deterministic_algorithms(True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    try:
        poisoned = run_with_gradients(emulator.causal_conv1d, inputs, activation="silu")
    finally:
        torch.use_deterministic_algorithms(False)
    for name, tensor in clean.items():
        assert torch.equal(tensor, poisoned[name]), name


def test_wider_filters_than_the_kernels_hold(conv_inputs, emulator):
    with pytest.raises(ValueError, match=r"weight must have a width of at most 8 on CUDA, got W = 9"):
        emulator.causal_conv1d(**conv_inputs(1, 2, 3, 9, torch.float32))


def test_a_filter_in_float32_beside_half_precision(conv_inputs, check):
    inputs = conv_inputs(1, 40, 4, 4, torch.bfloat16)
    for name in ("weight", "bias", "keep"):
        inputs[name] = inputs[name].float()
    check(inputs, 1e-2)
