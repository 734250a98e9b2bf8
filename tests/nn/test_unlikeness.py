"""A frame of another room is less like its stay than one of the same, whatever the cut."""

import pytest
import torch

from ssm_sense.nn.places import Places
from ssm_sense.nn.unlikeness import Unlikeness


@pytest.fixture
def source() -> Unlikeness:
    torch.manual_seed(0)
    places = Places(8, 4, kinds=2, kept=1, width=16)
    torch.nn.init.normal_(places.down.weight)
    places.unlike.fill_(-3.5)
    return Unlikeness(places, 4)


@pytest.fixture
def walk() -> torch.Tensor:
    """(2, 30, 4, 8): a room every six frames."""
    looks = torch.randn(2, 5, 1, 8).repeat_interleave(6, 1) * 3
    return looks + 0.1 * torch.randn(2, 30, 4, 8)


def test_it_is_high_where_a_room_begins_and_the_same_at_all_locations(source: Unlikeness, walk: torch.Tensor) -> None:
    surprise, _ = source(walk, source.initial_state(2))
    assert surprise.shape == (2, 30, 4)
    assert (surprise == surprise[..., :1]).all()
    begins = torch.arange(30) % 6 == 0
    assert surprise[:, begins].min() > 2 * surprise[:, ~begins].max()
    assert (surprise[:, 0] == 1).all()


@pytest.mark.parametrize("cut", [1, 6, 17])
def test_cutting_changes_nothing_and_the_state_does_not_grow(source: Unlikeness, walk: torch.Tensor, cut: int) -> None:
    whole, end = source(walk, source.initial_state(2))
    first, middle = source(walk[:, :cut], source.initial_state(2))
    second, last = source(walk[:, cut:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    assert all(torch.allclose(last[name], end[name]) for name in end)
    assert middle.nbytes == end.nbytes == source.initial_state(2).nbytes
