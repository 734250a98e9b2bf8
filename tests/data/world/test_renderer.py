"""Pictures: exact depth and ids, no hole, and the same bytes wherever and whenever they are made."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ssm_sense.data.world import renderer as renderer_module
from ssm_sense.data.world.camera import FOCAL, Pose, visible_rooms
from ssm_sense.data.world.furnish import furnish
from ssm_sense.data.world.house import House, plan_house
from ssm_sense.data.world.renderer import REFERENCE_SIDE, Picture, Renderer
from ssm_sense.data.world.scene import join, room_scene
from ssm_sense.data.world.stream import Stream

# Of the frames below. Where it changes on purpose, raise names.VERSION; where it does not, something broke.
SHA256 = "ddfabe9256ca285e7a9178e2d25e46f00eb573d01eb2779418d50fe1d38c763f"
HASH_OF_FRAMES = """
import hashlib
from ssm_sense.data.world.stream import Recipe, compose, pictures
digest = hashlib.sha256()
for picture in pictures(compose(Recipe("tour", "train", seed=3, minutes=0.4, size=32))):
    digest.update(picture.image.tobytes() + picture.objects.tobytes())
print(digest.hexdigest())
"""


def hash_of_frames(**environment: str) -> str:
    root = Path(__file__).parents[3]
    settings = {**os.environ, "PYTHONPATH": str(root), **environment}
    run = [sys.executable, "-c", HASH_OF_FRAMES]
    return subprocess.run(run, env=settings, capture_output=True, text=True, check=True).stdout.strip()


def test_same_seed_same_pixels_in_a_new_process() -> None:
    assert hash_of_frames() == SHA256


def test_same_pixels_from_code_for_a_plain_cpu(tmp_path: Path) -> None:
    plain = hash_of_frames(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_CACHE_DIR=str(tmp_path))
    assert plain == SHA256


def test_another_seed_or_split_gives_other_pixels(stream: Stream, shots: list[Picture]) -> None:
    pose, here = stream.shots[0]
    for split, seed in (("train", 4), ("test", 3)):
        other = Renderer(plan_house(split, seed, 3), 64).picture(pose, here)
        assert not np.array_equal(other.image, shots[0].image)


def test_a_picture_depends_on_its_pose_only(stream: Stream, shots: list[Picture]) -> None:
    needles = {appearance.frame for appearance in stream.needles}
    renderer = Renderer(stream.house, 64)
    for number in (70, 5, 111, 40):
        if number not in needles:
            again = renderer.picture(*stream.shots[number])
            np.testing.assert_array_equal(again.image, shots[number].image)
            np.testing.assert_array_equal(again.objects, shots[number].objects)
            assert again.visible == shots[number].visible


def test_no_ray_escapes(shots: list[Picture]) -> None:
    for number, shot in enumerate(shots):
        assert shot.depth.min() > 0.1, f"frame {number} has a hole"
        assert shot.depth.max() < 40


def rays(pose: Pose, size: int) -> np.ndarray:
    """(size, size, 3): for every pixel's centre, the way that is one metre deep."""
    _, right, down, forward = pose.matrix()
    axis = (np.arange(size) + 0.5 - size / 2) / (FOCAL * size)
    across, along = np.meshgrid(axis, axis)
    return forward + across[..., None] * right + along[..., None] * down


