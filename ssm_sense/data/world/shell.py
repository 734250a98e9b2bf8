"""The room itself: floor, ceiling, walls with doorways, skirting, door frames, ceiling lamp, and how it is lit."""

from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world.house import DOOR_HEIGHT_M, WALL_M, Door, House, Room
from ssm_sense.data.world.kinds import KINDS
from ssm_sense.data.world.look import VIVID, WOODS, Look
from ssm_sense.data.world.mesh import Material, Mesh
from ssm_sense.data.world.names import SHELL, random_stream
from ssm_sense.data.world.palette import Rgb, mix, scaled

_CASING_M = 0.08
_LIGHTS: tuple[Rgb, ...] = ((1.0, 0.82, 0.60), (1.0, 0.90, 0.76), (1.0, 0.96, 0.90), (0.92, 0.96, 1.0))


@dataclass(frozen=True)
class Shell:
    """A room without furniture. lamp: x, y, z of its light; lamp_rgb, ambient_rgb: linear light."""

    mesh: Mesh
    lamp: tuple[float, float, float]
    lamp_rgb: Rgb
    ambient_rgb: Rgb


def build_shell(house: House, index: int) -> Shell:
    """The surfaces and the light of room `index`."""
    room = house.rooms[index]
    look = Look(random_stream(house.split, house.seed, SHELL, index), house.split)
    kind, mesh = KINDS[room.kind], Mesh()
    x0, y0, x1, y1, h = room.x0, room.y0, room.x1, room.y1, room.height
    mesh.quad([(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)], _floor(look, look.pick(kind.floors)))
    ceiling = look.make("plaster", (0.70, 0.69, 0.67), (0.66, 0.65, 0.63), metres=2.0)
    mesh.quad([(x0, y1, h), (x1, y1, h), (x1, y0, h), (x0, y0, h)], ceiling)
    wall = _wall(look, look.pick(kind.walls))
    dado_pattern = look.pick(kind.dado)
    dado_m = look.between(0.85, 1.25) if dado_pattern else 0.0
    dado = _wall(look, dado_pattern, dado_m) if dado_pattern else None
    trim = look.make(
        "paint",
        mix(
            (0.78, 0.77, 0.74), look.shade(look.pick(WOODS)), look.between(0.0, 1.0) if look.rng.random() < 0.3 else 0.0
        ),
        gloss=0.2,
    )
    for side in range(4):
        _wall_side(mesh, room, side, wall, dado, dado_m, trim)
    for door in room.doors:
        _casing(mesh, room, door, trim)
        if door.a == index:
            _tunnel(mesh, door, trim)
    return _lamp(mesh, room, look)


def _floor(look: Look, pattern: str) -> Material:
    light = mix(look.shade("beige"), look.shade("brown"), look.between(0.2, 1.0))
    if pattern in ("planks", "parquet"):
        return look.make(
            pattern, light, scaled(light, 0.5), metres=1.1 if pattern == "planks" else 1.4, gloss=0.1, shaded=True
        )
    if pattern == "carpet":
        pile = mix(look.shade("gray"), look.shade(look.pick((*VIVID, "beige", "brown"))), look.between(0.2, 0.6))
        return look.make(pattern, pile, scaled(pile, 0.75), metres=1.0, shaded=True)
    if pattern == "concrete":
        return look.make(pattern, (0.34, 0.34, 0.33), (0.24, 0.24, 0.24), metres=2.2, shaded=True)
    first = look.shade(look.pick(("white", "beige", "gray", "white")))
    second = look.shade(look.pick(("black", "teal", "blue", "brown", "gray", "red", "green")))
    if pattern in ("slabs", "terrazzo"):
        return look.make(
            pattern, first, scaled(first, 0.7), mix(first, second, 0.7), metres=1.3, gloss=0.25, shaded=True
        )
    return look.make(pattern, first, mix(first, second, 0.85), scaled(first, 0.5), metres=1.4, gloss=0.3, shaded=True)


