"""Sightings become as sure as things are in view, thing by thing, and what nothing is known of stays as it is."""

import pytest
import torch
from torch import Tensor

from ssm_sense.evaluate.calibrate import Watched
from ssm_sense.evaluate.sureness import learn_sureness
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder

SOUGHT = ("snowman", "giant duck")


@pytest.fixture
def seeking(language) -> SsmSense:
    torch.manual_seed(0)
    parts = [TemporalEncoder(12, 16, 2, 2), LFPHead(16, 12), SurprisePolicy(), Episode(16, 2, 2), language]
    return SsmSense(*parts, language_width=32, window=8, concepts=("chair", "sofa"), sought=SOUGHT).eval()


def watched(frames: int, seed: int, **shown: Tensor) -> Watched:
    latents = torch.randn(frames, 4, 12, generator=torch.Generator().manual_seed(seed))
    told = {name.replace("_", " "): there for name, there in shown.items()}
    return Watched(latents, torch.arange(frames, dtype=torch.float64), [0.0], None, told)


def at(frames: int, *places: int) -> Tensor:
    return torch.zeros(frames).index_fill(0, torch.tensor(places, dtype=torch.long), 1)


@torch.no_grad()
def found(model: SsmSense, *streams: Watched) -> Tensor:
    """(X,): how many frames of all show each thing, by how sure the model is."""
    assert model.sightings is not None
    logits = [model.sightings.sight(model.scale(s.latents[None]))[0][0] + model.sightings.moved for s in streams]
    return torch.sigmoid(torch.cat(logits)).sum(0)


def test_each_thing_is_found_as_often_as_it_is_there(seeking: SsmSense) -> None:
    long, short = watched(900, 0, snowman=at(900, 3, 800), giant_duck=at(900, *range(90))), watched(40, 1)
    short = short._replace(shown={"snowman": at(40, 7), "giant duck": at(40)})
    looked: list[int] = []
    moved = learn_sureness(seeking, [long, short], looked.append)
    assert looked == [900, 40]
    assert list(moved) == list(SOUGHT)
    assert found(seeking, long, short).tolist() == pytest.approx([3, 90], rel=1e-3)
    assert learn_sureness(seeking, [long, short]) == moved, "learned anew, not moved once more"


def test_frames_of_which_nobody_knows_count_on_neither_side(seeking: SsmSense) -> None:
    there = at(60, 5, 6)
    there[30:] = -1
    stream = watched(60, 2, snowman=there)
    learn_sureness(seeking, [stream, watched(50, 3)._replace(shown=None)])
    known = stream._replace(latents=stream.latents[:30])
    assert found(seeking, known)[0].item() == pytest.approx(2, rel=1e-3)


def test_what_is_never_or_always_there_keeps_its_own(seeking: SsmSense) -> None:
    assert seeking.sightings is not None
    seeking.sightings.moved.copy_(torch.tensor([-1.0, 0.5]))
    assert learn_sureness(seeking, [watched(20, 4, snowman=at(20), giant_duck=torch.ones(20))]) == {}
    assert learn_sureness(seeking, [watched(20, 4, robot=at(20, 1))]) == {}
    assert seeking.sightings.moved.tolist() == [-1.0, 0.5]


def test_streams_of_which_nothing_is_known_are_refused(seeking: SsmSense) -> None:
    with pytest.raises(ValueError, match="known what they show, got none"):
        learn_sureness(seeking, [watched(20, 5)._replace(shown=None)])
