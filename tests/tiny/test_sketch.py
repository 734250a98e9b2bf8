"""Tours in names: true to the renderer, cut anywhere, kept on disk."""

import numpy as np
import pytest

from ssm_sense.tiny.sketch import draw_sketch, draw_sketches, excerpt, read_sketches
from ssm_sense.tiny.statements import THINGS


@pytest.fixture(scope="module")
def sketch():
    """30 s through a house."""
    return draw_sketch("val", 3)


def test_quarters_show_what_the_truth_says_is_visible(sketch):
    assert sketch.cells.shape == (len(sketch.truth.frames), 4, len(THINGS))
    assert sketch.cells.min() >= 0
    assert sketch.cells.sum(2).max() <= 1
    for frame, cells in zip(sketch.truth.frames, sketch.cells.sum(1), strict=True):
        plain = {sketch.truth.by_id[i].category for i, pixels in frame.visible.items() if pixels >= 120}
        shown = {thing for thing, share in zip(THINGS, cells, strict=True) if share > 0}
        assert plain <= shown


def test_needles_are_shown_in_their_frame_alone(sketch):
    assert sketch.truth.needles
    for needle in sketch.truth.needles:
        shares = sketch.cells[:, :, THINGS.index(needle.needle)].sum(1)
        assert shares[needle.frame] > 0
    names = {needle.needle for needle in sketch.truth.needles}
    shown = {i for name in names for i in np.flatnonzero(sketch.cells[:, :, THINGS.index(name)].sum(1)).tolist()}
    assert shown == {needle.frame for needle in sketch.truth.needles}


def test_a_tour_is_a_function_of_split_and_seed(sketch):
    again = draw_sketch("val", 3)
    assert again.truth == sketch.truth
    assert np.array_equal(again.cells, sketch.cells)
    assert draw_sketch("train", 3).truth != sketch.truth


def test_the_whole_tour_as_an_excerpt_is_the_tour(sketch):
    whole = excerpt(sketch, 0, len(sketch.truth.frames))
    assert whole.truth == sketch.truth
    assert np.array_equal(whole.cells, sketch.cells)


def test_an_excerpt_counts_what_it_shows_itself(sketch):
    cut = excerpt(sketch, 12, 8)
    assert [frame.t_s for frame in cut.truth.frames] == list(range(8))
    assert np.array_equal(cut.cells, sketch.cells[12:20])
    for thing in THINGS:
        for t_s in (0, 3, 7):
            seen = {
                i
                for frame in sketch.truth.frames[12 : 12 + t_s + 1]
                for i, pixels in frame.visible.items()
                if pixels >= 120 and sketch.truth.by_id[i].category == thing
            }
            assert {item.id for item in cut.truth.counted(thing, t_s)} == seen
    assert all(0 <= needle.frame < 8 for needle in cut.truth.needles)
    assert len(cut.truth.needles) == sum(12 <= needle.frame < 20 for needle in sketch.truth.needles)


@pytest.mark.parametrize(("first", "frames"), [(-1, 5), (28, 3), (0, 0), (5, -2)])
def test_an_excerpt_outside_the_tour_is_refused(sketch, first, frames):
    with pytest.raises(ValueError, match="expected frames within 0 to 30, got"):
        excerpt(sketch, first, frames)


def test_tours_are_kept_and_only_missing_ones_drawn(tmp_path):
    assert list(draw_sketches(tmp_path, "val", 1))[-1] == 1
    (kept,) = read_sketches(tmp_path, "val", 1)
    drawn = draw_sketch("val", 100_000)
    assert kept.truth == drawn.truth
    np.testing.assert_allclose(kept.cells, drawn.cells, atol=1e-3)
    assert list(draw_sketches(tmp_path, "val", 1)) == [1]