def _wall(look: Look, pattern: str, panel_m: float = 1.4) -> Material:
    """A wall covering; panels, where it has them, are `panel_m` high."""
    tint = look.shade(look.pick((*VIVID, "beige", "gray", "beige")))
    pale = mix(look.shade("white"), tint, look.between(0.15, 0.6))
    if pattern == "brick":
        clay = look.shade(look.pick(("red", "brown", "white", "gray", "red")))
        return look.make(
            pattern, mix(clay, look.shade("brown"), 0.35), (0.46, 0.43, 0.40), scaled(clay, 0.5), metres=1.15
        )
    if pattern == "panelling":
        wood = mix(look.shade("beige"), look.shade("brown"), look.between(0.1, 1.0))
        return look.make(pattern, wood, scaled(wood, 0.55), metres=1.1)
    if pattern == "concrete":
        return look.make(pattern, (0.44, 0.44, 0.43), (0.30, 0.30, 0.30), metres=2.4)
    if pattern in ("tiles", "subway"):
        base = mix(look.shade("white"), tint, look.between(0.0, 0.45))
        return look.make(
            pattern, base, scaled(base, 0.55) if pattern == "subway" else tint, scaled(base, 0.5), metres=0.9, gloss=0.3
        )
    if pattern == "plaster":
        return look.make(pattern, pale, scaled(pale, 0.82), metres=2.0)
    if pattern == "wainscot":
        return look.make(pattern, mix(pale, (0.8, 0.8, 0.78), 0.5), scaled(pale, 0.9), metres=panel_m, gloss=0.1)
    other = mix(look.shade("white"), look.shade(look.pick((*VIVID, "brown", "gray"))), look.between(0.5, 1.0))
    return look.make(pattern, pale, other, mix(other, (1.0, 0.9, 0.6), 0.5), metres=look.between(0.9, 1.5))


