"""Each control changes what it says and nothing else, and the truth tells it."""

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ssm_sense.data.world.controls import UNCHANGED, Controls
from ssm_sense.data.world.crowd import CROWDED
from ssm_sense.data.world.film import finished, shoot
from ssm_sense.data.world.needle import NEEDLE_ID
from ssm_sense.data.world.paste import laid_over
from ssm_sense.data.world.questions import counted_category, recall_question, told_apart
from ssm_sense.data.world.renderer import Picture, Renderer
from ssm_sense.data.world.script import FADE_S
from ssm_sense.data.world.stream import Recipe, Stream, compose, pictures, truth_of
from ssm_sense.data.world.truth import SCHEMA, Truth
from ssm_sense.errors import UserError


def composed(task: str = "vsc", minutes: float = 3, fps: int = 1, seed: int = 1, **controls) -> Stream:
    return compose(Recipe(task, "test", seed, minutes, fps, 32, controls=Controls(**controls)))


def seen(stream: Stream) -> tuple[list[Picture], Truth]:
    shots = list(pictures(stream))
    return shots, truth_of(stream, [shot.visible for shot in shots])


def rooms_of(stream: Stream) -> list[int]:
    """The rooms in the order of their visits."""
    rooms = [room for _, room in stream.shots]
    return [rooms[0], *(b for a, b in pairwise(rooms) if a != b)]


def test_without_controls_pixels_and_truth_are_those_of_version_1(tmp_path: Path) -> None:
    shots, truth = seen(compose(Recipe("tour", "train", 3, 0.5, size=32)))
    pixels = hashlib.sha256(b"".join(shot.image.tobytes() for shot in shots)).hexdigest()
    truth.save(tmp_path / "truth.json")
    assert pixels == "0acb09a60d5fa136dfafd486c805d4df529e5294e0c2921aae2175cffaf643ac"
    assert (
        hashlib.sha256((tmp_path / "truth.json").read_bytes()).hexdigest()
        == "c37ce0b1a01d62518a6b59e31ac5c7bb49a3421a0ddcbd523f5eb3cce7ba7f90"
    )


def test_the_truth_of_controls_survives_the_disk(tmp_path: Path) -> None:
    stream = composed("vsr", needle_frames=5, decoy="jump", transition="fade", rate=(0.5, 2.0))
    _, truth = seen(stream)
    assert truth.decoys
    assert truth.mixed
    assert len(truth.shown) == len(truth.needles)
    truth.save(tmp_path / "truth.json")
    assert Truth.load(tmp_path / "truth.json") == truth
    assert json.loads((tmp_path / "truth.json").read_text())["schema"] == SCHEMA
    assert Truth.load(tmp_path / "truth.json").controls == stream.recipe.controls


def test_varied_needles_never_look_the_same_and_stand_on_the_floor() -> None:
    """Of many, shapes and main materials are all different, and of one maker they are otherwise all the same."""
    one, many = (composed("vsr", 12, facts=40, needle_looks=looks) for looks in ("one", "varied"))
    for stream, alike in ((one, True), (many, False)):
        names = [a.piece.category for a in stream.needles]
        shapes = {a.piece.model.mesh.soup().corners.tobytes() for a in stream.needles}
        assert len(names) == 40
        assert len(shapes) == (len(set(names)) if alike else 40)
    for needle in many.needles:
        soup = needle.piece.model.mesh.soup()
        assert soup.corners.reshape(-1, 3)[:, 2].min() == 0
        assert np.allclose(np.linalg.norm(soup.normals.reshape(-1, 3), axis=1), 1, atol=1e-4)
        usual = next(a.piece.model for a in one.needles if a.piece.category == needle.piece.category)
        assert needle.piece.colour == usual.colour
        assert 0.5 < needle.piece.model.height / usual.height < 2


