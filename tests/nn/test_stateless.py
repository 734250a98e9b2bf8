"""Training the stateless predictor: seeded, and better for it."""

import pytest
import torch

from ssm_sense.nn.stateless import train_stateless


def turning(seed: int, frames: int = 40) -> torch.Tensor:
    """Latents (T, S, V) that one fixed rotation carries from frame to frame."""
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(9)))[0]
    latents = [torch.randn(4, 8, generator=draw)]
    while len(latents) < frames:
        latents.append(latents[-1] @ turn)
    return torch.stack(latents)


def test_training_is_seeded_and_learns() -> None:
    latents = [turning(0), turning(1)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    sizes = {"width": 16, "layers": 1, "heads": 2, "state_size": 4, "progress": False}
    trained, again, other, untrained = (
        train_stateless(latents, steps=steps, seed=seed, learning_rate=1e-2, **sizes)
        for steps, seed in ((80, 0), (80, 0), (80, 1), (1, 0))
    )
    assert torch.equal(before, torch.get_rng_state())
    with torch.no_grad():
        ours, same, others, none = (
            float(source.losses(turning(2)[None])["cosine"]) for source in (trained, again, other, untrained)
        )
    assert ours == same != others
    assert ours < 0.6 * none


def test_training_wants_pairs_on_a_square_grid() -> None:
    with pytest.raises(ValueError, match="square grid"):
        train_stateless([torch.zeros(5, 3, 4)], steps=1)
    with pytest.raises(ValueError, match="2 or more frames"):
        train_stateless([torch.zeros(1, 4, 4)], steps=1)
