"""`ssm-sense splices` on drawn films whose events and splices are plain to see."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from ssm_sense import state
from ssm_sense.commands import splices
from ssm_sense.commands.splices_detectors import FAMILIES, Clip, at
from ssm_sense.commands.splices_measures import reading, verdict
from ssm_sense.commands.splices_render import Split, render
from ssm_sense.data.features import extract
from ssm_sense.data.video import write_video
from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.controls import Controls
from ssm_sense.data.world.truth import SCHEMA, CountingRule, DecoyTruth, FrameTruth, NeedleTruth, RoomTruth, Truth
from ssm_sense.errors import UserError
from ssm_sense.metrics.moments import Drawn

FRAMES, STAY = 48, 12
CONDITIONS = {
    "walk": Controls(),
    "jump": Controls(decoy="jump"),
    "cutjump": Controls(transition="cut", decoy="jump"),
}


class Squares:
    """Latents that are the mean colours of a 2 × 2 grid, repeated to 12 features."""

    fingerprint = "squares"

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        n, side = len(frames), frames.shape[1] // 2
        cells = frames.float().reshape(n, 2, side, 2, side, 3).mean((2, 4)).reshape(n, 4, 3)
        return (cells / 64 - 2).repeat(1, 1, 4)


def film(folder: Path, split: str, condition: str, number: int) -> None:
    """Rooms of a colour; a decoy is a moment of white in the middle of each, a needle a frame of black."""
    place = folder / split / condition
    place.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([len(split), number])
    looks = rng.integers(60, 200, (FRAMES // STAY, 2, 2, 3)).repeat(STAY, 0)
    looks = np.clip(looks + rng.integers(-6, 7, looks.shape), 0, 255)
    middles = range(STAY // 2, FRAMES, STAY)
    controls = CONDITIONS.get(condition, Controls(needle="paste" if "paste" in condition else "object"))
    decoys = [DecoyTruth(t, float(t), "jump", 0) for t in middles] if controls.decoy != "none" else []
    needles = [NeedleTruth(t, float(t), "n", "bed", 1, 0, 500) for t in middles] if condition not in CONDITIONS else []
    for moment in (*decoys, *needles):
        looks[moment.frame] = 255 if decoys else 0
    write_video(place / f"{number}.mp4", list(looks.astype(np.uint8).repeat(16, 1).repeat(16, 2)), 1)
    frames = tuple(FrameTruth(float(t), t // STAY, Pose(0, 0, 0, 0, 0), {}) for t in range(FRAMES))
    rooms = tuple(RoomTruth(i, "kitchen") for i in range(FRAMES // STAY))
    head = (SCHEMA, "tour", split, number, 1, 32, CountingRule(), rooms, (), tuple(needles), frames)
    Truth(*head, controls=controls, decoys=tuple(decoys)).save(place / f"{number}.json")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Videos, and the cache of their latents."""
    folder = tmp_path_factory.mktemp("films")
    for split, conditions in (
        ("train", ("walk",)),
        ("val", tuple(CONDITIONS)),
        ("test", (*CONDITIONS, "object1", "paste1")),
    ):
        for condition in conditions:
            for number in range(2):
                film(folder, split, condition, number)
    features = tmp_path_factory.mktemp("features")
    for video in sorted(folder.rglob("*.mp4")):
        extract(video, Squares(), features, 1.0)
    return folder, features


def run(films: tuple[Path, Path], command: str, out: Path, *more: str) -> int:
    return splices.main([command, "--videos", str(films[0]), "--features", str(films[1]), "--out", str(out), *more])


