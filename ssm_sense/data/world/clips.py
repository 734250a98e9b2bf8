"""Rendered videos as clips, with the benchmark's questions or the training mixture's, drawn from the stream's seed."""

from pathlib import Path

import numpy as np

from ssm_sense.data.clip import Clip, Question
from ssm_sense.data.video import VideoFile
from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.questions import questions
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError


def rendered_clips(folder: Path, stops: int = 0) -> list[Clip]:
    """Every rendered video below a folder, in order of path, at the rate it was rendered at.

    Args:
        folder: what `ssm-sense world render` wrote.
        stops: moments, evenly spread up to the last frame, at which one question of each kind of the mixture is
            asked besides those of the stream's own task.

    Raises:
        UserError: where there are none.
    """
    clips = [
        _clip(folder, path.with_suffix(".mp4"), Truth.load(path), stops)
        for path in sorted(folder.rglob("*.json"))
        if path.with_suffix(".mp4").is_file()
    ]
    if not clips:
        raise UserError(f"{folder}: expected rendered videos with their truth, found none")
    return clips


def _clip(folder: Path, video: Path, truth: Truth, stops: int) -> Clip:
    asked = [*questions(truth), *_mixed(truth, stops)]
    name = str(video.relative_to(folder).with_suffix(""))
    frames = VideoFile(video, float(truth.fps))
    return Clip(name, frames, float(truth.fps), truth.duration_s, tuple(asked), truth.events)


def _mixed(truth: Truth, stops: int) -> list[Question]:
    rng = np.random.default_rng((truth.seed, 1))
    last = len(truth.frames) - 1
    at = [truth.frames[round(last * (i + 1) / stops)].t_s for i in range(stops)]
    return [question for t_s in at for question in mixture(truth, t_s, rng)]
