"""Training on the latent world: batches are functions of their number, grow in load, and can be learned."""

from types import SimpleNamespace

import pytest
import torch

from ssm_sense.commands.latent_fit import LatentCLI
from ssm_sense.data.world.latent import LatentWorld
from ssm_sense.errors import UserError
from ssm_sense.lit.latent import LatentBatches, LatentData, LatentModule
from ssm_sense.nn.frame_bank import FrameBank

WORLD = LatentWorld(width=16, needles=16, places=4, categories=2)


def batches(**changed: float) -> LatentBatches:
    shape = {"streams": 8, "events": 20, "facts": 12, "asked": 4, "held": 0, "grown": 0, "seed": 0}
    return LatentBatches(WORLD, **{**shape, **changed})


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    ones, others = batches(), batches(seed=1)
    for number, later in zip((3, 4), batches(start=3, count=2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ones.batch(number), later, strict=True))
    assert not torch.equal(ones.batch(3).places[:1, :1], others.batch(3).places[:1, :1]) or not torch.equal(
        ones.batch(3).codes[:1], others.batch(3).codes[:1]
    )


def test_streams_grow_to_their_full_length_and_load() -> None:
    first = [batches(held=100, grown=1000, seed=seed).batch(99) for seed in range(40)]
    last = [batches(held=100, grown=1000, seed=seed).batch(1099) for seed in range(40)]
    assert max(batch.frames.shape[1] for batch in first) <= 12 < max(batch.frames.shape[1] for batch in last) <= 20
    assert max(len(batch.codes) for batch in last) == 4
    wandered = [bool((batch.others[:, 0] >= 0).all()) for batch in last]
    assert 5 < sum(wandered) < 35


def test_a_share_of_batches_is_matched_and_the_others_are_as_long() -> None:
    whole, some = batches(), batches(matched=0.25)
    asked = [len(some.batch(number).codes) > 0 for number in range(16)]
    assert asked == [number % 4 == 3 for number in range(16)]
    for number in range(16):
        batch = some.batch(number)
        assert batch.frames.shape == whole.batch(number).frames.shape
        assert asked[number] or (batch.others == -1).all()
    with pytest.raises(ValueError, match="matched: expected a share, 0 to 1, got 2"):
        batches(matched=2)


def test_a_batch_without_needles_teaches_counting_alone() -> None:
    module = LatentModule(WORLD, FrameBank(32))
    losses, _ = module._losses(batches(matched=0.0).batch(0))
    assert losses["recall"] == losses["order"] == losses["newest"] == 0 < losses["counts"]
    losses["loss"].backward()
    assert module.model.number.weight.grad.abs().sum() > 0
    assert module.model.place.weight.grad.abs().sum() == 0


def test_more_facts_than_events_are_refused() -> None:
    with pytest.raises(ValueError, match="facts: expected at most events - 4 = 16, got 17"):
        batches(facts=17)


def test_attention_over_all_frames_learns() -> None:
    torch.manual_seed(0)
    module = LatentModule(WORLD, FrameBank(32))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    drawn = batches(streams=32, events=12, facts=4)
    recall = []
    for number in range(60):
        losses, _ = module._losses(drawn.batch(number))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        recall.append(float(losses["recall"].detach()))
    chance = torch.log(torch.tensor(4.0)).item()
    assert sum(recall[:5]) / 5 > 0.9 * chance
    assert sum(recall[-10:]) / 10 < 0.7 * chance


def test_epochs_go_on_and_several_devices_are_refused() -> None:
    data = LatentData(events=12, facts=4, batch_size=2)
    data.world = LatentWorld()
    data.trainer = SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=-1)))
    loader = data.train_dataloader()
    first = next(iter(loader)).frames
    data.trainer.fit_loop.epoch_loop.total_batch_idx = 0
    assert not torch.equal(next(iter(loader)).frames, first)
    with pytest.raises(UserError, match=r"expected one device, got 2: say --trainer.devices 1"):
        LatentCLI.before_fit(SimpleNamespace(trainer=SimpleNamespace(world_size=2)))
