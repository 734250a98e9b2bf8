"""Surprise as a change of mind: how far an encoder's features have moved, in place of how wrong a prediction was.

An encoder that was trained to predict keeps in its features what it expects to hold for longer than a frame. Turning
one's head makes the next picture hard to predict, but changes little in what one expects of the room; going to another
room changes just that.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssm_sense.nn.lfp import LFPHead, lfp_loss
from ssm_sense.nn.sources import EmaDistance, Predictor, SurpriseSource
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.state import State


class RecurrentLFP(Predictor):
    """The closed loop's encoder and head with the loop left open: everything is written, nothing is ever reset.

    Args:
        encoder: of the closed loop's architecture.
        head: as the closed loop's.
    """

    def __init__(self, encoder: TemporalEncoder, head: LFPHead) -> None:
        super().__init__(encoder.places, head.down.out_features)
        self.encoder, self.head = encoder, head

    def initial_state(self, streams: int) -> State:
        """``predicted`` (B, S, V), and ``encoder.…``, the encoder's."""
        return State.join({**super().initial_state(streams), "encoder": self.encoder.initial_state(streams)})

    def predict(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """From all frames so far."""
        u, after = self.encoder(latents_BTSV, state.sub("encoder"))
        predicted = self.head(u)
        return predicted, State.join({"predicted": predicted[:, -1], "encoder": after})

    def losses(self, latents_BTSV: Tensor) -> dict[str, Tensor]:
        """``loss`` = ``squared`` + ``cosine``, of each frame's prediction against the next frame (T ≥ 2)."""
        predicted, _ = self.predict(latents_BTSV[:, :-1], self.initial_state(len(latents_BTSV)))
        parts = lfp_loss(predicted, latents_BTSV[:, 1:])
        return {"loss": parts.squared + parts.cosine, "squared": parts.squared, "cosine": parts.cosine}


class FeatureShift(SurpriseSource):
    """1 − cos of an encoder's features at a frame and their moving average over the frames before, per location.

    Args:
        encoder: trained to predict, such as that of `RecurrentLFP` or `StatelessLFP`.
        decay: of the moving average, as in `EmaDistance`.
        memory: whether the encoder's state is carried from frame to frame; without, it is dropped before every frame.
    """

    def __init__(self, encoder: TemporalEncoder, decay: float = 0.8, memory: bool = True) -> None:
        super().__init__()
        self.encoder, self.memory = encoder, memory
        self.distance = EmaDistance(encoder.places, encoder.width, decay)

    def initial_state(self, streams: int) -> State:
        """``encoder.…``, where it is carried, and ``distance.…``, the moving average."""
        carried = self.encoder.initial_state(streams) if self.memory else State({})
        return State.join({"encoder": carried, "distance": self.distance.initial_state(streams)})

    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S) of T frames, and the state after them."""
        if self.memory:
            u, carried = self.encoder(latents_BTSV, state.sub("encoder"))
        else:
            frames = latents_BTSV.flatten(0, 1).unsqueeze(1)
            single, _ = self.encoder(frames, self.encoder.initial_state(len(frames)))
            u, carried = single.view(*latents_BTSV.shape[:3], -1), State({})
        level, average = self.distance(u, state.sub("distance"))
        return level, State.join({"encoder": carried, "distance": average})


def train_recurrent(
    latents: Sequence[Tensor],
    steps: int = 150,
    seed: int = 0,
    width: int = 128,
    layers: int = 2,
    heads: int = 4,
    state_size: int = 16,
    batch_size: int = 8,
    frames: int = 64,
    learning_rate: float = 3e-3,
) -> RecurrentLFP:
    """A `RecurrentLFP` trained by itself on runs of frames that begin anywhere.

    Args:
        latents: streams of standardised latents, each (T, S, V) with T ≥ ``frames`` and S a square.
        steps: updates, each on ``batch_size`` runs of ``frames`` frames.
        seed: of the weights and the draws.
        width, layers, heads, state_size: of the encoder, as the closed loop's.
        learning_rate: the highest of its one-cycle schedule.

    Raises ValueError for shorter streams, and for an S that is no square.
    """
    places, vision_width = latents[0].shape[1:]
    if math.isqrt(places) ** 2 != places or min(len(x) for x in latents) < frames:
        raise ValueError(
            f"expected streams of {frames} or more frames on a square grid, got {[tuple(x.shape) for x in latents]}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = TemporalEncoder(vision_width, width, math.isqrt(places), layers, heads, state_size)
        source = RecurrentLFP(encoder, LFPHead(width, vision_width)).to(latents[0].device)
        optimizer = torch.optim.AdamW(source.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
        for _ in range(steps):
            chosen = torch.randint(len(latents), (batch_size,)).tolist()
            starts = [int(torch.randint(len(latents[i]) - frames + 1, (1,))) for i in chosen]
            batch = torch.stack([latents[i][t : t + frames] for i, t in zip(chosen, starts, strict=True)]).float()
            optimizer.zero_grad(set_to_none=True)
            source.losses(batch)["loss"].backward()
            nn.utils.clip_grad_norm_(source.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return source.eval()
