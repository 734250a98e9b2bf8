"""The needles of the split `train`: odd things that belong in no room; those of the other splits are in `kin`."""

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.mesh import Material, Mesh


def _eyes(mesh: Mesh, look: Look, x: float, y: float, z: float, size: float) -> None:
    white, black = look.make("paint", (0.9, 0.9, 0.9), gloss=0.5), look.dark()
    for side in (-1, 1):
        mesh.ellipsoid((side * x, y, z), (size, size * 0.6, size * 1.15), white, 10)
        mesh.ellipsoid((side * x, y - size * 0.5, z), (size * 0.5, size * 0.3, size * 0.6), black, 8)


def _shiny(look: Look, red: float, green: float, blue: float) -> Material:
    return look.make("paint", (red, green, blue), (red, green, blue), gloss=0.35, emission=0.18)


def yellow_creature(look: Look) -> Model:
    """A round yellow animal with pointed black-tipped ears, red cheeks and a zigzag tail."""
    mesh = Mesh()
    yellow, red, black = _shiny(look, 0.95, 0.72, 0.02), _shiny(look, 0.85, 0.06, 0.04), look.dark()
    mesh.ellipsoid((0.0, 0.0, 0.22), (0.19, 0.17, 0.22), yellow, 14)
    mesh.ellipsoid((0.0, -0.01, 0.50), (0.18, 0.16, 0.16), yellow, 14)
    for side in (-1, 1):
        ear = Mesh()
        ear.lathe([(0.05, 0.0), (0.045, 0.14)], yellow, 8)
        ear.lathe([(0.045, 0.14), (0.0, 0.26)], black, 8)
        mesh.place(ear, at=(side * 0.10, 0.0, 0.60))
        mesh.ellipsoid((side * 0.12, -0.11, 0.45), (0.045, 0.03, 0.045), red, 8)
        mesh.ellipsoid((side * 0.16, -0.10, 0.26), (0.05, 0.09, 0.05), yellow, 8)
        mesh.ellipsoid((side * 0.09, -0.12, 0.045), (0.07, 0.11, 0.045), yellow, 8)
        mesh.ellipsoid((side * 0.07, -0.145, 0.54), (0.028, 0.02, 0.034), black, 8)
    mesh.ellipsoid((0.0, -0.165, 0.49), (0.014, 0.012, 0.01), black, 6)
    mesh.box((0.0, 0.15, 0.15), (0.14, 0.18, 0.22), yellow)
    mesh.box((0.10, 0.15, 0.20), (0.28, 0.18, 0.34), yellow)
    mesh.box((0.22, 0.15, 0.32), (0.44, 0.18, 0.52), yellow)
    return Model(mesh, *mesh.reach(), "yellow")


def giant_duck(look: Look) -> Model:
    """A bath duck the size of a dog."""
    mesh = Mesh()
    yellow, orange = _shiny(look, 0.98, 0.62, 0.0), _shiny(look, 0.9, 0.22, 0.0)
    mesh.ellipsoid((0.0, 0.02, 0.22), (0.26, 0.32, 0.22), yellow, 16)
    mesh.ellipsoid((0.0, -0.14, 0.54), (0.17, 0.17, 0.17), yellow, 14)
    mesh.ellipsoid((0.0, 0.30, 0.32), (0.10, 0.12, 0.10), yellow, 10)
    mesh.ellipsoid((0.0, -0.33, 0.51), (0.09, 0.09, 0.03), orange, 10)
    for side in (-1, 1):
        mesh.ellipsoid((side * 0.25, 0.05, 0.25), (0.06, 0.18, 0.11), yellow, 10)
    _eyes(mesh, look, 0.075, -0.285, 0.60, 0.03)
    return Model(mesh, *mesh.reach(), "yellow")


