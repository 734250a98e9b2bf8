"""Where a stream is cut into segments: every so many seconds, at surprise, shot cuts or depth scores. All causal."""

import math
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.memory.level import Level
from ssm_sense.nn.sources import ShotCut, SurpriseSource
from ssm_sense.state import State

_EPSILON_S = 1e-6


class Cut(NamedTuple):
    """Whether a segment begins with a frame, and the surprise that says so; NaN where there is none."""

    begins: bool
    surprise: float


class Cuts(Protocol):
    """Watches standardised latents (S, V) and says where segments begin; a stream's first frame begins none."""

    def reset(self) -> None:
        """Begin a new stream."""

    def next(self, latents: Tensor, told: float | None, t_s: float) -> Cut:
        """Of the next frame; ``told`` is the surprise of an outside source, if there is one."""

    def state_dict(self) -> dict[str, Tensor]:
        """What is held of the stream."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""

    @property
    def nbytes(self) -> int:
        """Bytes held of the stream."""


class EverySeconds:
    """A segment every so many seconds.

    Args:
        every_s: its length.
    """

    def __init__(self, every_s: float = 60.0) -> None:
        if not every_s > 0:
            raise ValueError(f"every_s: expected more than 0, got {every_s}")
        self.every_s = every_s
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self.began_s: float | None = None

    def next(self, latents: Tensor, told: float | None, t_s: float) -> Cut:
        """See `Cuts`."""
        begins = self.began_s is not None and t_s - self.began_s >= self.every_s - _EPSILON_S
        if begins or self.began_s is None:
            self.began_s = t_s
        return Cut(begins, math.nan)

    def state_dict(self) -> dict[str, Tensor]:
        """``began_s``, of the segment in progress."""
        return {} if self.began_s is None else {"began_s": torch.tensor(self.began_s, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Cuts`."""
        self.began_s = float(state["began_s"]) if "began_s" in state else None

    @property
    def nbytes(self) -> int:
        """8 once a stream has begun."""
        return 0 if self.began_s is None else 8


class SurpriseCuts:
    """A segment at every frame whose surprise is above a threshold, as in Cambrian-S (arXiv 2511.04670).

    Args:
        source: of surprise, where it is not told; see `Level`.
        threshold: τ.
    """

    def __init__(self, source: SurpriseSource | None = None, threshold: float = 0.39) -> None:
        self.level, self.threshold = Level(source), threshold

    def reset(self) -> None:
        """Begin a new stream."""
        self.level.reset()

    def next(self, latents: Tensor, told: float | None, t_s: float) -> Cut:
        """See `Cuts`."""
        first = not self.level.begun
        surprise = self.level.of(latents, told)
        return Cut(surprise > self.threshold and not first, surprise)

    def state_dict(self) -> dict[str, Tensor]:
        """Of the source of surprise."""
        return self.level.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Cuts`."""
        self.level.load_state_dict(state)

    @property
    def nbytes(self) -> int:
        """Of the source of surprise."""
        return self.level.nbytes


class ShotCuts(SurpriseCuts):
    """A segment at every shot cut that `nn.sources.ShotCut`, PySceneDetect's adaptive detector run causally, finds.

    Args:
        ratio, window, least: as there.
    """

    def __init__(self, ratio: float = 3.0, window: int = 2, least: float = 0.2) -> None:
        super().__init__(threshold=0.5)
        self.level = Level(default=partial(ShotCut, ratio=ratio, window=window, least=least))

    def next(self, latents: Tensor, told: float | None, t_s: float) -> Cut:
        """See `Cuts`; what is told is not heard."""
        return super().next(latents, None, t_s)


class DepthCuts:
    """A segment where frames fall out of a run of frames that were ever more alike.

    The depth score of TextTiling as VideoLLaMB uses it (its `segment_left`, which needs no frame to come): s is the
    cosine of neighbouring frames' mean latents, l the highest s that one reaches going back from it without a descent,
    and the depth is l − s. A segment begins where the depth is above mean + α · deviation of all depths so far.

    Args:
        alpha: α.
    """

    def __init__(self, alpha: float = 0.5) -> None:
        self.alpha = alpha
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self.state = State({})

    def next(self, latents: Tensor, told: float | None, t_s: float) -> Cut:
        """See `Cuts`. The surprise is the depth."""
        here = latents.mean(0).float()
        if not len(self.state):
            blank = torch.tensor([-torch.inf, -torch.inf, 0.0, 0.0, 0.0], dtype=torch.float64)
            self.state = State({"last": here.clone(), "depths": blank})
            return Cut(False, math.nan)
        alike, peak, frames, total, squares = self.state["depths"].tolist()
        s = float(F.cosine_similarity(self.state["last"], here, dim=0))
        peak = peak if alike >= s else s
        depth = peak - s
        frames, total, squares = frames + 1, total + depth, squares + depth**2
        mean = total / frames
        deviation = math.sqrt(max(0.0, squares / frames - mean**2))
        depths = self.state["depths"].new_tensor([s, peak, frames, total, squares])
        self.state = State({"last": here.clone(), "depths": depths})
        return Cut(depth > mean + self.alpha * deviation, depth)

    def state_dict(self) -> dict[str, Tensor]:
        """``last`` (V,), and ``depths``: the last s and l, and number, sum and squares of all depths."""
        return dict(self.state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Cuts`."""
        self.state = State(state)

    @property
    def nbytes(self) -> int:
        """4·V + 40."""
        return self.state.nbytes
