"""The sliding window: a transformer whose key-value cache holds the last frames and forgets the rest."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.language.along import read_along
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.connector import Connector
from ssm_sense.language.query import Query
from ssm_sense.memory.answering import NOTHING, AnsweringModel, Told
from ssm_sense.memory.kv_cache import KeyValues, answer_from, extend, join, opening, place
from ssm_sense.memory.policy import Answer, Observation, bytes_of
from ssm_sense.nn.pool import pool_places


class SlidingWindow(AnsweringModel):
    """Frame tokens go straight into the language model, each attending to the frames of the window before it.

    Training runs a whole stream in one pass under the very mask that streaming produces, questions included: a
    question sees the window of its moment and itself. Only what comes before every stream, if anything does, stands
    further away in a long stream's training than in streaming, where it moves along with the window.

    Args:
        language, language_width, vision_width: as for every `AnsweringModel`.
        places: S of the latents.
        frame_side: a frame is frame_side² tokens.
        window: frames that attention reaches, the newest included.
    """

    places_in: ClassVar[Mapping[str, tuple[int, ...]]] = {"connector.slot": (0,)}

    def __init__(
        self,
        language: CausalLM,
        language_width: int,
        vision_width: int,
        places: int,
        frame_side: int = 2,
        window: int = 32,
    ) -> None:
        super().__init__(language, language_width, vision_width)
        self.readout_width = language_width
        if window < 1:
            raise ValueError(f"window: expected at least 1 frame, got {window}")
        self.window, self.frame_side = window, frame_side
        self.frame_tokens = min(frame_side**2, places)
        self.connector = Connector(vision_width, language_width, places)

    def embed(self, latents: Tensor) -> Tensor:
        """Latents (..., S, V) to frame tokens (..., F, Q)."""
        return pool_places(self.connector(self.scale(latents)), self.frame_side)

    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """``loss`` of the answers, ``per_query`` (K,), and ``readout`` (B, moments, Q), the hidden states there."""
        streams, frames = latents_BTSV.shape[:2]
        opening = self.language.embed_opening()
        seen = torch.cat([opening.expand(streams, -1, -1), self.embed(latents_BTSV).flatten(1, 2)], dim=1)
        visible, reach = self.masks(opening.shape[1], frames)
        per_query, readout = read_along(self.language, seen, queries, visible.to(seen.device), reach.to(seen.device))
        return {"loss": per_query.mean(), "answer": per_query.mean(), "per_query": per_query, "readout": readout}

    def masks(self, opening: int, frames: int) -> tuple[Tensor, Tensor]:
        """What attention may see when an opening of so many tokens, always kept, goes before T frames.

        Returns:
            visible (n, n), bool: by each token of opening and frames; reach (T, n): by a question after each frame.
        """
        # The opening counts as frame -1.
        frame = torch.cat([torch.full((opening,), -1), torch.arange(frames).repeat_interleave(self.frame_tokens)])
        now = torch.arange(frames)[:, None]
        reach = (frame < 0) | ((frame <= now) & (frame > now - self.window))
        order = torch.arange(len(frame))
        rows = torch.cat([(frame < 0).expand(opening, -1), reach[frame[opening:]]])
        return rows & (order <= order[:, None]), reach

    def memory(self) -> "SlidingWindowMemory":
        """One stream's memory, the window's keys and values."""
        return SlidingWindowMemory(self)


class SlidingWindowMemory:
    """Streams one video through a `SlidingWindow`, holding the keys and values of its last frames.

    Keys are held as they were before rotation and placed anew for every frame, so that positions stay bounded however
    long the stream, and keys are not rounded again for each frame that they stay.

    Args:
        model: in eval mode, with its language model loaded, by the time the first frame comes.
        budget_bytes: of keys and values; None holds the whole window.
        window: frames, whatever the budget; by default those that the model was trained with.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True

    def __init__(self, model: SlidingWindow, budget_bytes: int | None = None, window: int | None = None) -> None:
        self.model, self.budget_bytes = model, budget_bytes
        self.window = model.window if window is None else window
        if self.window < 1:
            raise ValueError(f"window: expected at least 1 frame, got {window}")
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.opening: list[KeyValues] = []
        self.frames: list[KeyValues] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Append one frame; beyond the window or the budget the oldest goes.

        Raises ValueError where the budget does not hold one.
        """
        language = self.model.language
        if self.frames:
            self._make_room()
        else:
            self.opening = opening(language)
        self.frames.append(extend(language, [*self.opening, *self.frames], self.model.embed(latents)[None]))
        if self.budget_bytes is not None and self.nbytes > self.budget_bytes:
            least, budget = self.nbytes, self.budget_bytes
            self.reset()
            raise ValueError(f"budget_bytes: expected at least {least}, the opening and 1 frame, got {budget}")
        return Observation(float("nan"), 1.0, False)

    def _make_room(self) -> None:
        """Drop the oldest frame if one more would exceed the window or the budget."""
        over = self.budget_bytes is not None and self.nbytes + self.frames[0].nbytes > self.budget_bytes
        if over or len(self.frames) >= self.window:
            del self.frames[0]

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the opening and the window."""
        language = self.model.language
        held = [*(self.opening or opening(language)), *self.frames]
        return answer_from(language, place(language, held), prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``keys``, before rotation, and ``values`` (layers, heads, n, width), of the opening and then the frames."""
        if not self.frames:
            return {}
        held = join([*self.opening, *self.frames])
        return {"keys": held.keys, "values": held.values}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from saved keys and values; raises ValueError if they are not whole frames of such a model."""
        if not state:
            return self.reset()
        if state.keys() != {"keys", "values"} or state["keys"].shape != state["values"].shape:
            raise ValueError(f"expected keys and values of one shape, got {', '.join(sorted(state))}")
        device, each = self.model.scale.mean.device, self.model.frame_tokens
        held = KeyValues(*(state[name].to(device) for name in ("keys", "values")))
        first = self.model.language.embed_opening().shape[1]
        if held.tokens <= first or (held.tokens - first) % each:
            raise ValueError(f"keys: expected {first} tokens and {each} a frame, got {held.tokens}")
        self.opening = [held.part(0, first)] if first else []
        self.frames = [held.part(start, start + each) for start in range(first, held.tokens, each)]

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return bytes_of(self.opening) + bytes_of(self.frames)