def test_other_controls_in_its_place_are_an_error(tmp_path: Path) -> None:
    recipe = Recipe("tour", "val", 1, 0.2, size=32, controls=Controls(pan="slow"))
    shoot(recipe, tmp_path / "0.mp4")
    assert finished(tmp_path / "0.mp4", recipe)
    with pytest.raises(UserError, match="holds another stream"):
        finished(tmp_path / "0.mp4", replace(recipe, controls=UNCHANGED))


@pytest.mark.parametrize("transition", ["cut", "fade"])
def test_cuts_and_fades_show_the_same_rooms_in_the_same_order(transition: str) -> None:
    walked, other = rooms_of(composed()), rooms_of(composed(transition=transition))
    assert other == sorted(set(other))
    assert len(other) > 8
    assert len(set(other) & set(walked)) > 0.6 * len(walked)


def test_a_cut_never_shows_a_doorway_close_up() -> None:
    stream = composed(transition="cut", fps=24, minutes=1)
    for pose, room in stream.shots:
        for door in stream.house.rooms[room].doors:
            assert max(abs(pose.x - door.centre[0]), abs(pose.y - door.centre[1])) > 1
    assert not stream.blends


def test_a_fade_mixes_two_rooms_around_each_event() -> None:
    stream = composed(transition="fade", minutes=1, fps=12)
    shots, truth = seen(stream)
    assert truth.mixed == tuple(stream.blends)
    assert len(truth.mixed) == len(truth.events) * FADE_S * 12
    for event in truth.events:
        middle = round(event.t_s * 12)
        for frame in (middle - 1, middle):
            assert 110 <= stream.blends[frame].part <= 128
            assert stream.blends[frame].room != stream.shots[frame][1]
        assert {middle - 12, middle + 11} <= set(truth.mixed)
    frame = truth.mixed[5]
    blend, renderer = stream.blends[frame], Renderer(stream.house, 32)
    a, b = (renderer.picture(*at).image.astype(int) for at in (stream.shots[frame], (blend.pose, blend.room)))
    np.testing.assert_array_equal(shots[frame].image, (a * (256 - blend.part) + b * blend.part + 128) // 256)


def test_a_loop_repeats_its_pictures_and_adds_nothing_to_count() -> None:
    stream = composed(revisit=2, revisit_order="loop", minutes=3)
    shots, truth = seen(stream)
    poses = [pose for pose, _ in stream.shots]
    again = next(i for i in range(1, len(poses)) if poses[i] == poses[0])
    assert 50 <= again <= 60
    for frame in range(0, 2 * again, 7):
        np.testing.assert_array_equal(shots[frame].image, shots[frame + again].image)
    first = again / truth.fps
    assert all(item.counted_s is None or item.counted_s < first for item in truth.objects)
    assert len(truth.revisits) >= 2 * len(truth.rooms) - 1
    assert all(frame >= again for frame, _ in truth.revisits)


def test_a_shuffled_revisit_is_another_walk_through_the_same_room() -> None:
    stream = composed(transition="cut", revisit=2, revisit_order="shuffle", minutes=4)
    _, truth = seen(stream)
    order = rooms_of(stream)
    assert order != sorted(order)
    assert all(order.count(room) <= 3 for room in order)
    assert sum(order.count(room) == 3 for room in set(order)) >= 0.6 * len(set(order))
    assert len(truth.revisits) == len(order) - len(set(order))
    assert len({pose for pose, _ in stream.shots}) == len(stream.shots)
    assert len({item.id for item in truth.objects}) == len(truth.objects)


def test_a_jump_is_in_its_room_and_no_event() -> None:
    plain, stream = composed(minutes=5, fps=24), composed(minutes=5, fps=24, decoy="jump")
    assert len(stream.decoys) >= 3
    turned = {
        frame: abs((b.yaw - a.yaw + 180) % 360 - 180) + 40 * (abs(b.x - a.x) + abs(b.y - a.y))
        for frame, ((a, _), (b, _)) in enumerate(pairwise(stream.shots), start=1)
    }
    jumps = {decoy.frame for decoy in stream.decoys}
    assert {frame for frame, degrees in turned.items() if degrees > 45} == jumps
    for decoy in stream.decoys:
        assert decoy.kind == "jump"
        assert {stream.shots[i][1] for i in range(decoy.frame - 48, decoy.frame + 48)} == {decoy.room}
    assert rooms_of(stream)[: len(rooms_of(plain))] == rooms_of(plain)


@pytest.mark.parametrize("decoy", ["flash", "exposure"])
def test_light_changes_pictures_and_nothing_else(decoy: str) -> None:
    plain, plain_truth = seen(composed(minutes=1))
    shots, truth = seen(composed(minutes=1, decoy=decoy))
    assert (truth.frames, truth.objects, truth.events) == (plain_truth.frames, plain_truth.objects, plain_truth.events)
    changed = [i for i, (a, b) in enumerate(zip(plain, shots, strict=True)) if not np.array_equal(a.image, b.image)]
    begun = [d.frame for d in truth.decoys]
    assert len(begun) >= 2
    assert not set(begun) & {round(event.t_s) for event in truth.events}
    if decoy == "flash":
        assert changed == begun
        assert all(shots[i].image.min() > 150 for i in changed)
    else:
        assert changed[0] == begun[0]
        assert begun[1] not in changed
        ratio = np.mean([shots[i].image.mean() / plain[i].image.mean() for i in changed])
        assert ratio < 0.6 or ratio > 1.2


def test_a_paste_shows_as_many_pixels_as_the_object() -> None:
    objects, truth = seen(composed("vsr", needle_frames=3))
    pasted, other = seen(composed("vsr", needle_frames=3, needle="paste"))
    assert other.needles == truth.needles
    assert other.shown == truth.shown
    for needle in truth.needles:
        for frame in range(needle.frame, needle.frame + 3):
            a, b = objects[frame].objects >= NEEDLE_ID, pasted[frame].objects >= NEEDLE_ID
            assert a.sum() == b.sum()
            if b.any():
                assert (pasted[frame].image != objects[frame].image)[a | b].mean() > 0.5
                # A sliver of it may show in a pixel that is told to be another object's.
                changed = (pasted[frame].image != objects[frame].image).any(axis=-1)
                assert (changed & ~_wider(a | b)).sum() <= 2
    late = {needle.frame + 3 for needle in truth.needles}
    assert not any((pasted[frame].objects >= NEEDLE_ID).any() for frame in late)


def _wider(mask: np.ndarray) -> np.ndarray:
    """The mask and all pixels beside it."""
    wide, (height, width) = np.pad(mask, 1), mask.shape
    return np.any([wide[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0)


@pytest.mark.parametrize("pixels", [1, 7, 160, 700])
@pytest.mark.parametrize("corner", [0, 20])
def test_a_sprite_takes_the_pixels_it_is_given(pixels: int, corner: int) -> None:
    wanted = np.zeros((48, 48), bool)
    wanted[corner:, corner:].flat[:pixels] = True
    mask = np.ones((30, 20), bool)
    mask[:10, :8] = False
    image, where = laid_over(wanted, np.full((30, 20, 3), 200, np.uint8), mask)
    assert where.sum() == pixels
    assert (image[where] == 200).all()


def test_the_head_turns_as_fast_as_asked_and_the_feet_go_the_same_way() -> None:
    turns = {}
    for pan in ("slow", "natural", "fast"):
        stream = composed(minutes=1, fps=24, pan=pan)
        yaw = np.array([pose.yaw for pose, _ in stream.shots])
        turns[pan] = np.abs((np.diff(yaw) + 180) % 360 - 180).mean()
        assert [(p.x, p.y, room) for p, room in stream.shots] == [
            (p.x, p.y, room) for p, room in composed(minutes=1, fps=24).shots
        ]
    assert turns["slow"] < 0.7 * turns["natural"]
    assert turns["fast"] > 1.4 * turns["natural"]


def test_the_rate_changes_within_the_stream() -> None:
    _, truth = seen(composed(minutes=4, rate=(0.2, 4)))
    early = sum(item.counted_s is not None and item.counted_s < 120 for item in truth.objects)
    late = sum(item.counted_s is not None and item.counted_s >= 120 for item in truth.objects)
    assert late > 2 * early


@pytest.mark.parametrize("minutes", [0.7, 3])
def test_large_numbers_come_in_short_streams_too(minutes: float) -> None:
    for low, high in ((1, 3), (20, 30)):
        _, truth = seen(composed(minutes=minutes, count_range=(low, high)))
        category = counted_category(truth)
        assert category in CROWDED
        assert low * 0.7 <= len(truth.counted(category, truth.duration_s)) <= high


def test_a_range_may_be_of_what_is_named() -> None:
    asked = set()
    for seed in range(6):
        _, truth = seen(composed(minutes=3, seed=seed, count_range=(5, 9), count_of=("lamp", "painting")))
        category = counted_category(truth)
        asked.add(category)
        assert 3 <= len(truth.counted(category, truth.duration_s)) <= 9
    assert asked == {"lamp", "painting"}


@pytest.mark.parametrize("facts", [8, 24])
def test_any_of_many_facts_may_be_asked(facts: int) -> None:
    asked = set()
    for seed in (1, 2):
        stream = composed("vsr", minutes=3, seed=seed, facts=facts)
        assert len({a.frame for a in stream.needles}) == facts
        assert len({a.piece.category for a in stream.needles}) == min(-(-facts // 4), 5)
        truth = truth_of(stream, [{} for _ in stream.shots])
        question = recall_question(truth)
        name = next(n.needle for n in truth.needles if f"the {n.needle} appeared" in question.text)
        right = question.options["ABCD".index(question.answer)][3:].lower().split(", ")
        apart = [n.landmark for n in told_apart(list(truth.needles), name)]
        assert [mark for mark in apart if mark in right] == right
        assert len(right) == 4
        asked.add((name, *right))
    assert len(asked) == 2


def test_a_tour_may_be_crowded_with_needles() -> None:
    few, many = composed("tour", 1.6), composed("tour", 1.6, facts=40)
    assert len(few.needles) == 6
    assert len({a.frame for a in many.needles}) == len(many.needles)
    assert 20 <= len(many.needles) <= 40
    assert len({a.piece.category for a in many.needles}) == 5


@pytest.mark.parametrize(
    ("task", "controls", "message"),
    [
        ("tour", {"transition": "wipe"}, "transition must be one of walk, cut, fade"),
        ("tour", {"revisit": 3}, "revisit must be one of 0, 1, 2, 5"),
        ("tour", {"revisit": 1, "revisit_order": "shuffle"}, "needs the transition cut or fade"),
        ("tour", {"needle_frames": 0}, "needle_frames must be 1 to"),
        ("vsr", {"facts": 129}, "facts must be 4 to 128"),
        ("vsc", {"facts": 8}, "facts are for recall and tours"),
        ("vsr", {"count_range": (1, 5)}, "for counting"),
        ("vsc", {"count_range": (5, 1)}, "the smaller first"),
        (
            "vsc",
            {"count_range": (1, 5), "count_of": ("lamp", "sofa")},
            "must be among chair.*got sofa",
        ),
        ("vsc", {"rate": (1.0, -1.0)}, "rate must be factors"),
    ],
)
def test_doors_of_the_controls(task: str, controls: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe(task, "test", 0, 1.0, controls=Controls(**controls))


def test_too_short_a_stream_says_so() -> None:
    with pytest.raises(UserError, match="fewer than 2 rooms"):
        composed(minutes=0.2, revisit=5)
    with pytest.raises(UserError, match="ask for more minutes"):
        composed(minutes=0.3, revisit=5, revisit_order="shuffle", transition="cut")


def test_unknown_controls_in_a_file_are_an_error() -> None:
    with pytest.raises(UserError, match="expected names of controls, got speed"):
        Controls.of({"speed": 3})
