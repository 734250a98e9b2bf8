"""Conversations about pictures and videos become streams with questions, the same in every process and resumed."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssm_sense.data.features import Features
from ssm_sense.data.video import VideoFile
from ssm_sense.data.world.export import export
from ssm_sense.errors import UserError
from ssm_sense.folder import load_model
from ssm_sense.lit.conversations import Conversations
from ssm_sense.lit.instruction import InstructionBatches, InstructionData
from ssm_sense.lit.watcher import STILL_FRAMES, Watcher, spread
from ssm_sense.vision.siglip import SiglipTower


def row(medium: str, *said: str, **more: object) -> dict[str, Any]:
    speakers = ["human", "gpt"] * (len(said) // 2)
    turns = [{"from": who, "value": what} for who, what in zip(speakers, said, strict=True)]
    return {"video" if medium.endswith(".mp4") else "image": medium, "conversations": turns, **more}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(r) for r in rows) + "\n")
    return path


@pytest.fixture(scope="module")
def tower(work: Path) -> SiglipTower:
    return SiglipTower(str(work / "siglip"), layer=-1, pooling="average", grid=2).load()


@pytest.fixture(scope="module")
def media(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures, and the rendered tours under the names a.mp4, b.mp4, c.mp4."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    for name, video in zip("abc", sorted((work / "videos").rglob("*.mp4")), strict=True):
        (folder / f"{name}.mp4").symlink_to(video)
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [row(f"{i}.png", f"<image>\nWhat is {i}?", f"thing {i}", "And now?", "nothing") for i in range(5)]
    rows += [row(f"{name}.mp4", "How many?\n<video>", "3", question_type="count", t_s=7.5) for name in "abc"]
    rows += [row("a.mp4", "Which room?", "hall", question_type="room")]
    rows += [{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}]
    return write(tmp_path / "table.jsonl", rows)


def batches(table: Path, media: Path, tower: SiglipTower, **more: Any) -> InstructionBatches:
    watcher = Watcher(media, tower, None, 1.0)
    settings = {"batch_size": 2, "frames": 6, "questions": 2, "stills": False, "seed": 0}
    return InstructionBatches(Conversations([table]), watcher, **{**settings, **more})


def test_rows_become_streams_with_questions(table: Path, media: Path, tower: SiglipTower) -> None:
    found = Conversations([table])
    assert (len(found.pictures), len(found.videos), found.without_medium) == (5, 3, 1)
    pictures, videos = set(), 0
    # 2 batches of pictures and 1 of videos an epoch.
    for number in range(6):
        batch = batches(table, media, tower).batch(number)
        assert batch.events is None
        assert batch.weight == 1
        if batch.latents.shape[1] == STILL_FRAMES:
            assert torch.equal(batch.latents[:, 0], batch.latents[:, 1])
            assert [q.frame for q in batch.queries] == [1] * 4
            assert [q.prompt for q in batch.queries[1::2]] == ["And now?"] * 2
            assert all(q.prompt == f"What is {q.answer[-1]}?" for q in batch.queries[::2])
            pictures |= {q.answer for q in batch.queries[::2]}
            assert set(batch.kinds) == {"instruction"}
        else:
            videos += 1
            assert batch.latents.shape == (2, 6, 4, 32)
            assert (batch.seconds.diff() > 0).all()
            for query, kind in zip(batch.queries, batch.kinds, strict=True):
                assert query.prompt in ("How many?", "Which room?")
                seen_s = batch.seconds[query.stream, query.frame]
                assert seen_s <= 7.5 if kind == "count" else query.frame == 5
    assert videos == 2
    assert len(pictures) >= 4


def test_latents_are_those_of_the_frames_live_or_cached(work: Path, media: Path, tower: SiglipTower) -> None:
    medium = next(m for m in Conversations([work_table(media)]).videos)
    live = Watcher(media, tower, None, 1.0)
    latents, seconds = live.video(medium, 4, 7.5)
    assert seconds.tolist() == [0, 2, 5, 7]
    frames = [frame for frame, t_s in VideoFile(media / medium.path) if t_s in (0, 2, 5, 7)]
    torch.testing.assert_close(latents, tower.encode(torch.from_numpy(np.stack(frames))))
    cached = Watcher(media, tower, Features(work / "features"), 1.0)
    assert cached.length(medium, 7.5) == live.length(medium, 7.5) == 8
    assert cached.length(medium, None) == live.length(medium, None) == 24
    assert torch.equal(cached.video(medium, 4, 7.5)[1], seconds)
    still, at = live.still(medium, 5.2)
    torch.testing.assert_close(still, latents[2:3].expand(STILL_FRAMES, -1, -1), atol=1e-5, rtol=1e-5)
    assert at.tolist() == [5, 6]


def work_table(media: Path) -> Path:
    return write(media / "one.jsonl", [row("a.mp4", "How many?", "3")])


def test_frames_are_spread_to_the_last() -> None:
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(10, 1) == [9]
    assert spread(1, 2) == [0, 0]
    assert spread(5, 5) == [0, 1, 2, 3, 4]


def test_processes_share_out_a_batch_and_any_batch_can_be_drawn(table: Path, media: Path, tower: SiglipTower) -> None:
    whole = batches(table, media, tower)
    parts = [batches(table, media, tower, rank=rank, ranks=2) for rank in range(2)]
    (third,) = list(batches(table, media, tower, start=2, count=1))
    assert third.queries == whole.batch(2).queries
    for number in range(3):
        one, two = (part.batch(number) for part in parts)
        moved = [*one.queries, *(query._replace(stream=1) for query in two.queries)]
        assert moved == whole.batch(number).queries
        assert one.weight + two.weight == pytest.approx(2)
        torch.testing.assert_close(torch.cat([one.latents, two.latents]), whole.batch(number).latents)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (row("a.png", "<image>", "yes"), "expected a question beside the tag"),
        (row("a.png", "What?", " "), "expected a text in column 'value'"),
        ({"image": "a.png", "conversations": [{"from": "gpt", "value": "x"}]}, "to alternate"),
        ({"image": "a.png", "conversations": "hi"}, "expected turns in column 'conversations'"),
        ({**row("a.png", "q", "a"), "video": "b.mp4"}, "got both"),
        (row("../a.png", "q", "a"), "inside the folder of media"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, bad: dict[str, Any], named: str) -> None:
    path = write(tmp_path / "bad.jsonl", [row("1.png", "q", "a"), bad])
    with pytest.raises(UserError, match=f"row 1: .*{named}"):
        Conversations([path])


def test_what_cannot_be_drawn_is_named(table: Path, media: Path, tower: SiglipTower) -> None:
    with pytest.raises(UserError, match="batch_size: expected at most the number of media of a kind, 5, got 9"):
        batches(table, media, tower, batch_size=9)
    with pytest.raises(UserError, match="frames of 2 or more"):
        batches(table, media, tower, frames=1)
    with pytest.raises(UserError, match="found none that was asked for"):
        Conversations([table], types=["order"])
    with pytest.raises(UserError, match="vision: expected the tower"):
        InstructionData(str(media), [str(table)]).batches("train")
    bad = write(table.parent / "when.jsonl", [row("a.mp4", "q", "a", t_s="late"), row("b.mp4", "q", "a")])
    with pytest.raises(UserError, match="row 0: expected seconds in column 't_s'"):
        batches(bad, media, tower).batch(0)


def test_an_exported_rendered_set_trains_as_stills_and_then_as_videos(
    work: Path, arguments: Callable[..., list[str]], fit: Callable[..., list[float]], tmp_path: Path
) -> None:
    export(work / "videos", stops=2)
    data = [
        "--data=ssm_sense.lit.instruction.InstructionData",
        f"--data.media={work / 'videos'}",
        f"--data.train=[{work / 'videos' / 'vsi_590k.jsonl'}]",
        f"--data.val=[{work / 'videos' / 'vsi_590k.jsonl'}]",
        "--data.val_batches=1",
        "--data.batch_size=2",
        "--model.true_events_steps=0",
        "--model.lr_scheduler=ssm_sense.lit.schedule.WarmupCosine",
        "--model.lr_scheduler.total_steps=3",
    ]
    first = [*data, "--data.stills=true", "--data.types=[room_now,visible]", "--model.rates={'*_connector': 0.001}"]
    assert len(fit(tmp_path / "stills", 3, more=first)) == 3
    second = [*data, f"--data.features={work / 'features'}", f"--model.start={tmp_path / 'stills' / 'model'}"]
    assert len(fit(tmp_path / "videos", 3, more=[*second, "--data.questions=3"])) == 3
    assert load_model(tmp_path / "videos" / "model")[0].scale.scale.min() > 0


def test_every_row_is_asked_once_an_epoch(tmp_path: Path, media: Path, tower: SiglipTower) -> None:
    rows = [row("a.mp4", f"What is {i}?", str(i)) for i in range(5)]
    rows += [row(f"{name}.mp4", f"Who is {name}?", name) for name in "bc"]
    drawn = batches(write(tmp_path / "many.jsonl", rows), media, tower, batch_size=2, questions=2)
    # a.mp4 comes three times, for 2, 2 and 1 of its rows, b.mp4 and c.mp4 once: two batches, and one time is left over.
    epochs = []
    for epoch in range(6):
        asked = [query.answer for number in (0, 1) for query in drawn.batch(2 * epoch + number).queries]
        assert len(set(asked)) == len(asked) >= 5
        epochs.append(asked)
    assert len(set(map(tuple, epochs))) > 1
    assert set().union(*epochs) == {*"01234", "b", "c"}


def test_what_is_left_out_is_said(tmp_path: Path, media: Path, tower: SiglipTower, caplog) -> None:
    rows = [row(f"{i}.png", "What?", "x") for i in range(4)] + [row("a.mp4", "What?", "y")]
    shuffled = [row("vsi/s3dis/area_1.mp4", "Which room came first?", "z")]
    table = write(tmp_path / "few.jsonl", [*rows, *shuffled])
    found = Conversations([table])
    assert ([medium.path for medium in found.videos], found.left_out) == (["a.mp4"], 1)
    batches(table, media, tower)
    assert "1 videos are never watched" in caplog.text
    data = InstructionData(str(media), [str(table)], batch_size=2)
    data.vision = tower
    data.batches("train")
    assert "train: 1 rows about shuffled videos are left out" in caplog.text


def test_media_that_are_missing_are_unpacked_before_training(tmp_path: Path, media: Path, tower: SiglipTower) -> None:
    with tarfile.open(tmp_path / "coco.tar.gz", "w:gz", dereference=True) as archive:
        for name in ("0.png", "1.png", "a.mp4"):
            archive.add(media / name, f"coco/{name}")
    rows = [row(f"coco/{name}", "What?", "x") for name in ("0.png", "1.png", "a.mp4")]
    data = InstructionData(str(tmp_path), [str(write(tmp_path / "packed.jsonl", rows))], batch_size=2)
    data.vision = tower
    data.prepare_data()
    assert sorted(path.name for path in (tmp_path / "coco").iterdir()) == ["0.png", "1.png", "a.mp4"]
    assert data.batches("train").batch(0).latents.shape[:2] == (2, STILL_FRAMES)


def test_latents_of_another_tower_are_refused(table: Path, work: Path, media: Path, tower: SiglipTower) -> None:
    other = SiglipTower(str(work / "siglip"), layer=-2, pooling="average", grid=2)
    data = InstructionData(str(media), [str(table)], features=str(work / "features"), batch_size=2)
    data.vision = other
    with pytest.raises(UserError, match=f"expected latents of the encoder {other.fingerprint}, found none"):
        data.batches("train")