def test_from_films_to_verdicts(films: tuple[Path, Path], tmp_path: Path) -> None:
    watched, out = tmp_path / "watched", tmp_path / "out"
    trained, asked = tmp_path / "trained", ("--train", "walk", "--seeds", "0", "1", "--steps", "3", "--families")
    assert run(films, "watch", watched, *asked, "plain", "oracles") == 0
    assert sorted(path.stem for path in watched.glob("*.npz")) == ["oracles-none-0", "plain-none-0", "plain-none-1"]
    assert run(films, "watch", trained, *asked, "stateless") == 0
    assert sorted(path.stem for path in trained.glob("*.npz")) == ["stateless-walk-0", "stateless-walk-1"]
    assert run(films, "measure", out, "--watched", str(watched), str(trained), "--resamples", "200") == 0
    rows = [json.loads(line) for line in (out / "measures.jsonl").read_text().splitlines()]
    value = {(r["detector"], r["condition"], r["measure"]): r for r in rows}
    assert value["adjacent", "walk", "auroc event"]["value"] == 1.0
    assert value["adjacent", "walk", "f1 tuned"]["value"] == 1.0
    assert value["adjacent", "jump", "auroc decoy"]["value"] == 1.0
    assert value["adjacent", "paste1", "auroc needle"]["value"] == 1.0
    assert value["adjacent", "walk", "f1 tuned"]["n"] == 6
    assert value["oracle of events", "cutjump", "auroc event over decoy"]["value"] == 1.0
    assert value["oracle of splices", "cutjump", "auroc event over decoy"]["value"] == 0.5
    assert value["oracle of splices", "walk", "auroc event"]["value"] == 0.5
    assert value["oracle of splices", "jump", "decoys answered transferred"]["value"] == 1.0
    assert value["oracle of events", "jump", "f1 transferred"]["value"] == 1.0
    assert {r["seeds"] for r in rows if r["detector"] in ("stateless LFP", "random")} == {2}
    assert {r["seeds"] for r in rows if r["detector"] == "EMA"} == {1}
    assert {r["train"] for r in rows} == {"none", "walk"}
    assert {r["streams"] for r in rows} == {2}
    table = (out / "results.md").read_text()
    assert "| oracle of events | none |" in table
    assert "F1 in walk: stateless LFP, shift - " in table
    assert (out / "surprise.png").stat().st_size > 10_000
    assert "<svg" in (out / "surprise.svg").read_text()


def test_what_is_there_is_not_watched_again(
    films: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--families", "oracles", "--seeds", "0")
    run(films, "watch", tmp_path, *asked)
    monkeypatch.setitem(FAMILIES, "oracles", None)
    assert run(films, "watch", tmp_path, *asked) == 0
    with pytest.raises(UserError, match=r"oracles-none-0\.npz: expected one made with --steps 3, got .* no --steps"):
        run(films, "watch", tmp_path, *asked, "--steps", "3")


def test_a_kill_while_saving_leaves_nothing_that_is_read(
    films: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, write: Callable[[Path], object]) -> None:
        write(path.with_name(f".{path.name}.partial"))
        raise KeyboardInterrupt

    monkeypatch.setattr(state, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        run(films, "watch", tmp_path, "--families", "oracles", "--seeds", "0")
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UserError, match="expected files that"):
        splices.read_cells([tmp_path])


def test_wrong_requests_are_told(films: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--families: expected some of plain"):
        run(films, "watch", tmp_path, "--families", "crystal")
    with pytest.raises(UserError, match="expected files that"):
        run(films, "measure", tmp_path, "--watched", str(tmp_path))
    with pytest.raises(UserError, match="expected SPLIT/CONDITION"):
        run((tmp_path, films[1]), "watch", tmp_path)
    with pytest.raises(UserError, match="expected train/cut, to train stateless on, found none"):
        run(films, "watch", tmp_path, "--train", "cut", "--families", "stateless")
    with pytest.raises(UserError, match="--steps: expected 1 or more, got 0"):
        run(films, "watch", tmp_path, "--steps", "0")
    walks = ("--train", "walk", "--families", "shipped")
    with pytest.raises(UserError, match=r"shipped: expected latents of 16 places, .* got 4: render with"):
        run(films, "watch", tmp_path, *walks)


@pytest.fixture
def clips() -> Sequence[Clip]:
    draw = torch.Generator().manual_seed(0)
    pictures = torch.randn(2, 4, 4, 12, generator=draw).repeat_interleave(16, 1)
    noise = 0.1 * torch.randn(2, 64, 4, 12, generator=draw)
    seconds = torch.arange(64, dtype=torch.float64)
    moments = {"event": [16.0, 32.0, 48.0], "decoy": [], "needle": [], "splice": []}
    return [Clip(latents, seconds, moments) for latents in pictures + noise]


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("closed", {"closed loop", "closed loop, shift", "closed loop, shift with state"}),
        ("recurrent", {"open loop", "open loop, shift"}),
        ("window", {"LFP on LLM states"}),
        ("probe", {"probe"}),
    ],
)
def test_every_family_watches_what_it_is_given(family: str, names: set[str], clips: Sequence[Clip]) -> None:
    detectors = FAMILIES[family](clips, clips, 0, 2)
    assert set(detectors) == names
    for name, detect in detectors.items():
        both, one = detect(clips), detect(clips[:1])
        assert [level.shape for level in both] == [(64,), (64,)]
        assert all(level[0] == pytest.approx(1.0) for level in both), name
        np.testing.assert_allclose(one[0], both[0], atol=1e-5, err_msg=name)


