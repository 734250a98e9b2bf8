"""The streams of `ssm-sense splices`: every condition rendered, and the latents of all of them."""

from pathlib import Path
from typing import NamedTuple

from ssm_sense.commands import features, world
from ssm_sense.errors import UserError


class Split(NamedTuple):
    """How many streams of a split there are, from which seed of houses, and in which conditions."""

    name: str
    seed: int
    streams: int
    conditions: tuple[str, ...]


CONTROLS = {
    "walk": ("--transition", "walk"),
    "cut": ("--transition", "cut"),
    "jump": ("--transition", "walk", "--decoy", "jump"),
    "flash": ("--transition", "walk", "--decoy", "flash"),
    "exposure": ("--transition", "walk", "--decoy", "exposure"),
    "cutjump": ("--transition", "cut", "--decoy", "jump"),
    "object1": ("--needle", "object", "--needle-frames", "1"),
    "paste1": ("--needle", "paste", "--needle-frames", "1"),
    "object6": ("--needle", "object", "--needle-frames", "6"),
    "paste6": ("--needle", "paste", "--needle-frames", "6"),
}
"""Flags of `ssm-sense world render`; the same seed gives the same houses and walks in every condition of a split."""
_WALKS = ("walk", "cut", "jump", "flash", "exposure", "cutjump")
SPLITS = (
    Split("train", 11, 40, ("walk", "cut")),
    Split("val", 12, 12, _WALKS),
    Split("test", 13, 24, tuple(CONTROLS)),
)


def render(
    out: Path,
    minutes: float = 2.0,
    size: int = 128,
    workers: int = 1,
    encoder: str = "ssm_sense/tiny/weights/siglip",
    grid: int = 4,
    splits: tuple[Split, ...] = SPLITS,
) -> None:
    """Write videos/SPLIT/CONDITION and features below a folder; what is there already is kept.

    Args:
        minutes: length of each stream, at 1 frame/s.
        size: pixels a side.
        workers: videos rendered at a time.
        encoder: a SigLIP folder or hub id, whose last layer is pooled.
        grid: places along one side that it is pooled to; the shipped model watches 4 × 4.

    Raises UserError where a video cannot be seen.
    """
    for split in splits:
        for condition in split.conditions:
            # Nobody is asked anything here, so what blind answerers would score does not matter; tours have needles.
            task = "tour" if "--needle" in CONTROLS[condition] else "vsc"
            folder = str(out / "videos" / split.name / condition)
            what = ("--out", folder, "--task", task, "--force", "--split", split.name, "--seed", str(split.seed))
            shape = ("--n", str(split.streams), "--minutes", f"{minutes:g}", "--size", str(size))
            world.main(["render", *what, *shape, "--workers", str(workers), *CONTROLS[condition]])
    tower = ("--encoder", encoder, "--layer", "-1", "--pooling", "average", "--grid", str(grid))
    if features.main(["extract", "--videos", str(out / "videos"), *tower, "--out", str(out / "features")]):
        raise UserError(f"{out / 'videos'}: some videos could not be seen")
