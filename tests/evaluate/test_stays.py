"""Stays end by themselves where that finds more true boundaries than events alone, and never where it does not."""

import pytest
import torch

from ssm_sense.evaluate.calibrate import Watched
from ssm_sense.evaluate.stays import learn_stays
from ssm_sense.model import SsmSense

FRAMES, STAY = 48, 8


@pytest.fixture
def deaf(model: SsmSense) -> SsmSense:
    """It feels no event, and its keys point as what they are made of does."""
    model.policy.threshold.fill_(2.0)
    assert model.inventory is not None
    torch.nn.init.normal_(model.inventory.places.down.weight)
    return model


def watched(seed: int) -> Watched:
    draw = torch.Generator().manual_seed(seed)
    rooms = torch.randn(FRAMES // STAY, 4, 12, generator=draw).repeat_interleave(STAY, 0)
    latents = rooms + 0.05 * torch.randn(FRAMES, 4, 12, generator=draw)
    return Watched(latents, torch.arange(FRAMES, dtype=torch.float64), [float(t) for t in range(0, FRAMES, STAY)])


def test_rooms_that_no_event_tells_apart_are_told_by_their_looks(deaf: SsmSense) -> None:
    before, best = learn_stays(deaf, [watched(seed) for seed in range(4)], 0.0)
    assert (before.unlike, before.f1, before.recall) == (None, 0.0, 0.0)
    assert best.f1 > 0.9
    assert deaf.inventory is not None
    assert deaf.inventory.places.unlike.item() == best.unlike
    _, state = deaf.observe(watched(9).latents[None], watched(9).seconds[None], deaf.initial_state(1))
    assert state["inventory.frames"].tolist() == [STAY]


@torch.no_grad()
def test_where_events_are_all_there_is_to_find_stays_end_with_them_alone(model: SsmSense) -> None:
    streams = []
    for one in (watched(0), watched(1)):
        trace, _ = model.observe(one.latents[None], one.seconds[None], model.initial_state(1))
        streams.append(one._replace(events_s=one.seconds[trace.decision.boundary[0]].tolist()))
    before, best = learn_stays(model, streams, 0.0)
    assert best == before
    assert before.f1 == 1.0
    assert model.inventory is not None
    assert model.inventory.places.unlike.item() == -torch.inf
