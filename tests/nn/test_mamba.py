"""The Mamba block equals transformers' with the same weights, cuts anywhere, holds and resets exactly."""

import pytest
import torch
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from ssm_sense.nn.mamba import Mamba
from ssm_sense.state import State


def pair(width: int = 16) -> tuple[Mamba, MambaMixer]:
    torch.manual_seed(0)
    config = MambaConfig(hidden_size=width, state_size=8, num_hidden_layers=1, use_bias=False, use_conv_bias=True)
    theirs = MambaMixer(config, layer_idx=0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return Mamba(width, state_size=8), theirs


@pytest.mark.parametrize("length", [1, 3, 50])
def test_equals_transformers_mixer(length: int) -> None:
    ours, theirs = pair()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, length, 16)
    y, _ = ours(x, ours.initial_state(2))
    torch.testing.assert_close(y, theirs(x), atol=1e-5, rtol=1e-5)


def test_weights_load_both_ways() -> None:
    ours, theirs = pair()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 9, 16)
    torch.testing.assert_close(ours(x, ours.initial_state(2))[0], theirs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conv_width", [0, 4])
@pytest.mark.parametrize("cut", [1, 2, 7, 19])
def test_cutting_changes_nothing(conv_width: int, cut: int) -> None:
    torch.manual_seed(0)
    block = Mamba(8, conv_width=conv_width)
    x, gate = torch.randn(3, 20, 8), torch.rand(3, 20)
    keep = (torch.rand(3, 20) > 0.2).float() * torch.rand(3, 20)
    whole, end = block(x, block.initial_state(3), gate, keep)
    first, middle = block(x[:, :cut], block.initial_state(3), gate[:, :cut], keep[:, :cut])
    second, end_of_cut = block(x[:, cut:], middle, gate[:, cut:], keep[:, cut:])
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-6, rtol=1e-5)
    for name in end:
        torch.testing.assert_close(end_of_cut[name], end[name], atol=1e-6, rtol=1e-5)
    assert end.nbytes == block.initial_state(3).nbytes


def test_gate_zero_holds_to_the_bit() -> None:
    block = Mamba(8)
    _, state = block(torch.randn(2, 5, 8), block.initial_state(2))
    _, held = block(torch.randn(2, 6, 8), state, torch.zeros(2, 6))
    assert torch.equal(held["ssm"], state["ssm"])


def test_keep_zero_is_a_fresh_start() -> None:
    block = Mamba(8)
    _, used = block(torch.randn(2, 5, 8), block.initial_state(2))
    x, keep = torch.randn(2, 6, 8), torch.ones(2, 6)
    keep[:, 0] = 0
    after_reset, _ = block(x, used, keep=keep)
    torch.testing.assert_close(after_reset, block(x, block.initial_state(2))[0])


def test_gradient_reaches_weights_and_earlier_frames_through_the_state() -> None:
    block = Mamba(8)
    early = torch.randn(1, 4, 8, requires_grad=True)
    _, state = block(early, block.initial_state(1))
    y, _ = block(torch.randn(1, 1, 8), State(state), torch.zeros(1, 1))
    y.sum().backward()
    assert early.grad is not None
    assert early.grad.abs().sum() > 0
    assert all(p.grad is not None for p in block.parameters())
