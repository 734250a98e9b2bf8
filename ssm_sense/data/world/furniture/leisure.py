"""Screens, instruments, exercise machines, fireplaces."""

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.furniture.tables import drawers
from ssm_sense.data.world.look import VIVID, WOODS, Look
from ssm_sense.data.world.mesh import Mesh


def _panel(look: Look, mesh: Mesh, width: float, low: float, high: float, y: float, pattern: str) -> None:
    """A lit screen in a black bezel, facing the front."""
    mesh.box((-width / 2, y - 0.02, low), (width / 2, y + 0.025, high), look.dark(), bevel=0.008)
    colours = look.shade(look.pick(VIVID)), look.shade(look.pick(VIVID)), look.shade("white")
    picture = look.make(pattern, *colours, emission=0.75)
    x, edge = width / 2 - 0.018, y - 0.022
    mesh.quad(
        [(-x, edge, low + 0.02), (x, edge, low + 0.02), (x, edge, high - 0.02), (-x, edge, high - 0.02)],
        picture,
        stretch=True,
    )


def screen(look: Look) -> Model:
    """A television on a low cabinet."""
    mesh = Mesh()
    wood = look.timber(look.pick(WOODS))
    width, depth, stand = look.between(1.1, 1.5), 0.42, look.between(0.42, 0.55)
    mesh.box((-width / 2, -depth / 2 + 0.02, 0.06), (width / 2, depth / 2, stand), wood)
    mesh.box((-width / 2 + 0.05, -depth / 2 + 0.06, 0.0), (width / 2 - 0.05, depth / 2 - 0.05, 0.06), look.dark())
    for side in (-1, 0, 1):
        drawers(mesh, side * width / 3, width / 3, -depth / 2 + 0.02, 0.08, stand - 0.02, 1, wood, look.steel(0.5))
    panel = min(width - 0.1, look.between(0.95, 1.25))
    mesh.box((-0.18, -0.10, stand), (0.18, 0.12, stand + 0.015), look.dark())
    mesh.box((-0.04, 0.02, stand + 0.015), (0.04, 0.05, stand + 0.1), look.dark())
    _panel(look, mesh, panel, stand + 0.07, stand + 0.07 + panel * 0.58, 0.0, "broadcast")
    return Model(mesh, width, depth, stand + 0.07 + panel * 0.58, "black")


def monitor(look: Look) -> Model:
    """A computer screen with a keyboard, to stand on a desk."""
    mesh = Mesh()
    dark = look.dark()
    width = look.between(0.50, 0.62)
    mesh.box((-0.12, -0.02, 0.0), (0.12, 0.16, 0.012), dark)
    mesh.box((-0.025, 0.08, 0.012), (0.025, 0.11, 0.2), dark)
    _panel(look, mesh, width, 0.11, 0.11 + width * 0.58, 0.06, "desktop")
    mesh.box((-0.2, -0.19, 0.0), (0.2, -0.07, 0.02), dark, bevel=0.006)
    return Model(mesh, width, 0.40, 0.11 + width * 0.58, "black")


def piano(look: Look) -> Model:
    """An upright piano with its keys and pedals."""
    mesh = Mesh()
    colour = look.pick(("black", "brown", "white"))
    case = look.make("wood", look.shade(colour), metres=1.2, gloss=0.5)
    ivory, ebony = look.make("paint", (0.80, 0.78, 0.70), gloss=0.3), look.dark()
    mesh.box((-0.74, -0.02, 0.0), (0.74, 0.30, 1.18), case, bevel=0.01)
    mesh.box((-0.76, -0.04, 1.18), (0.76, 0.31, 1.21), case, bevel=0.008)
    mesh.box((-0.72, -0.30, 0.60), (0.72, -0.02, 0.70), case, bevel=0.01)
    for side in (-1, 1):
        low = min(side * 0.74, side * 0.67)
        mesh.box((low, -0.31, 0.0), (low + 0.07, -0.02, 0.78), case, bevel=0.01)
    mesh.box((-0.66, -0.29, 0.70), (0.66, -0.14, 0.725), ivory)
    for index in range(36):
        if index % 7 in (0, 1, 3, 4, 5):
            x = -0.63 + index * 0.0365
            mesh.box((x - 0.009, -0.22, 0.725), (x + 0.009, -0.14, 0.742), ebony)
    mesh.box((-0.4, -0.05, 0.82), (0.4, -0.022, 1.08), case, bevel=0.01)
    for x in (-0.08, 0.0, 0.08):
        mesh.box((x - 0.02, -0.12, 0.03), (x + 0.02, -0.02, 0.045), look.steel())
    return Model(mesh, 1.52, 0.63, 1.21, colour)


