"""Recipes, needles and the truth, checked against the pictures themselves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssm_sense.data.world.furnish import furnish
from ssm_sense.data.world.names import COUNTABLE, LANDMARKS
from ssm_sense.data.world.needle import NEEDLE_ID, PER_NEEDLE
from ssm_sense.data.world.renderer import Picture, Renderer
from ssm_sense.data.world.stream import Recipe, Stream, compose, truth_of
from ssm_sense.data.world.truth import CountingRule, Truth
from ssm_sense.errors import UserError


def test_a_needle_stands_in_its_frame_alone(stream: Stream, shots: list[Picture], truth: Truth) -> None:
    assert len(stream.needles) >= 5
    for appearance, told in zip(stream.needles, truth.needles, strict=True):
        shown = [n for n, shot in enumerate(shots) if appearance.piece.id in shot.visible]
        assert shown == [appearance.frame] == [told.frame]
        pose, here = stream.shots[appearance.frame]
        without = Renderer(stream.house, 64).picture(pose, here)
        changed = np.any(without.image != shots[appearance.frame].image, axis=-1)
        needle = shots[appearance.frame].objects == appearance.piece.id
        assert changed[needle].mean() > 0.9
        assert needle.sum() > 0.005 * needle.size
        # A sliver of it may show in a pixel that is told to be another object's.
        assert (changed & ~needle & ~_beside(needle)).sum() <= 2, "the needle changed more than its own pixels"


def _beside(mask: np.ndarray) -> np.ndarray:
    wide = np.pad(mask, 1)
    return np.any([wide[i : i + 64, j : j + 64] for i in range(3) for j in range(3)], axis=0)


def test_a_needle_stands_by_its_landmark(stream: Stream, shots: list[Picture], truth: Truth) -> None:
    for told, appearance in zip(truth.needles, stream.needles, strict=True):
        assert told.landmark in LANDMARKS
        assert told.room == truth.frames[told.frame].room == told.landmark_id // 100
        assert told.pixels >= 300
        assert shots[told.frame].visible[told.landmark_id] >= 300
        pieces = furnish(stream.house, told.room)
        by_gap = sorted(
            (p for p in pieces if p.category in LANDMARKS and p.spot.z == 0), key=lambda p: _gap(p, appearance.piece)
        )
        assert by_gap[0].category == told.landmark
        assert _gap(by_gap[0], appearance.piece) < 0.5


def _gap(a, b) -> float:
    return max(
        max(a.spot.low[axis] - b.spot.high[axis], b.spot.low[axis] - a.spot.high[axis], 0.0) for axis in range(2)
    )


def test_landmarks_of_a_needle_differ(truth: Truth) -> None:
    for name in {needle.needle for needle in truth.needles}:
        landmarks = [needle.landmark for needle in truth.needles if needle.needle == name]
        assert len(landmarks) == len(set(landmarks)) <= PER_NEEDLE
    assert [needle.frame for needle in truth.needles] == sorted({needle.frame for needle in truth.needles})


@pytest.mark.parametrize("seed", range(4))
def test_recall_streams_show_one_needle_four_times(seed: int) -> None:
    stream = compose(Recipe("vsr", "test", seed, minutes=3, size=64))
    assert len(stream.needles) == 4
    assert len({a.piece.category for a in stream.needles}) == 1
    assert len({a.landmark.category for a in stream.needles}) == 4
    quarters = [a.frame * 4 // 180 for a in stream.needles]
    assert quarters == sorted(quarters)
    assert len(set(quarters)) >= 3


def test_count_streams_show_no_needle() -> None:
    assert compose(Recipe("vsc", "test", 0, minutes=0.5, size=64)).needles == ()


def test_objects_count_when_the_rule_says(shots: list[Picture], stream: Stream, truth: Truth) -> None:
    for item in truth.objects:
        clear = [n for n, shot in enumerate(shots) if shot.visible.get(item.id, 0) >= truth.rule.pixels]
        assert item.counted_s == (clear[0] / truth.fps if clear else None)
    strict = truth_of(stream, [shot.visible for shot in shots], CountingRule(pixels=300, frames=3))
    for item in strict.objects:
        clear = [n for n, shot in enumerate(shots) if shot.visible.get(item.id, 0) >= 300]
        assert item.counted_s == (clear[2] / truth.fps if len(clear) >= 3 else None)


def test_what_is_there_gets_seen(truth: Truth) -> None:
    left = {truth.frames[-1].room}
    there = [o for o in truth.objects if o.category in COUNTABLE and o.room in truth.kinds and o.room not in left]
    assert len(there) > 30
    assert sum(o.counted_s is not None for o in there) / len(there) > 0.88


def test_truth_knows_rooms_events_and_time(truth: Truth) -> None:
    assert truth.duration_s == 120
    rooms = [frame.room for frame in truth.frames]
    assert [event.t_s for event in truth.events] == [float(n) for n in range(1, 120) if rooms[n] != rooms[n - 1]]
    assert [event.label for event in truth.events] == [truth.kinds[rooms[int(e.t_s)]] for e in truth.events]
    assert [truth.frame_at(t) for t in (0.0, 0.99, 1.0, 119.5, 120.0)] == [0, 0, 1, 119, 119]
    with pytest.raises(ValueError, match="from 0 to 120"):
        truth.frame_at(121)
    assert all(item < NEEDLE_ID for frame in truth.frames for item in frame.visible)
    assert {item for frame in truth.frames for item in frame.visible} <= set(truth.by_id)


def test_truth_survives_the_disk(tmp_path: Path, truth: Truth) -> None:
    path = tmp_path / "truth.json"
    truth.save(path)
    assert Truth.load(path) == truth
    assert path.stat().st_size < 200 * len(truth.frames) + 100 * len(truth.objects) + 2000
    assert [p.name for p in tmp_path.iterdir()] == ["truth.json"]


def test_poses_in_the_truth_render_the_same_picture(stream: Stream, shots: list[Picture], truth: Truth) -> None:
    number = next(n for n in range(60, 120) if n not in {needle.frame for needle in truth.needles})
    frame = truth.frames[number]
    again = Renderer(stream.house, 64).picture(frame.pose, frame.room)
    np.testing.assert_array_equal(again.image, shots[number].image)


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"schema": 0}', "\x00"])
def test_damaged_truth_is_a_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"expected (a truth file|truth schema).*truth\.json"):
        Truth.load(path)
    with pytest.raises(UserError, match="there is none"):
        Truth.load(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "film"}, "task must be one of"),
        ({"fps": 7}, "fps must divide 24"),
        ({"size": 99}, "even number of pixels"),
        ({"dwell_s": 1.0}, "dwell must be"),
        ({"minutes": 0.0}, "hold no frame"),
        ({"split": "dev"}, "split must be one of"),
        ({"task": "vsc", "minutes": 0.1}, "count asks 10 times"),
    ],
)
def test_doors_of_a_recipe(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Recipe("tour", "train", 0, 1.0), **change)


def test_a_stream_too_short_for_recall_says_so() -> None:
    with pytest.raises(UserError, match="ask for more minutes"):
        compose(Recipe("vsr", "train", 0, minutes=0.05, size=64))


def test_more_frames_a_second_are_the_same_walk(stream: Stream) -> None:
    fine = compose(Recipe("vsc", "train", 3, minutes=0.5, fps=24, size=64))
    assert fine.shots[::24] == stream.shots[:30]


def test_truth_wants_every_frame(stream: Stream) -> None:
    with pytest.raises(ValueError, match="120 frames; got 1"):
        truth_of(stream, [{}])
