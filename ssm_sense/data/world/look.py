"""Materials as a decorator would choose them: a pattern variant and shades, drawn for one split."""

from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world.mesh import Material
from ssm_sense.data.world.palette import Rgb, mix, scaled, shades
from ssm_sense.data.world.texture.pool import VARIANTS, pool

VIVID = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")
WOODS = ("brown", "brown", "beige", "white", "black")
ANY = (*VIVID, "brown", "beige", "black", "gray", "white")


@dataclass(frozen=True)
class Look:
    """Draws materials for `split` from one generator."""

    rng: np.random.Generator
    split: str

    def pick(self, names: tuple[str, ...]) -> str:
        """One of `names`."""
        return names[int(self.rng.integers(len(names)))]

    def between(self, low: float, high: float) -> float:
        """A number in [low, high), in millimetres where it is metres."""
        return round(float(self.rng.uniform(low, high)), 3)

    def shade(self, name: str) -> Rgb:
        """A shade of the named colour."""
        choices = shades(name, self.split)
        return choices[int(self.rng.integers(len(choices)))]

    def make(
        self,
        pattern: str,
        first: Rgb,
        second: Rgb | None = None,
        third: Rgb | None = None,
        metres: float = 1.0,
        emission: float = 0.0,
        gloss: float = 0.0,
        far_m: float = 0.0,
        shaded: bool = False,
        two_sided: bool = False,
    ) -> Material:
        """A material of a variant of `pattern`; colours left out are darker and lighter shades of `first`."""
        second = scaled(first, 0.72) if second is None else second
        third = mix(first, (1.0, 1.0, 1.0), 0.5) if third is None else third
        index = pool(self.split).index(pattern, int(self.rng.integers(VARIANTS)))
        return Material(index, first, second, third, metres, emission, gloss, far_m, shaded, two_sided)

    def painted(self, name: str, gloss: float = 0.25) -> Material:
        """Lacquer in a named colour."""
        return self.make("paint", self.shade(name), gloss=gloss)

    def timber(self, name: str = "brown") -> Material:
        """Wood stained in a named colour."""
        base = self.shade(name)
        return self.make("wood", base, scaled(base, 0.55), metres=0.9, gloss=0.12)

    def steel(self, darkness: float = 1.0) -> Material:
        """Brushed metal."""
        base = scaled((0.42, 0.43, 0.45), darkness)
        return self.make("metal", base, scaled(base, 0.75), metres=0.7, gloss=0.6)

    def porcelain(self) -> Material:
        """White glazed ceramic."""
        return self.make("paint", (0.78, 0.79, 0.78), (0.74, 0.75, 0.75), gloss=0.7)

    def cloth(self, name: str) -> Material:
        """Upholstery or bedding in a named colour."""
        base = self.shade(name)
        other = self.shade(self.pick(("white", "beige", "gray", "black")))
        pattern = self.pick(("weave", "weave", "leather", "plaid", "polka", "bands"))
        if pattern in ("weave", "leather"):
            return self.make(pattern, base, metres=0.8, gloss=0.3 if pattern == "leather" else 0.0)
        return self.make(pattern, base, mix(base, other, 0.45), mix(base, other, 0.8), metres=0.8)

    def dark(self) -> Material:
        """Black plastic or the inside of things."""
        return self.make("paint", (0.02, 0.02, 0.022), gloss=0.35)

    def glow(self, colour: Rgb, strength: float) -> Material:
        """A surface that gives off light."""
        return self.make("paint", colour, colour, emission=strength)
