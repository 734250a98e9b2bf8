"""Cambrian-S's counting: surprise cuts the stream into segments, each is counted by itself, and the counts are added.

arXiv 2511.04670, §5, and its released code for VSC: a frame attends to a sensory window that runs on across cuts; where
a frame's surprise is above τ, the keys and values of all frames since the last cut, that one not included, are asked
the question; asked before the end, the count of the segment in progress is added. The released code keeps the keys and
values of the whole stream; here those of a segment are let go once it was asked, and a segment's length is bounded.
"""

from typing import ClassVar

from ssm_sense.memory.cuts import SurpriseCuts
from ssm_sense.memory.kv_cache import FrameTokens
from ssm_sense.memory.lfp_window import Foresight
from ssm_sense.memory.segment_sum import SegmentSum
from ssm_sense.nn.sources import SurpriseSource


class CambrianCount(SegmentSum):
    """Streams one video through a model of frame tokens and counts by surprise.

    Args:
        model: in eval mode, with its language model loaded.
        source: of surprise, where `observe` is not told it; by default the model's own prediction if it makes one, and
            else `AdjacentDifference`.
        window: W, frames of the sensory window.
        threshold: τ; .39 for 10 to 60 minutes in the paper, .41 for 120.
        segment_frames, budget_bytes: as for `SegmentSum`.
    """

    needs_training: ClassVar[bool] = True
    """Of the head that predicts; a `source` of surprise stands in for it."""

    def __init__(
        self,
        model: FrameTokens,
        source: SurpriseSource | None = None,
        window: int = 128,
        threshold: float = 0.39,
        segment_frames: int = 512,
        budget_bytes: int | None = None,
    ) -> None:
        foresight = Foresight(model, wanted=source is None)
        super().__init__(model, SurpriseCuts(source, threshold), window, segment_frames, budget_bytes, foresight)
