"""The camera: a pose, its axes, and which rooms it sees through which part of the picture."""

import math
from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world.house import DOOR_HEIGHT_M, Door, House, Room

FIELD_OF_VIEW_DEG = 76.0
FOCAL = round(0.5 / math.tan(math.radians(FIELD_OF_VIEW_DEG) / 2), 9)  # in widths of the picture
_THRESHOLD_M = 0.5
Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pose:
    """Where the camera is and looks: metres; yaw in degrees counter-clockwise from +x; pitch in degrees, up positive.

    Numbers are rounded to 1e-4, so that the pose in the truth is the pose that was rendered.
    """

    x: float
    y: float
    z: float
    yaw: float
    pitch: float

    def __post_init__(self) -> None:
        for name in ("x", "y", "z", "yaw", "pitch"):
            object.__setattr__(self, name, round(float(getattr(self, name)), 4))

    def matrix(self) -> np.ndarray:
        """(4, 3): position, and unit vectors to the right, down and forward."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        # Rounded, because libms differ in the last bit of sines and pixels must not.
        cy, sy, cp, sp = (round(f, 9) for f in (math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)))
        return np.array([[self.x, self.y, self.z], [sy, -cy, 0.0], [cy * sp, sy * sp, -cp], [cy * cp, sy * cp, sp]])


def visible_rooms(house: House, here: int, pose: Pose, samples: int) -> dict[int, Rectangle]:
    """Rooms seen from `pose` in room `here`, each with the rectangle (x0, y0, x1, y1) of samples it shows through."""
    camera = pose.matrix()
    whole = (0, 0, samples, samples)
    seen: dict[int, Rectangle] = {here: whole}
    queue = [(here, whole, -1)]
    while queue:
        index, rectangle, came_from = queue.pop()
        for door in house.rooms[index].doors:
            beyond = door.a + door.b - index
            if beyond == came_from:
                continue
            if index == here and _at_threshold(door, pose):
                through = whole
            else:
                through = _clip(_door_rectangle(house.rooms[index], door, camera, samples), rectangle)
            if through[0] < through[2] and through[1] < through[3]:
                seen[beyond] = through
                queue.append((beyond, through, index))
    return seen


def _at_threshold(door: Door, pose: Pose) -> bool:
    depth, side = (pose.x, pose.y) if door.across == 0 else (pose.y, pose.x)
    return abs(depth - door.at) < _THRESHOLD_M and door.low - _THRESHOLD_M < side < door.high + _THRESHOLD_M


def _clip(a: Rectangle, b: Rectangle) -> Rectangle:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _door_rectangle(room: Room, door: Door, camera: np.ndarray, samples: int) -> Rectangle:
    """The bounding rectangle of a doorway of `room` in the picture, a little wider; empty behind the camera."""
    face = min(max(door.at, (room.x0, room.y0)[door.across]), (room.x1, room.y1)[door.across])
    corners = []
    for side, z in ((door.low, 0.0), (door.high, 0.0), (door.high, DOOR_HEIGHT_M), (door.low, DOOR_HEIGHT_M)):
        x, y = (face, side) if door.across == 0 else (side, face)
        p = np.array([x, y, z]) - camera[0]
        right, down, depth = ((camera[k] * p).sum() for k in (1, 2, 3))
        corners.append((float(right), float(down), float(depth)))
    near, points = 0.05, []
    for (x0, y0, w0), (x1, y1, w1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if w0 > near:
            points.append((x0 / w0, y0 / w0))
        if (w0 > near) != (w1 > near):
            t = (near - w0) / (w1 - w0)
            points.append(((x0 + t * (x1 - x0)) / near, (y0 + t * (y1 - y0)) / near))
    if not points:
        return 0, 0, 0, 0
    half = samples / 2
    xs, ys = [half + FOCAL * samples * x for x, _ in points], [half + FOCAL * samples * y for _, y in points]
    return (
        max(int(min(xs)) - 2, 0),
        max(int(min(ys)) - 2, 0),
        min(int(max(xs)) + 3, samples),
        min(int(max(ys)) + 3, samples),
    )
