"""Patterns repeat without a seam, stay in range and survive their packing."""

import numpy as np
import pytest

from ssm_sense.data.world.names import random_stream
from ssm_sense.data.world.palette import linear, mix, shades, tone_curve
from ssm_sense.data.world.texture.noise import clouds, noise
from ssm_sense.data.world.texture.pool import LEVELS, PAINTERS, SIDE, VARIANTS, pool


def unpacked(texels: np.ndarray) -> np.ndarray:
    return np.stack([texels & 255, (texels >> 21) & 255, texels >> 42], axis=-1)


@pytest.mark.parametrize("name", list(PAINTERS))
def test_painters_keep_to_their_range(name: str) -> None:
    axis = (np.arange(SIDE) + 0.5) / SIDE
    u, v = np.meshgrid(axis, axis)
    first, second, brightness = PAINTERS[name](random_stream("train", 1), u, v)
    for weights in (first, second, brightness):
        assert np.all(np.isfinite(weights))
    first, second = np.clip(first, 0, 1), np.clip(second, 0, 1)
    assert (first + second).max() <= 1.3, "more of the second and third colour than there is room for"
    assert 0.3 < np.clip(brightness, 0, 1).mean() <= 1.0


def test_noise_has_no_seam() -> None:
    rng = np.random.default_rng(0)
    edge = np.array([[0.0, 1.0]])
    for field in (noise(rng, edge, edge * 0 + 0.3, 5, 5), clouds(rng, edge * 0 + 0.7, edge, 3)):
        assert field[0, 0] == pytest.approx(field[0, 1])


def test_mip_levels_are_means_of_their_pattern() -> None:
    patterns = pool("train")
    assert patterns.texels.shape == (len(PAINTERS) * VARIANTS, sum((SIDE >> k) ** 2 for k in range(LEVELS)))
    for row in patterns.texels[:: VARIANTS * 3]:
        weights = unpacked(row)
        assert weights.max() <= 255
        base = weights[: SIDE * SIDE].reshape(SIDE, SIDE, 3)
        second = weights[patterns.offsets[1] : patterns.offsets[2]].reshape(SIDE // 2, SIDE // 2, 3)
        means = base.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean((1, 3))
        assert np.abs(means - second).max() <= 1
        assert np.abs(weights[patterns.offsets[-1]] - base.mean((0, 1))).max() <= 1


def test_pool_door() -> None:
    assert pool("train").index("brick", 4) == pool("train").index("brick", 4 % VARIANTS)
    with pytest.raises(ValueError, match="pattern must be one of"):
        pool("train").index("velvet", 0)


def test_shades_look_like_their_names() -> None:
    for shade in shades("red", "train"):
        assert shade[0] > 3 * max(shade[1:])
    for shade in shades("blue", "test"):
        assert shade[2] > 2 * shade[0]
    assert max(max(s) for s in shades("black", "val")) < min(min(s) for s in shades("white", "val")) / 10
    with pytest.raises(ValueError, match="colour must be one of"):
        shades("mauve", "train")


def test_colour_arithmetic() -> None:
    assert linear(0.0) == 0.0
    assert linear(1.0) == 1.0
    assert linear(0.5) == pytest.approx(0.2140411)
    assert mix((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), 0.25) == (0.25, 0.0, 0.75)
    curve = tone_curve().astype(int)
    assert curve[0] <= 2
    assert np.all(np.diff(curve) >= 0)
    assert 245 < curve[-1] <= 255