def _side_frame(room: Room, side: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """A wall seen from inside: its left corner and direction to the right (x, y), its length, its first coordinate."""
    corners = ((room.x0, room.y0), (room.x1, room.y1), (room.x1, room.y0), (room.x0, room.y1))
    along = ((0.0, 1.0), (0.0, -1.0), (-1.0, 0.0), (1.0, 0.0))
    length = room.y1 - room.y0 if side < 2 else room.x1 - room.x0
    return np.array(corners[side]), np.array(along[side]), length, corners[side][1 if side < 2 else 0]


def _openings(room: Room, side: int) -> list[tuple[float, float]]:
    """Doorways of a wall as (from, to) metres from its left end."""
    _, along, _, first = _side_frame(room, side)
    spans = []
    for door in room.doors:
        low_side = door.at < (room.x0 if door.across == 0 else room.y0)
        if side == 2 * door.across + (0 if low_side else 1):
            ends = sorted(((door.low - first) * along.sum(), (door.high - first) * along.sum()))
            spans.append((float(ends[0]), float(ends[1])))
    return sorted(spans)


def _wall_side(
    mesh: Mesh, room: Room, side: int, wall: Material, dado: Material | None, dado_m: float, trim: Material
) -> None:
    start, along, length, _ = _side_frame(room, side)
    openings = _openings(room, side)

    def panel(left: float, right: float, low: float, high: float, material: Material) -> None:
        a, b = start + along * left, start + along * right
        corners = np.array([[[*a, low], [*b, low], [*b, high], [*a, high]]])
        normal = np.array([along[1], -along[0], 0.0])
        uv = np.array([[[left, low], [right, low], [right, high], [left, high]]]) / material.metres
        mesh.quads(corners, np.broadcast_to(normal, (1, 4, 3)), uv, material)

    def strip(left: float, right: float, low: float, high: float, thick: float) -> None:
        a, b = start + along * left, start + along * right
        inward = np.array([along[1], -along[0]]) * thick
        points = np.stack([a, b, a + inward, b + inward])
        mesh.box((*points.min(axis=0), low), (*points.max(axis=0), high), trim)

    edges = [0.0, *(e for span in openings for e in span), length]
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        if dado is not None:
            panel(left, right, 0.0, dado_m, dado)
            inner = (left + (_CASING_M if left > 0 else 0.0), right - (_CASING_M if right < length else 0.0))
            strip(*inner, dado_m, dado_m + 0.04, 0.02)
        panel(left, right, dado_m, room.height, wall)
        inner = (left + (_CASING_M if left > 0 else 0.0), right - (_CASING_M if right < length else 0.0))
        strip(*inner, 0.0, 0.09, 0.016)
    for left, right in openings:
        panel(left, right, DOOR_HEIGHT_M, room.height, wall)


def _casing(mesh: Mesh, room: Room, door: Door, trim: Material) -> None:
    """The frame around a doorway, on this room's side."""
    low_side = door.at < (room.x0 if door.across == 0 else room.y0)
    face = (room.x0, room.x1)[not low_side] if door.across == 0 else (room.y0, room.y1)[not low_side]
    out = 0.022 if low_side else -0.022
    near, far = min(face, face + out), max(face, face + out)
    for low, high, bottom, top in (
        (door.low - _CASING_M, door.low, 0.0, DOOR_HEIGHT_M),
        (door.high, door.high + _CASING_M, 0.0, DOOR_HEIGHT_M),
        (door.low - _CASING_M, door.high + _CASING_M, DOOR_HEIGHT_M, DOOR_HEIGHT_M + _CASING_M),
    ):
        if door.across == 0:
            mesh.box((near, low, bottom), (far, high, top), trim)
        else:
            mesh.box((low, near, bottom), (high, far, top), trim)


def _tunnel(mesh: Mesh, door: Door, trim: Material) -> None:
    """The inside of a doorway: two jambs, a lintel and a threshold."""
    near, far = door.at - WALL_M / 2, door.at + WALL_M / 2

    def point(depth: float, side: float, z: float) -> tuple[float, float, float]:
        return (depth, side, z) if door.across == 0 else (side, depth, z)

    top = DOOR_HEIGHT_M
    faces = [
        [point(near, door.low, 0), point(far, door.low, 0), point(far, door.low, top), point(near, door.low, top)],
        [point(far, door.high, 0), point(near, door.high, 0), point(near, door.high, top), point(far, door.high, top)],
        [
            point(near, door.high, top),
            point(near, door.low, top),
            point(far, door.low, top),
            point(far, door.high, top),
        ],
        [point(near, door.low, 0), point(near, door.high, 0), point(far, door.high, 0), point(far, door.low, 0)],
    ]
    for corners in faces:
        mesh.quad(corners if door.across == 1 else corners[::-1], trim)


def _lamp(mesh: Mesh, room: Room, look: Look) -> Shell:
    x, y = round((room.x0 + room.x1) / 2, 3), round((room.y0 + room.y1) / 2, 3)
    warm = _LIGHTS[int(look.rng.integers(len(_LIGHTS)))]
    drop = look.between(0.08, 0.45)
    z = room.height - drop
    steel = look.steel(look.between(0.2, 1.0))
    mesh.lathe([(0.0, room.height - 0.03), (0.06, room.height - 0.03), (0.06, room.height)], steel, 10, (x, y))
    if drop > 0.2:
        mesh.lathe([(0.008, z), (0.008, room.height - 0.02)], steel, 6, (x, y))
    glow = look.glow(mix(warm, (1.0, 1.0, 1.0), 0.5), 1.5)
    radius = look.between(0.12, 0.2)
    mesh.ellipsoid((x, y, z), (radius, radius, min(radius, drop) * 0.6), glow, 12)
    strength = look.between(0.95, 1.3) * (1.0 + 0.02 * (room.x1 - room.x0) * (room.y1 - room.y0))
    ambient = mix(scaled(warm, 0.27), (0.25, 0.26, 0.28), 0.5)
    return Shell(mesh, (x, y, round(z - 0.25, 3)), scaled(warm, strength), ambient)
