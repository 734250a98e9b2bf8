"""What the camera does, frame by frame: the walk, cut into stays in rooms and put together again as the controls say.

A stay is what the walk shows of one room between its doors. Without controls the stays are joined as they came, which
is the walk itself.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np

from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.controls import Controls
from ssm_sense.data.world.house import House
from ssm_sense.data.world.names import DECOY, ORDER, random_stream
from ssm_sense.data.world.walk import TICKS_PER_S, walk
from ssm_sense.errors import UserError

FADE_S = 2.0
SHORTEST_STAY_S = 4.5
"""Of those that are cut or faded to; what the walk shows of a room for a shorter time is left out."""
_DOOR_M = 1.1
"""A cut or faded stay leaves out what is closer to a door."""
_JUMP_STAY_TICKS = 10 * TICKS_PER_S
_LEAST_JUMP = 60.0
"""Degrees of yaw, and 40 for each metre."""

Tick = tuple[Pose, int]


@dataclass(frozen=True)
class Blend:
    """A second picture mixed into a frame: `part` 256ths of the view from `pose` in `room`, the smaller part."""

    pose: Pose
    room: int
    part: int


@dataclass(frozen=True)
class Script:
    """shots: pose and room of every frame; blends: of the frames of a cross-fade; jumps: frames after a camera jump."""

    shots: tuple[Tick, ...]
    blends: dict[int, Blend] = field(default_factory=dict)
    jumps: tuple[int, ...] = ()


class _Stay(NamedTuple):
    """Ticks in one room; `jump` is the first one after a jump of the camera."""

    ticks: list[Tick]
    jump: int | None = None


class _Moment(NamedTuple):
    shot: Tick
    blend: Blend | None = None
    jumped: bool = False


def write_script(house: House, controls: Controls, frames: int, fps: int, dwell_s: float) -> Script:
    """The script of `frames` frames at `fps` through `house`, which must have enough rooms.

    Raises UserError where the stream is too short for the rooms to be seen again, or the stays for a cut.
    """
    step = TICKS_PER_S // fps
    wanted = frames * step
    stays = _ordered(house, controls, wanted, dwell_s)
    shots: list[Tick] = []
    blends: dict[int, Blend] = {}
    jumps: list[int] = []
    for tick, moment in enumerate(islice(_joined(stays, _fade_ticks(controls)), wanted)):
        if moment.jumped and -(-tick // step) < frames:
            jumps.append(-(-tick // step))
        if tick % step == 0:
            if moment.blend:
                blends[len(shots)] = moment.blend
            shots.append(moment.shot)
    if len(shots) < frames:
        raise UserError(
            f"the walk ended after {len(shots)} of {frames} frames: ask for stays longer than {dwell_s:g} s"
        )
    return Script(tuple(shots), blends, tuple(jumps))


def _fade_ticks(controls: Controls) -> int:
    return int(FADE_S * TICKS_PER_S) if controls.transition == "fade" else 0


def _ordered(house: House, controls: Controls, wanted: int, dwell_s: float) -> Iterable[_Stay]:
    """The stays in the order in which they are shown, enough for `wanted` ticks."""

    def stays(take: int) -> Iterator[_Stay]:
        return _stays(house, controls, dwell_s, take)

    if not controls.revisit:
        return stays(0)
    times = controls.revisit + 1
    fade = _fade_ticks(controls)
    if controls.revisit_order == "loop":
        base = list(_until(stays(0), -(-wanted // times), fade))
        if len(base) < 2:
            round_s = wanted / times / TICKS_PER_S
            raise UserError(f"{times} rounds of {round_s:.0f} s see fewer than 2 rooms: ask for more minutes")
        return (stay for _ in range(times + 1) for stay in base)
    return _shuffled(house, stays, times, wanted, fade)


def _until(stays: Iterable[_Stay], wanted: int, fade: int) -> Iterator[_Stay]:
    """The first `wanted` ticks, the last stay cut short, each but for what it shares with its neighbour's fade."""
    for stay in stays:
        long = len(stay.ticks) - fade
        if long >= wanted:
            # So short a rest could neither be faded to nor tell anything.
            if wanted >= 2 * fade + TICKS_PER_S:
                ticks = stay.ticks[: wanted + fade]
                yield _Stay(ticks, stay.jump if stay.jump and stay.jump < len(ticks) - fade else None)
            return
        wanted -= long
        yield stay


