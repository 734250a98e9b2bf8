"""What has a pipe or a plug in kitchens, bathrooms and laundries."""

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.furniture.tables import counter
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.mesh import Mesh


def toilet(look: Look) -> Model:
    """A toilet with its cistern."""
    mesh = Mesh()
    white = look.porcelain()
    bowl = [(0.12, 0.0), (0.11, 0.12), (0.14, 0.24), (0.20, 0.36), (0.20, 0.40)]
    base = Mesh()
    base.lathe(bowl, white, 16)
    base.lathe([(0.205, 0.40), (0.21, 0.42), (0.20, 0.44), (0.0, 0.445)], white, 16)
    mesh.place(base, at=(0.0, -0.12, 0.0))
    mesh.box((-0.11, -0.12, 0.0), (0.11, 0.2, 0.36), white, bevel=0.03)
    mesh.box((-0.20, 0.12, 0.36), (0.20, 0.32, 0.78), white, bevel=0.03)
    mesh.box((-0.21, 0.11, 0.78), (0.21, 0.325, 0.82), white, bevel=0.015)
    mesh.box((-0.03, 0.19, 0.82), (0.03, 0.25, 0.83), look.steel(), bevel=0.004)
    return Model(mesh, 0.42, 0.66, 0.82, "white")


def sink(look: Look) -> Model:
    """A washbasin on a pedestal with a tap, or a kitchen counter with a basin."""
    if look.rng.random() < 0.4:
        return counter(look, look.between(1.0, 1.4), basin=True)
    mesh = Mesh()
    white, steel = look.porcelain(), look.steel()
    mesh.lathe([(0.13, 0.0), (0.09, 0.1), (0.08, 0.6), (0.12, 0.72)], white, 14)
    mesh.box((-0.29, -0.23, 0.70), (0.29, 0.25, 0.77), white, bevel=0.03)
    for low, high in (
        ((-0.29, -0.23), (0.29, -0.16)),
        ((-0.29, 0.10), (0.29, 0.25)),
        ((-0.29, -0.16), (-0.22, 0.10)),
        ((0.22, -0.16), (0.29, 0.10)),
    ):
        mesh.box((*low, 0.76), (*high, 0.86), white, bevel=0.012)
    mesh.lathe([(0.02, 0.86), (0.016, 0.98), (0.0, 0.99)], steel, 8, (0.0, 0.17))
    mesh.box((-0.013, 0.02, 0.955), (0.013, 0.17, 0.98), steel, bevel=0.006)
    return Model(mesh, 0.58, 0.50, 0.99, "white")


def bathtub(look: Look) -> Model:
    """A tub with thick rounded rims and water in it."""
    mesh = Mesh()
    white = look.porcelain()
    width, depth, height, rim = look.between(1.55, 1.75), look.between(0.72, 0.80), 0.56, 0.08
    x, y = width / 2, depth / 2
    mesh.box((-x, -y, 0.0), (-x + rim, y, height), white, bevel=0.03)
    mesh.box((x - rim, -y, 0.0), (x, y, height), white, bevel=0.03)
    mesh.box((-x, -y, 0.0), (x, -y + rim, height), white, bevel=0.03)
    mesh.box((-x, y - rim, 0.0), (x, y, height), white, bevel=0.03)
    water = look.make("stone", (0.25, 0.52, 0.58), (0.35, 0.62, 0.68), gloss=0.9)
    mesh.box((-x + rim - 0.03, -y + rim - 0.03, 0.1), (x - rim + 0.03, y - rim + 0.03, 0.36), water)
    steel = look.steel()
    mesh.lathe([(0.02, height - 0.01), (0.018, height + 0.14), (0.0, height + 0.15)], steel, 8, (-x + 0.05, 0.0))
    mesh.box((-x + 0.05, -0.015, height + 0.11), (-x + 0.2, 0.015, height + 0.14), steel, bevel=0.007)
    return Model(mesh, width, depth, height + 0.15, "white")


