"""mamba-ssm behind our ops: what it cannot serve is said, and what it can is passed on in its own layout.

The packages need a GPU build; stand-ins with their signatures, and autograd Functions like theirs, take their place.
"""

import sys
from functools import partial
from types import ModuleType

import pytest
import torch

from ssm_sense.errors import UserError
from ssm_sense.ops import causal_conv1d, dispatch, lean, lean_conv, reference, selective_scan
from ssm_sense.ops.cuda import backends, upstream

SERVED = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias")
taken_channels_last = []


class _Scan(torch.autograd.Function):
    """In their layout; like their extension it records nothing inside, and ignores the final state's gradient."""

    @staticmethod
    def forward(ctx, u, delta, A, B, C, D, z, bias, softplus):
        u, delta, B, C, z = (None if t is None else t.transpose(1, 2) for t in (u, delta, B, C, z))
        ctx.given = (u, delta, A, B, C, D, z, bias, softplus, None, None, None)
        y, state, ctx.checkpoints = lean.scan_forward(*ctx.given, True)
        return y.transpose(1, 2), state

    @staticmethod
    def backward(ctx, grad, _):
        state = torch.zeros_like(ctx.given[2]).expand(len(grad), -1, -1)
        grads = lean.scan_backward(grad.transpose(1, 2), state, *ctx.given, ctx.checkpoints)
        flipped = [t.transpose(1, 2) if i in (0, 1, 3, 4, 6) and t.dim() == 3 else t for i, t in enumerate(grads[:8])]
        return *(g if t is not None else None for g, t in zip(flipped, ctx.given, strict=False)), None


def _selective_scan_fn(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False
):
    out, state = _Scan.apply(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    return (out, state) if return_last_state else out


def _takes(t):
    """What their extension asks of a tensor (batch, E, length) before it reads it."""
    channels_last = t.stride(1) == 1 and t.stride(2) > 1
    assert t.stride(1) == 1 or t.stride(2) == 1
    if channels_last:
        assert all(n % 8 == 0 for n in (t.shape[1], t.stride(0), t.stride(2)))
        assert t.data_ptr() % 16 == 0
    return channels_last


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, silu):
        ctx.channels_last = _takes(x)
        taken_channels_last.append(ctx.channels_last)
        ctx.given = (x.transpose(1, 2), weight, bias, None, None, silu)
        return lean_conv.conv_forward(*ctx.given)[0].transpose(1, 2)

    @staticmethod
    def backward(ctx, grad):
        if ctx.channels_last and grad.stride(1) == 1:
            _takes(grad)
        x, weight, bias = ctx.given[:3]
        history = x.new_zeros(x.shape[0], weight.shape[1] - 1, x.shape[2])
        grads = lean_conv.conv_backward(grad.transpose(1, 2), history, *ctx.given)
        return grads[0].transpose(1, 2), grads[1], None if bias is None else grads[2], None


def _causal_conv1d_fn(x, weight, bias=None, activation=None):
    return _Conv.apply(x, weight, bias, activation == "silu")


@pytest.fixture
def stand_ins(monkeypatch):
    """The packages, and their backend pinned behind the ops for tensors on the CPU."""
    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.selective_scan_interface", "causal_conv1d"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["mamba_ssm.ops.selective_scan_interface"].selective_scan_fn = _selective_scan_fn
    sys.modules["causal_conv1d"].causal_conv1d_fn = _causal_conv1d_fn
    monkeypatch.setitem(dispatch._KERNELS, "mamba-ssm", backends._UPSTREAM)
    monkeypatch.setitem(dispatch._DIRECT, "mamba-ssm", dispatch._DIRECT["torch"])
    with dispatch.use_backend("mamba-ssm"):
        yield


