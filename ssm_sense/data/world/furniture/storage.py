"""Bookshelves, wardrobes, beds and cribs."""

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.furniture.seating import legs
from ssm_sense.data.world.look import ANY, VIVID, WOODS, Look
from ssm_sense.data.world.mesh import Mesh


def bookshelf(look: Look) -> Model:
    """Open shelves full of books."""
    mesh = Mesh()
    colour = look.pick(WOODS)
    wood = look.timber(colour)
    width, depth, height = look.between(0.8, 1.2), look.between(0.28, 0.36), look.between(1.5, 2.05)
    back, front = depth / 2, -depth / 2
    mesh.box((-width / 2, back - 0.02, 0.0), (width / 2, back, height), wood)
    for side in (-1, 1):
        low = min(side * width / 2, side * (width / 2 - 0.03))
        mesh.box((low, front, 0.0), (low + 0.03, back - 0.02, height), wood)
    shelves = int(look.rng.integers(4, 6))
    step = (height - 0.08) / shelves
    for index in range(shelves + 1):
        z = 0.05 + index * step
        mesh.box((-width / 2 + 0.03, front + 0.005, z), (width / 2 - 0.03, back - 0.02, z + 0.03), wood)
        if index < shelves:
            colours = [look.shade(look.pick(VIVID if k else ANY)) for k in range(3)]
            spines = look.make("books", colours[0], colours[1], colours[2])
            right = width / 2 - 0.03 if look.rng.random() < 0.7 else look.between(0.0, width / 3)
            inset, low, high = front + look.between(0.04, 0.10), z + 0.03, z + step
            corners = [
                (-width / 2 + 0.03, inset, low),
                (right, inset, low),
                (right, inset, high),
                (-width / 2 + 0.03, inset, high),
            ]
            mesh.quad(corners, spines, stretch=True)
            if right < width / 2 - 0.1:
                mesh.box(
                    (-width / 2 + 0.03, inset + 0.004, low), (right, back - 0.02, low + (high - low) * 0.6), look.dark()
                )
    return Model(mesh, width, depth, height, colour)


def wardrobe(look: Look) -> Model:
    """A tall cupboard with panelled doors."""
    mesh = Mesh()
    colour = look.pick(WOODS)
    wood, steel = look.timber(colour), look.steel(0.7)
    doors = int(look.rng.integers(2, 4))
    width, depth, height = 0.48 * doors, look.between(0.52, 0.60), look.between(1.85, 2.1)
    front = -depth / 2
    mesh.box((-width / 2, front + 0.02, 0.06), (width / 2, depth / 2, height - 0.05), wood)
    mesh.box((-width / 2 + 0.02, front + 0.05, 0.0), (width / 2 - 0.02, depth / 2 - 0.02, 0.06), look.dark())
    mesh.box(
        (-width / 2 - 0.025, front - 0.01, height - 0.05), (width / 2 + 0.025, depth / 2, height), wood, bevel=0.012
    )
    step = width / doors
    for index in range(doors):
        left = -width / 2 + index * step
        mesh.box((left + 0.006, front, 0.075), (left + step - 0.006, front + 0.02, height - 0.06), wood, bevel=0.006)
        for low, high in ((0.17, height * 0.45), (height * 0.45 + 0.09, height - 0.16)):
            mesh.box((left + 0.08, front - 0.012, low), (left + step - 0.08, front - 0.001, high), wood, bevel=0.011)
        x = left + (0.045 if index % 2 else step - 0.045)
        mesh.box(
            (x - 0.009, front - 0.035, height * 0.45),
            (x + 0.009, front - 0.001, height * 0.45 + 0.14),
            steel,
            bevel=0.004,
        )
    return Model(mesh, width + 0.05, depth + 0.02, height, colour)


def bed(look: Look) -> Model:
    """A bed, its head against the wall: frame, mattress, pillows and a blanket that hangs over the sides."""
    mesh = Mesh()
    colour = look.pick((*VIVID, "gray", "beige", "white"))
    blanket, wood = look.cloth(colour), look.timber(look.pick(WOODS))
    linen = look.make("weave", look.shade("white"), metres=0.6)
    width, depth, head = look.between(0.95, 1.6), look.between(1.95, 2.1), look.between(0.85, 1.15)
    front, back, top = -depth / 2, depth / 2, look.between(0.50, 0.58)
    mesh.box((-width / 2, back - 0.06, 0.0), (width / 2, back, head), wood, bevel=0.02)
    mesh.box((-width / 2 + 0.03, front, 0.12), (width / 2 - 0.03, back - 0.06, top - 0.22), wood)
    mesh.box((-width / 2, front - 0.03, 0.0), (width / 2, front + 0.03, top - 0.08), wood, bevel=0.015)
    mesh.box(
        (-width / 2 + 0.02, front + 0.03, top - 0.22), (width / 2 - 0.02, back - 0.06, top - 0.02), linen, bevel=0.05
    )
    mesh.box(
        (-width / 2 + 0.005, front + 0.035, top - 0.2),
        (width / 2 - 0.005, back - 0.75, top + 0.02),
        blanket,
        bevel=0.05,
    )
    mesh.box(
        (-width / 2 + 0.004, back - 0.90, top - 0.19), (width / 2 - 0.004, back - 0.66, top + 0.035), linen, bevel=0.05
    )
    pillows = 1 if width < 1.25 else 2
    step = (width - 0.1) / pillows
    for index in range(pillows):
        left = -width / 2 + 0.05 + index * step
        mesh.box(
            (left + 0.04, back - 0.52, top - 0.03), (left + step - 0.04, back - 0.12, top + 0.12), linen, bevel=0.065
        )
    return Model(mesh, width, depth + 0.06, head, colour)


def crib(look: Look) -> Model:
    """A cot with bars on four sides."""
    mesh = Mesh()
    colour = look.pick(("white", "beige", "brown", "pink", "blue"))
    wood = look.timber(colour) if colour in WOODS else look.painted(colour)
    width, depth, height = 1.25, 0.70, look.between(0.85, 0.95)
    x, y = width / 2, depth / 2
    legs(mesh, width, depth, height, 0.045, wood)
    for z in (0.26, height - 0.06):
        for side in (-1, 1):
            mesh.box((-x, side * (y - 0.022) - 0.02, z), (x, side * (y - 0.022) + 0.02, z + 0.05), wood)
            mesh.box((side * (x - 0.022) - 0.02, -y, z), (side * (x - 0.022) + 0.02, y, z + 0.05), wood)
    for index in range(1, 11):
        bar = -x + index * width / 11
        for side in (-1, 1):
            mesh.box(
                (bar - 0.011, side * (y - 0.022) - 0.011, 0.3),
                (bar + 0.011, side * (y - 0.022) + 0.011, height - 0.05),
                wood,
            )
    for index in range(1, 6):
        bar = -y + index * depth / 6
        for side in (-1, 1):
            mesh.box(
                (side * (x - 0.022) - 0.011, bar - 0.011, 0.3),
                (side * (x - 0.022) + 0.011, bar + 0.011, height - 0.05),
                wood,
            )
    mesh.box((-x + 0.05, -y + 0.05, 0.28), (x - 0.05, y - 0.05, 0.42), look.cloth(look.pick(VIVID)), bevel=0.04)
    mesh.box(
        (-x + 0.08, -y + 0.1, 0.41),
        (-x + 0.34, y - 0.1, 0.49),
        look.make("weave", look.shade("white"), metres=0.5),
        bevel=0.035,
    )
    return Model(mesh, width, depth, height, colour)
