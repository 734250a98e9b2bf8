"""Chairs, stools, armchairs and sofas."""

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.look import ANY, VIVID, WOODS, Look
from ssm_sense.data.world.mesh import Material, Mesh


def legs(
    mesh: Mesh, width: float, depth: float, height: float, thick: float, material: Material, inset: float = 0.0
) -> None:
    """Four square legs under a piece of the given outer size."""
    x, y = width / 2 - inset, depth / 2 - inset
    for sx in (-1, 1):
        for sy in (-1, 1):
            low_x, low_y = min(sx * x, sx * (x - thick)), min(sy * y, sy * (y - thick))
            mesh.box((low_x, low_y, 0.0), (low_x + thick, low_y + thick, height), material)


def chair(look: Look) -> Model:
    """A dining chair: slatted, panelled or upholstered back."""
    mesh = Mesh()
    colour = look.pick(ANY)
    style = look.pick(("slats", "panel", "upholstered", "shell"))
    width, depth = look.between(0.42, 0.50), look.between(0.42, 0.50)
    seat, height = look.between(0.43, 0.48), look.between(0.82, 1.0)
    if style == "upholstered":
        frame, cover = look.timber(look.pick(WOODS)), look.cloth(colour)
    else:
        frame = look.timber(colour) if colour in WOODS else look.painted(colour)
        cover = frame
    if style == "shell":
        steel = look.steel(look.between(0.3, 1.0))
        legs(mesh, width - 0.06, depth - 0.06, seat - 0.03, 0.022, steel)
        mesh.box((-width / 2, -depth / 2, seat - 0.03), (width / 2, depth / 2, seat + 0.02), cover, bevel=0.024)
        mesh.box((-width / 2, depth / 2 - 0.04, seat), (width / 2, depth / 2, height - 0.05), cover, bevel=0.019)
        return Model(mesh, width, depth, height - 0.05, colour)
    legs(mesh, width, depth, seat - 0.03, 0.036, frame)
    thick = 0.08 if style == "upholstered" else 0.03
    bevel = 0.03 if style == "upholstered" else 0.008
    mesh.box((-width / 2, -depth / 2, seat - 0.03), (width / 2, depth / 2, seat - 0.03 + thick), cover, bevel=bevel)
    for side in (-1, 1):
        post = side * (width / 2 - 0.018)
        mesh.box((post - 0.018, depth / 2 - 0.036, seat), (post + 0.018, depth / 2, height), frame)
    inner, back = width / 2 - 0.036, depth / 2
    if style == "slats":
        count = int(look.rng.integers(2, 5))
        step = (height - seat - 0.12) / count
        for index in range(count):
            z = seat + 0.12 + index * step
            mesh.box((-inner, back - 0.03, z), (inner, back - 0.01, z + step * 0.6), frame)
    else:
        mesh.box((-inner, back - 0.05, seat + 0.12), (inner, back - 0.008, height - 0.02), cover, bevel=0.018)
    return Model(mesh, width, depth, height, colour)


def stool(look: Look) -> Model:
    """A round stool on three legs' worth of pedestal, or a square one on four."""
    mesh = Mesh()
    colour = look.pick(ANY)
    seat = look.between(0.42, 0.66)
    radius = look.between(0.15, 0.20)
    top = look.cloth(colour)
    if look.rng.random() < 0.5:
        steel = look.steel(look.between(0.3, 1.0))
        mesh.lathe([(0.17, 0.0), (0.17, 0.02), (0.03, 0.04), (0.025, seat - 0.06)], steel, sides=12)
        mesh.lathe(
            [(radius, seat - 0.07), (radius + 0.01, seat - 0.03), (radius - 0.02, seat), (0.0, seat + 0.005)], top, 14
        )
        return Model(mesh, 2 * radius + 0.02, 2 * radius + 0.02, seat, colour)
    side = 2 * radius
    wood = look.timber(look.pick(WOODS))
    legs(mesh, side, side, seat - 0.05, 0.035, wood)
    mesh.box((-radius, -radius + 0.02, seat * 0.35), (radius, -radius + 0.04, seat * 0.35 + 0.03), wood)
    mesh.box((-radius, radius - 0.04, seat * 0.35), (radius, radius - 0.02, seat * 0.35 + 0.03), wood)
    mesh.box((-radius - 0.01, -radius - 0.01, seat - 0.06), (radius + 0.01, radius + 0.01, seat), top, bevel=0.025)
    return Model(mesh, side + 0.02, side + 0.02, seat, colour)


def _padded(look: Look, width: float, seats: int) -> Model:
    mesh = Mesh()
    colour = look.pick(ANY)
    cover, pillow = look.cloth(colour), look.cloth(look.pick(VIVID))
    depth, seat, height = look.between(0.82, 0.95), look.between(0.40, 0.46), look.between(0.76, 0.90)
    arm, arm_height = look.between(0.14, 0.22), look.between(0.56, 0.66)
    front, back = -depth / 2, depth / 2
    foot = look.timber(look.pick(WOODS))
    legs(mesh, width - 0.08, depth - 0.08, 0.09, 0.05, foot)
    mesh.box((-width / 2, front, 0.08), (width / 2, back, seat - 0.13), cover, bevel=0.02)
    for side in (-1, 1):
        low = min(side * width / 2, side * (width / 2 - arm))
        mesh.box((low, front, 0.1), (low + arm, back, arm_height), cover, bevel=0.05)
    inner = width / 2 - arm
    mesh.box((-inner, back - 0.24, 0.1), (inner, back, height), cover, bevel=0.06)
    step = 2 * inner / seats
    for index in range(seats):
        left = -inner + index * step
        mesh.box((left, front + 0.01, seat - 0.14), (left + step, back - 0.22, seat), cover, bevel=0.04)
        mesh.box((left, back - 0.36, seat - 0.02), (left + step, back - 0.16, height - 0.04), cover, bevel=0.06)
    for index in range(int(look.rng.integers(0, seats + 1))):
        x = -inner + 0.24 + index * (2 * inner - 0.48) / max(seats - 1, 1)
        mesh.box((x - 0.19, back - 0.48, seat), (x + 0.19, back - 0.34, seat + 0.36), pillow, bevel=0.06)
    return Model(mesh, width, depth, height, colour)


def sofa(look: Look) -> Model:
    """A sofa of two or three seats with loose pillows."""
    seats = int(look.rng.integers(2, 4))
    return _padded(look, 0.62 * seats + look.between(0.30, 0.45), seats)


def armchair(look: Look) -> Model:
    """An upholstered armchair."""
    return _padded(look, look.between(0.86, 1.0), 1)
