"""Count segment by segment and add up: cheap rivals of every memory that is to count over a long stream.

A question that was announced is put to each segment when that ends, and the numbers are added. Nothing is remembered
from one segment to the next but the sums, so what is seen again is counted again. Which segments is the difference:
every so many seconds, between shot cuts, by depth score; `cambrian_count` has those of Cambrian-S.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.cuts import Cuts, DepthCuts, EverySeconds, ShotCuts
from ssm_sense.memory.kv_cache import (
    FrameTokens,
    KeyValues,
    answer_from,
    extend_hidden,
    only,
    opening,
    pack,
    place,
    token_bytes,
    unpack,
)
from ssm_sense.memory.lfp_window import Foresight
from ssm_sense.memory.policy import Answer, Observation
from ssm_sense.memory.registered import Running
from ssm_sense.state import State

_TALLY, _LENGTH = "tally", "segment"


class SegmentSum:
    """Streams one video through a model of frame tokens, one segment at a time.

    A question with options, and one that was not announced, is answered from the segment in progress alone.

    Args:
        model: in eval mode, with its language model loaded.
        cuts: where segments begin.
        window: frames that each frame attends to, across cuts, as in Cambrian-S; None attends to its own segment.
        segment_frames: a segment that is as long ends, so that memory is bounded.
        budget_bytes: of everything held; if given, segments and window are no longer than it allows.
        foresight: tells the cuts the surprise that `observe` is not told; None leaves it to them.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = True
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(
        self,
        model: FrameTokens,
        cuts: Cuts,
        window: int | None = None,
        segment_frames: int = 512,
        budget_bytes: int | None = None,
        foresight: Foresight | None = None,
    ) -> None:
        self._frame_bytes = model.frame_tokens * token_bytes(model.language) + 8
        if budget_bytes is not None and budget_bytes < 2 * self._frame_bytes:
            raise ValueError(f"budget_bytes: expected 2 frames of {self._frame_bytes} or more, got {budget_bytes}")
        if segment_frames < 1 or (window is not None and window < 1):
            raise ValueError(f"expected segment_frames and window of at least 1, got {segment_frames} and {window}")
        self.model, self.cuts, self.window, self.segment_frames = model, cuts, window, segment_frames
        self.budget_bytes, self.foresight = budget_bytes, foresight or Foresight(model, wanted=False)
        self.running: list[Running] = []
        self.reset()

    def expect(self, questions: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Forget the stream and all questions, and be ready for these: pairs of prompt and options."""
        self.running = [Running(prompt) for prompt in dict.fromkeys(p for p, options in questions if not options)]
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the questions stay, with nothing counted."""
        self.running = [Running(one.prompt) for one in self.running]
        self.opening: list[KeyValues] = []
        self.frames: list[KeyValues] = []
        """Of the segment in progress, and those before it that the window reaches."""
        self.segment = 0
        """Frames in it."""
        self.cuts.reset()
        self.foresight.reset()

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """One frame on; where it begins a segment, the one before is asked about first."""
        language = self.model.language
        if not self.frames:
            self.opening = opening(language)
        told = surprise if surprise is not None else self.foresight.surprise(latents)
        cut = self.cuts.next(self.model.scale(latents), told, t_s)
        most = self._most()
        ends = self.segment > 0 and (cut.begins or self.segment >= most)
        if ends:
            self.running = [one.ended(self._segment_answer(one.prompt)) for one in self.running]
            self.segment = 0
        reach = self.segment if self.window is None else min(self.window, most)
        past = self._last(reach)
        self.segment += 1
        self.frames = self._last(min(max(reach, self.segment), most) - 1)
        kv, hidden = extend_hidden(language, [*self.opening, *past], self.model.embed(latents)[None])
        self.foresight.after(hidden)
        self.frames.append(kv)
        return Observation(cut.surprise, 1.0, ends)

    def _most(self) -> int:
        """Frames that may be held."""
        if self.budget_bytes is None:
            return self.segment_frames
        fixed = self.nbytes - len(self.frames) * self._frame_bytes
        return max(1, min(self.segment_frames, (self.budget_bytes - fixed) // self._frame_bytes))

    def _last(self, frames: int) -> list[KeyValues]:
        return self.frames[max(0, len(self.frames) - frames) :]

    def _segment_answer(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        language = self.model.language
        past = [*(self.opening or opening(language)), *self._last(self.segment)]
        return answer_from(language, place(language, past), prompt, options, 16, 1.1)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """The sum over all segments, the one in progress included."""
        for one in self.running:
            if one.prompt == prompt and not options:
                return Answer(str((one.ended(self._segment_answer(prompt)) if self.segment else one).total))
        return self._segment_answer(prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Keys and values of the segment, its length, the state of the cuts, and of each question its sums."""
        found = State.join({"cuts": State(self.cuts.state_dict()), "foresight": State(self.foresight.state_dict())})
        rows = [(one.total, one.events, one.unread) for one in self.running]
        counted = {_TALLY: torch.tensor(rows, dtype=torch.int64).reshape(-1, 3), _LENGTH: torch.tensor(self.segment)}
        return {**pack("opening", self.opening), **pack("frames", self.frames), **found, **counted}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError unless as many questions were announced as it counted for."""
        only(state, "opening.", "frames.", "cuts.", "foresight.", _TALLY, _LENGTH)
        tally = state.get(_TALLY, torch.zeros(0, 3))
        if len(tally) != len(self.running):
            raise ValueError(f"expected the state of {len(self.running)} announced questions, got {len(tally)}")
        device = self.model.scale.mean.device
        self.opening, self.frames = unpack("opening", state, device), unpack("frames", state, device)
        self.cuts.load_state_dict(State(state).sub("cuts").to(device))
        self.foresight.load_state_dict(State(state).sub("foresight").to(device))
        self.segment = int(state[_LENGTH])
        self.running = [
            one._replace(total=int(total), events=int(events), unread=int(unread))
            for one, (total, events, unread) in zip(self.running, tally.tolist(), strict=True)
        ]

    @property
    def nbytes(self) -> int:
        """Of everything that `state_dict` names."""
        held = sum(part.nbytes + 8 for part in (*self.opening, *self.frames))
        return held + self.cuts.nbytes + self.foresight.nbytes + 3 * 8 * len(self.running) + 8


class UniformSum(SegmentSum):
    """Chunks of so many seconds.

    Args:
        model, segment_frames, budget_bytes: as for `SegmentSum`.
        every_s: length of a chunk.
    """

    def __init__(
        self, model: FrameTokens, every_s: float = 60.0, segment_frames: int = 512, budget_bytes: int | None = None
    ) -> None:
        super().__init__(model, EverySeconds(every_s), None, segment_frames, budget_bytes)


class ShotCutSum(SegmentSum):
    """What lies between two shot cuts.

    Args:
        model, segment_frames, budget_bytes: as for `SegmentSum`.
        ratio, shot_window, least: of the detector, as for `ShotCuts`.
    """

    def __init__(
        self,
        model: FrameTokens,
        ratio: float = 3.0,
        shot_window: int = 2,
        least: float = 0.2,
        segment_frames: int = 512,
        budget_bytes: int | None = None,
    ) -> None:
        super().__init__(model, ShotCuts(ratio, shot_window, least), None, segment_frames, budget_bytes)


class DepthSum(SegmentSum):
    """Segments by depth score.

    Args:
        model, segment_frames, budget_bytes: as for `SegmentSum`.
        alpha: as for `DepthCuts`.
    """

    def __init__(
        self, model: FrameTokens, alpha: float = 0.5, segment_frames: int = 512, budget_bytes: int | None = None
    ) -> None:
        super().__init__(model, DepthCuts(alpha), None, segment_frames, budget_bytes)