def guitar(look: Look) -> Model:
    """A guitar on its stand."""
    mesh = Mesh()
    colour = look.pick(("red", "orange", "brown", "black", "blue"))
    body = look.make("wood", look.shade(colour), metres=0.7, gloss=0.5)
    neck, dark = look.timber("brown"), look.dark()
    mesh.ellipsoid((0.0, 0.0, 0.32), (0.20, 0.055, 0.19), body, 16)
    mesh.ellipsoid((0.0, 0.0, 0.56), (0.15, 0.05, 0.15), body, 16)
    mesh.ellipsoid((0.0, -0.035, 0.46), (0.05, 0.025, 0.05), dark, 12)
    mesh.box((-0.03, -0.05, 0.5), (0.03, -0.01, 1.06), neck, bevel=0.008)
    mesh.box((-0.04, -0.04, 1.06), (0.04, -0.015, 1.22), dark, bevel=0.01)
    mesh.box((-0.07, -0.06, 0.25), (0.07, -0.045, 0.28), dark)
    for side in (-1, 1):
        mesh.box((side * 0.13 - 0.012, -0.14, 0.0), (side * 0.13 + 0.012, 0.14, 0.024), dark)
        mesh.box((side * 0.13 - 0.012, -0.06, 0.024), (side * 0.13 + 0.012, -0.036, 0.16), dark)
    mesh.box((-0.13, 0.07, 0.0), (0.13, 0.095, 0.024), dark)
    mesh.box((-0.012, 0.07, 0.02), (0.012, 0.09, 0.75), dark)
    return Model(mesh, 0.42, 0.28, 1.22, colour)


def treadmill(look: Look) -> Model:
    """A treadmill with its console and rails."""
    mesh = Mesh()
    colour = look.pick(("black", "gray", "red", "blue"))
    case, dark, steel = look.painted(colour), look.dark(), look.steel(0.7)
    mesh.box((-0.38, -0.85, 0.03), (0.38, 0.80, 0.14), case, bevel=0.02)
    mesh.box((-0.26, -0.84, 0.141), (0.26, 0.55, 0.15), look.make("carpet", (0.03, 0.03, 0.03), metres=0.5))
    mesh.box((-0.34, 0.55, 0.14), (0.34, 0.82, 0.27), case, bevel=0.05)
    for side in (-1, 1):
        x = side * 0.36
        mesh.box((x - 0.03, 0.58, 0.14), (x + 0.03, 0.66, 1.2), steel, bevel=0.012)
        mesh.box((x - 0.03, 0.05, 0.98), (x + 0.03, 0.66, 1.04), dark, bevel=0.02)
        mesh.box((x - 0.025, 0.05, 0.14), (x + 0.025, 0.10, 1.0), steel)
    mesh.box((-0.39, 0.54, 1.1), (0.39, 0.66, 1.32), case, bevel=0.03)
    mesh.quad(
        [(-0.2, 0.535, 1.15), (0.2, 0.535, 1.15), (0.2, 0.535, 1.28), (-0.2, 0.535, 1.28)],
        look.make("desktop", (0.1, 0.3, 0.6), emission=0.7),
        stretch=True,
    )
    return Model(mesh, 0.80, 1.70, 1.32, colour)


