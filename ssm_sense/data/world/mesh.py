"""Quads with materials: the shapes that rooms and furniture are built from.

Model space: origin on the floor under the middle of a piece, x to its right, y to its back (the wall), z up, metres.
A `Mesh` grows; `Mesh.soup()` freezes it into triangles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world import solids
from ssm_sense.data.world.palette import Rgb

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A pattern (row of the pool), its three colours in linear light and how they answer to light.

    metres: the size of one repeat of the pattern. emission: light given off, in units of the colour.
    gloss: strength of the highlight. far_m: the pattern lies this far behind the surface (the view from a window).
    shaded: takes the baked shadows of the floor. two_sided: seen from behind too.
    """

    pattern: int
    first: Rgb
    second: Rgb
    third: Rgb
    metres: float = 1.0
    emission: float = 0.0
    gloss: float = 0.0
    far_m: float = 0.0
    shaded: bool = False
    two_sided: bool = False


@dataclass(frozen=True)
class Soup:
    """Triangles as arrays: corners and normals (n, 9) float32, uv (n, 6) float32, material and surface (n,) int32.

    Surfaces number the quads, so that both triangles of one are shaded as one where their edge crosses a pixel.
    """

    corners: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    material: np.ndarray
    surface: np.ndarray
    materials: tuple[Material, ...]


