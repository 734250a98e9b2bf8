"""Tables, desks, workbenches, dressers and kitchen counters."""

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.furniture.seating import legs
from ssm_sense.data.world.look import ANY, WOODS, Look
from ssm_sense.data.world.mesh import Material, Mesh


def table(look: Look) -> Model:
    """A dining table on legs, or a round one on a pedestal."""
    mesh = Mesh()
    colour = look.pick(WOODS)
    wood = look.timber(colour)
    height = look.between(0.72, 0.77)
    if look.rng.random() < 0.3:
        radius = look.between(0.45, 0.60)
        mesh.lathe([(0.26, 0.0), (0.26, 0.03), (0.05, 0.08), (0.045, height - 0.04), (0.2, height - 0.03)], wood, 12)
        mesh.lathe([(0.2, height - 0.04), (radius, height - 0.035), (radius, height), (0.0, height)], wood, 20)
        return Model(mesh, 2 * radius, 2 * radius, height, colour, top_m=height)
    width, depth = look.between(1.1, 1.7), look.between(0.75, 0.92)
    thick = look.between(0.05, 0.08)
    legs(mesh, width, depth, height - 0.04, thick, wood, inset=0.03)
    mesh.box(
        (-width / 2 + 0.06, -depth / 2 + 0.05, height - 0.12), (width / 2 - 0.06, depth / 2 - 0.05, height - 0.04), wood
    )
    mesh.box((-width / 2, -depth / 2, height - 0.04), (width / 2, depth / 2, height), wood, bevel=0.008)
    return Model(mesh, width, depth, height, colour, top_m=height)


def drawers(
    mesh: Mesh, x: float, width: float, y: float, low: float, high: float, count: int, face: Material, knob: Material
) -> None:
    """A stack of drawer fronts on the plane y, with a bar handle each."""
    step = (high - low) / count
    for index in range(count):
        z = low + index * step
        mesh.box(
            (x - width / 2 + 0.012, y - 0.018, z + 0.012),
            (x + width / 2 - 0.012, y, z + step - 0.012),
            face,
            bevel=0.005,
        )
        middle = z + step / 2
        mesh.box((x - 0.07, y - 0.04, middle - 0.009), (x + 0.07, y - 0.019, middle + 0.009), knob)


def desk(look: Look) -> Model:
    """A writing desk with a drawer pedestal."""
    mesh = Mesh()
    colour = look.pick(WOODS)
    wood, steel = look.timber(colour), look.steel(0.6)
    width, depth, height = look.between(1.1, 1.5), look.between(0.58, 0.70), look.between(0.72, 0.76)
    mesh.box((-width / 2, -depth / 2, height - 0.035), (width / 2, depth / 2, height), wood, bevel=0.006)
    left = -width / 2 + 0.04
    for y in (-depth / 2 + 0.03, depth / 2 - 0.08):
        mesh.box((left, y, 0.0), (left + 0.05, y + 0.05, height - 0.035), wood)
    right = width / 2 - 0.24
    mesh.box((right - 0.20, -depth / 2 + 0.05, 0.04), (right + 0.20, depth / 2 - 0.02, height - 0.035), wood)
    drawers(mesh, right, 0.40, -depth / 2 + 0.05, 0.06, height - 0.05, 3, wood, steel)
    mesh.box((left, depth / 2 - 0.05, height - 0.40), (right, depth / 2 - 0.03, height - 0.04), wood)
    return Model(mesh, width, depth, height, colour, top_m=height)


def workbench(look: Look) -> Model:
    """A heavy bench with a lower shelf, a vice and a tool board behind it."""
    mesh = Mesh()
    wood, steel, board = look.timber("brown"), look.steel(0.5), look.painted(look.pick(ANY), 0.05)
    width, depth, height = look.between(1.4, 1.9), look.between(0.62, 0.75), look.between(0.86, 0.94)
    legs(mesh, width, depth, height - 0.08, 0.09, wood)
    mesh.box((-width / 2, -depth / 2, height - 0.08), (width / 2, depth / 2, height), wood, bevel=0.01)
    mesh.box((-width / 2 + 0.05, -depth / 2 + 0.05, 0.22), (width / 2 - 0.05, depth / 2 - 0.05, 0.25), wood)
    mesh.box(
        (-width / 2 + 0.1, -depth / 2 - 0.09, height - 0.07),
        (-width / 2 + 0.26, -depth / 2 - 0.001, height + 0.05),
        steel,
        bevel=0.01,
    )
    mesh.box((-width / 2, depth / 2 - 0.02, height + 0.18), (width / 2, depth / 2, height + 0.85), board)
    for index in range(int(look.rng.integers(4, 8))):
        x = -width / 2 + 0.15 + index * (width - 0.3) / 7
        z = height + look.between(0.30, 0.45)
        tool = look.painted(look.pick(ANY), 0.3)
        mesh.box((x - 0.02, depth / 2 - 0.06, z), (x + 0.02, depth / 2 - 0.021, z + 0.16), tool, bevel=0.008)
        mesh.box((x - 0.05, depth / 2 - 0.05, z + 0.16), (x + 0.05, depth / 2 - 0.021, z + 0.22), steel, bevel=0.006)
    return Model(mesh, width, depth + 0.1, height + 0.85, "brown", top_m=height)


