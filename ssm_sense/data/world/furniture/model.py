"""What a maker of furniture returns."""

from dataclasses import dataclass

from ssm_sense.data.world.mesh import Mesh


@dataclass(frozen=True)
class Model:
    """A piece in model space: its mesh, its outer size in metres and the name of its main colour.

    top_m: height of a surface on which small things can stand, 0 where there is none.
    """

    mesh: Mesh
    width: float
    depth: float
    height: float
    colour: str
    top_m: float = 0.0
