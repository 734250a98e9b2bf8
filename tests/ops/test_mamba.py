"""mamba-ssm's entry points over our scan: its published grid of cases, against a loop written in its layouts."""

import pytest
import torch
import torch.nn.functional as F

from ssm_sense.ops.mamba import selective_scan_fn, selective_state_update

# The tolerances mamba-ssm publishes for float32.
RTOL, ATOL = 6e-4, 2e-3


def _loop(u, delta, A, B, C, D, z, delta_bias):
    """(out, last state) step by step, B and C (batch, groups, N, L)."""
    delta = F.softplus(delta + delta_bias[:, None])
    B, C = (t.repeat_interleave(u.shape[1] // t.shape[1], dim=1) for t in (B, C))
    h, ys = torch.zeros(u.shape[0], *A.shape), []
    for t in range(u.shape[2]):
        h = torch.exp(delta[:, :, t, None] * A) * h + (delta * u)[:, :, t, None] * B[..., t]
        ys.append((h * C[..., t]).sum(-1))
    return (torch.stack(ys, -1) + D[:, None] * u) * F.silu(z), h


def _inputs(length, groups, batch=2, channels=4, n=8):
    torch.manual_seed(0)
    tensors = {
        "u": torch.randn(batch, channels, length),
        "delta": 0.5 * torch.rand(batch, channels, length),
        "A": -0.5 * torch.rand(channels, n),
        "B": torch.randn(batch, groups, n, length),
        "C": torch.randn(batch, groups, n, length),
        "D": torch.randn(channels),
        "z": torch.randn(batch, channels, length),
        "delta_bias": 0.5 * torch.rand(channels),
    }
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("length", [128, 256, 372, 512, 784, 1024, 1134, 2048, 4096])
def test_published_grid(length, groups):
    inputs = _inputs(length, groups)
    out, state = selective_scan_fn(**inputs, delta_softplus=True, return_last_state=True)
    true_out, true_state = _loop(**inputs)
    torch.testing.assert_close(out, true_out, rtol=RTOL, atol=ATOL)
    torch.testing.assert_close(state, true_state, rtol=RTOL, atol=ATOL)
    g_out, g_state = torch.randn_like(out), torch.randn_like(state)
    grads = torch.autograd.grad((out, state), list(inputs.values()), (g_out, g_state))
    truths = torch.autograd.grad((true_out, true_state), list(inputs.values()), (g_out, g_state))
    for name, grad, truth in zip(inputs, grads, truths, strict=True):
        wider = 5 if name == "delta" else 2
        torch.testing.assert_close(
            grad, truth, rtol=RTOL * wider, atol=ATOL * 2 * wider, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_three_dimensional_B_and_C_are_one_group():
    inputs = _inputs(20, 1)
    flat = {**inputs, "B": inputs["B"][:, 0], "C": inputs["C"][:, 0]}
    assert torch.equal(selective_scan_fn(**flat), selective_scan_fn(**inputs))


@pytest.mark.parametrize("groups", [1, 2])
def test_state_update_step_by_step_is_the_scan(groups):
    inputs = {name: tensor.detach() for name, tensor in _inputs(9, groups).items()}
    whole, last = selective_scan_fn(**inputs, delta_softplus=True, return_last_state=True)
    state = torch.zeros_like(last)
    rest = (inputs["A"], inputs["D"], inputs["delta_bias"])
    for t in range(9):
        x, dt, B, C, z = (inputs[name][..., t] for name in ("u", "delta", "B", "C", "z"))
        out = selective_state_update(state, x, dt, rest[0], B, C, rest[1], z, rest[2], dt_softplus=True)
        torch.testing.assert_close(out, whole[..., t])
    torch.testing.assert_close(state, last)


def test_state_update_without_options():
    state = torch.zeros(1, 2, 3)
    ones = torch.ones(1, 2)
    out = selective_state_update(state, ones, ones, -torch.ones(2, 3), torch.ones(1, 3), torch.ones(1, 3))
    assert torch.equal(out, torch.full((1, 2), 3.0))
    assert torch.equal(state, torch.ones(1, 2, 3))


def test_bad_layouts_are_named():
    inputs = _inputs(5, 1)
    with pytest.raises(ValueError, match=r"B must be \(B, N, L\) or \(B, G, N, L\)"):
        selective_scan_fn(**{**inputs, "B": inputs["A"]})
    with pytest.raises(ValueError, match="C must have a number of groups that divides E = 4, got 3"):
        selective_scan_fn(**{**inputs, "C": inputs["C"].expand(-1, 3, -1, -1)})
    with pytest.raises(ValueError, match="u must have 3 dimensions"):
        selective_scan_fn(**{**inputs, "u": inputs["u"][0]})
