"""Calibration finds τ where events are plain, hits the share of writes, and leaves the model as it came."""

import pytest
import torch

from ssm_sense.evaluate.calibrate import PASSES, SHARE_TOLERANCE, Watched, calibrate, watch_together
from ssm_sense.model import SsmSense
from ssm_sense.nn.lfp import lfp_loss


def rooms(seed: int, frames: int, every: int = 8) -> Watched:
    """Latents of rooms with a look each, left after a few frames, with noise, at 1 frame/s."""
    draw = torch.Generator().manual_seed(seed)
    looks = torch.randn(frames // every + 1, 4, 12, generator=draw)
    latents = looks[torch.arange(frames) // every] + 0.3 * torch.randn(frames, 4, 12, generator=draw)
    return Watched(latents, torch.arange(frames, dtype=torch.float64), [float(t) for t in range(0, frames, every)])


@pytest.fixture
def trained(model: SsmSense) -> SsmSense:
    """A model that has learned that the next frame is like this one, with a τ that finds next to nothing."""
    streams = torch.stack([rooms(seed, 32).latents for seed in range(100, 108)])
    optimizer = torch.optim.AdamW([*model.encoder.parameters(), *model.head.parameters()], lr=1e-2)
    for _ in range(60):
        u, _ = model.encoder(streams, model.encoder.initial_state(len(streams)))
        loss = sum(lfp_loss(model.head(u[:, :-1]), streams[:, 1:]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.policy.threshold.fill_(1.9)
    return model


def test_the_threshold_finds_the_events_and_the_gate_writes_the_share(trained: SsmSense) -> None:
    streams = [rooms(0, 64), rooms(1, 41), rooms(2, 50)]
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    told: list[tuple[int, int]] = []
    found = calibrate(trained, streams, 1.0, 0.6, lambda n, passed: told.append((n, passed)))
    assert found.passes[0].f1 < 0.2
    assert found.chosen.f1 > 0.9
    assert found.chosen.share == pytest.approx(0.6, abs=SHARE_TOLERANCE)
    assert found.chosen in found.passes
    assert len(found.passes) <= PASSES
    assert sum(n for n, _ in told) == 155 * len(found.passes)
    assert all(torch.equal(trained.state_dict()[name], tensor) for name, tensor in before.items())
    # The same numbers come of the values when the model is given them, stream by stream.
    with torch.no_grad():
        trained.policy.threshold.fill_(found.chosen.threshold)
        trained.policy.centre.fill_(found.chosen.centre)
    gates = torch.cat([watch_together(trained, [stream])[0][1] for stream in streams])
    assert float(gates.mean()) == pytest.approx(found.chosen.share, abs=1e-4)


def test_what_is_normalised_is_calibrated_in_its_own_units(trained: SsmSense) -> None:
    trained.policy.normalise_frames = 30
    trained.policy.threshold.fill_(50.0)
    found = calibrate(trained, [rooms(0, 64), rooms(1, 64)], 1.0, 0.6)
    assert found.passes[0].f1 == 0
    assert found.chosen.f1 > 0.8
    assert found.chosen.share == pytest.approx(0.6, abs=SHARE_TOLERANCE)


def test_without_a_share_the_centre_stays(trained: SsmSense) -> None:
    centre = trained.policy.centre.item()
    found = calibrate(trained, [rooms(0, 64)], 1.0)
    assert {one.centre for one in found.passes} == {centre}
    assert found.chosen.f1 == max(one.f1 for one in found.passes) > 0.9


def test_watching_together_is_watching_alone(model: SsmSense) -> None:
    streams = [rooms(3, 30), rooms(4, 17)]
    together = watch_together(model, streams)
    for stream, side_by_side in zip(streams, together, strict=True):
        (alone,) = watch_together(model, [stream])
        for a, b in zip(side_by_side, alone, strict=True):
            assert len(a) == len(stream.seconds)
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_what_cannot_be_calibrated_is_named(model: SsmSense) -> None:
    begun_only = rooms(0, 20)._replace(events_s=[0.0])
    with pytest.raises(ValueError, match="true boundaries"):
        calibrate(model, [begun_only])
    with pytest.raises(ValueError, match="floor"):
        calibrate(model, [rooms(0, 20)], writes=model.policy.floor)
