"""`ssm-sense calibrate` on drawn videos: it stores what it picked, refuses test data, and survives a kill."""

import itertools
import json
import multiprocessing
import random
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ssm_sense.commands import calibrate as command
from ssm_sense.data.features import extract
from ssm_sense.data.video import write_video
from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.truth import SCHEMA, CountingRule, FrameTruth, NeedleTruth, ObjectTruth, RoomTruth, Truth
from ssm_sense.errors import UserError
from ssm_sense.folder import read_calibration, save_folder, store_calibration
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.blind import Blind
from ssm_sense.model import SsmSense
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder

FRAMES, STAY = 40, 8


class Squares:
    """Latents that are the mean colours of a 2 × 2 grid, repeated to 12 features."""

    fingerprint = "squares"

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        n, side = len(frames), frames.shape[1] // 2
        cells = frames.float().reshape(n, 2, side, 2, side, 3).mean((2, 4)).reshape(n, 4, 3)
        return (cells / 64 - 2).repeat(1, 1, 4)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two films of rooms of one colour, with their truth."""
    folder = tmp_path / "val"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for seed in range(2):
        looks = draw.integers(0, 255, (FRAMES // STAY, 2, 2, 3)).repeat(STAY, 0).repeat(16, 1).repeat(16, 2)
        write_video(folder / f"{seed}.mp4", list(looks.astype(np.uint8)), 1)
        frames = tuple(FrameTruth(float(t), t // STAY, Pose(0, 0, 0, 0, 0), {}) for t in range(FRAMES))
        rooms = tuple(RoomTruth(i, "kitchen") for i in range(FRAMES // STAY))
        Truth(SCHEMA, "tour", "val", seed, 1, 32, CountingRule(), rooms, (), (), frames).save(folder / f"{seed}.json")
    return folder


@pytest.fixture
def folder(model: SsmSense, tmp_path: Path) -> Path:
    """A model folder, as far as calibration writes to it."""
    made = tmp_path / "model"
    made.mkdir()
    weights = {k: v.detach() for k, v in model.state_dict().items() if not k.startswith("language.")}
    save_file(weights, made / "model.safetensors")
    return made


def values(threshold: float, centre: float) -> dict[str, torch.Tensor]:
    return {"policy.threshold": torch.tensor(threshold), "policy.centre": torch.tensor(centre)}


def test_what_was_picked_is_stored_with_what_it_was_picked_on(model, folder, videos, tmp_path, capsys) -> None:
    for video in videos.glob("*.mp4"):
        extract(video, Squares(), tmp_path / "features")
    before = load_file(folder / "model.safetensors")
    flags = ["--model", str(folder), "--videos", str(videos), "--tolerance", "1", "--writes", "0.5"]
    assert command.main([*flags, "--features", str(tmp_path / "features")], lambda _: (model, Squares())) == 0
    record = read_calibration(folder)
    assert record is not None
    assert record == json.loads((folder / "calibration.json").read_text())
    after = load_file(folder / "model.safetensors")
    assert after["policy.threshold"].item() == pytest.approx(record["threshold"])
    assert after["policy.centre"].item() == pytest.approx(record["centre"])
    assert after.keys() == before.keys()
    same = [k for k in before if torch.equal(before[k], after[k]) and before[k].dtype == after[k].dtype]
    assert before.keys() - same <= {"policy.threshold", "policy.centre", "inventory.places.unlike"}
    unlike = record["stays"]["unlike"]
    assert after["inventory.places.unlike"].item() == (-float("inf") if unlike is None else unlike)
    assert record["stays"]["f1"] >= record["stays"]["before"]["f1"] == pytest.approx(record["f1"])
    assert record["rates"] == {}, "of what this model counts the truth knows nothing"
    assert (record["dataset"], record["split"], record["streams"]) == ("val", ["val"], ["0.mp4", "1.mp4"])
    assert (record["tolerance_s"], record["writes"], record["seeds"], record["frames"]) == (1.0, 0.5, [0, 1], 80)
    assert record["events"] == 2 * (FRAMES // STAY - 1)
    assert record["f1"] >= record["before"]["f1"] or abs(record["before"]["share"] - 0.5) > 0.01
    assert record["command"].startswith("ssm-sense calibrate --model")
    assert record["commit"]
    assert f"threshold {record['threshold']:.4f}" in capsys.readouterr().out


def stored_with(folder: Path, language: CausalLM, **looks: tuple[str, ...]) -> SsmSense:
    """A random model that looks for things of the rendered world, and the model folder holding it."""
    torch.manual_seed(0)
    parts = [TemporalEncoder(12, 16, 2, 2), LFPHead(16, 12), SurprisePolicy(), Episode(16, 2, 2), language]
    model = SsmSense(*parts, language_width=32, window=8, **looks).eval()
    weights = {k: v.detach() for k, v in model.state_dict().items() if not k.startswith("language.")}
    save_file(weights, folder / "model.safetensors")
    return model


def test_sightings_alone_are_made_as_sure_as_things_are_there(language, folder, videos, capsys) -> None:
    model = stored_with(folder, language, concepts=("chair", "sofa"), sought=("snowman", "giant duck"))
    for path in videos.glob("*.json"):
        needles = tuple(NeedleTruth(t, float(t), "snowman", "sofa", 7, 0, 900) for t in (3, 30))
        replace(Truth.load(path), needles=needles).save(path)
    flags = ["--model", str(folder), "--videos", str(videos)]
    assert command.main(flags, lambda _: (model, Squares())) == 0
    whole, before = read_calibration(folder), load_file(folder / "model.safetensors")
    assert whole is not None
    assert before["sightings.moved"].tolist() == [0, 0], "how rare things are is another question"
    capsys.readouterr()
    assert command.main([*flags, "--only-sightings"], lambda _: (model, Squares())) == 0
    record, after = read_calibration(folder), load_file(folder / "model.safetensors")
    assert record is not None
    told = record.pop("sightings")
    assert record == whole, "what was calibrated before stays"
    assert list(told["moved"]) == ["snowman"], "no film shows a duck"
    assert (told["seeds"], told["frames"]) == ([0, 1], 80)
    assert "--only-sightings" in told["command"]
    assert f"snowman {told['moved']['snowman']:+.2f}: " in capsys.readouterr().out
    assert [k for k in before if not torch.equal(before[k], after[k])] == ["sightings.moved"]
    assert after["sightings.moved"].tolist() == pytest.approx([told["moved"]["snowman"], 0])
    assert command.main(flags, lambda _: (model, Squares())) == 0
    again = read_calibration(folder)
    assert again is not None
    assert again["sightings"] == told, "the rest anew leaves them as they are"
    assert torch.equal(load_file(folder / "model.safetensors")["sightings.moved"], after["sightings.moved"])


@pytest.mark.parametrize("other", [["--tolerance", "2"], ["--writes", "0.5"]])
def test_what_calibrates_something_else_is_refused_beside_sightings_alone(folder, videos, other: list[str]) -> None:
    flags = ["--model", str(folder), "--videos", str(videos), "--only-sightings", *other]
    with pytest.raises(UserError, match="expected neither --tolerance nor --writes"):
        command.main(flags)


def test_a_model_that_seeks_nothing_has_no_sightings_to_calibrate(language, folder, videos) -> None:
    model = stored_with(folder, language, concepts=("chair", "sofa"))
    flags = ["--model", str(folder), "--videos", str(videos), "--only-sightings"]
    with pytest.raises(UserError, match="expects a model that seeks something"):
        command.main(flags, lambda _: (model, Squares()))


def test_how_often_a_kind_is_met_is_stored_where_the_truth_counts_it(language, folder, videos) -> None:
    model = stored_with(folder, language, concepts=("chair", "sofa"))
    for path in videos.glob("*.json"):
        chairs = tuple(ObjectTruth(i, "chair", "red", 0, 0, 0, 0, float(i)) for i in range(3))
        replace(Truth.load(path), objects=chairs).save(path)
    flags = ["--model", str(folder), "--videos", str(videos)]
    assert command.main(flags, lambda _: (model, Squares())) == 0
    record, stored = read_calibration(folder), load_file(folder / "model.safetensors")
    assert record is not None
    assert list(record["rates"]) == ["chair"]
    assert torch.stack([stored["inventory.rates.usual"], stored["inventory.rates.scale"]])[:, 0].tolist() == (
        pytest.approx(record["rates"]["chair"])
    )
    assert stored["inventory.rates.usual"][1] == 0
    assert stored["policy.threshold"].item() == pytest.approx(record["threshold"])


def test_without_a_cache_the_models_own_tower_sees_the_videos_and_a_dry_run_writes_nothing(
    model, folder, videos
) -> None:
    before = (folder / "model.safetensors").read_bytes()
    flags = ["--model", str(folder), "--videos", str(videos), "--dry-run"]
    assert command.main(flags, lambda _: (model, Squares())) == 0
    assert (folder / "model.safetensors").read_bytes() == before
    assert read_calibration(folder) is None
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


def test_test_videos_are_refused_unless_told_otherwise(model, folder, videos) -> None:
    truth = Truth.load(videos / "1.json")
    replace(truth, split="test").save(videos / "1.json")
    flags = ["--model", str(folder), "--videos", str(videos)]
    with pytest.raises(UserError, match="expected videos of the val split, found some of test"):
        command.main(flags, lambda _: (model, Squares()))
    assert command.main([*flags, "--any-split"], lambda _: (model, Squares())) == 0
    record = read_calibration(folder)
    assert record is not None
    assert record["split"] == ["test", "val"]


def test_bad_arguments_are_named(model, language, folder, videos, tmp_path) -> None:
    flags = ["--model", str(folder), "--videos", str(videos)]
    for more, said in [
        (["--tolerance", "-1"], "--tolerance"),
        (["--writes", "1.5"], "--writes"),
        (["--writes", "0.1"], "floor"),
        (["--videos", str(folder)], "expected rendered videos"),
        (["--videos", str(tmp_path / "nowhere")], "no such folder"),
    ]:
        with pytest.raises(UserError, match=said):
            command.main([*flags, *more], lambda _: (model, Squares()))
    with pytest.raises(UserError, match="expected a model with a surprise policy, got Blind"):
        command.main(flags, lambda _: (Blind(language, 32, 12), Squares()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"expected a model with policy\.threshold and policy\.centre"):
        store_calibration(tmp_path / "empty", values(0.5, 0.5), {})


def test_a_model_saved_anew_is_not_calibrated_any_more(model, folder, tmp_path) -> None:
    store_calibration(folder, values(0.25, 0.5), {"f1": 1.0})
    assert read_calibration(folder) == {"f1": 1.0}
    (tmp_path / "vision").mkdir()
    vision = SimpleNamespace(folder=tmp_path / "vision")
    save_folder(folder, model, {"class_path": "ssm_sense.model.SsmSense"}, vision, {})
    assert read_calibration(folder) is None
    assert not (folder / "calibration.json").exists()
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="damaged or missing"):
        read_calibration(folder)


def _store_forever(folder: Path) -> None:
    for turn in itertools.count():
        store_calibration(folder, values(turn / 1024, -turn / 1024), {"turn": turn})


def test_a_kill_at_any_moment_leaves_the_old_values_with_their_record_or_the_new_ones(folder: Path) -> None:
    fork, moments, found = multiprocessing.get_context("fork"), random.Random(0), set()
    for trial in range(15):
        store_calibration(folder, values(0.0, 0.0), {"turn": 0})
        writer = fork.Process(target=_store_forever, args=(folder,))
        writer.start()
        while (read_calibration(folder) or {"turn": 0})["turn"] <= trial % 3:
            time.sleep(0.001)
        time.sleep(0.03 * moments.random())
        writer.kill()
        writer.join()
        record, weights = read_calibration(folder), load_file(folder / "model.safetensors")
        assert record is not None
        assert (weights["policy.threshold"] * 1024, weights["policy.centre"] * -1024) == (record["turn"],) * 2
        json.loads((folder / "calibration.json").read_text())
        found.add(record["turn"])
    assert len(found) > 1
