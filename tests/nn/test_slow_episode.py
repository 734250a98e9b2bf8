"""The slow episode is the episode with other decays, and a thousand events later still tells what came first."""

import pytest
import torch

from ssm_sense.nn.episode import Episode
from ssm_sense.nn.slow_episode import SlowEpisode

WIDTH = 16


def remembered(memory: Episode, events: int) -> float:
    """By how much two streams' states differ that differ in their first event alone."""
    u = torch.randn(1, events + 1, 1, WIDTH, generator=torch.Generator().manual_seed(1)).repeat(2, 1, 1, 1)
    u[1, 0] = -u[1, 0]
    boundary = torch.ones(2, events + 1, dtype=torch.bool)
    boundary[:, 0] = False
    with torch.no_grad():
        state = memory(u, boundary, memory.initial_state(2))["0.ssm"]
    return (state[0] - state[1]).norm().item()


def test_it_takes_the_weights_of_an_episode_and_is_then_the_same() -> None:
    torch.manual_seed(0)
    slow, plain = SlowEpisode(WIDTH, 1, 1, 4), Episode(WIDTH, 1, 1, 4)
    slow.load_state_dict(plain.state_dict())
    assert remembered(slow, 5) == remembered(plain, 5)


def test_a_thousand_events_later_it_still_tells_what_came_first() -> None:
    shares = []
    for kind in (Episode, SlowEpisode):
        torch.manual_seed(0)
        memory = kind(WIDTH, 1, 1, 16)
        shares.append(remembered(memory, 1000) / remembered(memory, 1))
    assert shares[0] < 0.1 < 0.3 < shares[1]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="decays: expected two above 0, the lower first"):
        SlowEpisode(WIDTH, decays=(0.1, 0.01))
