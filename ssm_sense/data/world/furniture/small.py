"""Things of which a room may hold several: plants, lamps, boxes, balls, bins, baskets, vases.

`small` versions stand on a table, the others on the floor.
"""

import numpy as np

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.look import ANY, VIVID, Look
from ssm_sense.data.world.mesh import Material, Mesh
from ssm_sense.data.world.palette import scaled


def _blade(mesh: Mesh, base: float, length: float, width: float, lean: float, angle: float, leaf: Material) -> None:
    """A leaf of three bent segments that starts at height `base` on the axis."""
    direction = np.array([np.cos(angle), np.sin(angle)]).round(6)
    side = np.array([-direction[1], direction[0]])
    outs = np.array([0.02, 0.35, 0.75, 1.0]) * lean * length
    ups = base + np.array([0.0, 0.45, 0.82, 0.82 + 0.18 * (1 - lean)]) * length * (1 - 0.35 * lean)
    halves = np.array([0.25, 0.5, 0.42, 0.04]) * width
    corners, uv = np.empty((3, 4, 3)), np.empty((3, 4, 2))
    for k in range(3):
        for corner, (step, sign) in enumerate(((k, -1), (k, 1), (k + 1, 1), (k + 1, -1))):
            corners[k, corner, :2] = direction * outs[step] + side * sign * halves[step]
            corners[k, corner, 2] = ups[step]
            uv[k, corner] = (sign + 1) / 2, step / 3
    rise = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    rise = rise / np.sqrt((rise * rise).sum(axis=1, keepdims=True) + 1e-12)
    mesh.quads(corners, np.repeat(rise[:, None], 4, axis=1), uv, leaf)


def plant(look: Look, small: bool = False) -> Model:
    """A potted plant: upright blades, a drooping fern or a little ball-topped tree."""
    mesh = Mesh()
    scale = look.between(0.32, 0.45) if small else look.between(0.75, 1.15)
    pot_colour = look.pick(("red", "orange", "white", "gray", "blue", "teal", "black", "beige"))
    pot, soil = look.painted(pot_colour, 0.15), look.make("carpet", (0.035, 0.022, 0.014), metres=0.3)
    radius, rim = 0.20 * scale, 0.32 * scale
    mesh.lathe([(radius * 0.7, 0.0), (radius, rim * 0.85), (radius * 1.1, rim * 0.86), (radius * 1.1, rim)], pot, 12)
    mesh.lathe([(radius * 1.1, rim), (radius * 0.95, rim), (radius * 0.95, rim * 0.9)], pot, 12)
    mesh.lathe([(radius * 0.96, rim * 0.9), (0.0, rim * 0.94)], soil, 12)
    green = look.shade("green")
    leaf = look.make("leaf", green, scaled(green, 1.6), two_sided=True)
    style = look.pick(("blades", "fern", "tree"))
    if style == "tree":
        wood = look.timber("brown")
        mesh.lathe([(0.03 * scale, rim * 0.9), (0.02 * scale, 0.75 * scale)], wood, 6)
        for _ in range(int(look.rng.integers(3, 6))):
            x, y, z = (look.between(-0.13, 0.13) * scale for _ in range(3))
            size = look.between(0.15, 0.22) * scale
            tuft = look.make("leaf", scaled(green, look.between(0.7, 1.1)), scaled(green, 1.4), metres=0.25)
            mesh.ellipsoid((x, y, 0.85 * scale + z), (size, size, size * 0.9), tuft, 10)
    else:
        count = int(look.rng.integers(9, 14))
        for index in range(count):
            angle = 6.2832 * index / count + look.between(-0.25, 0.25)
            lean = look.between(0.15, 0.4) if style == "blades" else look.between(0.55, 0.95)
            length = look.between(0.65, 1.0) * scale * (0.8 if style == "blades" else 0.85)
            _blade(mesh, rim * 0.9, length, look.between(0.11, 0.17) * scale, lean, angle, leaf)
    return Model(mesh, *mesh.reach(), "green")