def _gradients(op, inputs, **options):
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in inputs.items()}
    y, state = op(**leaves, **options)
    weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
    return [y.detach(), state.detach(), *torch.autograd.grad((y.float() * weights).sum(), list(leaves.values()))]


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("names", [SERVED, SERVED[:5]])
def test_scans_it_can_serve(names, scan_inputs):
    inputs = {name: tensor for name, tensor in scan_inputs(2, 9, 5, 4, torch.float32).items() if name in names}
    got = _gradients(selective_scan, inputs, dt_softplus=True)
    truth = _gradients(reference.selective_scan, inputs, dt_softplus=True)
    for a, b in zip(got, truth, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("length", [2, 9])
def test_convolutions_it_can_serve(length, conv_inputs, run_with_gradients):
    """The gradient of the final state too, which is no more than a copy of inputs."""
    inputs = {k: t for k, t in conv_inputs(2, length, 5, 4, torch.float32).items() if k in ("x", "weight", "bias")}
    got = run_with_gradients(causal_conv1d, inputs, activation="silu")
    truth = run_with_gradients(reference.causal_conv1d, inputs, activation="silu")
    for name, tensor in truth.items():
        torch.testing.assert_close(got[name], tensor)


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize(("channels", "offset", "expected"), [(16, 0, True), (16, 3, False), (5, 0, False)])
def test_a_convolution_is_passed_on_in_a_layout_that_its_kernels_take(
    length, channels, offset, expected, conv_inputs, run_with_gradients
):
    """As it lies where they take that; a projection's half that begins anywhere, or has any width, as a copy."""
    inputs = {k: t for k, t in conv_inputs(2, length, channels, 4, torch.float32).items() if k in ("x", "weight")}

    def half_of_a_projection(op, **leaves):
        before, after = (leaves["x"].new_zeros(2, length, n) for n in (offset, channels - offset))
        x = torch.cat([before, leaves["x"], after], dim=-1)[..., offset : offset + channels]
        return op(**{**leaves, "x": x}, activation="silu")

    taken_channels_last.clear()
    got = run_with_gradients(partial(half_of_a_projection, causal_conv1d), inputs)
    assert taken_channels_last == [expected] * 2
    truth = run_with_gradients(partial(half_of_a_projection, reference.causal_conv1d), inputs)
    for name, tensor in truth.items():
        torch.testing.assert_close(got[name], tensor)


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("name", ["gate", "keep", "initial_state"])
def test_what_it_lacks_is_said(name, scan_inputs, conv_inputs):
    everything = scan_inputs(2, 5, 3, 4, torch.float32)
    inputs = {key: tensor for key, tensor in everything.items() if key in (*SERVED, name)}
    with pytest.raises(UserError, match=rf"selective_scan: mamba-ssm lacks {name}, .* backend 'cuda' can"):
        selective_scan(**inputs)
    if name != "gate":
        conv = {key: tensor for key, tensor in conv_inputs(2, 5, 3, 4).items() if key in ("x", "weight", name)}
        with pytest.raises(UserError, match=rf"causal_conv1d: causal-conv1d lacks {name}, float64"):
            causal_conv1d(**conv)


@pytest.mark.usefixtures("stand_ins")
def test_a_gradient_of_the_final_state_is_refused(scan_inputs):
    inputs = {name: scan_inputs(1, 5, 3, 4, torch.float32)[name].requires_grad_() for name in SERVED}
    with pytest.raises(UserError, match="mamba-ssm lacks a gradient of the final state"):
        selective_scan(**inputs)[1].sum().backward()


def test_a_package_that_is_missing_is_named(scan_inputs, conv_inputs, monkeypatch):
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    monkeypatch.setitem(sys.modules, "causal_conv1d", None)
    scan, conv = scan_inputs(1, 5, 3, 4, torch.float32), conv_inputs(1, 5, 3, 4, torch.float32)
    required = [scan[name] for name in SERVED[:5]]
    with pytest.raises(UserError, match="backend 'mamba-ssm' needs mamba-ssm, built for CUDA"):
        upstream.scan_forward(*required, None, None, None, True, None, None, None, False)
    with pytest.raises(UserError, match="needs causal-conv1d, built for CUDA"):
        upstream.conv_forward(conv["x"], conv["weight"], None, None, None, True)
