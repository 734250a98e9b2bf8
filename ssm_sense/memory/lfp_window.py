"""A sliding window whose language model also predicts the next frame: the model under Cambrian-S's policies.

Latent-frame prediction as in Cambrian-S (arXiv 2511.04670, §5): a head on the language model's last hidden states, at
each of a frame's tokens, predicts the latents of the next frame at the same place. What it got wrong is the surprise
that orders or cuts the policies' memories. As everywhere here latents are standardised first; thresholds that were
found on raw ones do not carry over.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.query import Query
from ssm_sense.memory.answering import NOTHING, Told
from ssm_sense.memory.kv_cache import FrameTokens
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.nn.lfp import LFPHead, lfp_loss, surprise
from ssm_sense.nn.pool import pool_places


class LFPWindow(SlidingWindow):
    """`SlidingWindow` with an LFP head.

    Args:
        language, language_width, vision_width, places, frame_side, window: as for `SlidingWindow`.
        lfp_weight: of the prediction's loss, mean squared error and cosine distance; .1 in the paper.
    """

    def __init__(
        self,
        language: CausalLM,
        language_width: int,
        vision_width: int,
        places: int,
        frame_side: int = 2,
        window: int = 32,
        lfp_weight: float = 0.1,
    ) -> None:
        super().__init__(language, language_width, vision_width, places, frame_side, window)
        self.lfp_weight = lfp_weight
        self.head = LFPHead(language_width, vision_width)

    def target(self, latents: Tensor) -> Tensor:
        """What is to be predicted of latents (..., S, V): standardised, pooled to the tokens' places, (..., F, V)."""
        return pool_places(self.scale(latents), self.frame_side)

    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """``loss`` = ``answer`` + λ · (``lfp_squared`` + ``lfp_cosine``), and ``per_query`` (K,)."""
        losses = super().losses(latents_BTSV, seconds_BT, queries, told)
        lfp = lfp_loss(self.predictions(latents_BTSV)[:, :-1], self.target(latents_BTSV)[:, 1:])
        losses["loss"] = losses["answer"] + self.lfp_weight * (lfp.squared + lfp.cosine)
        return {**losses, "lfp_squared": lfp.squared, "lfp_cosine": lfp.cosine}

    def predictions(self, latents_BTSV: Tensor) -> Tensor:
        """At each frame what is expected of the next, (B, T, F, V), each frame attending as it does in a stream."""
        if self.language.lm is None:
            raise RuntimeError("expected a loaded language model, call load() first")
        lm = self.language.lm
        streams, frames = latents_BTSV.shape[:2]
        opening = self.language.embed_opening()
        seen = torch.cat([opening.expand(streams, -1, -1), self.embed(latents_BTSV).flatten(1, 2)], dim=1).to(lm.dtype)
        visible, _ = self.masks(opening.shape[1], frames)
        hides = torch.where(visible.to(seen.device), 0.0, torch.finfo(seen.dtype).min).to(seen.dtype)
        hidden = lm.base_model(
            inputs_embeds=seen, attention_mask=hides.expand(streams, 1, -1, -1), use_cache=False
        ).last_hidden_state
        return self.predict(hidden[:, opening.shape[1] :].unflatten(1, (frames, self.frame_tokens)))

    def predict(self, hidden: Tensor) -> Tensor:
        """Last hidden states (..., F, Q) of a frame to the latents (..., F, V) of the next."""
        return self.head(hidden.to(self.scale.mean.dtype))


class Foresight:
    """What a stream's model expects of its next frame; of a model that predicts nothing, nothing.

    Args:
        model: predicts if it is an `LFPWindow`.
        wanted: False if surprise comes from elsewhere.
    """

    def __init__(self, model: FrameTokens, wanted: bool = True) -> None:
        self.model = model if wanted and isinstance(model, LFPWindow) else None
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self.expected: Tensor | None = None

    def surprise(self, latents: Tensor) -> float | None:
        """Of the next frame, latents (S, V) as the tower gives them: 1 for the first; None if nothing is predicted."""
        if self.model is None:
            return None
        return 1.0 if self.expected is None else float(surprise(self.expected, self.model.target(latents)).mean())

    def after(self, hidden: Tensor) -> None:
        """Expect something of the next frame, from this one's last hidden states (1, F, Q)."""
        if self.model is not None:
            self.expected = self.model.predict(hidden)[0]

    def state_dict(self) -> dict[str, Tensor]:
        """``expected`` (F, V)."""
        return {} if self.expected is None else {"expected": self.expected}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        expected = state.get("expected")
        self.expected = None if expected is None else expected.clone()

    @property
    def nbytes(self) -> int:
        """4·F·V once a frame was seen."""
        return 0 if self.expected is None else self.expected.nbytes
