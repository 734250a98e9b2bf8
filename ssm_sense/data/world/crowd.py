"""How many countable things the rooms of a stream hold, where the controls say so."""

import numpy as np

from ssm_sense.data.world.controls import Controls
from ssm_sense.data.world.house import Crowd
from ssm_sense.data.world.names import CROWD, random_stream

CROWDED = ("stool", "plant", "box", "ball", "bin", "basket", "vase")
"""Countable things small enough that a room holds many; a count stream with a range asks about one of them, unless its
controls name others."""


def crowd_category(controls: Controls, split: str, seed: int) -> str:
    """The category that a count stream with a range is about."""
    among = controls.count_of or CROWDED
    return among[int(random_stream(split, seed, CROWD, 0).integers(len(among)))]


def crowd(controls: Controls, rooms: list[int], split: str, seed: int) -> Crowd | None:
    """What the controls ask for in the rooms that a stream shows (an entry for each frame); None for nothing."""
    if not controls.rate and controls.count_range is None:
        return None
    entered = {room: frame for frame, room in reversed(list(enumerate(rooms)))}
    parts = len(controls.rate)
    times = {room: controls.rate[frame * parts // len(rooms)] if parts else 1.0 for room, frame in entered.items()}
    if controls.count_range is None:
        return Crowd(times)
    low, high = controls.count_range
    rng = random_stream(split, seed, CROWD, 1)
    wanted = min(int(low * ((high + 1) / low) ** float(rng.random())), high)
    # In proportion to the time that a room is seen for, so that what is there has a chance to be counted.
    shares = np.array([times[room] * np.sqrt(rooms.count(room)) for room in sorted(entered)])
    if not shares.any():
        shares[:] = 1.0
    numbers = rng.multinomial(wanted, shares / shares.sum())
    category = crowd_category(controls, split, seed)
    return Crowd(times, category, dict(zip(sorted(entered), map(int, numbers), strict=True)))
