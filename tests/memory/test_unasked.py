"""Training on prediction alone: seeded, better for it, and what is not trained stays."""

from collections.abc import Sequence

import pytest
import torch

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.lfp_window import LFPWindow
from ssm_sense.memory.unasked import train_closed_loop, train_window
from ssm_sense.model import SsmSense


@pytest.fixture
def streams() -> Sequence[torch.Tensor]:
    """Latents (24, 4, 12) that one fixed rotation carries from frame to frame."""
    draw = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=draw))[0]
    found = []
    for _ in range(3):
        latents = [torch.randn(4, 12, generator=draw)]
        while len(latents) < 24:
            latents.append(latents[-1] @ turn)
        found.append(torch.stack(latents))
    return found


def test_the_closed_loop_learns_to_predict_and_nothing_else_is_touched(model: SsmSense, streams) -> None:
    begun = {k: v.clone() for k, v in model.state_dict().items()}
    losses = train_closed_loop(model, streams, steps=18, batch_size=4, frames=16, learning_rate=1e-2, progress=False)
    after = model.state_dict()
    changed = {k.split(".")[0] for k in begun if not torch.equal(begun[k], after[k])}
    assert changed == {"encoder", "head", "scale", "policy"}
    assert [k for k in after if k.startswith("policy") and not torch.equal(begun[k], after[k])] == ["policy.threshold"]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert not model.training
    model.load_state_dict(begun)
    again = train_closed_loop(model, streams, steps=2, seed=0, batch_size=4, frames=16, progress=False)
    model.load_state_dict(begun)
    other = train_closed_loop(model, streams, steps=2, seed=1, batch_size=4, frames=16, progress=False)
    assert again != other


def test_the_window_learns_to_predict(language: CausalLM, streams) -> None:
    torch.manual_seed(1)
    model = LFPWindow(language, 32, vision_width=12, places=4, window=4)
    losses = train_window(model, streams, steps=25, batch_size=4, frames=16, learning_rate=1e-2, progress=False)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert float(model.scale.mean.abs().max()) > 0
    assert not model.training


def test_streams_must_be_long_enough(model: SsmSense, streams) -> None:
    with pytest.raises(ValueError, match="streams of 30 frames or more"):
        train_closed_loop(model, streams, steps=1, frames=30)
    with pytest.raises(ValueError, match="streams of 96 frames or more"):
        train_closed_loop(model, [], steps=1)