def _shuffled(
    house: House, stays: Callable[[int], Iterator[_Stay]], times: int, wanted: int, fade: int
) -> Iterator[_Stay]:
    """Each room `times` times, by another walk each, in any order in which no room follows itself, if there is one."""
    takes = [stays(take) for take in range(times)]
    visits: dict[int, list[_Stay]] = {}
    ticks, waiting = 0, [next(take, None) for take in takes]
    while ticks < wanted and all(waiting):
        # A take leaves out a room in which it stayed too briefly; then all of them do.
        newest = max(stay.ticks[0][1] for stay in waiting if stay)
        if all(stay.ticks[0][1] == newest for stay in waiting if stay):
            visits[newest] = [stay for stay in waiting if stay]
            ticks += sum(len(stay.ticks) - fade for stay in visits[newest])
            waiting = [next(take, None) for take in takes]
        else:
            waiting = [
                s if s and s.ticks[0][1] == newest else next(t, None) for s, t in zip(waiting, takes, strict=True)
            ]
    if len(visits) < 2:
        raise UserError(f"{times} visits a room leave time for {len(visits)} rooms: ask for more minutes")
    rng = random_stream(house.split, house.seed, ORDER)
    left = {room: list(reversed(of)) for room, of in visits.items()}
    last = -1
    while any(left.values()):
        rooms = [room for room, of in left.items() for _ in of if room != last] or [last]
        last = rooms[int(rng.integers(len(rooms)))]
        yield left[last].pop()


def _stays(house: House, controls: Controls, dwell_s: float, take: int) -> Iterator[_Stay]:
    """Stays in rooms in the order of the walk; cut or faded ones keep clear of doors and last a while."""
    apart = controls.transition != "walk"
    for room, ticks in groupby(walk(house, dwell_s, controls.pan, take), lambda tick: tick[1]):
        stay = [tick for tick in ticks if not apart or _from_door_m(house, tick) > _DOOR_M]
        if apart and len(stay) < SHORTEST_STAY_S * TICKS_PER_S:
            continue
        if controls.decoy == "jump":
            yield _jump(stay, random_stream(house.split, house.seed, DECOY, room, take))
        else:
            yield _Stay(stay)


def _from_door_m(house: House, tick: Tick) -> float:
    """Metres from the camera to the nearest door's middle, along the axis on which it is further."""
    pose, room = tick
    return min(
        (max(abs(pose.x - d.centre[0]), abs(pose.y - d.centre[1])) for d in house.rooms[room].doors), default=9.0
    )


def _jump(ticks: list[Tick], rng: np.random.Generator) -> _Stay:
    """Leave out a part of a long stay, in 7 of 10 such, so that the view changes most."""
    long, wanted = len(ticks), rng.random() < 0.7
    if long < _JUMP_STAY_TICKS or not wanted:
        return _Stay(ticks)
    first = int(rng.uniform(0.3, 0.4) * long)
    before = ticks[first - 1][0]
    change = [_change(before, ticks[first + skip][0]) for skip in range(TICKS_PER_S, int(0.3 * long))]
    most = int(np.argmax(change))
    if change[most] < _LEAST_JUMP:
        return _Stay(ticks)
    return _Stay(ticks[:first] + ticks[first + TICKS_PER_S + most :], first)


def _change(a: Pose, b: Pose) -> float:
    """How far apart two views are, in degrees."""
    return abs((b.yaw - a.yaw + 180) % 360 - 180) + 40 * (abs(b.x - a.x) + abs(b.y - a.y))


def _joined(stays: Iterable[_Stay], fade: int) -> Iterator[_Moment]:
    """Moments of stays one after another, the last `fade` ticks of each over the first of the next."""
    tail: list[Tick] = []
    for stay in stays:
        ticks, begin = stay.ticks, len(tail)
        for j, (old, new) in enumerate(zip(tail, ticks, strict=False)):
            part = (2 * j + 1) * 128 // begin
            shown, other, part = (old, new, part) if part < 128 else (new, old, 256 - part)
            yield _Moment(shown, Blend(*other, part))
        end = max(len(ticks) - fade, begin)
        for i in range(begin, end):
            yield _Moment(ticks[i], None, i == stay.jump)
        tail = ticks[end:]
    yield from map(_Moment, tail)