def lamp(look: Look, small: bool = False) -> Model:
    """A floor lamp or, small, a table lamp: foot, stem, glowing shade."""
    mesh = Mesh()
    colour = look.pick(("white", "beige", "yellow", "orange", "red", "blue", "green", "pink", "teal"))
    metal = look.steel(look.between(0.2, 1.0))
    height = look.between(0.38, 0.52) if small else look.between(1.35, 1.65)
    radius = look.between(0.11, 0.15) if small else look.between(0.17, 0.24)
    tall = radius * look.between(1.1, 1.5)
    shade = look.make("weave", look.shade(colour), metres=0.4, emission=look.between(0.5, 0.9), two_sided=True)
    stem = 0.012 if not small else look.between(0.012, 0.05)
    mesh.lathe(
        [(radius * 0.7, 0.0), (radius * 0.7, 0.015), (0.03, 0.03), (stem, 0.06), (stem, height - tall)], metal, 12
    )
    neck = radius * look.between(0.45, 1.0)
    mesh.lathe([(radius, height - tall), (neck, height)], shade, 16)
    mesh.ellipsoid((0.0, 0.0, height - tall * 0.6), (0.04, 0.04, 0.05), look.glow((1.0, 0.9, 0.7), 1.6), 8)
    mesh.lathe([(0.01, height - tall), (0.01, height - tall * 0.6)], metal, 6)
    return Model(mesh, 2 * radius, 2 * radius, height, colour)


def box(look: Look, small: bool = False) -> Model:
    """A cardboard parcel or a lidded storage box."""
    mesh = Mesh()
    scale = 0.5 if small else 1.0
    width, depth, height = (look.between(low, high) * scale for low, high in ((0.34, 0.6), (0.3, 0.46), (0.24, 0.46)))
    x, y = width / 2, depth / 2
    if look.rng.random() < 0.5:
        card = look.make("cardboard", look.shade("beige"), None, look.shade("brown"))
        mesh.box((-x, -y, 0.0), (x, y, height), card, stretch=True)
        return Model(mesh, width, depth, height, "beige")
    colour = look.pick(ANY)
    case, lid = look.painted(colour, 0.2), look.painted(look.pick(("white", colour, colour, "black")), 0.2)
    mesh.box((-x + 0.01, -y + 0.01, 0.0), (x - 0.01, y - 0.01, height * 0.8), case, bevel=0.015)
    mesh.box((-x, -y, height * 0.8), (x, y, height), lid, bevel=0.012)
    return Model(mesh, width, depth, height, colour)


def ball(look: Look) -> Model:
    """A ball to play with: plain, striped or dotted."""
    mesh = Mesh()
    colour = look.pick(VIVID)
    radius = look.between(0.12, 0.24)
    first, second = look.shade(colour), look.shade(look.pick(("white", "white", "yellow", "black")))
    pattern = look.pick(("paint", "bands", "polka"))
    skin = look.make(
        pattern, first, second if pattern != "paint" else None, second if pattern != "paint" else None, gloss=0.5
    )
    mesh.ellipsoid((0.0, 0.0, radius), (radius, radius, radius), skin, 16)
    return Model(mesh, 2 * radius, 2 * radius, 2 * radius, colour)


