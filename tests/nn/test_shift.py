"""The open loop, and the shift of its features: cut anywhere, seeded, and not the same as being wrong."""

import pytest
import torch

from ssm_sense.nn.lfp import LFPHead, surprise
from ssm_sense.nn.shift import FeatureShift, RecurrentLFP, train_recurrent
from ssm_sense.nn.sources import EmaDistance, StatelessLFP, SurpriseSource
from ssm_sense.nn.temporal import TemporalEncoder

PLACES, VISION, WIDTH = 4, 8, 16
SIZES = {"width": WIDTH, "layers": 1, "heads": 2, "state_size": 4}


def encoder() -> TemporalEncoder:
    torch.manual_seed(3)
    return TemporalEncoder(VISION, WIDTH, 2, 1, 2, 4).eval()


def turning(seed: int, frames: int = 24) -> torch.Tensor:
    """Latents (T, S, V) that one fixed rotation carries from frame to frame."""
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(VISION, VISION, generator=torch.Generator().manual_seed(9)))[0]
    latents = [torch.randn(PLACES, VISION, generator=draw)]
    while len(latents) < frames:
        latents.append(latents[-1] @ turn)
    return torch.stack(latents)


@pytest.mark.parametrize("kind", ["open loop", "shift", "shift without memory"])
@torch.no_grad()
def test_any_cut_of_a_stream_gives_the_same(kind: str) -> None:
    source: SurpriseSource = {
        "open loop": RecurrentLFP(encoder(), LFPHead(WIDTH, VISION)),
        "shift": FeatureShift(encoder()),
        "shift without memory": FeatureShift(encoder(), memory=False),
    }[kind]
    latents = torch.randn(2, 30, PLACES, VISION, generator=torch.Generator().manual_seed(0))
    whole, end = source(latents, source.initial_state(2))
    first, state = source(latents[:, :11], source.initial_state(2))
    rest, after = source(latents[:, 11:], state)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)
    torch.testing.assert_close(dict(after), dict(end))
    assert whole.shape == (2, 30, PLACES)
    assert (whole[:, 0] - 1).abs().max() < 1e-6
    assert after.nbytes == state.nbytes == source.initial_state(2).nbytes


@torch.no_grad()
def test_the_open_loop_is_wrong_by_what_its_state_expected() -> None:
    source = RecurrentLFP(encoder(), LFPHead(WIDTH, VISION))
    latents = torch.randn(1, 12, PLACES, VISION, generator=torch.Generator().manual_seed(1))
    wrong, _ = source(latents, source.initial_state(1))
    u, _ = source.encoder(latents, source.encoder.initial_state(1))
    torch.testing.assert_close(wrong[:, 1:], surprise(source.head(u)[:, :-1], latents[:, 1:]))
    assert source.losses(latents)["cosine"] == pytest.approx(float(wrong[:, 1:].mean()), abs=1e-6)


@torch.no_grad()
def test_without_memory_it_is_the_features_of_single_frames() -> None:
    one = encoder()
    latents = torch.randn(2, 9, PLACES, VISION, generator=torch.Generator().manual_seed(2))
    singles = torch.stack([one(latents[:, t : t + 1], one.initial_state(2))[0][:, 0] for t in range(9)], 1)
    average = EmaDistance(PLACES, WIDTH, 0.6)
    expected, _ = average(singles, average.initial_state(2))
    source = FeatureShift(one, decay=0.6, memory=False)
    found, _ = source(latents, source.initial_state(2))
    torch.testing.assert_close(found, expected)
    with_memory, _ = FeatureShift(one, decay=0.6)(latents, FeatureShift(one).initial_state(2))
    assert (with_memory - found).abs().max() > 1e-3
    assert StatelessLFP(one, LFPHead(WIDTH, VISION)).encoder is one


def test_training_is_seeded_and_learns() -> None:
    latents = [turning(0), turning(1)]
    before = torch.get_rng_state()
    trained, again, other, untrained = (
        train_recurrent(latents, steps=steps, seed=seed, frames=16, batch_size=4, learning_rate=1e-2, **SIZES)
        for steps, seed in ((30, 0), (30, 0), (30, 1), (1, 0))
    )
    assert torch.equal(before, torch.get_rng_state())
    with torch.no_grad():
        ours, same, others, none = (
            float(source.losses(turning(2)[None])["cosine"]) for source in (trained, again, other, untrained)
        )
    assert ours == same != others
    assert ours < 0.8 * none


def test_training_wants_long_enough_streams_on_a_square_grid() -> None:
    with pytest.raises(ValueError, match="64 or more frames on a square grid"):
        train_recurrent([torch.zeros(40, 4, 8)], steps=1)
    with pytest.raises(ValueError, match="square grid"):
        train_recurrent([torch.zeros(80, 3, 8)], steps=1)
