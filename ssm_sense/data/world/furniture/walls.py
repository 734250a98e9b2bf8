"""What hangs on a wall or lies on the floor: paintings, windows, clocks, mirrors, rugs.

Hung pieces have their back on the plane y = 0 and their middle at z = 0; `furnish` lifts them.
"""

import numpy as np

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.look import ANY, VIVID, WOODS, Look
from ssm_sense.data.world.mesh import Material, Mesh
from ssm_sense.data.world.palette import mix


def _frame(mesh: Mesh, width: float, height: float, bar: float, thick: float, material: Material) -> None:
    x, z = width / 2, height / 2
    mesh.box((-x, -thick, -z), (x, 0.0, -z + bar), material, bevel=0.006)
    mesh.box((-x, -thick, z - bar), (x, 0.0, z), material, bevel=0.006)
    mesh.box((-x, -thick, -z + bar), (-x + bar, 0.0, z - bar), material, bevel=0.006)
    mesh.box((x - bar, -thick, -z + bar), (x, 0.0, z - bar), material, bevel=0.006)


def _pane(mesh: Mesh, width: float, height: float, y: float, material: Material) -> None:
    x, z = width / 2, height / 2
    mesh.quad([(-x, y, -z), (x, y, -z), (x, y, z), (-x, y, z)], material, stretch=True)


def painting(look: Look) -> Model:
    """A framed picture in three colours, with a mat around it or none."""
    mesh = Mesh()
    tall = look.rng.random() < 0.4
    long, short = look.between(0.55, 1.0), look.between(0.42, 0.62)
    width, height = (short, long) if tall else (long, short)
    colour = look.pick(VIVID)
    _frame(mesh, width, height, look.between(0.03, 0.06), 0.035, look.timber(look.pick(WOODS)))
    pattern = look.pick(
        ("portrait", "abstract", "circles") if tall else ("landscape", "abstract", "circles", "landscape")
    )
    sky, other = (
        look.shade(look.pick(("teal", "blue", "beige", "orange", "white", "yellow"))),
        look.shade(look.pick(ANY)),
    )
    canvas = look.make(pattern, sky, look.shade(colour), other)
    mat = look.between(0.0, 0.09)
    if mat > 0.03:
        _pane(mesh, width - 0.05, height - 0.05, -0.012, look.make("paint", (0.78, 0.76, 0.70)))
    else:
        mat = 0.0
    _pane(mesh, width - 0.05 - 2 * mat, height - 0.05 - 2 * mat, -0.016, canvas)
    return Model(mesh, width, 0.035, height, colour)


def window(look: Look) -> Model:
    """A casement window with a sill; the view behind it moves as one walks past. Some have curtains."""
    mesh = Mesh()
    width, height = look.between(0.95, 1.7), look.between(1.0, 1.3)
    white = look.make("paint", (0.80, 0.80, 0.78), gloss=0.3)
    _frame(mesh, width, height, 0.07, 0.06, white)
    for index in range(1, 2 if width < 1.3 else 3):
        x = -width / 2 + index * width / (2 if width < 1.3 else 3)
        mesh.box((x - 0.02, -0.045, -height / 2 + 0.07), (x + 0.02, 0.0, height / 2 - 0.07), white)
    bar = height * look.between(0.05, 0.25)
    mesh.box((-width / 2 + 0.07, -0.04, bar), (width / 2 - 0.07, 0.0, bar + 0.03), white)
    mesh.box((-width / 2 - 0.06, -0.14, -height / 2 - 0.035), (width / 2 + 0.06, 0.0, -height / 2), white, bevel=0.01)
    sky = (0.30, 0.52, 0.86) if look.rng.random() < 0.7 else (0.55, 0.60, 0.68)
    trees = mix(look.shade("green"), (0.20, 0.19, 0.12), 0.55)
    view = look.make(
        "outdoors",
        sky,
        trees,
        mix(look.shade(look.pick(("red", "beige", "white", "gray"))), (0.3, 0.3, 0.32), 0.45),
        metres=14.0,
        emission=0.85,
        far_m=9.0,
    )
    x, z = width / 2 - 0.06, height / 2 - 0.06
    corners = np.array([[[-x, -0.008, -z], [x, -0.008, -z], [x, -0.008, z], [-x, -0.008, z]]])
    start = look.between(0.0, 1.0)
    uv = np.array(
        [
            [
                [-x / 14 + start, 0.42 - z / 14],
                [x / 14 + start, 0.42 - z / 14],
                [x / 14 + start, 0.42 + z / 14],
                [-x / 14 + start, 0.42 + z / 14],
            ]
        ]
    )
    mesh.quads(corners, np.broadcast_to(np.array([0.0, -1.0, 0.0]), (1, 4, 3)), uv, view)
    if look.rng.random() < 0.55:
        _curtains(look, mesh, width, height)
        return Model(mesh, width + 0.5, 0.14, height + 0.3, "white")
    return Model(mesh, width + 0.12, 0.14, height, "white")


