"""Every bad argument is a ValueError that names it, says what was expected and what came; nothing crashes."""

import random
import re

import pytest
import torch

from ssm_sense import ops
from ssm_sense.ops import causal_conv1d, dispatch, selective_scan

SCAN_NAMES = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "gate", "keep", "initial_state")
CONV_NAMES = ("x", "weight", "bias", "keep", "initial_state")
pytestmark = pytest.mark.usefixtures("each_backend", "streaming_or_not")


@pytest.fixture(params=[False, True], ids=["training", "streaming"])
def streaming_or_not(request):
    """Under inference_mode the native library checks first, on a way of its own."""
    with torch.inference_mode(request.param):
        yield


@pytest.fixture
def no_kernel(monkeypatch):
    """Fails the test if a kernel runs."""
    for backend in ops.available():
        for op in ("scan", "conv"):
            monkeypatch.setitem(dispatch._KERNELS[backend], op, lambda *_: pytest.fail("a kernel ran"))


def _spoil(tensor, how):
    """A tensor (or something else) that no argument of this shape may be."""
    match how:
        case "rank":
            return tensor[None]
        case "last":
            return torch.cat([tensor, tensor], -1)
        case "first":
            return torch.cat([tensor, tensor], 0)
        case "empty":
            return tensor[..., :0]
        case "integer":
            return tensor.long()
        case "complex":
            return tensor.to(torch.complex64)
        case "double":
            return tensor.double()
        case "device":
            return tensor.to("meta")
        case "array":
            return tensor.numpy()
        case "number":
            return 1.0


WAYS = ("rank", "last", "first", "empty", "integer", "complex", "double", "device", "array", "number")


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("name", SCAN_NAMES)
def test_scan_names_the_argument(name, scan_inputs):
    for how in WAYS:
        inputs = scan_inputs(2, 5, 3, 4, torch.float32)
        inputs[name] = _spoil(inputs[name], how)
        # A bad x or A shows as a mismatch with the others where it is itself a possible one.
        culprit = r"\w+" if name in ("x", "A") and how in ("last", "first", "double", "device") else name
        with pytest.raises(ValueError, match=rf"^selective_scan: {culprit} must .*, got "):
            selective_scan(**inputs)


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("name", CONV_NAMES)
def test_conv_names_the_argument(name, conv_inputs):
    for how in WAYS:
        inputs = conv_inputs(2, 5, 3, 4, torch.float32)
        inputs[name] = _spoil(inputs[name], how)
        culprit = r"\w+" if name in ("x", "weight") and how in ("last", "first", "double", "device") else name
        with pytest.raises(ValueError, match=rf"^causal_conv1d: {culprit} must .*, got "):
            causal_conv1d(**inputs)


def test_length_zero_is_an_error(scan_inputs, conv_inputs):
    inputs = {
        k: t[:, :0] if k in ("x", "dt", "B", "C", "z", "gate", "keep") else t
        for k, t in scan_inputs(2, 5, 3, 4).items()
    }
    with pytest.raises(ValueError, match=r"x must have shape .* at least 1, got \(2, 0, 3\)"):
        selective_scan(**inputs)
    with pytest.raises(ValueError, match=r"x must have shape .* at least 1, got \(2, 0, 3\)"):
        causal_conv1d(inputs["x"], torch.zeros(3, 4, dtype=torch.float64))


def test_unknown_activation(conv_inputs):
    with pytest.raises(ValueError, match=r'activation must be None or "silu", got \'gelu\''):
        causal_conv1d(**conv_inputs(1, 2, 3, 4), activation="gelu")


def test_fuzz_answers_or_explains(scan_inputs):
    """Several random faults at once, 300 times: an answer of the right shape or a ValueError, never anything else."""
    rng = random.Random(0)
    answered, explanations = 0, []
    for round_number in range(300):
        sizes = [rng.choice([1, 2, 3, 17]) for _ in range(4)]
        dtype = rng.choice([torch.float32, torch.float64, torch.bfloat16])
        inputs = scan_inputs(*sizes, dtype, seed=round_number)
        for name in rng.sample(SCAN_NAMES, rng.choice([0, 0, 1, 2])):
            tensor = inputs[name]
            inputs[name] = rng.choice(
                [
                    tensor.transpose(0, -1),
                    tensor[..., ::2],
                    tensor.to(rng.choice([torch.float16, torch.float32])),
                    tensor.expand(2, *tensor.shape),
                    tensor[:1].expand_as(tensor),
                    tensor.to_sparse(),
                    None,
                ]
            )
        try:
            y, state = selective_scan(**inputs, dt_softplus=rng.random() < 0.5)
        except ValueError as error:
            explanations.append(str(error))
            continue
        answered += 1
        assert y.shape == inputs["x"].shape
        assert state.shape == (sizes[0], sizes[2], sizes[3])
    assert 100 < answered < 300
    for text in explanations:
        assert re.match(r"selective_scan: \w+ must .*, got ", text), text
