"""The way past torch's dispatcher: the same bits as the ordinary way, taken only where nobody could tell."""

import sys
import weakref

import pytest
import torch
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ssm_sense import ops
from ssm_sense.ops import causal_conv1d, direct, dispatch, reference, selective_scan

needs_native = pytest.mark.skipif(
    direct._found is None, reason="needs a C++ compiler at installation, and a torch with DLPack's exchange interface"
)
SCAN_ORDER = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "gate", "keep", "initial_state")


def _scan_directly(inputs):
    """What the short way answers, or None."""
    *first, gate, keep, state = (inputs.get(name) for name in SCAN_ORDER)
    with torch.inference_mode():
        short = dispatch.directly()
        return None if short is None else short["scan"](*first, True, gate, keep, state)


def _conv_directly(inputs):
    names = ("x", "weight", "bias", "keep", "initial_state")
    with torch.inference_mode():
        short = dispatch.directly()
        return None if short is None else short["conv"](*(inputs.get(name) for name in names), True)


@needs_native
@pytest.mark.parametrize("backend", [name for name in ops.available() if name != "torch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("batch", "length", "channels", "n"), [(1, 1, 32, 16), (5, 1, 37, 3), (3, 7, 16, 16), (40, 1, 128, 16)]
)
def test_the_bits_of_the_ordinary_way(batch, length, channels, n, dtype, backend, scan_inputs, conv_inputs):
    scan, conv = scan_inputs(batch, length, channels, n, dtype), conv_inputs(batch, length, channels, 4, dtype)
    required = ("x", "dt", "A", "B", "C")
    with ops.use_backend(backend):
        for name in (None, *SCAN_ORDER[5:]):
            for kept in ({k: t for k, t in scan.items() if k != name}, {k: scan[k] for k in (*required, name) if k}):
                pairs = zip(_scan_directly(kept), selective_scan(**kept, dt_softplus=True), strict=True)
                assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs), name
        for name in (None, "bias", "keep"):
            kept = {k: t for k, t in conv.items() if k != name}
            pairs = zip(_conv_directly(kept), causal_conv1d(**kept, activation="silu"), strict=True)
            assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs), name


@needs_native
def test_views_into_a_projection(scan_inputs):
    """x, dt, z, B, C as chunks of one tensor, as a block has them."""
    inputs = scan_inputs(3, 1, 32, 16, torch.float32)
    wide = torch.cat([inputs[name] for name in ("x", "dt", "z", "B", "C")], -1)
    inputs.update(zip(("x", "dt", "z", "B", "C"), wide.split([32, 32, 32, 16, 16], -1), strict=True))
    pairs = zip(_scan_directly(inputs), selective_scan(**inputs, dt_softplus=True), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def _spoiled(inputs):
    """Inputs that the short way must leave alone, by what is odd about them."""
    other = dict(inputs)
    yield "half precision", {**other, **{k: other[k].bfloat16() for k in ("x", "dt", "B", "C", "z")}}
    yield "two dtypes", {**other, "A": other["A"].double()}
    yield "rank", {**other, "C": other["C"][0]}
    yield "batch", {**other, "B": other["B"][:1]}
    yield "a state laid out the other way", {**other, "initial_state": other["initial_state"].mT.contiguous().mT}
    yield "strided rows", {**other, "x": other["x"].repeat(1, 1, 2)[..., ::2]}
    yield "spread out", {**other, "initial_state": other["initial_state"][:1].expand(2, -1, -1)}
    yield "sparse", {**other, "D": other["D"].to_sparse()}
    yield "sparse x", {**other, "x": other["x"].to_sparse()}
    yield "meta", {**other, "z": other["z"].to("meta")}
    yield "no A", {**other, "A": None}
    yield "a number", {**other, "dt": 1.0}
    yield "a negated view", {**other, "keep": torch._neg_view(other["keep"])}
    yield "zeros without memory", {**other, "z": torch._efficientzerotensor(other["z"].shape)}
    yield "empty", {**other, "x": other["x"][:0]}


@pytest.mark.usefixtures("each_backend")
def test_whatever_is_not_plain_is_left_to_the_ordinary_way(scan_inputs):
    for what, inputs in _spoiled(scan_inputs(2, 1, 32, 16, torch.float32)):
        assert _scan_directly(inputs) is None, what


def _negated(tensor):
    """The same numbers as a view that negates others when it is read."""
    return torch.complex(torch.zeros_like(tensor), -tensor).conj().imag


@needs_native
def test_lazy_negations_of_single_numbers_are_left_to_the_ordinary_way(scan_inputs, conv_inputs):
    """Nothing but the negation tells them from a dense tensor, where the last dimension is 1."""
    scan, conv = scan_inputs(1, 5, 1, 1, torch.float32), conv_inputs(1, 5, 1, 4, torch.float32)
    for name in SCAN_ORDER:
        with torch.inference_mode():
            y, state = selective_scan(**{**scan, name: _negated(scan[name])}, dt_softplus=True)
            wanted = selective_scan(**scan, dt_softplus=True)
        assert torch.equal(y, wanted[0]), name
        assert torch.equal(state, wanted[1]), name
    for name in ("x", "weight", "bias", "keep", "initial_state"):
        with torch.inference_mode():
            found = causal_conv1d(**{**conv, name: _negated(conv[name])}, activation="silu")
            wanted = causal_conv1d(**conv, activation="silu")
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True)), name


