"""STORM's recipe: Mamba in both directions over the whole clip, then pooling over time. The offline ceiling.

STORM (arXiv 2503.04130): vision tokens are projected to the language model's width, go through blocks
x + mixer(norm(x)) that sweep all tokens of the clip left to right, top to bottom and frame to frame, forwards and
backwards, and are then averaged over every few frames. What a frame's tokens are depends on all frames after it, so a
question at another moment means to start over from the first frame, and everything seen has to be held for that. It is
not a streaming memory; it says what ours gives up by being one. Depth and state size are not stated in the paper.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.connector import Connector
from ssm_sense.language.query import Query
from ssm_sense.memory.answering import NOTHING, AnsweringModel, Told
from ssm_sense.memory.policy import Answer, Observation, answer, bytes_of
from ssm_sense.nn.mamba import Mamba
from ssm_sense.nn.pool import pool_places


class BothWays(nn.Module):
    """x + a sweep forwards + a sweep backwards, after one norm.

    Args:
        width: of the tokens.
        state_size: N of either Mamba.
    """

    def __init__(self, width: int, state_size: int = 16) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.forwards, self.backwards = Mamba(width, state_size), Mamba(width, state_size)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, width) to the same."""
        normed, batch = self.norm(x), len(x)
        there, _ = self.forwards(normed, self.forwards.initial_state(batch))
        back, _ = self.backwards(normed.flip(1), self.backwards.initial_state(batch))
        return cast(Tensor, x + there + back.flip(1))


class Storm(AnsweringModel):
    """Frame tokens, mixed over the whole clip and pooled over time.

    Args:
        language, language_width, vision_width: as for every `AnsweringModel`.
        places: S of the latents.
        frame_side: a frame is frame_side² tokens.
        layers: of `BothWays`.
        state_size: N.
        pool_frames: neighbouring frames that are averaged after mixing; 4 was best in the paper.
        frames: of a longer clip so many are taken, evenly spread; 128 in the paper. None takes all.
    """

    places_in: ClassVar[Mapping[str, tuple[int, ...]]] = {"connector.slot": (0,)}

    def __init__(
        self,
        language: CausalLM,
        language_width: int,
        vision_width: int,
        places: int,
        frame_side: int = 2,
        layers: int = 1,
        state_size: int = 16,
        pool_frames: int = 4,
        frames: int | None = 128,
    ) -> None:
        super().__init__(language, language_width, vision_width)
        if pool_frames < 1 or (frames is not None and frames < 1):
            raise ValueError(f"expected pool_frames and frames of at least 1, got {pool_frames} and {frames}")
        self.frame_side, self.pool_frames, self.frames = frame_side, pool_frames, frames
        self.frame_tokens = min(frame_side**2, places)
        self.connector = Connector(vision_width, language_width, places)
        self.blocks = nn.ModuleList(BothWays(language_width, state_size) for _ in range(layers))

    def held(self, latents: Tensor) -> Tensor:
        """What has to be held of latents (..., S, V): (..., F, Q)."""
        return pool_places(self.connector(self.scale(latents)), self.frame_side)

    def tokens(self, held_BTFQ: Tensor) -> Tensor:
        """Whole clips to what the language model sees of them: (B, P, Q), P = ⌈T / pool_frames⌉ · F."""
        x = held_BTFQ[:, sample(held_BTFQ.shape[1], self.frames)].flatten(1, 2)
        for block in self.blocks:
            x = block(x)
        groups = x.unflatten(1, (-1, self.frame_tokens)).split(self.pool_frames, dim=1)
        return torch.cat([group.mean(1) for group in groups], dim=1)

    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """``loss`` of the answers, and ``per_query`` (K,). Every moment that is asked about is a clip of its own."""
        held = self.held(latents_BTSV)
        per_query: list[Tensor] = [held.new_zeros(())] * len(queries)
        for frame in sorted({query.frame for query in queries}):
            here = [k for k, query in enumerate(queries) if query.frame == frame]
            streams = sorted({queries[k].stream for k in here})
            seen = self.tokens(held[streams, : frame + 1])[[streams.index(queries[k].stream) for k in here]]
            asked, said = [queries[k].prompt for k in here], [queries[k].answer for k in here]
            for k, loss in zip(here, self.language.loss(seen, asked, said), strict=True):
                per_query[k] = loss
        losses = torch.stack(per_query)
        return {"loss": losses.mean(), "answer": losses.mean(), "per_query": losses}

    def memory(self) -> "StormMemory":
        """A clip without frames yet."""
        return StormMemory(self)


class StormMemory:
    """Holds every frame until a question comes, and then mixes the whole clip.

    Args:
        model: in eval mode, with its language model loaded, by the time the first question comes.
    """

    causal: ClassVar[bool] = False
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = False
    needs_training: ClassVar[bool] = True

    def __init__(self, model: Storm) -> None:
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.frames: list[Tensor] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Hold one frame."""
        self.frames.append(self.model.held(latents))
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the clip that ends here."""
        language = self.model.language
        if self.frames:
            tokens = self.model.tokens(torch.stack(self.frames)[None])
        else:
            tokens = torch.zeros(1, 0, self.model.language_width, device=self.model.scale.mean.device)
        return answer(language, tokens, prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``frames`` (n, F, Q)."""
        width = self.model.language_width
        empty = self.model.scale.mean.new_zeros(0, self.model.frame_tokens, width)
        return {"frames": torch.stack(self.frames) if self.frames else empty}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or model."""
        expected = (self.model.frame_tokens, self.model.language_width)
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if found.keys() != {"frames"} or found["frames"][1:] != expected:
            raise ValueError(f"expected frames (n, {expected[0]}, {expected[1]}), got {found}")
        self.frames = list(state["frames"].to(self.model.scale.mean.device).clone())

    @property
    def nbytes(self) -> int:
        """4·F·Q a frame."""
        return bytes_of(self.frames)


def sample(length: int, most: int | None) -> Tensor:
    """Which frames of a clip are taken: all, or `most` of them evenly spread, its first and its last among them."""
    if most is None or length <= most:
        return torch.arange(length)
    return torch.linspace(0, length - 1, most).round().long()
