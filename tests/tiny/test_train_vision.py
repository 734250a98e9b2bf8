"""The training run of the tiny SigLIP, on one small house."""

import argparse
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.progress import Progress

from ssm_sense.data.world.names import NEEDLES, ROOM_KINDS
from ssm_sense.tiny import train_vision
from ssm_sense.tiny.build import new_siglip
from ssm_sense.tiny.corpus import count_cells, read_corpus, render_corpus, render_house
from ssm_sense.tiny.probe import average_precision
from ssm_sense.tiny.statements import TEXTS, THINGS
from ssm_sense.tiny.tokenizer import build_tokenizer
from ssm_sense.tiny.train_vision import (
    Batches,
    Matcher,
    learning_rate,
    loss_of,
    main,
    optimizer_of,
    read_cycles,
    sigmoid_loss,
    train,
    vocabulary,
)
from ssm_sense.vision.mirror import mirror

SILENT = Progress(disable=True)


@pytest.fixture(scope="module")
def house():
    """32 pictures of one house."""
    return render_house("train", 3, rooms=4, per_room=8)


@pytest.fixture
def small(tmp_path):
    """Builds fresh small models, the same for the same seed."""
    tokenizer = build_tokenizer(tmp_path / "tokenizer", vocabulary())

    def build(seed=0):
        siglip = new_siglip(tokenizer, hidden=32, layers=1, text_layers=1, text_length=6, seed=seed)
        return Matcher(siglip, tokenizer)

    return build


def test_a_house_shows_rooms_things_and_needles(house):
    assert len(house.images) == 32
    assert all(image.shape == (128, 128, 3) and image.dtype == np.uint8 for image in house.images)
    assert house.cells.shape == (32, 64, len(THINGS))
    assert house.cells.dtype == np.uint8
    assert house.rooms.shape == (32,)
    assert set(house.rooms) <= set(range(len(ROOM_KINDS)))
    seen = (house.cells.sum((0, 1)) > 0).tolist()
    assert sum(seen) > 8
    assert any(seen[-len(NEEDLES) :])
    assert house.cells.sum(2, dtype=int).max() <= 256


def test_cells_count_the_pixels_of_a_name_where_they_are():
    objects = np.full((32, 32), -1)
    objects[:16, 16:] = 7
    objects[20, :10] = 8
    objects[25, 14:18] = 9
    objects[30, 30] = 10
    cells = count_cells(objects, {7: "chair", 8: "lamp", 9: "lamp"})
    assert cells[:, THINGS.index("chair")].tolist() == [0, 255, 0, 0]
    assert cells[:, THINGS.index("lamp")].tolist() == [0, 0, 12, 2]
    assert cells.sum(dtype=int) == 255 + 14


def test_rendering_to_disk_and_back_is_a_function_of_split_and_seed(tmp_path):
    assert list(render_corpus(tmp_path, "val", 1, 1))[-1] == 1
    kept, again = read_corpus(tmp_path, "val", 1, 1), render_house("val", 0, per_room=1)
    assert np.array_equal(np.stack(kept.images), np.stack(again.images))
    assert np.array_equal(kept.cells, again.cells)
    assert np.array_equal(kept.rooms, again.rooms)
    other = render_house("train", 0, rooms=1, per_room=1)
    assert not np.array_equal(kept.images[0], other.images[0])


def test_loss_is_siglips_and_unsure_pairs_count_nothing():
    logits, fits = torch.randn(5, 8), torch.rand(5, 8) < 0.3
    nothing = torch.zeros(5, 8).bool()
    expected = F.binary_cross_entropy_with_logits(logits, fits.float(), reduction="sum") / 5
    torch.testing.assert_close(sigmoid_loss(logits, fits, nothing), expected)
    unsure = nothing.clone()
    unsure[:, 2] = True
    rest = [i for i in range(8) if i != 2]
    expected = F.binary_cross_entropy_with_logits(logits[:, rest], fits[:, rest].float(), reduction="sum") / 5
    torch.testing.assert_close(sigmoid_loss(logits, fits, unsure), expected)


def test_labels_are_plain_unsure_and_absent_by_pixels():
    """Only what is plainly there, or not there at all, moves the loss of a matcher that says yes to everything."""

    class SaysYes:
        def __call__(self, pixels):
            return torch.full((1, len(TEXTS)), 20.0), torch.full((1, 64, len(THINGS)), 20.0)

    def loss(pixels_in_patch):
        cells = torch.zeros(1, 64, len(THINGS), dtype=torch.uint8)
        cells[0, 5, 0] = pixels_in_patch
        return loss_of(SaysYes(), (torch.zeros(1, 3, 128, 128), cells, torch.tensor([0]))).item()

    patch, picture = 4 * 20 / 64, 0.5 * 20
    assert loss(0) - loss(1) == pytest.approx(patch + picture, rel=1e-3)
    assert loss(19) == pytest.approx(loss(1), rel=1e-5)
    assert loss(23) == pytest.approx(loss(24), rel=1e-5)
    assert loss(0) == pytest.approx(64 * len(THINGS) * patch + (len(TEXTS) - 1) * picture, rel=1e-3)