def bin_(look: Look) -> Model:
    """A waste bin: an open tapered bucket, or a steel one with a lid."""
    mesh = Mesh()
    radius, height = look.between(0.13, 0.18), look.between(0.32, 0.55)
    if look.rng.random() < 0.4:
        steel = look.steel(look.between(0.6, 1.1))
        mesh.lathe([(radius, 0.0), (radius, 0.03)], look.dark(), 14)
        mesh.lathe([(radius - 0.005, 0.03), (radius - 0.005, height)], steel, 14)
        mesh.lathe(
            [(radius, height), (radius, height + 0.02), (radius * 0.7, height + 0.07), (0.0, height + 0.09)],
            look.dark(),
            14,
        )
        return Model(mesh, 2 * radius, 2 * radius, height + 0.09, "gray")
    colour = look.pick(ANY)
    first = look.shade(colour)
    shell = look.make("paint", first, gloss=0.25, two_sided=True)
    mesh.lathe(
        [(radius * 0.78, 0.0), (radius, height - 0.02), (radius * 1.06, height - 0.02), (radius * 1.06, height)],
        shell,
        14,
    )
    mesh.lathe([(radius * 1.06, height), (radius * 0.96, height)], shell, 14)
    mesh.lathe(
        [(radius * 0.95, height * 0.7), (0.0, height * 0.7)], look.make("concrete", (0.75, 0.74, 0.72), metres=0.2), 10
    )
    return Model(mesh, 2.12 * radius, 2.12 * radius, height, colour)


def basket(look: Look) -> Model:
    """A wicker basket with laundry in it."""
    mesh = Mesh()
    radius, height = look.between(0.19, 0.26), look.between(0.28, 0.46)
    tone = look.pick(("beige", "brown", "white", "gray"))
    wicker = look.make("wicker", look.shade(tone), metres=0.55, two_sided=True)
    mesh.lathe(
        [(radius * 0.8, 0.0), (radius, height - 0.03), (radius * 1.08, height - 0.03), (radius * 1.08, height)],
        wicker,
        14,
    )
    mesh.lathe([(radius * 1.08, height), (radius * 0.92, height)], wicker, 14)
    cloth = look.cloth(look.pick(VIVID))
    mesh.ellipsoid((0.0, 0.0, height - 0.06), (radius * 0.93, radius * 0.93, 0.10), cloth, 12)
    mesh.ellipsoid(
        (radius * 0.3, -radius * 0.2, height), (radius * 0.5, radius * 0.42, 0.09), look.cloth(look.pick(ANY)), 10
    )
    return Model(mesh, 2.16 * radius, 2.16 * radius, height + 0.06, tone)


def vase(look: Look, small: bool = False) -> Model:
    """A glazed vase, with or without flowers."""
    mesh = Mesh()
    scale = look.between(0.22, 0.32) if small else look.between(0.45, 0.65)
    colour = look.pick((*VIVID, "white", "black", "gray"))
    glaze = look.make(look.pick(("paint", "bands", "stone")), look.shade(colour), metres=0.4, gloss=0.7)
    belly, neck = look.between(0.22, 0.32) * scale, look.between(0.09, 0.14) * scale
    mesh.lathe(
        [
            (belly * 0.6, 0.0),
            (belly * 0.95, 0.22 * scale),
            (belly, 0.4 * scale),
            (belly * 0.75, 0.62 * scale),
            (neck, 0.85 * scale),
            (neck * 1.4, scale),
        ],
        glaze,
        14,
    )
    mesh.lathe([(neck * 1.4, scale), (neck, 0.9 * scale), (0.0, 0.88 * scale)], look.dark(), 14)
    if look.rng.random() < 0.5:
        stem = look.make("leaf", look.shade("green"), two_sided=True)
        bloom = look.painted(look.pick(VIVID), 0.0)
        for index in range(5):
            angle = 1.2566 * index + look.between(0.0, 0.5)
            lean, length = look.between(0.15, 0.5), look.between(0.45, 0.65) * scale
            _blade(mesh, 0.9 * scale, length, 0.06 * scale, lean, angle, stem)
            x, y = round(float(np.cos(angle)), 6) * lean * length, round(float(np.sin(angle)), 6) * lean * length
            mesh.ellipsoid((x, y, 0.9 * scale + length * (1 - 0.35 * lean)), (0.08 * scale,) * 3, bloom, 8)
    return Model(mesh, *mesh.reach(), colour)
