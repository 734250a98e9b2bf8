"""One short tour, rendered once for all tests of the world: two minutes through a train house, 64 pixels a side."""

import pytest

from ssm_sense.data.world.renderer import Picture
from ssm_sense.data.world.stream import Recipe, Stream, compose, pictures, truth_of
from ssm_sense.data.world.truth import Truth


@pytest.fixture(scope="session")
def stream() -> Stream:
    return compose(Recipe("tour", "train", seed=3, minutes=2, size=64))


@pytest.fixture(scope="session")
def shots(stream: Stream) -> list[Picture]:
    return list(pictures(stream))


@pytest.fixture(scope="session")
def truth(stream: Stream, shots: list[Picture]) -> Truth:
    return truth_of(stream, [shot.visible for shot in shots])
