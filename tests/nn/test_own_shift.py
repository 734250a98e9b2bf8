"""The shift of the features of the very encoder that a model has."""

import copy

import pytest
import torch

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.own_shift import OwnShift
from ssm_sense.nn.shift import FeatureShift
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder


def model(source: OwnShift | None) -> SsmSense:
    torch.manual_seed(0)
    encoder, policy = TemporalEncoder(12, 16, grid=2, layers=1), SurprisePolicy(threshold=0.3, shortest_event_s=2.0)
    return SsmSense(encoder, LFPHead(16, 12), policy, Episode(16, 2, 1), CausalLM("nowhere"), 32, source=source).eval()


def latents(frames: int = 40) -> torch.Tensor:
    """Two streams of six-frame rooms."""
    draw = torch.Generator().manual_seed(1)
    rooms = torch.randn(2, frames // 6 + 1, 4, 12, generator=draw).repeat_interleave(6, 1)[:, :frames]
    return rooms + 0.3 * torch.randn(rooms.shape, generator=draw)


@torch.no_grad()
def test_it_is_the_shift_of_the_model_s_features_and_has_no_weights() -> None:
    ours, closed, x = model(OwnShift(0.7)), model(None), latents()
    assert ours.state_dict().keys() == closed.state_dict().keys()
    other = FeatureShift(ours.encoder, 0.7, memory=False)
    wanted, _ = other(ours.scale(x), other.initial_state(2))
    seconds = torch.arange(40.0, dtype=torch.float64).repeat(2, 1)
    trace, after = ours.observe(x, seconds, ours.initial_state(2))
    torch.testing.assert_close(trace.surprise, wanted)
    assert trace.decision.boundary.any()
    state, found = ours.initial_state(2), []
    for t in range(40):
        one, state = ours.observe(x[:, t : t + 1], seconds[:, t : t + 1], state)
        found.append(one.decision.boundary)
        assert state.nbytes == after.nbytes
    assert torch.equal(torch.cat(found, 1), trace.decision.boundary)
    for name in after:
        torch.testing.assert_close(state[name], after[name], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_copy_of_the_model_follows_its_own_encoder() -> None:
    first = model(OwnShift())
    second, x = copy.deepcopy(first), latents()
    second.encoder.embed.weight.mul_(torch.linspace(-1, 2, 12))
    seconds = torch.arange(40.0, dtype=torch.float64).repeat(2, 1)
    a, b = (m.observe(x, seconds, m.initial_state(2))[0].surprise for m in (first, second))
    assert not torch.allclose(a, b)


def test_without_an_encoder_or_a_share_it_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"call of\(\) first"):
        OwnShift().initial_state(1)
    with pytest.raises(ValueError, match=r"decay: expected a share in \[0, 1\), got 1"):
        OwnShift(1)
