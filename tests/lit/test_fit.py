"""Training through the command line: it fits, resumes to the same losses, and leaves a folder that streams."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ssm_sense.data.world.clips import rendered_clips
from ssm_sense.data.world.dense import UNKNOWN
from ssm_sense.data.world.names import CATEGORIES
from ssm_sense.errors import UserError
from ssm_sense.folder import load_model, load_session
from ssm_sense.lit.data import Stream, StreamBatches, load_streams
from ssm_sense.lit.module import StreamModule
from ssm_sense.vision.mirror import mirror

Fit = Callable[..., list[float]]


def test_a_killed_run_goes_on_with_equal_losses(arguments: Callable[..., list[str]], fit: Fit, tmp_path: Path) -> None:
    """Checkpoints are written at every step, and the kill falls wherever it falls, on a half-written one too."""
    last = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    often = ["--trainer.callbacks.every_n_train_steps=1", "--trainer.accumulate_grad_batches=2"]
    command = arguments(tmp_path / "killed", 300, more=often)
    process = subprocess.Popen(
        [sys.executable, "-m", "ssm_sense.cli", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not last.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.37)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = torch.load(last, weights_only=True)["global_step"]
    whole = fit(tmp_path / "whole", steps=reached + 2, more=often)
    resumed = fit(tmp_path / "rest", steps=reached + 2, more=[*often, f"--ckpt_path={last}"])
    assert len(resumed) >= 2
    assert resumed == whole[-len(resumed) :]


def test_what_is_left_out_at_random_is_so_again_in_a_run_that_goes_on(fit: Fit, tmp_path: Path) -> None:
    often = ["--trainer.callbacks.every_n_train_steps=2"]
    half = [*often, "--model.sightings_dropout=0.5"]
    plain, whole = fit(tmp_path / "plain", steps=4, more=often), fit(tmp_path / "whole", steps=4, more=half)
    assert all(one != other for one, other in zip(plain, whole, strict=True))
    fit(tmp_path / "begun", steps=2, more=half)
    last = tmp_path / "begun" / "checkpoints" / "last.ckpt"
    assert fit(tmp_path / "rest", steps=4, more=[*half, f"--ckpt_path={last}"]) == whole[2:]
    with pytest.raises(ValueError, match=r"sightings_dropout: expected 0 or more and less than 1, got 1\.0"):
        fit(tmp_path / "all", steps=1, more=["--model.sightings_dropout=1.0"])
    with pytest.raises(ValueError, match=r"sightings_dropout: expected 0 for a model without sightings, got 0\.5"):
        fit(tmp_path / "none", steps=1, policy="blind", more=["--model.sightings_dropout=0.5"])


@pytest.mark.parametrize("schedule", ["torch.optim.lr_scheduler.OneCycleLR", "ssm_sense.lit.schedule.WarmupCosine"])
def test_no_step_is_made_beyond_the_schedules_end(fit: Fit, tmp_path: Path, schedule: str) -> None:
    """Not even where a longer one is asked for beside a checkpoint, which keeps its own."""

    def over(total: int) -> list[str]:
        most = ["--model.lr_scheduler.max_lr=0.001"] if schedule.startswith("torch") else []
        return [f"--model.lr_scheduler={schedule}", f"--model.lr_scheduler.total_steps={total}", *most]

    with pytest.raises(UserError, match=r"trainer.max_steps: expected at most 2, .* got 3; model.start trains"):
        fit(tmp_path / "none", steps=3, more=over(2))
    assert len(fit(tmp_path / "first", steps=2, more=over(2))) == 2
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match="expected at most 2, where the schedule"):
        fit(tmp_path / "second", steps=4, more=[*over(4), f"--ckpt_path={last}"])


@pytest.mark.parametrize("policy", ["ours", "sliding_window", "blind"])
def test_a_trained_folder_streams_and_answers(fit: Fit, work: Path, tmp_path: Path, policy: str) -> None:
    fit(tmp_path, steps=2, policy=policy)
    session = load_session(tmp_path / "model")
    clip = rendered_clips(work / "videos", stops=2)[0]
    for frame, t_s in clip.frames:
        session.feed(torch.from_numpy(frame)[None], [t_s])
    assert session.frames == 24
    assert all(isinstance(session.ask(question).text, str) for question in clip.questions)
    choice = next((q for q in clip.questions if q.options), None)
    assert choice is None or session.ask(choice).text in "ABCD"


def test_the_folder_holds_what_was_trained(fit: Fit, tmp_path: Path) -> None:
    """Folder and Lightning checkpoint carry the same weights, and both load by themselves."""
    fit(tmp_path, steps=3)
    model, vision = load_model(tmp_path / "model")
    module = StreamModule.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    for name, tensor in module.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert vision.grid == 2
    assert model.scale.scale.min() > 0
    assert not torch.equal(model.scale.mean, torch.zeros_like(model.scale.mean))


def test_a_folder_from_a_stranger_runs_no_code_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "model: {class_path: subprocess.Popen, init_args: {args: [touch, owned]}}\nvision: {class_path: x}\n"
    )
    with pytest.raises(UserError, match="expected classes of ssm_sense only"):
        load_model(tmp_path)
    (tmp_path / "config.yaml").write_text("just text")
    with pytest.raises(UserError, match="expected the keys model and vision"):
        load_model(tmp_path)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_model(tmp_path / "missing")


def test_batches_are_a_function_of_seed_and_number(work: Path) -> None:
    streams = load_streams(work / "videos", work / "features")
    first = StreamBatches(streams, 2, 20, 3, 4, seed=1)
    later = StreamBatches(streams, 2, 20, 3, 4, seed=1, start=5, count=2)
    batches = list(later)
    assert len(batches) == 2
    again = first.batch(5)
    assert again.queries == batches[0].queries
    assert torch.equal(again.latents, batches[0].latents)
    assert again.queries != batches[1].queries
    assert {query.frame for query in again.queries} >= {19}
    for query, kind in zip(again.queries, again.kinds, strict=True):
        assert query.prompt
        assert query.answer
        assert kind


def test_some_streams_are_told_the_truth_and_some_of_its_numbers_are_made_up(work: Path) -> None:
    streams = load_streams(work / "videos", work / "features")
    plain = StreamBatches(streams, 2, 20, 6, 20, seed=1)
    told = StreamBatches(streams, 2, 20, 6, 20, seed=1, told=0.5, made_up=0.5)
    made_up = 0
    for number in range(4):
        asked, batch = plain.batch(number), told.batch(number)
        assert asked.told is None
        assert asked.inventory is not None
        assert batch.told is not None
        assert batch.inventory is not None
        assert torch.equal(batch.inventory, asked.inventory), "what is true stays so"
        assert (batch.told[1] == UNKNOWN).all()
        changed = batch.told[0] != batch.inventory[0]
        for before, after, kind in zip(asked.queries, batch.queries, batch.kinds, strict=True):
            if after == before:
                continue
            made_up += 1
            assert after.stream == 0
            row = {"count_so_far": 0, "count_here": 1}[kind]
            (category,) = (i for i, c in enumerate(CATEGORIES) if f" {c}(s) " in after.prompt)
            assert int(batch.told[0, after.frame, row, category]) == int(after.answer) < 100
            changed[after.frame, row, category] = False
        assert not changed.any()
    assert 12 < made_up < 36, "about half of four batches' 48 counts of the stream that is told"
    alone = StreamBatches(streams, 2, 20, 6, 20, seed=1, told=0.5, rank=1, ranks=2).batch(0)
    assert alone.told is not None
    assert (alone.told == UNKNOWN).all(), "of two processes the first has the stream that is told"


def test_streams_are_mirrored_as_often_as_was_said_and_nothing_else_changes(work: Path) -> None:
    streams = load_streams(work / "videos", work / "features")
    plain = StreamBatches(streams, 2, 20, 3, 4, seed=1, told=0.5)
    some = StreamBatches(streams, 2, 20, 3, 4, seed=1, told=0.5, mirrored=0.5)
    ranks = [StreamBatches(streams, 2, 20, 3, 4, seed=1, mirrored=0.5, rank=r, ranks=2) for r in (0, 1)]
    turned = []
    for number in range(12):
        before, after = plain.batch(number), some.batch(number)
        assert after.queries == before.queries
        assert after.told is not None
        assert before.told is not None
        assert torch.equal(after.told, before.told)
        for one, other in zip(before.latents, after.latents, strict=True):
            assert not torch.equal(one, mirror(one))
            turned.append(torch.equal(other, mirror(one)))
            assert turned[-1] or torch.equal(other, one)
        parts = torch.cat([rank.batch(number).latents for rank in ranks])
        assert torch.equal(parts, after.latents), "all processes mirror the same"
    assert 6 <= sum(turned) <= 18
    with pytest.raises(UserError, match="places of a square grid to mirror, got 3"):
        StreamBatches([Stream(s.latents[:, :3], s.truth) for s in streams], 2, 20, 3, 4, seed=1, mirrored=0.5)


def test_too_few_or_too_short_streams_are_named(work: Path) -> None:
    streams = load_streams(work / "videos", work / "features")
    with pytest.raises(UserError, match="batch_size"):
        StreamBatches(streams, 9, 20, 3, 4, seed=1)
    with pytest.raises(UserError, match="frames"):
        StreamBatches(streams, 2, 96, 3, 4, seed=1)
    with pytest.raises(UserError, match="batch_size: expected 1 or more, got 0"):
        StreamBatches(streams, 0, 20, 3, 4, seed=1)
    with pytest.raises(UserError, match="frames: expected 1 or more, got -3"):
        StreamBatches(streams, 2, -3, 3, 4, seed=1)
    with pytest.raises(UserError, match="questions: expected 1 or more, got 0"):
        StreamBatches(streams, 2, 20, 3, 0, seed=1)
    with pytest.raises(UserError, match=r"made_up: expected a share from 0 to 1, got 1\.5"):
        StreamBatches(streams, 2, 20, 3, 4, seed=1, told=0.5, made_up=1.5)
