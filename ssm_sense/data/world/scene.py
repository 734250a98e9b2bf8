"""Rooms as arrays for the rasteriser, and what is visible from where.

`RoomScene` is one room with its furniture; `View` joins the rooms that a camera may see into one set of arrays.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ssm_sense.data.world import fragments
from ssm_sense.data.world.bake import GRID, floor_light
from ssm_sense.data.world.furnish import Piece, furnish
from ssm_sense.data.world.house import House
from ssm_sense.data.world.mesh import Material, Mesh, Soup
from ssm_sense.data.world.shell import build_shell
from ssm_sense.data.world.texture.pool import pool

NO_PIECE = -1


@dataclass(frozen=True)
class RoomScene:
    """Arrays of one room: a soup whose triangle t belongs to object id piece[t], its light and its floor shadows."""

    soup: Soup
    piece: np.ndarray
    light: np.ndarray
    shadow: np.ndarray
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class View:
    """Several rooms as one. spans: room index -> (first, last) triangle; ids: object of each slot;
    two_sided (n,) bool: triangles that are seen from behind too."""

    surfaces: fragments.Surfaces
    two_sided: np.ndarray
    spans: dict[int, tuple[int, int]]
    ids: np.ndarray


@lru_cache(maxsize=64)
def room_scene(house: House, index: int) -> RoomScene:
    """Room `index` built, furnished and lit (some milliseconds; the last 64 rooms are kept)."""
    shell, pieces, room = build_shell(house, index), furnish(house, index), house.rooms[index]
    mesh, furniture = Mesh(), Mesh()
    mesh.place(shell.mesh)
    owners = [np.full(mesh.triangles, NO_PIECE)]
    for piece in pieces:
        before = furniture.triangles
        furniture.place(piece.model.mesh, piece.spot.turn, (piece.spot.x, piece.spot.y, piece.spot.z))
        owners.append(np.full(furniture.triangles - before, piece.id if piece.category else NO_PIECE))
    box = (room.x0, room.x1, room.y0, room.y1)
    if pieces:
        shadow = floor_light(furniture.soup().corners.astype(np.float64), shell.lamp, box)
        mesh.place(furniture)
    else:
        shadow = np.ones((GRID, GRID), np.float32)
    light = np.zeros(fragments.ROOM_COLUMNS, np.float32)
    light[fragments.BOX : fragments.BOX + 5] = (*box, room.height)
    light[fragments.LAMP : fragments.LAMP + 3] = shell.lamp
    light[fragments.LAMP_RGB : fragments.LAMP_RGB + 3] = shell.lamp_rgb
    light[fragments.AMBIENT : fragments.AMBIENT + 3] = shell.ambient_rgb
    windows = [piece for piece in pieces if piece.category == "window"]
    if windows:
        spot = windows[0].spot
        inward = {0: (0.0, -1.0), 1: (1.0, 0.0), -1: (-1.0, 0.0), 2: (0.0, 1.0)}[round(spot.turn / 1.5707963)]
        light[fragments.WINDOW : fragments.WINDOW + 3] = spot.x + 0.35 * inward[0], spot.y + 0.35 * inward[1], 1.5
        light[fragments.WINDOW_RGB : fragments.WINDOW_RGB + 3] = 0.55, 0.66, 0.82
    return RoomScene(mesh.soup(), np.concatenate(owners).astype(np.int64), light, shadow, pieces)


@lru_cache(maxsize=8)
def join(house: House, indices: tuple[int, ...], extra: tuple[Piece, ...] = ()) -> View:
    """The view of several rooms, and of `extra` pieces that stand in them for once."""
    soups: list[tuple[int, Soup, np.ndarray]] = []
    for index in indices:
        scene = room_scene(house, index)
        soups.append((index, scene.soup, scene.piece))
        for piece in extra:
            if piece.room == index:
                mesh = Mesh()
                mesh.place(piece.model.mesh, piece.spot.turn, (piece.spot.x, piece.spot.y, piece.spot.z))
                soup = mesh.soup()
                soups.append((index, soup, np.full(len(soup.corners), piece.id)))
    spans: dict[int, tuple[int, int]] = {}
    materials: list[Material] = []
    material, surface, room = [], [], []
    triangles = faces = 0
    for index, soup, _ in soups:
        material.append(soup.material + len(materials))
        surface.append(soup.surface + faces)
        room.append(np.full(len(soup.corners), indices.index(index), np.int32))
        materials += soup.materials
        spans[index] = (spans.get(index, (triangles, 0))[0], triangles + len(soup.corners))
        triangles, faces = triangles + len(soup.corners), faces + int(soup.surface.max()) + 1
    table = _material_table(materials)
    all_material = np.concatenate(material).astype(np.int32)
    ids, slot = np.unique(np.concatenate([piece for _, _, piece in soups]), return_inverse=True)
    has_none = int(ids[0] == NO_PIECE)
    normals = np.concatenate([soup.normals for _, soup, _ in soups])
    curved = (normals[:, 0:3] != normals[:, 3:6]).any(axis=1) | (normals[:, 0:3] != normals[:, 6:9]).any(axis=1)
    scenes = [room_scene(house, index) for index in indices]
    patterns = pool(house.split)
    surfaces = fragments.Surfaces(
        np.concatenate([soup.corners for _, soup, _ in soups]),
        normals,
        np.concatenate([soup.uv for _, soup, _ in soups]),
        np.stack(
            [all_material, np.concatenate(surface), slot - has_none, np.concatenate(room), curved], 1, dtype=np.int32
        ),
        table,
        np.stack([scene.light for scene in scenes]),
        np.stack([scene.shadow for scene in scenes]),
        patterns.texels,
        patterns.offsets,
    )
    return View(surfaces, table[all_material, fragments.TWO_SIDED] > 0, spans, ids[has_none:])


def _material_table(materials: list[Material]) -> np.ndarray:
    """float32 (n, MATERIAL_COLUMNS); the second and third colours as differences from the first."""
    table = np.zeros((len(materials), fragments.MATERIAL_COLUMNS), np.float32)
    for row, m in zip(table, materials, strict=True):
        row[fragments.PATTERN] = m.pattern
        row[fragments.FIRST : fragments.FIRST + 3] = m.first
        row[fragments.SECOND : fragments.SECOND + 3] = [b - a for a, b in zip(m.first, m.second, strict=True)]
        row[fragments.THIRD : fragments.THIRD + 3] = [b - a for a, b in zip(m.first, m.third, strict=True)]
        row[fragments.EMISSION], row[fragments.GLOSS], row[fragments.FAR] = m.emission, m.gloss, m.far_m
        row[fragments.SHADED], row[fragments.TWO_SIDED], row[fragments.REPEATS] = m.shaded, m.two_sided, 1.0 / m.metres
    return table
