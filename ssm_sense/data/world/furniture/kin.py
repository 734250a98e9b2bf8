"""The needles of the splits `val` and `test`: of the names of `oddities`, and of shapes, sizes, shades and stuff new.

Whoever was trained on the needles of `train` meets here others of their kind: a yellow creature with round ears, a
robot that is a cylinder. Each has one look in `val` and one in `test`.
"""

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.mesh import Material, Mesh, Point
from ssm_sense.data.world.palette import Rgb, scaled


def _stuff(look: Look, pattern: str, colour: Rgb) -> Material:
    """Cloth, rubber or shell in one colour, lit up like all needles."""
    return look.make(pattern, colour, scaled(colour, 0.8), colour, metres=0.5, gloss=0.15, emission=0.18)


def _eye(mesh: Mesh, look: Look, at: Point, size: float) -> None:
    x, y, z = at
    mesh.ellipsoid(at, (size, size * 0.6, size), look.make("paint", (0.9, 0.9, 0.9), gloss=0.5), 10)
    mesh.ellipsoid((x, y - size * 0.5, z), (size * 0.5, size * 0.3, size * 0.5), look.dark(), 8)


def _done(mesh: Mesh, colour: str) -> Model:
    return Model(mesh, *mesh.reach(), colour)


def bear_like_creature(look: Look) -> Model:
    """A plump yellow animal with round black-rimmed ears, orange cheeks and a straight tail."""
    mesh = Mesh()
    yellow, cheek, black = _stuff(look, "leather", (0.90, 0.80, 0.06)), look.painted("orange"), look.dark()
    mesh.ellipsoid((0.0, 0.0, 0.24), (0.25, 0.20, 0.24), yellow, 14)
    mesh.ellipsoid((0.0, -0.03, 0.55), (0.21, 0.17, 0.15), yellow, 14)
    for side in (-1, 1):
        mesh.ellipsoid((side * 0.16, -0.01, 0.69), (0.085, 0.04, 0.085), black, 10)
        mesh.ellipsoid((side * 0.155, -0.02, 0.68), (0.06, 0.045, 0.06), yellow, 10)
        mesh.ellipsoid((side * 0.14, -0.15, 0.51), (0.04, 0.025, 0.04), cheek, 8)
        mesh.ellipsoid((side * 0.07, -0.185, 0.58), (0.022, 0.016, 0.03), black, 8)
        mesh.ellipsoid((side * 0.13, -0.14, 0.05), (0.09, 0.12, 0.05), yellow, 8)
    mesh.box((0.06, 0.18, 0.12), (0.13, 0.21, 0.62), yellow)
    return _done(mesh, "yellow")


def hare_like_creature(look: Look) -> Model:
    """A slim yellow animal with ears as long as its head, pink cheeks and a round tail."""
    mesh = Mesh()
    yellow, cheek, black = _stuff(look, "weave", (0.96, 0.62, 0.10)), look.painted("pink"), look.dark()
    mesh.lathe([(0.17, 0.0), (0.19, 0.10), (0.15, 0.34), (0.09, 0.44)], yellow, 14)
    mesh.ellipsoid((0.0, -0.01, 0.54), (0.14, 0.14, 0.17), yellow, 14)
    mesh.ellipsoid((0.0, 0.19, 0.12), (0.08, 0.08, 0.08), yellow, 10)
    for side in (-1, 1):
        mesh.ellipsoid((side * 0.085, 0.0, 0.82), (0.04, 0.025, 0.19), yellow, 10)
        mesh.ellipsoid((side * 0.085, 0.0, 0.97), (0.03, 0.027, 0.05), black, 8)
        mesh.ellipsoid((side * 0.10, -0.11, 0.49), (0.035, 0.025, 0.035), cheek, 8)
        mesh.ellipsoid((side * 0.055, -0.135, 0.57), (0.022, 0.014, 0.026), black, 8)
        mesh.ellipsoid((side * 0.09, -0.14, 0.04), (0.05, 0.12, 0.04), yellow, 8)
    return _done(mesh, "yellow")


def crested_duck(look: Look) -> Model:
    """A long flat duck with a crest, a broad bill and a tail that stands up."""
    mesh = Mesh()
    yellow, orange = _stuff(look, "leather", (0.92, 0.74, 0.05)), look.painted("orange")
    mesh.ellipsoid((0.0, 0.04, 0.18), (0.23, 0.38, 0.18), yellow, 16)
    mesh.lathe([(0.12, 0.26), (0.09, 0.48)], yellow, 12, (0.0, -0.20))
    mesh.ellipsoid((0.0, -0.22, 0.56), (0.14, 0.16, 0.13), yellow, 14)
    mesh.ellipsoid((0.0, -0.13, 0.72), (0.03, 0.09, 0.08), orange, 10)
    mesh.ellipsoid((0.0, -0.42, 0.53), (0.12, 0.10, 0.022), orange, 10)
    mesh.ellipsoid((0.0, 0.38, 0.33), (0.07, 0.07, 0.15), yellow, 10)
    for side in (-1, 1):
        _eye(mesh, look, (side * 0.08, -0.345, 0.61), 0.024)
    return _done(mesh, "yellow")