def ray_depth(house: House, rooms: tuple[int, ...], pose: Pose, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth and object id by intersecting every ray with every triangle of the rooms."""
    view = join(house, rooms)
    directions, origin = rays(pose, size).reshape(-1, 3), pose.matrix()[0]
    best, who = np.full(len(directions), np.inf), np.full(len(directions), -1)
    corners = view.surfaces.corners.astype(np.float64).reshape(-1, 3, 3)
    for (a, b, c), two_sided, slot in zip(corners, view.two_sided, view.surfaces.labels[:, 2], strict=True):
        if max((corner - origin) @ pose.matrix()[3] for corner in (a, b, c)) <= 0:
            continue
        normal = np.cross(b - a, c - a)
        towards = directions @ normal
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = (a - origin) @ normal / towards
            points = origin + depth[:, None] * directions
            inside = (depth > 0) & (depth < best) & (two_sided | (towards < 0))
            for u, v in ((a, b), (b, c), (c, a)):
                inside &= np.cross(v - u, points - u) @ normal >= 0
        best[inside] = depth[inside]
        who[inside] = view.ids[slot] if slot >= 0 else -1
    return best.reshape(size, size), who.reshape(size, size)


def test_depth_and_ids_agree_with_rays(stream: Stream, shots: list[Picture]) -> None:
    size = 32
    needles = {appearance.frame for appearance in stream.needles}
    busiest = max(set(range(len(shots))) - needles, key=lambda number: len(shots[number].visible))
    pose, here = stream.shots[busiest]
    picture = Renderer(stream.house, size).picture(pose, here)
    rooms = tuple(sorted(visible_rooms(stream.house, here, pose, 2 * size)))
    depth, who = ray_depth(stream.house, rooms, pose, size)
    # A pixel on an edge shows several faces, of which the picture keeps one: compare where depth varies little.
    around = np.stack([np.roll(depth, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    smooth = np.ptp(around, axis=0) < 0.15 * depth
    assert smooth.mean() > 0.4
    assert len(np.unique(who)) > 3
    assert (picture.objects[smooth] == who[smooth]).mean() > 0.97
    assert np.isclose(picture.depth[smooth], depth[smooth], rtol=0.03).mean() > 0.95
    np.testing.assert_allclose(picture.depth[smooth], depth[smooth], rtol=0.15)


def test_culling_through_doorways_loses_nothing(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    size, house = 48, stream.house
    culled, whole = Renderer(house, size), Renderer(house, size)
    beyond = 0
    for pose, here in stream.shots[::7]:
        seen = visible_rooms(house, here, pose, 2 * size)
        beyond += len(seen) > 2
        near = dict.fromkeys(range(max(here - 4, 0), here + 5), (0, 0, 2 * size, 2 * size))
        picture = culled.picture(pose, here)
        with monkeypatch.context() as patch:
            patch.setattr(renderer_module, "visible_rooms", lambda *_, near=near: near)
            everything = whole.picture(pose, here)
        np.testing.assert_array_equal(picture.image, everything.image)
        assert picture.visible == everything.visible
    assert beyond > 0, "no frame looks through two doorways"


def test_visible_pixels_are_those_of_the_id_picture(stream: Stream, shots: list[Picture]) -> None:
    for shot in shots[::10]:
        for item, pixels in shot.visible.items():
            counted = (shot.objects == item).sum() * (REFERENCE_SIDE / 64) ** 2
            assert abs(counted - pixels) <= 40 + 0.35 * pixels
    plain = max({appearance.frame for appearance in stream.needles} ^ set(range(len(shots))))
    assert Renderer(stream.house, 64).visible(*stream.shots[plain]) == shots[plain].visible


def test_visible_pixels_hardly_depend_on_the_size(stream: Stream) -> None:
    pose, here = stream.shots[50]
    small, large = (Renderer(stream.house, size).visible(pose, here) for size in (64, 224))
    for item, pixels in large.items():
        if pixels > 300:
            assert small[item] == pytest.approx(pixels, rel=0.15)


def test_a_lamp_lights_and_furniture_shades() -> None:
    house = plan_house("train", 3, 6)
    for index in range(6):
        scene = room_scene(house, index)
        standing = [p for p in furnish(house, index) if p.spot.z == 0 and p.category not in ("rug", "")]
        assert scene.shadow.max() == pytest.approx(1.0)
        if standing:
            assert scene.shadow.min() < 0.5


def test_doors_of_the_renderer() -> None:
    house = plan_house("train", 3, 2)
    for size in (15, 33, 0):
        with pytest.raises(ValueError, match="even number of pixels"):
            Renderer(house, size)
