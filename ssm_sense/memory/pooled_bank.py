"""One int8 vector a frame, and attention over all of them: a memory that grows so slowly that it may not matter.

Of every frame the mean of its latents is held, in 8 bits with a scale of its own: four hours at a frame a second of
1,152 features are 16.6 MB. A small trained reader attends to all of them at once, with the question in its queries and
each frame's age in its key, and gives the language model a constant number of tokens.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.connector import Connector
from ssm_sense.language.query import Query
from ssm_sense.memory.answering import NOTHING, AnsweringModel, Told
from ssm_sense.memory.policy import Answer, Observation, answer, bytes_of
from ssm_sense.nn.bank import AgeEmbedding


class PooledBank(AnsweringModel):
    """The reader of such a bank, with its language model.

    Args:
        language, language_width, vision_width: as for every `AnsweringModel`.
        width: D of the reader.
        probes: R, tokens that the language model sees.
        heads: of its attention, a divisor of D.
    """

    def __init__(
        self,
        language: CausalLM,
        language_width: int,
        vision_width: int,
        width: int = 128,
        probes: int = 16,
        heads: int = 4,
    ) -> None:
        super().__init__(language, language_width, vision_width)
        if width % heads:
            raise ValueError(f"heads: expected a divisor of width {width}, got {heads}")
        self.heads = heads
        self.enter, self.ask = nn.Linear(vision_width, width), nn.Linear(language_width, width)
        self.age = AgeEmbedding(width)
        self.probes = nn.Parameter(torch.randn(probes, width) * 0.5)
        self.nothing = nn.Parameter(torch.randn(width) * width**-0.5)
        self.entry_norm, self.probe_norm, self.norm = nn.RMSNorm(width), nn.RMSNorm(width), nn.RMSNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.mix = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.connector = Connector(width, language_width, probes)

    def pooled(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (..., S, V) to what is held of them: int8 (..., V) and its scale (...,), float32."""
        return quantise(self.scale(latents).mean(-2))

    def tokens(self, entries_KnV: Tensor, ages_Kn: Tensor, prompts: Sequence[str]) -> Tensor:
        """What K questions find, each in a bank of its own: (K, R, Q).

        Args:
            entries_KnV: the vectors, dequantised.
            ages_Kn: how many frames ago, 0 for the newest; negative ones are not seen.
        """
        asked = [self.language.embed_prompt(prompt).mean(1) for prompt in prompts]
        asked_KRD = self.probes + self.ask(torch.cat(asked).to(self.probes)).unsqueeze(1)
        entries = self.entry_norm(self.enter(entries_KnV)) + self.age(ages_Kn.clamp_min(0).to(entries_KnV.dtype))
        known = torch.cat([self.nothing.expand(len(entries), 1, -1), entries], dim=1)
        seen = F.pad(ages_Kn >= 0, (1, 0), value=True)[:, None, None]
        query = self._split(self.query(self.probe_norm(asked_KRD)))
        key, value = (self._split(x) for x in self.key_value(known).chunk(2, dim=-1))
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        y = asked_KRD + self.out(found.transpose(1, 2).flatten(2))
        return self.connector(self.norm(y + self.mix(y)))

    def _split(self, x: Tensor) -> Tensor:
        """(K, n, D) to (K, heads, n, D / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """``loss`` of the answers, and ``per_query`` (K,)."""
        entries = dequantise(*self.pooled(latents_BTSV))[[query.stream for query in queries]]
        frames = torch.tensor([query.frame for query in queries], device=entries.device)
        ages = frames[:, None] - torch.arange(latents_BTSV.shape[1], device=entries.device)
        prompts = [query.prompt for query in queries]
        seen = self.tokens(entries, ages, prompts)
        per_query = self.language.loss(seen, prompts, [query.answer for query in queries])
        return {"loss": per_query.mean(), "answer": per_query.mean(), "per_query": per_query}

    def memory(self) -> "PooledBankMemory":
        """A bank that has seen nothing."""
        return PooledBankMemory(self)


class PooledBankMemory:
    """Holds one int8 vector a frame.

    Args:
        model: in eval mode, with its language model loaded, by the time the first question comes.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = False
    needs_training: ClassVar[bool] = True
    holds: ClassVar[str] = "kv"

    def __init__(self, model: PooledBank) -> None:
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.vectors: list[Tensor] = []
        self.scales: list[Tensor] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Append a frame's vector."""
        vector, scale = self.model.pooled(latents)
        self.vectors.append(vector)
        self.scales.append(scale)
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from what the reader finds."""
        held = self.state_dict()
        entries = dequantise(held["vectors"], held["scales"])[None]
        ages = torch.arange(entries.shape[1] - 1, -1, -1, device=entries.device)[None]
        return answer(self.model.language, self.model.tokens(entries, ages, [prompt]), prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``vectors`` (n, V), int8, and ``scales`` (n,), float32."""
        mean = self.model.scale.mean
        if self.vectors:
            return {"vectors": torch.stack(self.vectors), "scales": torch.stack(self.scales)}
        return {"vectors": mean.new_zeros(0, len(mean), dtype=torch.int8), "scales": mean.new_zeros(0)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or vision tower."""
        width, found = len(self.model.scale.mean), {name: tuple(tensor.shape) for name, tensor in state.items()}
        n = len(state.get("vectors", ()))
        if found != {"vectors": (n, width), "scales": (n,)} or state["vectors"].dtype != torch.int8:
            raise ValueError(f"expected int8 vectors (n, {width}) and scales (n,), got {found}")
        device = self.model.scale.mean.device
        self.vectors, self.scales = (list(state[name].to(device).clone()) for name in ("vectors", "scales"))

    @property
    def nbytes(self) -> int:
        """V + 4 a frame."""
        return bytes_of(self.vectors) + bytes_of(self.scales)


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (..., V) to int8 of the same shape and scales (...,): x ≈ int8 · scale, to within half a scale."""
    scale = x.float().abs().amax(-1).clamp_min(1e-12) / 127
    return (x.float() / scale.unsqueeze(-1)).round().to(torch.int8), scale


def dequantise(vectors: Tensor, scales: Tensor) -> Tensor:
    """What `quantise` was given, as nearly as it is held."""
    return vectors.float() * scales.unsqueeze(-1)