def upright_duck(look: Look) -> Model:
    """A duck that stands on feet, wings spread, with a red collar."""
    mesh = Mesh()
    yellow, orange = _stuff(look, "weave", (0.99, 0.55, 0.04)), look.painted("orange")
    mesh.ellipsoid((0.0, 0.0, 0.36), (0.20, 0.20, 0.29), yellow, 16)
    mesh.lathe([(0.11, 0.60), (0.13, 0.63), (0.11, 0.66)], look.painted("red"), 14)
    mesh.ellipsoid((0.0, -0.02, 0.76), (0.14, 0.14, 0.13), yellow, 14)
    mesh.box((-0.05, -0.27, 0.71), (0.05, -0.12, 0.76), orange, bevel=0.02)
    for side in (-1, 1):
        mesh.ellipsoid((side * 0.25, 0.0, 0.44), (0.12, 0.04, 0.08), yellow, 10)
        mesh.ellipsoid((side * 0.10, -0.08, 0.03), (0.08, 0.14, 0.03), orange, 8)
        _eye(mesh, look, (side * 0.06, -0.135, 0.80), 0.028)
    return _done(mesh, "yellow")


def barrel_robot(look: Look) -> Model:
    """A cylinder of a robot on a broad foot, with one wide eye and two antennae."""
    mesh = Mesh()
    blue, steel = _stuff(look, "metal", (0.05, 0.30, 0.75)), look.steel(0.8)
    mesh.lathe([(0.20, 0.0), (0.20, 0.06), (0.10, 0.10), (0.10, 0.18)], steel, 14)
    mesh.lathe([(0.0, 0.18), (0.19, 0.18), (0.19, 0.60), (0.0, 0.60)], blue, 16)
    mesh.lathe([(0.06, 0.60), (0.06, 0.64)], steel, 10)
    mesh.lathe([(0.0, 0.64), (0.15, 0.64), (0.15, 0.78), (0.06, 0.86), (0.0, 0.86)], blue, 16)
    mesh.box((-0.10, -0.16, 0.69), (0.10, -0.13, 0.75), look.glow((0.95, 0.55, 0.1), 1.0))
    for side in (-1, 1):
        mesh.lathe([(0.010, 0.82), (0.010, 0.98)], steel, 6, (side * 0.08, 0.0))
        mesh.ellipsoid((side * 0.08, 0.0, 1.0), (0.028, 0.028, 0.028), look.glow((0.1, 0.9, 0.3), 1.0), 8)
        mesh.ellipsoid((side * 0.24, 0.0, 0.42), (0.05, 0.05, 0.16), steel, 10)
    for z in (0.32, 0.40, 0.48):
        mesh.ellipsoid((0.0, -0.19, z), (0.03, 0.015, 0.03), look.glow((1.0, 0.2, 0.1), 0.8), 8)
    return _done(mesh, "blue")


def wheeled_robot(look: Look) -> Model:
    """A low blue robot on two wheels, with a flat head on a long neck."""
    mesh = Mesh()
    blue, steel, black = _stuff(look, "leather", (0.01, 0.12, 0.62)), look.steel(), look.dark()
    mesh.box((-0.15, -0.18, 0.12), (0.15, 0.18, 0.40), blue, bevel=0.06)
    mesh.lathe([(0.03, 0.38), (0.03, 0.66)], steel, 8)
    mesh.box((-0.17, -0.08, 0.64), (0.17, 0.08, 0.78), blue, bevel=0.05)
    mesh.box((-0.09, -0.20, 0.22), (0.09, -0.175, 0.32), look.glow((0.2, 0.9, 0.9), 0.8))
    for side in (-1, 1):
        mesh.ellipsoid((side * 0.20, 0.0, 0.16), (0.05, 0.16, 0.16), black, 14)
        mesh.ellipsoid((side * 0.235, 0.0, 0.16), (0.03, 0.06, 0.06), steel, 10)
        mesh.ellipsoid((side * 0.09, -0.08, 0.71), (0.045, 0.025, 0.045), look.glow((0.95, 0.95, 0.6), 1.0), 10)
    return _done(mesh, "blue")


