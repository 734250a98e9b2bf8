"""lmms-eval's door to our sessions: its model "ssm_sense", found by an entry point, with no fork of either.

    lmms-eval --model ssm_sense --model_args model=runs/models/ours,policy=model --tasks vsibench

Each video is watched once, from its first frame to its last, and all that lmms-eval asks about it in a row is asked of
what was kept. lmms-eval is imported by `lmms_eval_model` alone, which nothing else imports. Source of the interface:
lmms-eval 0.7.3, `models/registry_v2.py` and `api/model.py`.
"""

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from ssm_sense.stream import Session

_OPTION = re.compile(r"^[A-Z]\. \S.*$", re.MULTILINE)


def manifest() -> Any:
    """What lmms-eval registers, called by it."""
    registry = importlib.import_module("lmms_eval.models.registry_v2")
    return registry.ModelManifest("ssm_sense", simple_class_path="ssm_sense.commands.lmms_eval_model.SsmSenseModel")


def options_of(prompt: str) -> tuple[str, ...]:
    """The options that a prompt lists, one a line, as in "A. bed"; none where it lists fewer than two."""
    found = tuple(_OPTION.findall(prompt))
    return found if len(found) > 1 else ()


class Watcher:
    """A session that watches the video that it is asked about, unless it was the last one too.

    fps: frames to watch a second. batch_frames: frames encoded together.
    """

    def __init__(self, session: "Session", fps: float = 1.0, batch_frames: int = 8) -> None:
        if not fps > 0 or batch_frames < 1:
            raise UserError(f"expected fps above 0 and batch_frames of at least 1, got {fps} and {batch_frames}")
        self.session, self.fps, self.batch_frames = session, fps, batch_frames
        self.watched: Path | None = None

    def answer(self, video: Path, prompt: str) -> str:
        """What the session answers after the whole video: an option's letter where the prompt lists options."""
        if video != self.watched:
            self._watch(video)
        return self.session.memory.read(prompt, options_of(prompt)).text

    def _watch(self, video: Path) -> None:
        import numpy as np
        import torch

        from ssm_sense.data.video import VideoFile

        self.watched = None
        self.session.reset()
        frames, seconds = [], []
        for frame, t_s in VideoFile(video, self.fps):
            frames.append(frame)
            seconds.append(t_s)
            if len(frames) == self.batch_frames:
                self.session.feed(torch.from_numpy(np.stack(frames)), seconds)
                frames, seconds = [], []
        if frames:
            self.session.feed(torch.from_numpy(np.stack(frames)), seconds)
        self.watched = video
