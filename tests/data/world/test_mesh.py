"""Shapes are closed, face outwards and have the size that they claim."""

import numpy as np
import pytest

from ssm_sense.data.world.furniture.catalogue import HUNG, MAKERS, NEEDLE_MAKERS, TABLETOP
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.mesh import Material, Mesh
from ssm_sense.data.world.names import CATEGORIES, NEEDLES, SPLITS, random_stream

PLAIN = Material(0, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))


def volume(mesh: Mesh) -> float:
    """Signed volume inside a closed surface: positive where its faces look outwards."""
    a, b, c = np.split(mesh.soup().corners.astype(np.float64), 3, axis=1)
    return float((a * np.cross(b, c)).sum() / 6)


def test_box_volume() -> None:
    mesh = Mesh()
    mesh.box((1, 2, 3), (2, 4, 6), PLAIN)
    assert volume(mesh) == pytest.approx(6.0)


def test_bevelled_box_is_closed_and_smaller() -> None:
    mesh = Mesh()
    mesh.box((0, 0, 0), (1, 1, 1), PLAIN, bevel=0.2)
    # Twelve prisms of cross-section 0.02 are cut off; where three meet, at each corner, 1/6 of the bevel's cube is too.
    assert volume(mesh) == pytest.approx(1 - 12 * 0.02 * 0.6 - 8 * (0.2**3) * 5 / 6)


def test_lathe_and_ellipsoid_volume() -> None:
    cylinder, ball = Mesh(), Mesh()
    cylinder.lathe([(0, 0), (2, 0), (2, 3), (0, 3)], PLAIN, sides=64)
    ball.ellipsoid((5, 5, 5), (1, 2, 3), PLAIN, sides=48)
    assert volume(cylinder) == pytest.approx(12 * np.pi, rel=0.01)
    assert volume(ball) == pytest.approx(8 * np.pi, rel=0.02)


@pytest.mark.parametrize("shape", ["box", "lathe", "ellipsoid"])
def test_normals_look_where_faces_look(shape: str) -> None:
    mesh = Mesh()
    if shape == "box":
        mesh.box((0, 0, 0), (1, 2, 3), PLAIN, bevel=0.1)
    elif shape == "lathe":
        mesh.lathe([(1, 0), (2, 1), (1.5, 2)], PLAIN)
    else:
        mesh.ellipsoid((0, 0, 0), (1, 2, 3), PLAIN)
    soup = mesh.soup()
    corners, normals = soup.corners.reshape(-1, 3, 3), soup.normals.reshape(-1, 3, 3)
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    real = np.sqrt((facing**2).sum(-1)) > 1e-6
    assert np.all((facing[:, None] * normals).sum(-1)[real] > 0)
    np.testing.assert_allclose(np.sqrt((normals**2).sum(-1)), 1.0, atol=1e-5)


def test_place_turns_then_moves() -> None:
    part, whole = Mesh(), Mesh()
    part.box((0, 0, 0), (2, 1, 1), PLAIN)
    whole.place(part, turn=np.pi / 2, at=(10, 0, 5))
    corners = whole.soup().corners.reshape(-1, 3)
    np.testing.assert_allclose(corners.min(0), [9, 0, 5], atol=1e-6)
    np.testing.assert_allclose(corners.max(0), [10, 2, 6], atol=1e-6)


def test_doors_of_the_mesh() -> None:
    with pytest.raises(ValueError, match="low < high"):
        Mesh().box((0, 0, 0), (1, 0, 1), PLAIN)
    with pytest.raises(ValueError, match="at least one face"):
        Mesh().soup()
    part = Mesh()
    part.box((0, 0, 0), (1, 1, 1), PLAIN)
    with pytest.raises(ValueError, match="mirror"):
        part.remapped((0, 1, 2), (-1.0, 1.0, 1.0))


def test_every_category_and_needle_has_a_maker() -> None:
    assert set(MAKERS) == set(CATEGORIES)
    assert set(NEEDLE_MAKERS) == set(NEEDLES)


@pytest.mark.parametrize("category", [*MAKERS, *(f"small {name}" for name in TABLETOP), *NEEDLE_MAKERS])
def test_models_keep_their_size(category: str) -> None:
    maker = {**MAKERS, **{f"small {name}": small for name, small in TABLETOP.items()}, **NEEDLE_MAKERS}[category]
    for seed in range(12):
        split = SPLITS[seed % len(SPLITS)]
        model = maker(Look(random_stream(split, seed), split))
        corners = model.mesh.soup().corners.reshape(-1, 3)
        low, high = corners.min(0), corners.max(0)
        assert np.all(np.isfinite(corners))
        # Leaves may hang a little over; nothing else does.
        slack = 0.2 if "plant" in category else 0.06
        assert high[0] - low[0] <= model.width * (1 + slack) + 0.02
        if category not in HUNG:
            assert low[2] >= -1e-6
            assert high[1] - low[1] <= model.depth * (1 + slack) + 0.02
            assert high[2] <= model.height * (1 + slack) + 0.02