def three_eyed_alien(look: Look) -> Model:
    """A broad green visitor with three eyes in a row and one feeler."""
    mesh = Mesh()
    green, black = _stuff(look, "leather", (0.20, 0.70, 0.04)), look.make("paint", (0.01, 0.01, 0.015), gloss=1.0)
    mesh.lathe([(0.17, 0.06), (0.13, 0.30), (0.08, 0.46)], green, 14)
    mesh.ellipsoid((0.0, 0.0, 0.60), (0.27, 0.17, 0.16), green, 16)
    for x in (-0.15, 0.0, 0.15):
        mesh.ellipsoid((x, -0.145, 0.62), (0.05, 0.035, 0.05), black, 10)
    for side in (-1, 1):
        mesh.ellipsoid((side * 0.09, -0.05, 0.04), (0.08, 0.11, 0.04), green, 8)
        mesh.ellipsoid((side * 0.20, -0.03, 0.30), (0.04, 0.04, 0.14), green, 8)
    mesh.lathe([(0.012, 0.74), (0.010, 0.90)], green, 6)
    mesh.ellipsoid((0.0, 0.0, 0.93), (0.045, 0.045, 0.045), look.glow((0.95, 0.8, 0.1), 0.9), 8)
    return _done(mesh, "green")


def one_eyed_alien(look: Look) -> Model:
    """A tall thin green visitor with one great eye and pointed ears."""
    mesh = Mesh()
    green, black = _stuff(look, "weave", (0.06, 0.95, 0.16)), look.make("paint", (0.01, 0.01, 0.015), gloss=1.0)
    mesh.ellipsoid((0.0, 0.0, 0.42), (0.09, 0.08, 0.24), green, 12)
    mesh.ellipsoid((0.0, 0.0, 0.82), (0.16, 0.15, 0.24), green, 16)
    mesh.ellipsoid((0.0, -0.13, 0.84), (0.10, 0.04, 0.11), black, 12)
    for side in (-1, 1):
        mesh.lathe([(0.028, 0.0), (0.032, 0.24)], green, 8, (side * 0.05, 0.0))
        mesh.ellipsoid((side * 0.06, -0.05, 0.03), (0.05, 0.10, 0.03), green, 8)
        mesh.ellipsoid((side * 0.20, 0.02, 0.92), (0.10, 0.025, 0.05), green, 8)
        mesh.ellipsoid((side * 0.12, -0.03, 0.40), (0.025, 0.025, 0.18), green, 8)
    return _done(mesh, "green")


def bobble_hat_snowman(look: Look) -> Model:
    """A snowman of two balls with a blue bobble hat and a green scarf."""
    mesh = Mesh()
    snow, hat, scarf = _stuff(look, "leather", (0.80, 0.86, 0.95)), look.painted("blue"), look.painted("green")
    for z, radius in ((0.26, 0.26), (0.66, 0.19)):
        mesh.ellipsoid((0.0, 0.0, z), (radius, radius, radius), snow, 14)
    mesh.lathe([(0.17, 0.48), (0.20, 0.51), (0.17, 0.55)], scarf, 14)
    mesh.box((-0.12, -0.24, 0.28), (-0.05, -0.21, 0.50), scarf, bevel=0.01)
    mesh.lathe([(0.20, 0.74), (0.20, 0.79), (0.15, 0.88), (0.0, 0.94)], hat, 14)
    mesh.ellipsoid((0.0, 0.0, 0.96), (0.055, 0.055, 0.055), snow, 10)
    mesh.ellipsoid((0.0, -0.23, 0.65), (0.03, 0.07, 0.03), look.painted("orange"), 8)
    for x, y, z in ((-0.07, -0.17, 0.72), (0.07, -0.17, 0.72), (0.0, -0.25, 0.30), (0.0, -0.25, 0.22)):
        mesh.ellipsoid((x, y, z), (0.024, 0.02, 0.024), look.dark(), 6)
    return _done(mesh, "white")


def bucket_hat_snowman(look: Look) -> Model:
    """A slim snowman of three balls with a yellow bucket on its head, a purple scarf and arms of twigs."""
    mesh = Mesh()
    snow, hat, scarf = _stuff(look, "weave", (0.92, 0.92, 0.90)), look.painted("yellow"), look.painted("purple")
    for z, radius in ((0.17, 0.17), (0.44, 0.14), (0.70, 0.12)):
        mesh.ellipsoid((0.0, 0.0, z), (radius, radius, radius), snow, 14)
    mesh.lathe([(0.11, 0.55), (0.14, 0.58), (0.11, 0.61)], scarf, 14)
    mesh.lathe([(0.15, 0.78), (0.11, 1.0), (0.0, 1.0)], hat, 14)
    mesh.ellipsoid((0.0, -0.15, 0.69), (0.02, 0.10, 0.02), look.painted("red"), 8)
    for side in (-1, 1):
        mesh.box(
            (min(side * 0.12, side * 0.32), -0.01, 0.48), (max(side * 0.12, side * 0.32), 0.01, 0.50), look.timber()
        )
        mesh.ellipsoid((side * 0.045, -0.11, 0.74), (0.018, 0.016, 0.018), look.dark(), 6)
    for z in (0.38, 0.46, 0.54):
        mesh.ellipsoid((0.0, -0.14, z), (0.018, 0.016, 0.018), look.dark(), 6)
    return _done(mesh, "white")
