"""Usual rates are learned from streams whose true counts are known, and leave other kinds as they are."""

import pytest
import torch

from ssm_sense.evaluate.calibrate import Watched
from ssm_sense.evaluate.rates import learn_rates
from ssm_sense.model import SsmSense

FRAMES = 24


def watched(counts: dict[str, int] | None, seed: int = 0) -> Watched:
    draw = torch.Generator().manual_seed(seed)
    latents = torch.randn(FRAMES // 8, 4, 12, generator=draw).repeat_interleave(8, 0)
    return Watched(latents, torch.arange(FRAMES, dtype=torch.float64), [0.0, 8.0, 16.0], counts)


@torch.no_grad()
def found(model: SsmSense, stream: Watched, row: int) -> float:
    assert model.inventory is not None
    _, state = model.observe(stream.latents[None], stream.seconds[None], model.initial_state(1))
    return float(model.inventory.read(state.sub("inventory"))[0, row, 0])


@pytest.fixture
def counting(model: SsmSense) -> SsmSense:
    """Of random weights, each room holding about .3 chairs."""
    assert model.inventory is not None
    torch.nn.init.constant_(model.inventory.held.bias, -1.0)
    return model


def test_all_streams_together_hold_as_many_as_they_truly_do(counting: SsmSense) -> None:
    streams = [watched(None, seed) for seed in range(6)]
    before = [found(counting, stream, 0) for stream in streams]
    true = [round(1.5 * one + more) for one, more in zip(before, (1, 0, 0, 1, 0, 0), strict=True)]
    known = [stream._replace(counts={"chairs": n}) for stream, n in zip(streams, true, strict=True)]
    told = learn_rates(counting, [*known, watched(None, 9)])
    assert list(told) == ["chairs"], "of the other kind nothing was told"
    usual, scale = told["chairs"]
    assert scale == pytest.approx(sum(true) / sum(before), rel=1e-5)
    assert counting.inventory is not None
    assert counting.inventory.rates.known.tolist() == [True, False]
    assert counting.inventory.rates.usual[0].item() == usual
    assert 0.1 < usual < 0.9
    after = [found(counting, stream, 0) for stream in streams]
    assert sum(after) == pytest.approx(sum(true), rel=0.1)
    assert learn_rates(counting, known) == told, "learned anew, from what is found and not from what is read"


def test_the_scale_is_bounded_and_kinds_that_are_not_there_stay_unknown(counting: SsmSense) -> None:
    assert learn_rates(counting, [watched({"chairs": 10_000})])["chairs"][1] == 4.0
    assert learn_rates(counting, [watched({"chairs": 0, "kitchen": 0})]) == {}
    assert counting.inventory is not None
    assert not counting.inventory.rates.known.any()


def test_streams_without_counts_teach_nothing(counting: SsmSense) -> None:
    with pytest.raises(ValueError, match="true counts are known, got none"):
        learn_rates(counting, [watched(None)])
