"""Surprise from anything but the closed loop: what a claim about it has to be held against.

Every source is called alike, ``(latents_BTSV, state) -> (surprise_BTS, state)``, on standardised latents, frame by
frame or a whole stream at once, and gives a stream's first frame the surprise 1.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ssm_sense.nn.lfp import LFPHead, lfp_loss, surprise
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.state import State


class SurpriseSource(nn.Module, ABC):
    """What finds a frame surprising, given the frames before it."""

    def of(self, encoder: TemporalEncoder) -> None:
        """Hear which encoder the model has that this is a source of. Most need none."""

    @abstractmethod
    def initial_state(self, streams: int) -> State:
        """The state of B streams that have seen nothing."""

    @abstractmethod
    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S) of T frames, and the state after them."""


class Predictor(SurpriseSource):
    """A source that expects something of the next frame; its surprise is 1 − cos(expected, actual) per location.

    Args:
        places: S.
        vision_width: V.
    """

    def __init__(self, places: int, vision_width: int) -> None:
        super().__init__()
        self.places, self.vision_width = places, vision_width
        self.origin: Tensor  # follows the module from device to device, and states begin where it is
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def initial_state(self, streams: int) -> State:
        """``predicted`` (B, S, V): zeros, whose cosine with any frame is 0 and which so surprise by 1."""
        return State({"predicted": self.origin.new_zeros(streams, self.places, self.vision_width)})

    @abstractmethod
    def predict(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """At each frame, the latents (B, T, S, V) expected of the next, and the state after the last."""

    def expect(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """What was expected of each frame (B, T, S, V) before it was seen, and the state after the last.

        Raises ValueError for latents of another S or V.
        """
        if latents_BTSV.shape[2:] != (self.places, self.vision_width):
            expected = f"(B, T, {self.places}, {self.vision_width})"
            raise ValueError(f"latents: expected {expected}, got {tuple(latents_BTSV.shape)}")
        predicted, after = self.predict(latents_BTSV, state)
        return torch.cat([state["predicted"].unsqueeze(1), predicted[:, :-1]], dim=1), after

    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S) of T frames, and the state after them."""
        expected, after = self.expect(latents_BTSV, state)
        return surprise(expected, latents_BTSV), after


class AdjacentDifference(Predictor):
    """Expects the next frame to be like this one: a shot-cut detector in latent space."""

    def predict(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """The frames themselves."""
        return latents_BTSV, State({"predicted": latents_BTSV[:, -1].clone()})


class EmaDistance(Predictor):
    """Expects the exponential moving average of the frames so far, corrected for its start as in Adam.

    Args:
        places: S.
        vision_width: V.
        decay: share of the average that survives a frame, in [0, 1); 0 is `AdjacentDifference`.
    """

    def __init__(self, places: int, vision_width: int, decay: float = 0.9) -> None:
        super().__init__(places, vision_width)
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a share in [0, 1), got {decay}")
        self.decay = decay

    def initial_state(self, streams: int) -> State:
        """``predicted`` (B, S, V), the average, and ``weight`` (B,), the weight that it has gathered so far."""
        return super().initial_state(streams).replace(weight=self.origin.new_zeros(streams))

    def predict(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """The average after each frame; its correction is 1 once many frames are in."""
        average, weight = state["predicted"], state["weight"]
        averages = []
        for frame in latents_BTSV.unbind(1):
            weight = self.decay * weight + (1 - self.decay)
            average = average.lerp(frame, ((1 - self.decay) / weight)[:, None, None])
            averages.append(average)
        return torch.stack(averages, 1), State({"predicted": average, "weight": weight})


class StatelessLFP(Predictor):
    """The closed loop's encoder and head without memory: all state is dropped before every frame.

    What it cannot predict, no single frame foretells. It is trained by itself, with `losses`.

    Args:
        encoder: of the closed loop's architecture; space mixes inside a frame, and no recurrence reaches the next.
        head: as the closed loop's.
    """

    def __init__(self, encoder: TemporalEncoder, head: LFPHead) -> None:
        super().__init__(encoder.places, head.down.out_features)
        self.encoder, self.head = encoder, head

    def predict(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """From each frame alone; what it leaves is the last prediction."""
        frames = latents_BTSV.flatten(0, 1).unsqueeze(1)
        u, _ = self.encoder(frames, self.encoder.initial_state(len(frames)))
        predicted = self.head(u).view_as(latents_BTSV)
        return predicted, State({"predicted": predicted[:, -1]})

    def losses(self, latents_BTSV: Tensor) -> dict[str, Tensor]:
        """``loss`` = ``squared`` + ``cosine``, of each frame's prediction against the next frame (T ≥ 2)."""
        predicted, _ = self.predict(latents_BTSV[:, :-1], State({}))
        parts = lfp_loss(predicted, latents_BTSV[:, 1:])
        return {"loss": parts.squared + parts.cosine, "squared": parts.squared, "cosine": parts.cosine}


class ShotCut(SurpriseSource):
    """A shot-cut detector with an adaptive threshold, run causally.

    The method is PySceneDetect's ``AdaptiveDetector``: a frame's content score is its mean absolute difference from the
    frame before, and it is a cut where that is ``ratio`` times the average score of its neighbours or more, and
    ``least`` or more by itself, so that fast but steady motion is none. Two things differ. Scores are of standardised
    latents, which is what every source here sees, not of hue, saturation and lightness. And the neighbours are the
    ``window`` frames before only: the original also waits for as many after, which a stream cannot.

    Surprise is r / (r + ratio) for a score r times the average, .5 at the detector's own threshold, the same at every
    location; it is 0 where the score is below ``least``, and until the window is full, when nothing is decided.

    Args:
        places: S.
        vision_width: V.
        ratio: ``adaptive_threshold`` there.
        window: frames before, ``window_width`` there.
        least: ``min_content_val`` there, in deviations of the latents.
    """

    def __init__(self, places: int, vision_width: int, ratio: float = 3.0, window: int = 2, least: float = 0.2) -> None:
        super().__init__()
        if not (ratio > 0 and window >= 1 and least >= 0):
            raise ValueError(f"expected ratio > 0, window >= 1 and least >= 0, got {ratio}, {window} and {least}")
        self.places, self.vision_width = places, vision_width
        self.ratio, self.window, self.least = ratio, window, least
        self.origin: Tensor
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def initial_state(self, streams: int) -> State:
        """``last`` (B, S, V), the newest frame, ``scores`` (B, W) of the newest frames, and ``frame`` (B,)."""
        return State(
            {
                "last": self.origin.new_zeros(streams, self.places, self.vision_width),
                "scores": self.origin.new_zeros(streams, self.window),
                "frame": self.origin.new_zeros(streams, dtype=torch.int64),
            }
        )

    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S), the same at every location, and the state after."""
        streams, frames = latents_BTSV.shape[:2]
        before = torch.cat([state["last"].unsqueeze(1), latents_BTSV[:, :-1]], dim=1)
        scores = torch.cat([state["scores"], (latents_BTSV - before).abs().mean((-1, -2))], dim=1)
        here = scores[:, self.window :]
        average = scores.unfold(1, self.window, 1)[:, :-1].mean(-1)
        level = here / (here + self.ratio * average).clamp_min(torch.finfo(here.dtype).tiny)
        number = state["frame"][:, None] + torch.arange(frames, device=here.device)
        decided = (number > self.window) & (here >= self.least)
        level = torch.where(number == 0, 1.0, torch.where(decided, level, 0.0))
        after = {"last": latents_BTSV[:, -1].clone(), "scores": scores[:, -self.window :], "frame": number[:, -1] + 1}
        return level.unsqueeze(-1).expand(streams, frames, self.places), State(after)


class RandomSurprise(SurpriseSource):
    """Surprise that knows nothing: uniform in [0, 1), one draw a frame, the control of every comparison.

    A draw depends on the seed, on the stream's first frame and on a frame's place in the stream alone: every stream
    has draws of its own, in whichever batch it is and however it is cut. Of the first frame the first 16 latents count,
    each to 1/64 of a deviation, so that rounding seldom makes another stream of it.

    Args:
        seed: of the draws.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.origin: Tensor
        self.register_buffer("origin", torch.zeros((), dtype=torch.int64), persistent=False)

    def initial_state(self, streams: int) -> State:
        """``stream`` (B,), a hash of its first frame, 0 before that, and ``frame`` (B,), the next frame's number."""
        nothing = self.origin.new_zeros(streams)
        return State({"stream": nothing, "frame": nothing.clone()})

    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S), the same at every location, and the state after."""
        frames, places = latents_BTSV.shape[1:3]
        frame_BT = state["frame"][:, None] + torch.arange(frames, device=latents_BTSV.device)
        stream = torch.where(state["frame"] == 0, _hash(latents_BTSV[:, 0]), state["stream"])
        seed = _scramble(torch.full_like(frame_BT, self.seed))
        bits = _scramble(_scramble(seed + stream[:, None]) + frame_BT)
        level_BT = torch.where(frame_BT == 0, 1.0, (bits >> 8) / 2**24).to(latents_BTSV.dtype)
        after = {"stream": stream, "frame": state["frame"] + frames}
        return level_BT.unsqueeze(-1).expand(-1, -1, places), State(after)


def _hash(frame_BSV: Tensor) -> Tensor:
    """32 bits (B,) in int64 that tell frames apart."""
    marks = (frame_BSV.flatten(1)[:, :16].float() * 64).round().to(torch.int64)
    places = torch.arange(marks.shape[1], device=marks.device)
    return _scramble(_scramble(_scramble(places) + marks).sum(-1))


def _scramble(bits: Tensor) -> Tensor:
    """A hash of 32 bits held in int64: two rounds of multiply and xor-shift."""
    bits = bits & 0xFFFFFFFF
    for _ in range(2):
        bits = ((bits ^ (bits >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return bits ^ (bits >> 16)
