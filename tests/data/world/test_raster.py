"""The z-buffer against a ray cast for every sample, in plain numpy."""

import numpy as np

from ssm_sense.data.world import raster

CAMERA = np.array([[0.0, 0, 0], [0, -1, 0], [0, 0, -1], [1, 0, 0]])  # at the origin, looking along +x
SIDE = 48
FOCAL = 40.0


def draw(corners: np.ndarray, two_sided: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Depth (inf where empty) and front triangle of corners (n, 3, 3)."""
    count = len(corners)
    nearness, front = np.zeros((SIDE, SIDE), np.float32), np.full((SIDE, SIDE), -1, np.int32)
    raster.draw(
        corners.reshape(count, 9).astype(np.float32),
        np.zeros((count, 6), np.float32),
        np.full(count, two_sided),
        0,
        count,
        CAMERA,
        FOCAL,
        np.array([0, 0, SIDE, SIDE]),
        nearness,
        front,
        np.empty((count, raster.PLANE_COLUMNS)),
    )
    with np.errstate(divide="ignore"):
        return 1 / nearness, front


def cast(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `draw`, by intersecting each sample's ray with each triangle; last, how far the sample is from an edge."""
    axis = (np.arange(SIDE) + 0.5 - SIDE / 2) / FOCAL
    right, down = np.meshgrid(axis, axis)
    rays = CAMERA[3] + right[..., None] * CAMERA[1] + down[..., None] * CAMERA[2]
    depth, front, margin = np.full((SIDE, SIDE), np.inf), np.full((SIDE, SIDE), -1), np.full((SIDE, SIDE), np.inf)
    for number, (a, b, c) in enumerate(corners.astype(np.float32).astype(np.float64)):
        normal = np.cross(b - a, c - a)
        along = (a @ normal) / (rays @ normal)
        points = along[..., None] * rays
        weights = np.stack(
            [np.cross(v - u, points - u) @ normal / (normal @ normal) for u, v in ((b, c), (c, a), (a, b))], -1
        )
        inside = (weights.min(-1) >= 0) & (along > raster.NEAR_M)
        margin = np.minimum(margin, np.abs(weights).min(-1))
        closer = inside & (along < depth)
        depth, front = np.where(closer, along, depth), np.where(closer, number, front)
    return depth, front, margin


def test_matches_rays_even_across_the_near_plane() -> None:
    rng = np.random.default_rng(0)
    # Corners in front of and behind the camera, so that many triangles cross its plane.
    corners = rng.uniform([-1.5, -2, -2], [4, 2, 2], (60, 3, 3))
    depth, front = draw(corners)
    true_depth, true_front, margin = cast(corners)
    clear = margin > 1e-4
    assert (true_front[clear] >= 0).mean() > 0.5
    assert clear.mean() > 0.9
    agree = front[clear] == true_front[clear]
    assert agree.mean() > 0.999
    np.testing.assert_allclose(depth[clear][agree], true_depth[clear][agree], rtol=1e-4)


def test_shared_edges_leave_no_hole() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        tilt = rng.uniform(-0.2, 0.2, (4, 1))
        quad = np.array([[2.0, 1.8, 1.8], [2.0, -1.8, 1.8], [2.0, -1.8, -1.8], [2.0, 1.8, -1.8]]) * (1 + tilt)
        middle = rng.uniform([1.9, -1, -1], [2.1, 1, 1])
        fan = np.stack([[quad[k], quad[(k + 1) % 4], middle] for k in range(4)])
        assert np.all(draw(fan)[1] >= 0)


def test_back_faces_are_drawn_only_if_two_sided() -> None:
    wall = np.array([[[2.0, 5, -5], [2.0, -5, -5], [2.0, 0, 5]]])
    behind = wall[:, ::-1]
    assert np.all(draw(wall, two_sided=False)[1][10:38, 20:28] == 0)
    assert np.all(draw(behind, two_sided=False)[1] == -1)
    assert np.all(draw(behind, two_sided=True)[1][10:38, 20:28] == 0)


def test_nothing_behind_the_camera_is_drawn() -> None:
    wall = np.array([[[-2.0, 5, -5], [-2.0, -5, -5], [-2.0, 0, 5]]])
    assert np.all(draw(wall)[1] == -1)