def dresser(look: Look) -> Model:
    """A chest of drawers."""
    mesh = Mesh()
    colour = look.pick((*WOODS, "blue", "green", "teal", "red"))
    face = look.timber(colour) if colour in WOODS else look.painted(colour)
    width, depth, height = look.between(0.8, 1.2), look.between(0.42, 0.50), look.between(0.75, 0.95)
    mesh.box((-width / 2 + 0.01, -depth / 2 + 0.02, 0.06), (width / 2 - 0.01, depth / 2, height - 0.02), face)
    mesh.box((-width / 2, -depth / 2, height - 0.025), (width / 2, depth / 2, height), face, bevel=0.006)
    legs(mesh, width - 0.04, depth - 0.06, 0.06, 0.05, face)
    rows = int(look.rng.integers(3, 5))
    knob = look.steel(look.between(0.3, 1.0))
    for side in (-1, 1):
        drawers(mesh, side * width / 4, width / 2 - 0.02, -depth / 2 + 0.02, 0.08, height - 0.04, rows, face, knob)
    return Model(mesh, width, depth, height, colour, top_m=height)


def counter(look: Look, width: float = 1.2, basin: bool = False) -> Model:
    """A run of kitchen cupboards with a stone top; `basin` sets a sink with a tap into it."""
    mesh = Mesh()
    colour = look.pick(("white", "gray", "blue", "green", "brown", "beige", "red"))
    door, steel = look.painted(colour), look.steel()
    stone_shade = look.shade(look.pick(("white", "gray", "black", "beige")))
    stone = look.make("stone", stone_shade, gloss=0.4)
    depth, height = 0.62, 0.90
    front = -depth / 2
    mesh.box((-width / 2, front + 0.06, 0.0), (width / 2, depth / 2, 0.1), look.dark())
    mesh.box((-width / 2, front + 0.03, 0.1), (width / 2, depth / 2, height - 0.04), door)
    doors = max(2, round(width / 0.55))
    step = width / doors
    for index in range(doors):
        left = -width / 2 + index * step
        mesh.box(
            (left + 0.008, front + 0.012, 0.115), (left + step - 0.008, front + 0.03, height - 0.055), door, bevel=0.006
        )
        x = left + (0.06 if index % 2 else step - 0.06)
        mesh.box((x - 0.008, front - 0.012, height - 0.25), (x + 0.008, front + 0.011, height - 0.11), steel)
    if not basin:
        mesh.box((-width / 2, front, height - 0.04), (width / 2, depth / 2, height), stone, bevel=0.006)
        return Model(mesh, width, depth, height, colour, top_m=height)
    half = 0.27
    for low, high in ((-width / 2, -half), (half, width / 2)):
        mesh.box((low, front, height - 0.04), (high, depth / 2, height), stone)
    mesh.box((-half, front, height - 0.04), (half, front + 0.1, height), stone)
    mesh.box((-half, depth / 2 - 0.14, height - 0.04), (half, depth / 2, height), stone)
    mesh.box((-half, front + 0.1, height - 0.2), (half, depth / 2 - 0.14, height - 0.18), steel)
    for sign in (-1, 1):
        low = min(sign * half, sign * (half - 0.015))
        mesh.box((low, front + 0.1, height - 0.18), (low + 0.015, depth / 2 - 0.14, height - 0.003), steel)
    mesh.lathe([(0.022, height), (0.016, height + 0.24), (0.0, height + 0.25)], steel, 8, (0.0, depth / 2 - 0.07))
    mesh.box((-0.014, depth / 2 - 0.24, height + 0.215), (0.014, depth / 2 - 0.07, height + 0.243), steel, bevel=0.008)
    mesh.box((-0.012, depth / 2 - 0.24, height + 0.17), (0.012, depth / 2 - 0.216, height + 0.22), steel)
    return Model(mesh, width, depth, height + 0.25, colour)
