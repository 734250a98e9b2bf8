"""Needles in looks without end: the parts, shades and stuff of one, each made anew.

Whoever has seen a single yellow creature has learned that one; who has seen a thousand of them may know another by its
kind, such as those of `val` and `test`, each of which has one look that nobody trained on.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.look import ANY, Look
from ssm_sense.data.world.mesh import Material
from ssm_sense.data.world.palette import Rgb, scaled

_STUFF = ("paint", "paint", "leather", "weave", "wood", "polka", "bands", "plaid")
_LEFT_OUT, _DRESSED = 0.15, 0.35
"""How often a small part is missing, and how often one not of the body's colour has any other."""
_SMALL = 0.35
"""A part is small up to this share of the height."""


def varied(maker: Callable[[Look], Model]) -> Callable[[Look], Model]:
    """What `maker` makes, in other proportions, shades and stuff every time; its name and its colour's name stay."""

    def make(look: Look) -> Model:
        model = maker(look)
        mesh = model.mesh.remade(_Parts(look, model.height), _Stuff(look))
        return Model(mesh, *mesh.reach(), model.colour)

    return make


class _Parts:
    """Where a part goes and how large it becomes; parts alike, such as two ears, alike."""

    def __init__(self, look: Look, height: float) -> None:
        self._look, self._height = look, height
        wide, tall = look.between(0.8, 1.25), look.between(0.8, 1.25)
        self._whole = np.array([wide, wide * look.between(0.85, 1.18), tall])
        self._known: dict[tuple[float, ...], tuple[np.ndarray, np.ndarray] | None] = {}

    def __call__(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        size, middle = high - low, (low + high) / 2
        key = tuple(np.round(size, 3))
        if key not in self._known:
            self._known[key] = self._draw(float(size.max()))
        drawn = self._known[key]
        if drawn is None:
            return None
        factors, moved = drawn
        return middle * self._whole + moved, factors * self._whole

    def _draw(self, size: float) -> tuple[np.ndarray, np.ndarray] | None:
        small = size < _SMALL * self._height
        if small and self._look.rng.random() < _LEFT_OUT:
            return None
        spread = 0.4 if small else 0.18
        factors = np.exp(self._look.rng.uniform(-spread, spread, 3))
        return factors, np.array([0.0, *self._look.rng.uniform(-0.02, 0.02, 2)])


class _Stuff:
    """A material in another shade, and of other stuff where it is the body's."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._body = look.pick(_STUFF)

    def __call__(self, material: Material) -> Material:
        body = 0.0 < material.emission < 0.5
        colour = self._shade(material.first)
        if not body and self._look.rng.random() < _DRESSED:
            colour = self._look.shade(self._look.pick(ANY))
        pattern = self._body if body else "paint"
        made = self._look.make(pattern, colour, scaled(colour, 0.8), colour, metres=0.5, gloss=material.gloss)
        return replace(made, emission=material.emission * self._look.between(0.6, 1.1))

    def _shade(self, colour: Rgb) -> Rgb:
        light = self._look.between(0.75, 1.1)
        red, green, blue = (min(1.0, c * light * self._look.between(0.85, 1.15) + 0.02) for c in colour)
        return round(red, 4), round(green, 4), round(blue, 4)