@needs_native
def test_much_work_does_not_hold_pythons_lock(scan_inputs):
    assert _scan_directly(scan_inputs(1, 1100, 64, 16, torch.float32)) is None


@needs_native
def test_other_arguments_are_left_to_the_ordinary_way(scan_inputs):
    *first, gate, keep, state = (scan_inputs(1, 1, 16, 16, torch.float32)[name] for name in SCAN_ORDER)
    with torch.inference_mode():
        short = dispatch.directly()["scan"]
        assert short(*first, False, gate, keep, state) is not None
        assert short(*first, 1, gate, keep, state) is None
        assert short(*first, False, gate, keep) is None
        assert short(*first, False, gate, keep, state, None) is None
        assert short() is None


@needs_native
def test_nothing_is_made_for_what_is_never_served(scan_inputs, conv_inputs):
    """Half precision here stands for a device, too, where each output would be an allocation at every step."""
    for dtype, made in ((torch.float32, 2), (torch.bfloat16, 0)):
        for directly, inputs in ((_scan_directly, scan_inputs), (_conv_directly, conv_inputs)):
            given = inputs(2, 1, 8, 4, dtype)
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
                found = directly(given)
            assert (found is not None) == (made > 0)
            assert sum(event.name == "aten::empty_like" for event in seen.events()) == made


@needs_native
def test_nothing_is_held_and_nothing_lost(scan_inputs, conv_inputs):
    """References are counted by hand there: to the arguments, to None, and to what is returned."""
    scan, conv = scan_inputs(1, 1, 16, 16, torch.float32), conv_inputs(1, 1, 16, 4, torch.float32)
    first = {**scan, "initial_state": None}
    wrong = {**scan, "C": None}
    held = [*scan.values(), *conv.values(), torch.Tensor, torch.nn.Parameter]

    def counts():
        return [sys.getrefcount(thing) for thing in held]

    before, of_none = counts(), sys.getrefcount(None)
    for _ in range(1000):
        answers = (*_scan_directly(scan), *_scan_directly(first), *_conv_directly(conv))
        assert _scan_directly(wrong) is None
        assert _conv_directly({**conv, "initial_state": None}) is None
    seen = [weakref.ref(answer) for answer in answers]
    del answers
    assert all(ref() is None for ref in seen)
    assert counts() == before
    assert abs(sys.getrefcount(None) - of_none) < 500


@needs_native
def test_nobody_is_passed_by(scan_inputs):
    """Autograd, dispatch modes, fake tensors and tracers see the op."""
    inputs = scan_inputs(1, 1, 16, 16, torch.float32)
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with torch.inference_mode(), Watch():
        selective_scan(**inputs)
    assert "ssm_sense.scan.default" in seen
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        assert isinstance(selective_scan(**inputs)[0], FakeTensor)
    assert selective_scan(**{**inputs, "x": inputs["x"].requires_grad_()})[0].requires_grad


@pytest.mark.usefixtures("each_backend")
def test_a_default_device_changes_nothing(scan_inputs, conv_inputs):
    scan, conv = scan_inputs(2, 3, 16, 4, torch.float32), conv_inputs(2, 3, 16, 4, torch.float32)
    truth = (*reference.selective_scan(**scan, dt_softplus=True), *reference.causal_conv1d(**conv))
    with torch.device("meta"):
        found = [*selective_scan(**scan, dt_softplus=True), *causal_conv1d(**conv)]
        with torch.inference_mode():
            found += [*selective_scan(**scan, dt_softplus=True), *causal_conv1d(**conv)]
    for a, b in zip(found, (*truth, *truth), strict=True):
        torch.testing.assert_close(a, b)


def test_an_older_torch_takes_the_ordinary_way(scan_inputs, monkeypatch):
    monkeypatch.setattr(direct, "_found", None)
    without = {"scan": direct.scan(0), "conv": direct.conv(0)}
    monkeypatch.setattr(dispatch, "_DIRECT", dict.fromkeys(ops.available(), without))
    inputs = scan_inputs(1, 1, 16, 16, torch.float32)
    assert _scan_directly(inputs) is None
    with torch.inference_mode():
        y, _ = selective_scan(**inputs, dt_softplus=True)
    torch.testing.assert_close(y, reference.selective_scan(**inputs, dt_softplus=True)[0])