def _curtains(look: Look, mesh: Mesh, width: float, height: float) -> None:
    cloth = look.make("weave", look.shade(look.pick(ANY)), metres=0.7)
    rod = height / 2 + 0.1
    mesh.box((-width / 2 - 0.25, -0.125, rod), (width / 2 + 0.25, -0.105, rod + 0.02), look.steel(0.5), bevel=0.006)
    low = -height / 2 - look.between(0.15, 0.35)
    folds = 4
    for side in (-1, 1):
        for index in range(folds):
            x = side * (width / 2 + 0.22) - side * index * 0.075
            left = min(x, x - side * 0.075)
            mesh.box((left, -0.14, low), (left + 0.075, -0.07, rod), cloth, bevel=0.033)


def clock(look: Look) -> Model:
    """A round wall clock."""
    mesh = Mesh()
    colour = look.pick(ANY)
    radius = look.between(0.15, 0.21)
    disc = Mesh()
    disc.lathe([(radius, 0.0), (radius, 0.03), (radius * 0.94, 0.04), (radius * 0.88, 0.03)], look.painted(colour), 20)
    mesh.place(disc.remapped((0, 2, 1), (1.0, -1.0, 1.0)))
    face = look.make("dial", (0.82, 0.81, 0.76), (0.02, 0.02, 0.02))
    sides = 20
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.round(np.stack([np.cos(angle), np.sin(angle)], axis=1), 6)
    # Thin quads from the centre: a disc whose uv reach from edge to edge.
    corners, uv = np.zeros((sides, 4, 3)), np.full((sides, 4, 2), 0.5)
    for index in range(sides):
        for corner, turn in ((1, index), (2, index + 1), (3, index + 1)):
            part = ring[turn % sides]
            corners[index, corner] = part[0] * radius * 0.9, -0.028, part[1] * radius * 0.9
            uv[index, corner] = 0.5 + 0.49 * part
        corners[index, 0] = 0.0, -0.028, 0.0
    mesh.quads(corners, np.broadcast_to(np.array([0.0, -1.0, 0.0]), (sides, 4, 3)), uv, face)
    return Model(mesh, 2 * radius, 0.04, 2 * radius, colour)


def mirror(look: Look) -> Model:
    """A framed mirror of silvered glass."""
    mesh = Mesh()
    width, height = look.between(0.45, 0.8), look.between(0.7, 1.1)
    colour = look.pick(WOODS)
    _frame(mesh, width, height, 0.045, 0.035, look.timber(colour))
    glass = look.make("plaster", (0.30, 0.36, 0.40), (0.48, 0.55, 0.58), metres=2.5, gloss=1.2)
    _pane(mesh, width - 0.06, height - 0.06, -0.012, glass)
    return Model(mesh, width, 0.035, height, colour)


def rug(look: Look) -> Model:
    """A rug with a border."""
    mesh = Mesh()
    colour = look.pick(VIVID)
    width, depth = look.between(1.5, 2.4), look.between(1.1, 1.6)
    pattern = look.pick(("rug frames", "rug medallion", "rug diamonds", "rug stripes"))
    pile = look.make(
        pattern,
        look.shade(colour),
        look.shade(look.pick(("beige", "white", "black", "gray"))),
        look.shade(look.pick(ANY)),
        shaded=True,
    )
    x, y, z = width / 2, depth / 2, 0.014
    mesh.quad([(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)], pile, stretch=True)
    edge = look.make("weave", look.shade("beige"), metres=0.5)
    for a, b in (((-x, -y), (x, -y)), ((x, -y), (x, y)), ((x, y), (-x, y)), ((-x, y), (-x, -y))):
        mesh.quad([(*a, 0.0), (*b, 0.0), (*b, z), (*a, z)], edge)
    return Model(mesh, width, depth, z, colour)