class Mesh:
    """Quads under construction."""

    def __init__(self) -> None:
        self._corners: list[np.ndarray] = []
        self._normals: list[np.ndarray] = []
        self._uv: list[np.ndarray] = []
        self._material: list[np.ndarray] = []
        self._materials: dict[Material, int] = {}
        self._parts: list[int] = []

    @property
    def triangles(self) -> int:
        """How many triangles have been added."""
        return 2 * sum(len(block) for block in self._corners)

    def reach(self) -> Point:
        """Width and depth of the smallest box around the z axis that holds the mesh, and its top."""
        self._gather()
        x, y, z = (self._corners[0][..., axis] for axis in range(3))
        return round(2 * float(np.abs(x).max()), 3), round(2 * float(np.abs(y).max()), 3), round(float(z.max()), 3)

    def quads(self, corners: np.ndarray, normals: np.ndarray, uv: np.ndarray, material: Material) -> None:
        """Add quads: corners, normals (n, 4, 3) counter-clockwise from the front, uv (n, 4, 2) in repeats."""
        self._parts.append(len(corners))
        self._corners.append(corners)
        self._normals.append(normals)
        self._uv.append(uv)
        self._material.append(np.full(len(corners), self._materials.setdefault(material, len(self._materials))))

    def quad(self, corners: list[Point], material: Material, stretch: bool = False) -> None:
        """One flat quad. Its uv run in metres along its first edge, or once over the quad where `stretch`."""
        p = np.array(corners, dtype=np.float64)
        right, up = p[1] - p[0], p[3] - p[0]
        normal = np.cross(right, up)
        normal /= max(_length(normal), 1e-12)
        across, tall = (1.0, 1.0) if stretch else (_length(right) / material.metres, _length(up) / material.metres)
        uv = np.array([[[0.0, 0.0], [across, 0.0], [across, tall], [0.0, tall]]])
        self.quads(p[None], np.broadcast_to(normal, (1, 4, 3)), uv, material)

    def box(self, low: Point, high: Point, material: Material, bevel: float = 0.0, stretch: bool = False) -> None:
        """An axis-aligned box, its edges rounded over `bevel` metres; `stretch` fits the pattern to each side once."""
        if not (low[0] < high[0] and low[1] < high[1] and low[2] < high[2]):
            raise ValueError(f"a box needs low < high on every axis; got {low} and {high}")
        bevel = min(bevel, 0.49 * min(high[0] - low[0], high[1] - low[1], high[2] - low[2]))
        signs, normals, along = solids.cube(bevel > 0)
        lo, hi = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
        half = (hi - lo) / 2
        corners = (lo + hi) / 2 + signs * (half - bevel * (normals == 0.0))
        uv = np.take(signs, along) * 0.5 + 0.5 if stretch else np.take(corners - lo, along) / material.metres
        self.quads(corners, normals, uv, material)

    def lathe(
        self,
        profile: list[tuple[float, float]],
        material: Material,
        sides: int = 12,
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """A surface of revolution about z: profile of (radius, z) from the bottom up, smooth around, creased along."""
        points = np.array(profile, dtype=np.float64)
        bottom, top = points[:-1], points[1:]
        rise, shrink = top[:, 1] - bottom[:, 1], bottom[:, 0] - top[:, 0]
        slant = np.maximum(np.sqrt(rise * rise + shrink * shrink), 1e-12)
        corners, normals = np.empty((len(bottom), sides, 4, 3)), np.empty((len(bottom), sides, 4, 3))
        uv = np.empty((len(bottom), sides, 4, 2))
        around = 6.2832 * np.maximum(bottom[:, 0], top[:, 0]) / material.metres
        circle = solids.ring(sides)
        following = np.concatenate([circle[1:], circle[:1]])
        for corner, (turn, shift, end) in enumerate(
            ((circle, 0, bottom), (following, 1, bottom), (following, 1, top), (circle, 0, top))
        ):
            corners[:, :, corner, :2] = end[:, 0, None, None] * turn + np.array(centre)
            corners[:, :, corner, 2] = end[:, 1, None]
            normals[:, :, corner, :2] = (rise / slant)[:, None, None] * turn
            normals[:, :, corner, 2] = (shrink / slant)[:, None]
            uv[:, :, corner, 0] = around[:, None] * ((np.arange(sides) + shift) / sides)
            lift = np.abs(shrink) if end is top else 0.0 * shrink
            uv[:, :, corner, 1] = ((end[:, 1] + lift) / material.metres)[:, None]
        self.quads(corners.reshape(-1, 4, 3), normals.reshape(-1, 4, 3), uv.reshape(-1, 4, 2), material)

    def ellipsoid(self, centre: Point, radii: Point, material: Material, sides: int = 12) -> None:
        """A smooth ellipsoid of `sides` by sides/2 patches."""
        corners, uv = solids.sphere(sides, max(sides // 2, 4))
        scale = np.array(radii)
        bent = corners / scale
        bent /= np.sqrt((bent * bent).sum(axis=-1, keepdims=True))
        repeats = np.array([6.2832 * radii[0], 3.1416 * radii[2]]) / material.metres
        self.quads(corners * scale + np.array(centre), bent, uv * repeats, material)

    def place(self, other: "Mesh", turn: float = 0.0, at: Point = (0.0, 0.0, 0.0)) -> None:
        """Add another mesh, turned about z by `turn` radians and then moved."""
        other._gather()
        corners, normals = other._corners[0], other._normals[0]
        if turn != 0.0:
            c, s = round(float(np.cos(turn)), 9), round(float(np.sin(turn)), 9)
            corners, normals = _turned(corners, c, s), _turned(normals, c, s)
        self._parts.append(len(corners))
        self._corners.append(corners + np.array(at))
        self._normals.append(normals)
        self._uv.append(other._uv[0])
        slots = np.array([self._materials.setdefault(m, len(self._materials)) for m in other._materials])
        self._material.append(slots[other._material[0]])

    def remapped(self, axes: tuple[int, int, int], signs: Point) -> "Mesh":
        """A copy whose axis k is this mesh's `axes[k]` times `signs[k]`; a rotation, so faces keep facing out."""
        matrix = np.zeros((3, 3))
        for row, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
            matrix[row, axis] = sign
        if round(float(np.linalg.det(matrix))) != 1:
            raise ValueError(f"axes {axes} with signs {signs} mirror the mesh; a rotation is needed")
        copy = Mesh()
        copy.place(self)
        copy._corners = [block[..., list(axes)] * np.array(signs) for block in copy._corners]
        copy._normals = [block[..., list(axes)] * np.array(signs) for block in copy._normals]
        return copy

    def remade(
        self,
        part: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None],
        stuff: Callable[[Material], Material],
    ) -> "Mesh":
        """A copy, on the floor, of other proportions and materials.

        part: of the lowest and highest corner of what was added at once, where its middle goes and by what each axis
            is multiplied, (3,) each, or None to leave it out. stuff: what each material becomes.
        """
        self._gather()
        copy, ends = Mesh(), np.cumsum(self._parts)
        numbers = np.array([copy._materials.setdefault(stuff(m), len(copy._materials)) for m in self._materials])
        for first, end in zip(ends - self._parts, ends, strict=True):
            corners, normals = self._corners[0][first:end], self._normals[0][first:end]
            low, high = corners.min((0, 1)), corners.max((0, 1))
            made = part(low, high)
            if made is None:
                continue
            middle, factors = made
            bent = normals / factors
            copy._parts.append(len(corners))
            copy._normals.append(bent / np.sqrt((bent * bent).sum(-1, keepdims=True)))
            copy._corners.append((corners - (low + high) / 2) * factors + middle)
            copy._uv.append(self._uv[0][first:end])
            copy._material.append(numbers[self._material[0][first:end]])
        copy._gather()
        copy._corners[0][..., 2] -= copy._corners[0][..., 2].min()
        return copy

    def soup(self) -> Soup:
        """The triangles gathered so far."""
        self._gather()
        split = [0, 1, 2, 0, 2, 3]
        return Soup(
            self._corners[0].astype(np.float32)[:, split].reshape(-1, 9),
            self._normals[0].astype(np.float32)[:, split].reshape(-1, 9),
            self._uv[0].astype(np.float32)[:, split].reshape(-1, 6),
            np.repeat(self._material[0], 2).astype(np.int32),
            np.repeat(np.arange(len(self._corners[0])), 2).astype(np.int32),
            tuple(self._materials),
        )

    def _gather(self) -> None:
        """Join the blocks into one."""
        if not self._corners:
            raise ValueError("a mesh needs at least one face before it is used; got none")
        for blocks in (self._corners, self._normals, self._uv, self._material):
            blocks[:] = [np.concatenate(blocks)]


def _turned(vectors: np.ndarray, c: float, s: float) -> np.ndarray:
    out = vectors.copy()
    out[..., 0] = vectors[..., 0] * c - vectors[..., 1] * s
    out[..., 1] = vectors[..., 0] * s + vectors[..., 1] * c
    return out


def _length(vector: np.ndarray) -> float:
    return float(np.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]))
