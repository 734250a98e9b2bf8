"""Frames that ours watches only once it is asked: another memory before the same eyes and the same reader.

Rivals hand what they keep to a language model that learned to read it by itself, so that one cannot tell what a memory
has lost from what its reader never learned to find. Here nothing differs from `RecurrentMemory` but what is held: a
question lets the model watch the kept frames from a blank state, and is answered from that.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from ssm_sense.memory.frame_list import least_missed
from ssm_sense.memory.kv_cache import fit, only, shaped
from ssm_sense.memory.level import Level
from ssm_sense.memory.policy import Answer, Observation, answer, bytes_of
from ssm_sense.memory.pooled_bank import dequantise, quantise
from ssm_sense.nn.sources import AdjacentDifference
from ssm_sense.state import State

if TYPE_CHECKING:
    from ssm_sense.model import SsmSense

Keep = Literal["last", "uniform", "surprising"]


class KeptFrames:
    """Holds the latents of N frames, int8 with a scale for each place.

    What the model makes of them is working memory, as a language model's activations are: it is let go with the next
    frame and is not counted.

    Args:
        model: in eval mode, with its language model loaded, by the time the first question comes.
        keep: "last"; "uniform", spread over the stream as `UniformFrames` has it; or "surprising", those at which the
            model's own source of surprise was highest, the newer of equals. A model without one closes the loop, and
            would have to remember in order to be surprised: there a frame surprises that is unlike the one before.
        frames: N, at least 2.
        budget_bytes: of latents, scales, times and what finds surprise; if given, it sets `frames`.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False
    holds: ClassVar[str] = "kv"

    def __init__(
        self, model: "SsmSense", keep: Keep = "uniform", frames: int = 128, budget_bytes: int | None = None
    ) -> None:
        if keep not in get_args(Keep):
            raise ValueError(f"keep: expected one of {', '.join(get_args(Keep))}, got {keep!r}")
        self.places, self.width = model.encoder.places, model.head.down.out_features
        self.surprising = keep == "surprising"
        source = AdjacentDifference(self.places, self.width) if model.source is None else model.source
        if budget_bytes is not None:
            watching = source.initial_state(1).nbytes + 1 if self.surprising else 0
            each = self.places * (self.width + 4) + 8 + 8 * self.surprising
            frames = fit(budget_bytes - watching, each, "frames", 2)
        if frames < 2:
            raise ValueError(f"frames: expected at least 2, got {frames}")
        self.model, self.keep, self.frames = model, keep, frames
        self.level = Level(source)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.vectors: list[Tensor] = []
        self.scales: list[Tensor] = []
        self.seconds: list[float] = []
        self.surprise: list[float] = []
        self.level.reset()
        self._watched: State | None = None

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Hold the frame; if that is one too many, let go of the one that `keep` says."""
        self._watched = None
        x = self.model.scale(latents)
        wrong = self.level.of(x, surprise) if self.surprising else float("nan")
        vectors, scales = quantise(x)
        held: list[list[Any]] = [self.vectors, self.scales, self.seconds]
        for one, new in zip(held, (vectors, scales, t_s), strict=True):
            one.append(new)
        if self.surprising:
            self.surprise.append(wrong)
            held.append(self.surprise)
        if len(self.seconds) > self.frames:
            least = self._least()
            for one in held:
                del one[least]
        return Observation(wrong, 1.0, False)

    def _least(self) -> int:
        """The place of the frame that goes."""
        if self.keep == "last":
            return 0
        return self.surprise.index(min(self.surprise)) if self.surprising else least_missed(self.seconds)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the state in which the model is after the kept frames."""
        if self._watched is None:
            self._watched = self._watch()
        return answer(self.model.language, self.model.prefix(self._watched, prompt), prompt, options)

    def _watch(self) -> State:
        blank = self.model.initial_state(1)
        if not self.seconds:
            return blank
        held = self.state_dict()
        scale = self.model.scale
        latents = dequantise(held["vectors"], held["scales"]) * scale.scale + scale.mean
        return self.model.observe(latents[None], held["seconds"][None].to(latents.device), blank)[1]

    def state_dict(self) -> Mapping[str, Tensor]:
        """``vectors`` (n, S, V) int8, ``scales`` (n, S) float32 and ``seconds`` (n,) float64 of standardised latents.

        Where surprising frames are kept also ``surprise`` (n,) float64 and ``level.…``, of what finds it.
        """
        mean = self.model.scale.mean
        found = {
            "vectors": mean.new_zeros(0, self.places, self.width, dtype=torch.int8),
            "scales": mean.new_zeros(0, self.places),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
        }
        if self.vectors:
            found |= {"vectors": torch.stack(self.vectors), "scales": torch.stack(self.scales)}
        if self.surprising:
            found["surprise"] = torch.tensor(self.surprise, dtype=torch.float64)
            found |= State.join({"level": State(self.level.state_dict())})
        return found

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or model."""
        names = ("vectors", "scales", "seconds", *(("surprise",) if self.surprising else ()))
        only(state, *names, *(("level.",) if self.surprising else ()))
        n = len(state.get("seconds", ()))
        shapes = {
            "vectors": (n, self.places, self.width),
            "scales": (n, self.places),
            "seconds": (n,),
            "surprise": (n,),
        }
        shaped(state, {name: shapes[name] for name in names})
        device = self.model.scale.mean.device
        # Each a copy of its own, so that one that goes takes its bytes with it.
        self.vectors, self.scales = ([one.to(device, copy=True) for one in state[name]] for name in names[:2])
        self.seconds = state["seconds"].tolist()
        self.surprise = state["surprise"].tolist() if self.surprising else []
        self.level.load_state_dict(State(state).sub("level").to(device))
        self._watched = None

    @property
    def nbytes(self) -> int:
        """Of the frames and their times, and of what finds surprise."""
        frames = bytes_of(self.vectors) + bytes_of(self.scales)
        watching = 8 * len(self.surprise) + self.level.nbytes if self.surprising else 0
        return frames + 8 * len(self.seconds) + watching
