"""One stream on disk: an H.264 file and its truth beside it, each written whole or not at all."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ssm_sense.data.video import write_video
from ssm_sense.data.world.stream import Recipe, compose, pictures, truth_of
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError


def truth_path(video: Path) -> Path:
    """Where the truth of a video lies: beside it, as .json."""
    return video.with_suffix(".json")


def finished(video: Path, recipe: Recipe) -> bool:
    """Whether `video` was rendered whole from `recipe`; UserError where another recipe's files are in its place.

    The truth is written after the video, so that its presence says that both are complete.
    """
    if not truth_path(video).exists() or not video.exists():
        return False
    truth = Truth.load(truth_path(video))
    found: tuple[object, ...]
    found = (truth.task, truth.split, truth.seed, truth.fps, truth.size, len(truth.frames), truth.dwell_s)
    wanted: tuple[object, ...]
    wanted = (recipe.task, recipe.split, recipe.seed, recipe.fps, recipe.size, recipe.frames, recipe.dwell_s)
    found, wanted = (*found, truth.controls.changed), (*wanted, recipe.controls.changed)
    if found != wanted:
        names = "task, split, seed, fps, size, frames, dwell, controls"
        raise UserError(f"{video} holds another stream ({names}: {found}, wanted {wanted}); choose another folder")
    return True


def shoot(recipe: Recipe, video: Path, on_frame: Callable[[], None] = lambda: None) -> Truth:
    """Render `recipe` to `video`, its truth beside it. `on_frame` is called for every frame; raising there stops it."""
    stream = compose(recipe)
    visible: list[dict[int, int]] = []

    def frames() -> Iterator[np.ndarray]:
        for picture in pictures(stream):
            visible.append(picture.visible)
            yield picture.image
            on_frame()

    video.parent.mkdir(parents=True, exist_ok=True)
    write_video(video, frames(), recipe.fps)
    truth = truth_of(stream, visible)
    truth.save(truth_path(video))
    return truth