def test_batches_are_a_function_of_seed_and_step(house):
    batches = Batches(house, 16, seed=0)
    pixels, cells, rooms = batches(7)
    assert pixels.shape == (16, 3, 128, 128)
    assert pixels.abs().max() <= 1
    assert cells.shape == (16, 64, len(THINGS))
    assert rooms.shape == (16,)
    for first, again in zip((pixels, cells, rooms), batches(7), strict=True):
        assert torch.equal(first, again)
    assert not torch.equal(batches(8)[0], pixels)
    assert not torch.equal(Batches(house, 16, seed=1)(7)[0], pixels)


def test_cells_are_mirrored_with_their_pictures():
    objects = np.random.default_rng(0).integers(0, 3, (128, 128))
    names = {0: "chair", 1: "sofa", 2: "lamp"}
    cells, flipped = (torch.from_numpy(count_cells(o, names))[None] for o in (objects, objects[:, ::-1]))
    assert not torch.equal(cells, flipped)
    assert torch.equal(mirror(cells), flipped)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_stopping_and_resuming_changes_no_bit(small, house, tmp_path, monkeypatch, stop):
    """In the first cycle, between the two, and in the second."""
    monkeypatch.setattr(train_vision, "SAVE_EVERY_S", 0.0)
    batches, cycles = Batches(house, 8, seed=0), [(2, 1e-3), (2, 5e-4)]
    whole = small()
    assert train(whole, batches, cycles, 9.0, tmp_path / "whole.pt", SILENT) == 4

    def stops(step):
        if step == stop:
            raise KeyboardInterrupt
        return batches(step)

    with pytest.raises(KeyboardInterrupt):
        train(small(), stops, cycles, 9.0, tmp_path / "cut.pt", SILENT)
    resumed = small(seed=5)
    assert train(resumed, batches, cycles, 9.0, tmp_path / "cut.pt", SILENT) == 4
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_stops_when_its_time_is_up(small, house, tmp_path):
    assert train(small(), Batches(house, 8, seed=0), [(10**6, 1e-3)], 0.0, tmp_path / "c.pt", SILENT) == 0


def test_training_learns_what_is_in_a_picture(small, house, tmp_path):
    matcher, batches = small(), Batches(house, 16, seed=0)

    def loss():
        with torch.no_grad():
            return loss_of(matcher, batches(999)).item()

    before = loss()
    train(matcher, batches, [(30, 1e-2)], 9.0, tmp_path / "c.pt", SILENT)
    assert loss() < 0.9 * before


def test_schedule_and_groups(small):
    rates = [learning_rate(step, 1000, 1.0) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert 0.97 < max(rates) <= 1.0
    assert rates[999] < 1e-5
    assert rates[100:] == sorted(rates[100:], reverse=True)
    matcher = small()
    groups = optimizer_of(matcher).param_groups
    grouped = [p for group in groups for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(matcher.parameters()))
    assert {id(p) for p in groups[2]["params"]} >= {id(matcher.patch_scale), id(matcher.siglip.logit_scale)}
    assert math.isclose(matcher.siglip.logit_scale.item(), math.log(10), rel_tol=1e-5)


def test_cycles_are_read_and_others_refused():
    assert read_cycles("1600:1.5e-3,900:1e-3") == [(1600, 1.5e-3), (900, 1e-3)]
    for wrong in ("", "100", "1e-3:100", "0:1e-3", "10:0", "10:1e-3,"):
        with pytest.raises(argparse.ArgumentTypeError, match="STEPS:RATE"):
            read_cycles(wrong)


def test_average_precision_by_hand():
    scores, truth = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([True, False, True, False])
    assert average_precision(scores, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(-scores, truth) == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_the_command_renders_trains_and_measures(tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--houses", "1", "--held-out-houses", "1", "--per-room", "2"]
    assert main([*arguments, "--batch", "8", "--cycles", "1:1e-3,1:1e-4"]) == 0
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert numbers["steps"] == 2
    assert {"room_accuracy", "dense_thing_average_precision", "probe_room_accuracy"} <= set(numbers)
    assert all(0 <= value <= 1 for name, value in numbers.items() if name != "steps")
    assert "probe_room_accuracy" in capsys.readouterr().out
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["checkpoint.pt", "corpus", "metrics.json", "siglip", "tokenizer"]
