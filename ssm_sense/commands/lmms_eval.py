"""lmms-eval's door to our sessions: its model "ssm_sense", found by an entry point, with no fork of either.

    lmms-eval --model ssm_sense --model_args model=runs/models/ours,policy=model --tasks vsibench

Each video is watched once, from its first frame to its last, and all that lmms-eval asks about it in a row is asked of
what was kept; a policy that must know its questions beforehand is told all that lmms-eval will ask about the video.
lmms-eval is imported by `lmms_eval_model` alone, which nothing else imports. Source of the interface: lmms-eval 0.7.3,
`models/registry_v2.py` and `api/model.py`.
"""

import importlib
import re
from collections.abc import Iterator, Sequence
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
    """A session that watches the videos that it is asked about.

    fps: frames to watch a second. batch_frames: frames encoded together.
    """

    def __init__(self, session: "Session", fps: float = 1.0, batch_frames: int = 8) -> None:
        if not fps > 0 or batch_frames < 1:
            raise UserError(f"expected fps above 0 and batch_frames of at least 1, got {fps} and {batch_frames}")
        self.session, self.fps, self.batch_frames = session, fps, batch_frames
        self.watched: Path | None = None
        self.told: frozenset[str] | None = None
        """What the memory expects to be asked; None of one that need not know."""

    def answers(self, asked: Sequence[tuple[Path, str]]) -> Iterator[str]:
        """What the session answers, in turn, to each prompt after its whole video: a letter where it lists options.

        A video is watched anew unless it was the last one too and the memory knows of its prompts.
        """
        prompts: dict[Path, list[str]] = {}
        for video, prompt in asked:
            prompts.setdefault(video, []).append(prompt)
        for video, prompt in asked:
            if video != self.watched or (self.told is not None and prompt not in self.told):
                self._watch(video, prompts[video])
            yield self.session.memory.read(prompt, options_of(prompt)).text

    def _watch(self, video: Path, prompts: Sequence[str]) -> None:
        import numpy as np
        import torch

        from ssm_sense.data.video import VideoFile
        from ssm_sense.evaluate.watch import Announced

        self.watched = None
        memory = self.session.memory
        if isinstance(memory, Announced):
            memory.expect([(prompt, options_of(prompt)) for prompt in prompts])
            self.told = frozenset(prompts)
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