def washing_machine(look: Look) -> Model:
    """A front loader with its porthole."""
    mesh = Mesh()
    colour = look.pick(("white", "white", "gray"))
    case, steel = look.painted(colour, 0.4), look.steel()
    mesh.box((-0.30, -0.29, 0.02), (0.30, 0.30, 0.86), case, bevel=0.015)
    mesh.box(
        (-0.27, -0.297, 0.74), (0.27, -0.285, 0.83), look.painted(look.pick(("gray", "black", "beige"))), bevel=0.004
    )
    mesh.box((0.05, -0.302, 0.765), (0.2, -0.296, 0.805), look.make("paint", (0.1, 0.5, 0.3), emission=0.6))
    ring = Mesh()
    ring.lathe([(0.20, 0.0), (0.20, 0.02), (0.15, 0.035), (0.14, 0.015)], steel, 18)
    ring.lathe([(0.14, 0.015), (0.08, 0.03), (0.0, 0.034)], look.make("stone", (0.03, 0.05, 0.08), gloss=0.9), 18)
    mesh.place(_tipped(ring), at=(0.0, -0.288, 0.42))
    return Model(mesh, 0.60, 0.62, 0.86, colour, top_m=0.86)


def _tipped(mesh: Mesh) -> Mesh:
    """The mesh with its z axis laid towards the front (-y)."""
    return mesh.remapped((0, 2, 1), (1.0, -1.0, 1.0))


def stove(look: Look) -> Model:
    """A cooker with four rings, an oven door and knobs."""
    mesh = Mesh()
    colour = look.pick(("white", "black", "gray", "red"))
    case, steel, dark = look.painted(colour, 0.4), look.steel(), look.dark()
    mesh.box((-0.30, -0.29, 0.04), (0.30, 0.30, 0.88), case, bevel=0.008)
    mesh.box((-0.30, -0.30, 0.88), (0.30, 0.30, 0.91), dark, bevel=0.006)
    for x in (-0.14, 0.14):
        for y, radius in ((-0.13, 0.10), (0.14, 0.075)):
            mesh.lathe([(radius, 0.911), (radius, 0.918), (radius - 0.02, 0.921), (0.0, 0.916)], steel, 14, (x, y))
    mesh.box(
        (-0.24, -0.298, 0.24), (0.24, -0.285, 0.62), look.make("paint", (0.03, 0.03, 0.035), gloss=0.9), bevel=0.005
    )
    mesh.box((-0.25, -0.335, 0.655), (0.25, -0.315, 0.675), steel, bevel=0.006)
    for x in (-0.22, 0.22):
        mesh.box((x - 0.01, -0.33, 0.655), (x + 0.01, -0.289, 0.675), steel)
    for index in range(5):
        x = -0.22 + index * 0.11
        mesh.box((x - 0.02, -0.315, 0.755), (x + 0.02, -0.289, 0.795), steel, bevel=0.012)
    mesh.box((-0.30, 0.26, 0.91), (0.30, 0.30, 1.02), case, bevel=0.008)
    return Model(mesh, 0.60, 0.64, 1.02, colour)


def fridge(look: Look) -> Model:
    """A fridge with a freezer door above or below."""
    mesh = Mesh()
    colour = look.pick(("white", "white", "gray", "black", "red", "teal"))
    case = look.steel() if colour == "gray" else look.painted(colour, 0.4)
    steel, height = look.steel(0.8), look.between(1.65, 1.9)
    split = look.pick(("0.34", "0.68"))
    middle = height * float(split)
    mesh.box((-0.31, -0.24, 0.05), (0.31, 0.33, height), case, bevel=0.015)
    mesh.box((-0.28, -0.22, 0.0), (0.28, 0.3, 0.05), look.dark())
    for low, high in ((0.06, middle - 0.006), (middle + 0.006, height - 0.01)):
        mesh.box((-0.31, -0.32, low), (0.31, -0.245, high), case, bevel=0.018)
        near = high - 0.42 if low < 0.1 else low + 0.06
        mesh.box((-0.27, -0.365, near), (-0.245, -0.34, near + 0.34), steel, bevel=0.008)
        for z in (near + 0.01, near + 0.31):
            mesh.box((-0.27, -0.345, z), (-0.245, -0.318, z + 0.02), steel)
    return Model(mesh, 0.62, 0.70, height, colour)