def exercise_bike(look: Look) -> Model:
    """A stationary bicycle with its flywheel."""
    mesh = Mesh()
    colour = look.pick(VIVID)
    frame, dark, steel = look.painted(colour), look.dark(), look.steel(0.6)
    for y in (-0.42, 0.42):
        mesh.box((-0.25, y - 0.04, 0.0), (0.25, y + 0.04, 0.07), dark, bevel=0.015)
    mesh.box((-0.035, -0.42, 0.07), (0.035, 0.42, 0.15), frame, bevel=0.015)
    wheel = Mesh()
    wheel.lathe([(0.0, -0.03), (0.20, -0.03), (0.23, -0.02), (0.23, 0.02), (0.20, 0.03), (0.0, 0.03)], steel, 20)
    wheel.lathe([(0.06, 0.031), (0.05, 0.05), (0.0, 0.052)], frame, 10)
    mesh.place(wheel.remapped((2, 1, 0), (1.0, 1.0, -1.0)), at=(0.0, 0.25, 0.36))
    mesh.box((-0.05, 0.2, 0.55), (0.05, 0.3, 1.02), frame, bevel=0.02)
    mesh.box((-0.04, -0.30, 0.15), (0.04, -0.22, 0.78), frame, bevel=0.015)
    mesh.box((-0.04, -0.26, 0.42), (0.04, 0.24, 0.50), frame, bevel=0.015)
    mesh.box((-0.11, -0.40, 0.78), (0.11, -0.14, 0.85), dark, bevel=0.03)
    mesh.box((-0.24, 0.16, 1.02), (0.24, 0.22, 1.07), dark, bevel=0.02)
    mesh.box((-0.09, 0.24, 1.03), (0.09, 0.28, 1.17), dark, bevel=0.01)
    return Model(mesh, 0.50, 1.0, 1.17, colour)


def fireplace(look: Look) -> Model:
    """A mantelpiece around a fire."""
    mesh = Mesh()
    colour = look.pick(("red", "white", "gray", "beige"))
    if colour == "red":
        body = look.make("brick", look.shade("red"), (0.55, 0.52, 0.48), metres=1.1)
    else:
        body = look.make("stone", look.shade(colour), gloss=0.15)
    mantel = look.timber(look.pick(WOODS))
    for side in (-1, 1):
        low = min(side * 0.70, side * 0.40)
        mesh.box((low, -0.17, 0.0), (low + 0.30, 0.20, 1.05), body)
    mesh.box((-0.40, -0.17, 0.72), (0.40, 0.20, 1.05), body)
    mesh.box((-0.78, -0.24, 1.05), (0.78, 0.20, 1.12), mantel, bevel=0.012)
    mesh.box((-0.75, -0.34, 0.0), (0.75, -0.171, 0.06), body)
    mesh.box((-0.40, 0.14, 0.0), (0.40, 0.20, 0.72), look.dark())
    mesh.box((-0.40, -0.17, 0.0), (0.40, 0.14, 0.03), look.dark())
    for index, (x, y, tilt) in enumerate(((-0.12, -0.02, 0.3), (0.12, 0.0, -0.4), (0.0, 0.04, 0.1))):
        log = Mesh()
        log.box((-0.2, -0.05, 0.0), (0.2, 0.05, 0.09), look.timber("brown"), bevel=0.04)
        mesh.place(log, tilt, (x, y, 0.03 + 0.05 * (index == 2)))
    for x, size in ((-0.14, 0.20), (0.0, 0.30), (0.13, 0.22), (0.22, 0.14)):
        flame = look.glow((1.0, look.between(0.25, 0.5), 0.04), 1.3)
        mesh.ellipsoid((x, 0.03, 0.13 + size / 2), (0.05, 0.04, size / 2), flame, 8)
    return Model(mesh, 1.56, 0.54, 1.12, colour)