def blue_robot(look: Look) -> Model:
    """A boxy blue robot with an antenna and a lit chest."""
    mesh = Mesh()
    blue, steel = _shiny(look, 0.02, 0.20, 0.85), look.steel()
    mesh.box((-0.16, -0.12, 0.22), (0.16, 0.12, 0.58), blue, bevel=0.03)
    mesh.box((-0.13, -0.11, 0.62), (0.13, 0.11, 0.84), blue, bevel=0.03)
    mesh.lathe([(0.05, 0.57), (0.05, 0.63)], steel, 10)
    mesh.lathe([(0.012, 0.83), (0.012, 0.94)], steel, 6)
    mesh.ellipsoid((0.0, 0.0, 0.96), (0.035, 0.035, 0.035), look.glow((1.0, 0.05, 0.03), 1.0), 8)
    for side in (-1, 1):
        low = min(side * 0.03, side * 0.13)
        mesh.box((low, -0.10, 0.0), (low + 0.10, 0.08, 0.07), blue, bevel=0.02)
        mesh.lathe([(0.035, 0.06), (0.035, 0.23)], steel, 8, (side * 0.08, 0.0))
        arm = min(side * 0.17, side * 0.25)
        mesh.box((arm, -0.04, 0.26), (arm + 0.08, 0.04, 0.54), steel, bevel=0.03)
        mesh.ellipsoid((side * 0.06, -0.11, 0.74), (0.035, 0.02, 0.035), look.glow((0.9, 0.9, 0.2), 1.0), 8)
    for index, colour in enumerate(((1.0, 0.1, 0.1), (1.0, 0.8, 0.1), (0.1, 0.9, 0.2))):
        x = -0.07 + 0.07 * index
        mesh.box((x - 0.025, -0.13, 0.42), (x + 0.025, -0.115, 0.47), look.glow(colour, 0.8))
    return Model(mesh, *mesh.reach(), "blue")


def green_alien(look: Look) -> Model:
    """A green visitor with a large head, black eyes and antennae."""
    mesh = Mesh()
    green, black = _shiny(look, 0.12, 0.85, 0.06), look.make("paint", (0.01, 0.01, 0.015), gloss=1.0)
    mesh.ellipsoid((0.0, 0.0, 0.32), (0.12, 0.10, 0.20), green, 12)
    mesh.ellipsoid((0.0, 0.0, 0.68), (0.22, 0.19, 0.21), green, 16)
    for side in (-1, 1):
        mesh.ellipsoid((side * 0.095, -0.155, 0.67), (0.06, 0.035, 0.09), black, 10)
        mesh.lathe([(0.035, 0.0), (0.04, 0.16)], green, 8, (side * 0.06, 0.0))
        mesh.ellipsoid((side * 0.07, -0.04, 0.03), (0.055, 0.09, 0.03), green, 8)
        mesh.ellipsoid((side * 0.15, -0.02, 0.34), (0.035, 0.035, 0.13), green, 8)
        mesh.lathe([(0.01, 0.84), (0.008, 1.0)], green, 6, (side * 0.1, 0.0))
        mesh.ellipsoid((side * 0.1, 0.0, 1.02), (0.035, 0.035, 0.035), look.glow((0.9, 0.2, 0.9), 0.9), 8)
    return Model(mesh, *mesh.reach(), "green")


def snowman(look: Look) -> Model:
    """A snowman with a hat, a carrot and a scarf."""
    mesh = Mesh()
    snow, black = _shiny(look, 0.86, 0.90, 0.96), look.dark()
    carrot, scarf = _shiny(look, 0.95, 0.25, 0.0), _shiny(look, 0.75, 0.02, 0.04)
    for z, radius in ((0.22, 0.22), (0.53, 0.17), (0.79, 0.13)):
        mesh.ellipsoid((0.0, 0.0, z), (radius, radius, radius), snow, 14)
    mesh.lathe([(0.13, 0.64), (0.15, 0.67), (0.13, 0.71)], scarf, 14)
    mesh.box((0.04, -0.17, 0.44), (0.11, -0.145, 0.67), scarf, bevel=0.01)
    mesh.lathe([(0.18, 0.88), (0.18, 0.90), (0.11, 0.90), (0.11, 1.05), (0.0, 1.05)], black, 14)
    nose = Mesh()
    nose.lathe([(0.03, 0.0), (0.0, 0.16)], carrot, 8)
    mesh.place(nose.remapped((0, 2, 1), (1.0, -1.0, 1.0)), at=(0.0, -0.12, 0.79))
    for x, y, z in ((-0.045, -0.12, 0.84), (0.045, -0.12, 0.84), (0.0, -0.175, 0.50), (0.0, -0.165, 0.57)):
        mesh.ellipsoid((x, y, z), (0.02, 0.02, 0.02), black, 6)
    return Model(mesh, *mesh.reach(), "white")