def test_a_moment_is_the_first_frame_at_or_after_it() -> None:
    assert at(np.arange(5.0), [0.0, 1.4, 4.0, 7.0]).tolist() == [1, 0, 1, 0, 1]


def drawn(low: float, high: float) -> Drawn:
    return Drawn((low + high) / 2, np.linspace(low, high, 1001), 9, 400)


@pytest.mark.parametrize(
    ("events", "splices", "apart", "finds"),
    [
        (0.9, 0.9, 0.9, "events"),
        (0.9, 0.5, 0.9, "events"),
        (0.9, 0.9, 0.5, "change, event or not"),
        (0.5, 0.9, 0.9, "splices"),
        (0.5, 0.5, 0.9, "neither"),
        (0.9, 0.5, 0.5, "open"),
    ],
)
def test_the_verdict_rule(events: float, splices: float, apart: float, finds: str) -> None:
    keys = ("walk", "auroc event"), ("jump", "auroc decoy"), ("cutjump", "auroc event over decoy")
    middles = (events, splices, apart)
    assert verdict({k: drawn(m - 0.05, m + 0.05) for k, m in zip(keys, middles, strict=True)}) == finds


def test_readings_of_a_difference() -> None:
    assert reading(drawn(0.01, 0.2)) == "higher"
    assert reading(drawn(-0.2, -0.01)) == "lower"
    assert reading(drawn(-0.04, 0.04)) == "the same"
    assert reading(drawn(-0.1, 0.2)) == "open"
    assert reading(Drawn(math.nan, np.full(9, math.nan), 0, 3)) == "open"


def test_conditions_are_rendered_and_seen(tmp_path: Path) -> None:
    encoder = str(Path(splices.__file__).parents[1] / "tiny/weights/siglip")
    splits = (Split("val", 5, 1, ("cutjump",)), Split("test", 5, 1, ("paste6",)))
    render(tmp_path, minutes=0.5, size=64, encoder=encoder, splits=splits)
    clips = splices.load_clips(tmp_path / "videos", tmp_path / "features")
    assert set(clips) == {("val", "cutjump"), ("test", "paste6")}
    (cut,), (pasted,) = clips["val", "cutjump"], clips["test", "paste6"]
    assert cut.latents.shape == (30, 16, 128)
    for level in FAMILIES["shipped"](clips["val", "cutjump"], [], 0, None).values():
        assert np.isfinite(level(clips["val", "cutjump"])).all()
    assert cut.moments["event"]
    assert sorted([*cut.moments["event"], *cut.moments["decoy"]]) == sorted(cut.moments["splice"])
    assert len(pasted.moments["needle"]) == 2
    assert not pasted.moments["splice"]
